"""POST /oauth/token: every form of request that Didomi may use (didomi.md 1.8)."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.credentials import MAX_CREDENTIAL_CHARACTERS
from didomi_dataverse.didomi.auth.token_request import TokenResponse, answer_token_request

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
SECRET = "s3cret+with%20odd:charäcters"
ISSUER = create_issuer(client_id="di domi", client_secrets=[SECRET, "the former secret"])

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
BOTH = {"client_id": "di domi", "client_secret": SECRET}
FORM_BODY = f"grant_type=client_credentials&client_id=di+domi&client_secret={quote_plus(SECRET)}".encode()


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def request(body: bytes = b"", *, content_type: str = "", authorization: str | None = None) -> TokenResponse:
    return answer_token_request(
        ISSUER, content_type=content_type, authorization=authorization, body=body, now=NOW
    )


def encoded(**members: object) -> bytes:
    return json.dumps({**BOTH, **members}).encode()


@pytest.mark.parametrize(
    ("body", "content_type", "authorization"),
    [
        pytest.param(FORM_BODY, FORM, None, id="form"),
        pytest.param(FORM_BODY, f"{FORM}; charset=UTF-8", None, id="form with charset"),
        pytest.param(FORM_BODY, "Application/X-WWW-Form-Urlencoded", None, id="form in capitals"),
        pytest.param(FORM_BODY + b"\r\n", FORM, None, id="form with a line end"),
        pytest.param(FORM_BODY + b"&scope=a,b&audience=x&other=", FORM, None, id="form with more fields"),
        pytest.param(encoded(grant_type="client_credentials"), JSON, None, id="JSON"),
        pytest.param(
            encoded(grant_type="client_credentials"), f"{JSON}; charset=utf-8", None, id="JSON with charset"
        ),
        pytest.param(b"\xef\xbb\xbf" + encoded(), JSON, None, id="JSON with a byte order mark"),
        pytest.param(
            json.dumps(
                {"clientId": "di domi", "clientSecret": SECRET, "grantType": "client_credentials"}
            ).encode(),
            JSON,
            None,
            id="JSON with the other spelling",
        ),
        pytest.param(encoded(audience="api://x", nested={"a": [1]}), JSON, None, id="JSON with more members"),
        pytest.param(encoded(), "", None, id="JSON, no content type"),
        pytest.param(FORM_BODY, "", None, id="form, no content type"),
        pytest.param(encoded(), "text/plain", None, id="JSON as text/plain"),
        pytest.param(FORM_BODY, "text/plain", None, id="form as text/plain"),
        pytest.param(encoded(), FORM, None, id="JSON declared as form"),
        pytest.param(FORM_BODY, JSON, None, id="form declared as JSON"),
        pytest.param(encoded(grant_type=""), JSON, None, id="empty grant type"),
        pytest.param(b"", "", basic("di domi", SECRET), id="Basic, no body"),
        pytest.param(b"grant_type=client_credentials", FORM, basic("di domi", SECRET), id="Basic, raw"),
        pytest.param(
            b"grant_type=client_credentials",
            FORM,
            basic(quote_plus("di domi"), quote_plus(SECRET)),
            id="Basic, percent-encoded as RFC 6749 wants it",
        ),
        pytest.param(
            b'{"grant_type": "client_credentials"}', JSON, basic("di domi", SECRET), id="Basic with JSON"
        ),
        pytest.param(
            b"", "", basic("di domi", SECRET).replace("Basic", "basic "), id="Basic in small letters"
        ),
        pytest.param(FORM_BODY, FORM, basic("di domi", SECRET), id="Basic and form"),
        pytest.param(FORM_BODY, FORM, "Bearer expired", id="form, with the last token beside it"),
        pytest.param(encoded(client_secret="the former secret"), JSON, None, id="the second secret"),
    ],
)
def test_the_right_credentials_get_a_token(body: bytes, content_type: str, authorization: str | None) -> None:
    answer = request(body, content_type=content_type, authorization=authorization)

    assert answer.status == 200
    assert answer.members["token_type"] == "Bearer"
    assert answer.members["expires_in"] == 86_400
    assert answer.headers["Cache-Control"] == "no-store"
    ISSUER.verify(str(answer.members["access_token"]), NOW)


@pytest.mark.parametrize(
    ("body", "content_type", "authorization", "status", "error"),
    [
        pytest.param(encoded(client_secret="wrong"), JSON, None, 401, "invalid_client", id="wrong secret"),
        pytest.param(encoded(client_id="other"), JSON, None, 401, "invalid_client", id="wrong client"),
        pytest.param(
            encoded(client_secret="\ud800"), JSON, None, 401, "invalid_client", id="half a surrogate pair"
        ),
        pytest.param(
            encoded(client_secret="wrong", grant_type="password"),
            JSON,
            None,
            401,
            "invalid_client",
            id="both wrong",
        ),
        pytest.param(b"", "", basic("di domi", "wrong"), 401, "invalid_client", id="wrong secret in Basic"),
        pytest.param(
            encoded(grant_type="password"), JSON, None, 400, "unsupported_grant_type", id="another grant type"
        ),
        pytest.param(
            FORM_BODY.replace(b"client_credentials", b"authorization_code"),
            FORM,
            None,
            400,
            "unsupported_grant_type",
            id="another grant type in a form",
        ),
        pytest.param(b"", "", None, 400, "invalid_request", id="nothing"),
        pytest.param(b"{}", JSON, None, 400, "invalid_request", id="empty object"),
        pytest.param(b"[]", JSON, None, 400, "invalid_request", id="list"),
        pytest.param(b"[" * 100_000, JSON, None, 400, "invalid_request", id="nested without end"),
        pytest.param(b"hello", "", None, 400, "invalid_request", id="neither JSON nor form"),
        pytest.param(b"\xff\xfe", JSON, None, 400, "invalid_request", id="not UTF-8"),
        pytest.param(b"client_id=di+domi", FORM, None, 400, "invalid_request", id="no secret"),
        pytest.param(b'{"client_secret": "x"}', JSON, None, 400, "invalid_request", id="no client id"),
        pytest.param(encoded(client_id=7), JSON, None, 400, "invalid_request", id="client id is a number"),
        pytest.param(encoded(client_secret=["x"]), JSON, None, 400, "invalid_request", id="secret is a list"),
        pytest.param(
            encoded(clientId="other"), JSON, None, 400, "invalid_request", id="two spellings that disagree"
        ),
        pytest.param(FORM_BODY + b"&client_id=other", FORM, None, 400, "invalid_request", id="a field twice"),
        pytest.param(
            encoded(client_secret="x" * (MAX_CREDENTIAL_CHARACTERS + 1)),
            JSON,
            None,
            400,
            "invalid_request",
            id="endless secret",
        ),
        pytest.param(b"&".join([b"a=b"] * 100), FORM, None, 400, "invalid_request", id="endless form"),
        pytest.param(
            b"",
            "",
            "Basic " + "a" * 3 * MAX_CREDENTIAL_CHARACTERS,
            400,
            "invalid_request",
            id="endless Basic",
        ),
        pytest.param(b"", "", "Basic !!!", 400, "invalid_request", id="Basic that is not base64"),
        pytest.param(b"", "", "Basic /////w==", 400, "invalid_request", id="Basic that is not UTF-8"),
        pytest.param(b"", "", "Basic YWJj", 400, "invalid_request", id="Basic without colon"),
        pytest.param(encoded(scope='a"b'), JSON, None, 400, "invalid_scope", id="a quote in the scope"),
        pytest.param(
            encoded(scope="a\r\nX: y"), JSON, None, 400, "invalid_scope", id="a header in the scope"
        ),
    ],
)
def test_anything_else_is_refused_as_the_rfc_says(
    body: bytes, content_type: str, authorization: str | None, status: int, error: str
) -> None:
    """RFC 6749, 5.2."""
    answer = request(body, content_type=content_type, authorization=authorization)

    assert (answer.status, answer.members["error"]) == (status, error)
    assert "access_token" not in answer.members
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.is_failed_login is (status == 401)


def test_the_scope_that_was_asked_for_is_granted() -> None:
    assert request(encoded(scope="read,write all"), content_type=JSON).members["scope"] == "read,write all"


def test_no_scope_is_told_when_none_was_asked_for() -> None:
    assert "scope" not in request(encoded(), content_type=JSON).members


def test_a_refused_basic_login_is_told_how_to_log_in() -> None:
    answer = request(authorization=basic("di domi", "wrong"))

    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@given(st.binary(max_size=200), st.sampled_from(["", FORM, JSON]), st.none() | st.text(max_size=60))
def test_no_request_gets_anything_but_an_answer(
    body: bytes, content_type: str, authorization: str | None
) -> None:
    answer = request(body, content_type=content_type, authorization=authorization)

    assert answer.status in {400, 401}


@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)
def test_any_credentials_can_be_sent_as_basic(client_id: str, secret: str) -> None:
    tokens = create_issuer(client_id=client_id, client_secrets=[secret])

    answer = answer_token_request(
        tokens,
        content_type="",
        authorization=basic(quote_plus(client_id), quote_plus(secret)),
        body=b"",
        now=NOW,
    )

    assert answer.status == 200

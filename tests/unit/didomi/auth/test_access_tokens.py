"""Access tokens that the service issues: they need no store, and expire with their secret."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from didomi_dataverse.didomi.auth.access_tokens import AUDIENCE, ISSUER, AccessTokenIssuer, create_issuer
from didomi_dataverse.errors import CredentialsError

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
SECRET = "first-secret-of-the-client"


def issuer_of(*secrets: str, client_id: str = "didomi") -> AccessTokenIssuer:
    return create_issuer(client_id=client_id, client_secrets=secrets or (SECRET,))


def issue(issuer: AccessTokenIssuer, secret: str = SECRET, *, now: datetime = NOW) -> str:
    key = issuer.find_signing_key(issuer.client_id.encode(), secret.encode())
    assert key is not None
    return issuer.issue(key, now)


def forge(**changes: object) -> str:
    """A token signed with the right key, with these claims. None leaves a claim out."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "didomi", "exp": NOW.timestamp() + 60, **changes}
    return jwt.encode(
        {name: claim for name, claim in claims.items() if claim is not None},
        issuer_of().keys[0],
        algorithm="HS256",
    )


def test_a_token_survives_a_restart_and_is_good_at_every_replica() -> None:
    token = issue(issuer_of())

    issuer_of().verify(token, NOW)


@pytest.mark.parametrize(
    ("after", "is_good"),
    [
        pytest.param(timedelta(0), True, id="at once"),
        pytest.param(timedelta(hours=24), True, id="at its end"),
        pytest.param(timedelta(hours=24, minutes=4, seconds=59), True, id="within the leeway"),
        pytest.param(timedelta(hours=24, minutes=5), False, id="after the leeway"),
    ],
)
def test_a_token_is_good_for_a_day_and_a_leeway(after: timedelta, is_good: bool) -> None:
    issuer = issuer_of()
    token = issue(issuer)

    if is_good:
        issuer.verify(token, NOW + after)
    else:
        with pytest.raises(CredentialsError, match="expired"):
            issuer.verify(token, NOW + after)


def test_tokens_of_both_secrets_are_good_while_one_is_changed_for_the_other() -> None:
    before, during, after = issuer_of("old"), issuer_of("new", "old"), issuer_of("new")
    old_token, new_token = issue(before, "old"), issue(during, "new")

    during.verify(old_token, NOW)
    during.verify(issue(during, "old"), NOW)
    after.verify(new_token, NOW)


def test_a_token_expires_with_its_secret() -> None:
    token = issue(issuer_of("new", "old"), "old")

    with pytest.raises(CredentialsError, match="retired"):
        issuer_of("new").verify(token, NOW)


def test_a_token_is_for_one_client() -> None:
    """The key is derived from the client's id as well."""
    token = issue(issuer_of(client_id="other"))

    assert issuer_of(client_id="other").keys != issuer_of().keys
    with pytest.raises(CredentialsError):
        issuer_of().verify(token, NOW)


FOREVER: dict[str, object] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "didomi", "exp": 9e9}


def part(members: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def nested(levels: int) -> str:
    return base64.urlsafe_b64encode(b'{"a":' + b"[" * levels).rstrip(b"=").decode()


def _unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(FOREVER)}."


def _with_changed_claims() -> str:
    head, _, signature = issue(issuer_of()).split(".")
    return f"{head}.{part(FOREVER)}.{signature}"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("abc", id="no JWT"),
        pytest.param("a.b.c", id="three parts of nothing"),
        pytest.param(_unsigned(), id="not signed"),
        pytest.param(_with_changed_claims(), id="claims changed"),
        pytest.param(issue(issuer_of())[:-2], id="cut off"),
        pytest.param(forge(iss="elsewhere"), id="another issuer"),
        pytest.param(forge(aud="elsewhere"), id="another audience"),
        pytest.param(forge(sub="other"), id="another client"),
        pytest.param(forge(sub=None), id="no client"),
        pytest.param(forge(exp=None), id="no end"),
        pytest.param(forge(exp="never"), id="an end that is text"),
        pytest.param(forge(exp=True), id="an end that is true"),
        pytest.param(forge(exp=float("nan")), id="an end that is not a number"),
        pytest.param(forge(exp=float("inf")), id="an end that never comes"),
        pytest.param(forge(exp=10**400), id="an end beyond arithmetic"),
        pytest.param(f"{nested(3_000)}.e30.", id="a head nested deeper than the library can parse"),
        pytest.param(forge(nbf=NOW.timestamp() + 600), id="not yet"),
        pytest.param(
            jwt.encode(FOREVER, SECRET * 2, "HS256"),
            id="signed with the secret itself",
        ),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(CredentialsError):
        issuer_of().verify(token, NOW)


@pytest.mark.parametrize(
    ("client_id", "secret", "position"),
    [
        pytest.param("didomi", "new", 0, id="first secret"),
        pytest.param("didomi", "old", 1, id="second secret"),
        pytest.param("didomi", "older", None, id="wrong secret"),
        pytest.param("other", "new", None, id="wrong client"),
        pytest.param("", "", None, id="empty"),
    ],
)
def test_credentials_find_the_key_of_their_secret(client_id: str, secret: str, position: int | None) -> None:
    issuer = issuer_of("new", "old")

    key = issuer.find_signing_key(client_id.encode(), secret.encode())

    assert key == (None if position is None else issuer.keys[position])


def test_nothing_secret_is_shown() -> None:
    issuer = issuer_of()

    assert SECRET not in repr(issuer)
    assert repr(issuer.keys[0]) not in repr(issuer)

"""Secrets are compared, and credentials read from headers (didomi.md 1.8)."""

import pytest

from didomi_dataverse.didomi.auth.credentials import (
    MAX_CREDENTIAL_CHARACTERS,
    StaticHeader,
    is_one_of,
    parse_bearer_token,
)
from didomi_dataverse.errors import CredentialsError

HEADER = StaticHeader(name="X-Webhook-Secret", values=("new secret value", "old secret välue"))


@pytest.mark.parametrize(
    ("presented", "accepted"),
    [
        pytest.param(["new secret value"], True, id="the first value"),
        pytest.param(["old secret v\u00c3\u00a4lue"], True, id="the second value, UTF-8 seen as Latin-1"),
        pytest.param([], False, id="no header"),
        pytest.param([""], False, id="empty"),
        pytest.param(["new secret valu"], False, id="the beginning of it"),
        pytest.param(["new secret value "], False, id="one more blank"),
        pytest.param(["New secret value"], False, id="another case"),
        pytest.param(["new secret value", "new secret value"], False, id="twice"),
        pytest.param(["new secret value, new secret value"], False, id="twice, joined"),
        pytest.param(["x" * (MAX_CREDENTIAL_CHARACTERS + 1)], False, id="endless"),
    ],
)
def test_a_header_proves_the_caller_by_its_value(presented: list[str], accepted: bool) -> None:
    assert HEADER.accepts(presented) is accepted


def test_a_header_does_not_show_its_values() -> None:
    assert "secret v" not in repr(HEADER)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        pytest.param([b"a", b"b"], True, id="first"),
        pytest.param([b"b", b"a"], True, id="last"),
        pytest.param([b"b"], False, id="another"),
        pytest.param([], False, id="none"),
    ],
)
def test_a_secret_is_one_of_several(accepted: list[bytes], expected: bool) -> None:
    assert is_one_of(b"a", accepted) is expected


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        pytest.param([], None, id="no header"),
        pytest.param(["Bearer abc.def"], "abc.def", id="Bearer"),
        pytest.param(["bearer abc"], "abc", id="small letters"),
        pytest.param(["BEARER  abc "], "abc", id="capitals and blanks"),
    ],
)
def test_a_bearer_token_is_found(authorization: list[str], token: str | None) -> None:
    assert parse_bearer_token(authorization) == token


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param([""], id="empty"),
        pytest.param(["Bearer"], id="no token"),
        pytest.param(["Basic YTpi"], id="another scheme"),
        pytest.param(["abc.def"], id="no scheme"),
        pytest.param(["Bearer a b"], id="two tokens"),
        pytest.param(["Bearer a\u00e9"], id="a character that no token has"),
        pytest.param(["Bearer a\r\nX: y"], id="a header inside"),
        pytest.param(["Bearer a\x00"], id="NUL"),
        pytest.param(["Bearer " + "a" * (MAX_CREDENTIAL_CHARACTERS + 1)], id="endless"),
        pytest.param(["Bearer a", "Bearer b"], id="two headers"),
    ],
)
def test_anything_else_in_the_authorization_header_is_refused(authorization: list[str]) -> None:
    with pytest.raises(CredentialsError):
        parse_bearer_token(authorization)

"""Published keys: which are usable, which one a token needs, and when they are fetched again."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.didomi.auth.keys import ec_jwk, ec_key, key_set, rsa_jwk, rsa_key, token

from didomi_dataverse.didomi.auth.key_set import find_key, is_stale, may_fetch, parse_key_set, read_key_id
from didomi_dataverse.errors import CredentialsError, KeysUnavailableError


@pytest.mark.parametrize(
    ("answer", "usable"),
    [
        pytest.param(key_set(rsa_jwk("one")), ["one"], id="RSA"),
        pytest.param(key_set(ec_jwk("two")), ["two"], id="P-256"),
        pytest.param(key_set(rsa_jwk("one", alg="RS256")), ["one"], id="with its algorithm"),
        pytest.param(
            key_set({k: v for k, v in rsa_jwk("one").items() if k != "use"}), ["one"], id="without use"
        ),
        pytest.param(key_set(rsa_jwk("one"), rsa_jwk("enc", use="enc")), ["one"], id="one for encryption"),
        pytest.param(
            key_set(rsa_jwk("one"), {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}), ["one"], id="a secret"
        ),
        pytest.param(key_set(rsa_jwk("one"), {"kty": "new", "kid": "n"}), ["one"], id="one of a new kind"),
        pytest.param(key_set(rsa_jwk("one"), ec_jwk("p384", ec.SECP384R1)), ["one"], id="another curve"),
        pytest.param(key_set(rsa_jwk("one"), rsa_jwk("pss", alg="PS256")), ["one"], id="another algorithm"),
        pytest.param(key_set(rsa_jwk("one"), rsa_jwk("weak", 1024)), ["one"], id="one that is too short"),
    ],
)
def test_only_usable_keys_are_taken(answer: bytes, usable: list[str]) -> None:
    assert list(parse_key_set(answer)) == usable


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no keys"),
        pytest.param(b'{"keys": []}', id="no key"),
        pytest.param(b'{"keys": null}', id="null keys"),
        pytest.param(b'{"keys": [null]}', id="a null key"),
        pytest.param(b'{"keys": ["a"]}', id="a key that is text"),
        pytest.param(b'{"keys": [{"kty": "RSA", "n": 7, "e": []}]}', id="a key that cannot be one"),
        pytest.param(key_set(rsa_jwk("enc", use="enc")), id="none for signing"),
    ],
)
def test_an_answer_without_a_usable_key_is_refused(answer: bytes) -> None:
    with pytest.raises(KeysUnavailableError):
        parse_key_set(answer)


ONE, TWO = rsa_jwk("one"), ec_jwk("two")


@pytest.mark.parametrize(
    ("published", "key_id", "found"),
    [
        pytest.param([ONE, TWO], "two", "two", id="by its id"),
        pytest.param([ONE, TWO], "three", None, id="an unknown id"),
        pytest.param([ONE], None, "one", id="no id, one key"),
        pytest.param([ONE, TWO], None, None, id="no id, two keys"),
    ],
)
def test_a_key_is_found_by_its_id(
    published: list[dict[str, str]], key_id: str | None, found: str | None
) -> None:
    key = find_key(parse_key_set(key_set(*published)), key_id)

    assert (None if key is None else key.key_id) == found


@pytest.mark.parametrize(
    ("written", "key_id"),
    [
        pytest.param(token(), "one", id="RS256"),
        pytest.param(token(ec_key("two"), kid="two", algorithm="ES256"), "two", id="ES256"),
        pytest.param(token(kid=None), None, id="no key id"),
    ],
)
def test_a_token_names_its_key(written: str, key_id: str | None) -> None:
    assert read_key_id(written) == key_id


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="empty"),
        pytest.param("abc", id="not a JWT"),
        pytest.param(token(rsa_key("one"), algorithm="RS512"), id="an algorithm that is not on the list"),
        pytest.param(jwt.encode({}, "x" * 32, "HS256"), id="a shared secret"),
        pytest.param("eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.e30.", id="not signed"),
    ],
)
def test_a_token_that_no_published_key_can_have_signed_is_refused(written: str) -> None:
    with pytest.raises(CredentialsError):
        read_key_id(written)


@pytest.mark.parametrize(
    ("fetched_at", "now", "expected"),
    [
        pytest.param(None, 100.0, True, id="never fetched"),
        pytest.param(100.0, 100.0, False, id="just now"),
        pytest.param(100.0, 3_700.0, False, id="an hour ago"),
        pytest.param(100.0, 3_701.0, True, id="longer ago"),
    ],
)
def test_keys_are_stale_after_an_hour(fetched_at: float | None, now: float, expected: bool) -> None:
    assert is_stale(fetched_at=fetched_at, now=now) is expected


@pytest.mark.parametrize(
    ("fetched_at", "tried_at", "now", "expected"),
    [
        pytest.param(None, None, 100.0, True, id="the first time"),
        pytest.param(None, 100.0, 104.9, False, id="no key yet: not at once"),
        pytest.param(None, 100.0, 105.0, True, id="no key yet: after five seconds"),
        pytest.param(100.0, 100.0, 159.9, False, id="a new key id: not within a minute"),
        pytest.param(100.0, 100.0, 160.0, True, id="a new key id: after a minute"),
        pytest.param(100.0, 3_700.0, 3_759.0, False, id="a failed try counts as well"),
    ],
)
def test_keys_are_not_fetched_too_often(
    fetched_at: float | None, tried_at: float | None, now: float, expected: bool
) -> None:
    assert may_fetch(fetched_at=fetched_at, tried_at=tried_at, now=now) is expected

"""The signing keys that an identity provider publishes (RFC 7517): which are usable, which key a token needs,
and when to fetch them again. Times are seconds of a clock that never goes back.
"""

from collections.abc import Mapping
from datetime import timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from didomi_dataverse.errors import CredentialsError, KeysUnavailableError

ALGORITHMS = ("RS256", "ES256")
"""Fixed, and asymmetric only: a token that may choose its algorithm could be signed with a public key."""

MAX_KEY_AGE = timedelta(hours=1)
"""How long fetched keys are used. Too small: more fetches. Too large: a key that the provider has withdrawn
is accepted for that long.
"""

REFETCH_INTERVAL = timedelta(minutes=1)
"""The least time between two fetches. Too small: tokens with invented key ids flood the provider. Too large:
a new key is refused for that long.
"""

RETRY_INTERVAL = timedelta(seconds=5)
"""The same while there is no key at all, when every token has to be answered 503."""

_MIN_RSA_BITS = 2_048

Keys = Mapping[str, jwt.PyJWK]
"""Signing keys by their id. The id of a key that has none is empty."""


def parse_key_set(body: bytes) -> Keys:
    """The usable signing keys of a JWK set. Keys that we cannot use are left out.

    Raises KeysUnavailableError when it is not a key set, or holds no usable key.
    """
    try:
        published = jwt.PyJWKSet.from_json(body.decode()).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise KeysUnavailableError("The identity provider's answer is not a usable key set.") from None
    keys: dict[str, jwt.PyJWK] = {}
    for key in published:
        is_for_signing = key.public_key_use in (None, "sig")
        if is_for_signing and key.algorithm_name in ALGORITHMS and _is_strong(key):
            keys[key.key_id or ""] = key
    if not keys:
        raise KeysUnavailableError(f"The identity provider publishes no key for {' or '.join(ALGORITHMS)}.")
    return keys


def _is_strong(key: jwt.PyJWK) -> bool:
    """RSA from 2,048 bits (RFC 7518, 3.3); the curve of ES256 has one strength."""
    return not isinstance(key.key, RSAPublicKey) or key.key.key_size >= _MIN_RSA_BITS


def read_key_id(token: str) -> str | None:
    """The id of the key that a token names in its header; None when it names none.

    Raises CredentialsError when it is not a JWT, or not signed with one of `ALGORITHMS`.
    """
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, RecursionError):
        raise CredentialsError("The token is not a JWT.") from None
    if header.get("alg") not in ALGORITHMS:
        raise CredentialsError(f"The token is not signed with one of {', '.join(ALGORITHMS)}.")
    return header.get("kid")


def find_key(keys: Keys, key_id: str | None) -> jwt.PyJWK | None:
    """The key by its id. A token without one can only mean the only key (RFC 7515, 4.1.4)."""
    if key_id is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(key_id)


def is_stale(*, fetched_at: float | None, now: float) -> bool:
    """Whether the keys are too old: a key that the provider has withdrawn must go, though tokens name it."""
    return fetched_at is None or now - fetched_at > MAX_KEY_AGE.total_seconds()


def may_fetch(*, fetched_at: float | None, tried_at: float | None, now: float) -> bool:
    """Whether the interval since the last try is over.

    `fetched_at` is the last success, `tried_at` the last try; None when there was none.
    """
    interval = RETRY_INTERVAL if fetched_at is None else REFETCH_INTERVAL
    return tried_at is None or now - tried_at >= interval.total_seconds()

"""An identity provider in a few lines: keys, their JWK set, and tokens."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from tests.clocks import FrozenClock

from didomi_dataverse.didomi.auth.jwks import JwksVerifier
from didomi_dataverse.errors import KeysUnavailableError

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
ISSUER = "https://login.example.com/tenant/v2.0"
AUDIENCE = "api://didomi-webhook"
JWKS_URL = "https://login.example.com/keys"


Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | str


@cache
def _make_once(name: str, kind: int | type[ec.EllipticCurve]) -> object:
    """A key per name; making one takes a while."""
    del name
    if isinstance(kind, int):
        return rsa.generate_private_key(public_exponent=65537, key_size=kind)
    return ec.generate_private_key(kind())


def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    return cast("rsa.RSAPrivateKey", _make_once(name, bits))


def ec_key(name: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return cast("ec.EllipticCurvePrivateKey", _make_once(name, curve))


def rsa_jwk(name: str, bits: int = 2048, **members: object) -> dict[str, Any]:
    public = json.loads(RSAAlgorithm.to_jwk(rsa_key(name, bits).public_key()))
    return {**public, "kid": name, "use": "sig", **members}


def ec_jwk(name: str, curve: type[ec.EllipticCurve] = ec.SECP256R1, **members: object) -> dict[str, Any]:
    public = json.loads(ECAlgorithm.to_jwk(ec_key(name, curve).public_key()))
    return {**public, "kid": name, "use": "sig", **members}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def token(
    key: Key | None = None,
    *,
    kid: str | None = "one",
    algorithm: str = "RS256",
    headers: dict[str, str] | None = None,
    **changes: object,
) -> str:
    """A token with these claims changed; a claim given as None is left out."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "app", "exp": NOW.timestamp() + 3600, **changes}
    return jwt.encode(
        {name: claim for name, claim in claims.items() if claim is not None},
        rsa_key("one") if key is None else key,
        algorithm=algorithm,
        headers={**({} if kid is None else {"kid": kid}), **(headers or {})},
    )


@dataclass
class Provider:
    """Answers with a key set, or fails when it is None. Counts how often it is asked."""

    answer: bytes | None = field(default_factory=lambda: key_set(rsa_jwk("one")))
    asked: int = 0

    async def fetch(self, url: str) -> bytes:
        assert url == JWKS_URL
        self.asked += 1
        if self.answer is None:
            raise KeysUnavailableError("The identity provider answers 503.")
        return self.answer

    def verifier(self, clock: FrozenClock | None = None) -> JwksVerifier:
        return JwksVerifier(
            issuer=ISSUER,
            audience=AUDIENCE,
            jwks_url=JWKS_URL,
            fetch=self.fetch,
            monotonic=(clock or FrozenClock()).monotonic,
        )

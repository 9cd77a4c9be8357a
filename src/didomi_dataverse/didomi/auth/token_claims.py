"""The claims of a signed token (JWT) of any issuer: signature and names first, then the times."""

from datetime import datetime, timedelta
from typing import Any

import jwt

from didomi_dataverse.errors import CredentialsError

DEFAULT_LEEWAY = timedelta(minutes=5)
"""How far two clocks may disagree. Too small: a good token is refused, and Didomi loses the notification
after five minutes (didomi.md 1.8). Too large: an expired token stays good for that long.
"""

_MAX_AHEAD_SECONDS = 86_400
_MAX_NUMERIC_DATE = 1e15  # far beyond any calendar, and neither infinite nor too large for arithmetic


def decode_token(
    token: str,
    key: Any,  # noqa: ANN401 - what the library takes: bytes or one of its own keys
    *,
    algorithms: tuple[str, ...],
    audience: str,
    issuer: str,
) -> dict[str, Any]:
    """The claims of a token whose signature, issuer and audience are right. `verify_times` checks its times.

    Raises jwt.InvalidTokenError.
    """
    try:
        return jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            # The library would compare the times with the machine's clock; here, now is an argument.
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except RecursionError:
        # Every caller can send a token that is nested deeper than Python can parse; older versions of the
        # library let this through.
        raise jwt.DecodeError("nested too deep") from None


def verify_times(claims: dict[str, Any], *, now: datetime, leeway: timedelta) -> datetime:
    """Until when the claims hold, aware UTC, and at most a day ahead.

    Raises CredentialsError unless they hold at `now`, with `leeway` on both sides.
    """
    moment = now.timestamp()
    margin = leeway.total_seconds()
    expires_at, not_before = _parse_numeric_date(claims.get("exp")), _parse_numeric_date(claims.get("nbf", 0))
    if moment >= expires_at + margin:
        raise CredentialsError("The token has expired.")
    if moment < not_before - margin:
        raise CredentialsError("The token is not valid yet.")
    # No further than a day ahead: a token may claim an end that no calendar holds.
    return now + timedelta(seconds=min(expires_at + margin - moment, _MAX_AHEAD_SECONDS))


def _parse_numeric_date(claim: object) -> float:
    """A NumericDate of RFC 7519, 2: seconds since 1970."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not abs(claim) < _MAX_NUMERIC_DATE:
        raise CredentialsError("The token's times cannot be read.")
    return float(claim)

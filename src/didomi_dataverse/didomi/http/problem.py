"""Errors as `application/problem+json` (RFC 9457): the rule that was broken, never a part of the request."""

import json
from collections.abc import Mapping

from starlette.responses import Response

from didomi_dataverse.errors import CallerError, CredentialsError

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = 5
"""Sent with 503. Too small: a store that is down gets more work. Too large: Didomi gives up after about five
minutes (didomi.md 1.5).
"""


def problem_response(
    *, status: int, title: str, detail: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """An error answer. `type` is left out, which means that the status says what kind of problem it is."""
    members: dict[str, str | int] = {"title": title, "status": status}
    if detail:
        members["detail"] = detail
    return Response(
        json.dumps(members, separators=(",", ":")),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def caller_problem(error: CallerError) -> Response:
    """The answer to a caller's error, with the headers that its status asks for."""
    headers: dict[str, str] = {}
    if isinstance(error, CredentialsError):
        headers["WWW-Authenticate"] = 'Bearer realm="didomi-dataverse"'  # RFC 6750, 3
    if error.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if error.status in {408, 413}:
        # The rest of the body may still be on its way, and will not be read.
        headers["Connection"] = "close"
    return problem_response(status=error.status, title=error.title, detail=str(error), headers=headers)


def nothing_stored() -> Response:
    """The answer when the store could not commit (didomi.md 1.5, rule 2)."""
    return problem_response(
        status=503,
        title="Nothing was stored. Send it again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )

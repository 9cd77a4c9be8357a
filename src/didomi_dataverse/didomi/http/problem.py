"""Errors as `application/problem+json` (RFC 9457): the rule that was broken, never a part of the request."""

import json
from collections.abc import Mapping

from starlette.responses import Response

from didomi_dataverse.errors import CallerError, CredentialsError

MEDIA_TYPE = "application/problem+json"


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


def problem_of(error: CallerError) -> Response:
    """The answer to a caller's mistake, with the headers that its status asks for."""
    headers: dict[str, str] = {}
    if isinstance(error, CredentialsError):
        headers["WWW-Authenticate"] = 'Bearer realm="didomi-dataverse"'  # RFC 6750, 3
    if error.status == 503:
        headers["Retry-After"] = "5"
    if error.status in {408, 413}:
        # The rest of the body may still be on its way; nobody is going to read it.
        headers["Connection"] = "close"
    return problem_response(status=error.status, title=error.title, detail=str(error), headers=headers)

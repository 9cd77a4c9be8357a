"""What the OpenAPI document says of the two routes. It is written by hand because FastAPI does not see their
bodies: the content type may be anything, and a body that is not JSON must be kept.
"""

from collections.abc import Mapping
from typing import Any

Operation = Mapping[str, Any]
"""An Operation Object of OpenAPI 3.1."""


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}

_PROBLEM = _object(title=_TEXT, status=_INTEGER, detail=_TEXT) | {"required": ["title", "status"]}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": _PROBLEM}}}


_NOTIFICATION = _object(
    type=_TEXT | {"examples": ["event.created"]},
    regulation=_TEXT | {"examples": ["gdpr"]},
    parameters=_object(
        **{part: {"type": "object"} for part in ("entity", "source", "old_entity", "new_entity")}
    ),
)

_TOKEN_REQUEST = _object(
    grant_type=_TEXT | {"enum": ["client_credentials"]},
    client_id=_TEXT,
    client_secret=_TEXT,
    scope=_TEXT,
)

WEBHOOK_OPERATION: Operation = {
    "tags": ["didomi"],
    "summary": "Receive a Didomi webhook notification",
    "description": (
        "Stores one notification, or a list of them, and answers as soon as it is durably stored."
        " A notification that cannot be applied is stored too, with the reason."
    ),
    "operationId": "receive_notification_webhooks_didomi_post",
    "requestBody": {
        "required": True,
        "content": _json({"oneOf": [_NOTIFICATION, {"type": "array", "items": _NOTIFICATION}]}),
    },
    "responses": {
        "202": {
            "description": "Stored.",
            "content": _json(_object(received=_INTEGER, duplicates=_INTEGER)),
        },
        "400": _problem("Neither a JSON object nor a list of JSON objects; kept in quarantine."),
        "401": _problem("Missing or wrong credentials."),
        "403": _problem("The caller's address is not on the list."),
        "408": _problem("The body did not arrive in time."),
        "413": _problem("The body is larger than configured."),
        "503": _problem("Nothing was stored; see Retry-After."),
    },
}

TOKEN_OPERATION: Operation = {
    "tags": ["didomi"],
    "summary": "Issue an access token (OAuth 2.0 client credentials)",
    "description": (
        "Credentials may stand in a form, in a JSON object or in an Authorization: Basic header."
        " A missing grant_type means client_credentials."
    ),
    "operationId": "issue_token_oauth_token_post",
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {"schema": _TOKEN_REQUEST},
            **_json(_TOKEN_REQUEST),
        },
    },
    "responses": {
        "200": {
            "description": "A token for POST /webhooks/didomi.",
            "content": _json(
                _object(
                    access_token=_TEXT,
                    token_type=_TEXT | {"const": "Bearer"},
                    expires_in=_INTEGER | {"description": "Seconds."},
                    scope=_TEXT,
                )
            ),
        },
        "400": {"description": "RFC 6749 error: invalid_request, invalid_scope, unsupported_grant_type."},
        "401": {"description": "RFC 6749 error: invalid_client."},
        "403": _problem("The caller's address is not on the list."),
        "429": {"description": "Too many failures from this address; see Retry-After."},
    },
}

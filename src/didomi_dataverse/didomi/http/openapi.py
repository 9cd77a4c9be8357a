"""What the OpenAPI document says of the two routes. The bodies are read by hand, so it is written by hand."""

from typing import Any

_PROBLEM: dict[str, Any] = {
    "application/problem+json": {
        "schema": {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
            },
            "required": ["title", "status"],
        }
    }
}

_NOTIFICATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "examples": ["event.created"]},
        "regulation": {"type": "string", "examples": ["gdpr"]},
        "parameters": {
            "type": "object",
            "properties": {
                "entity": {"type": "object"},
                "source": {"type": "object"},
                "old_entity": {"type": "object"},
                "new_entity": {"type": "object"},
            },
        },
    },
}

_TOKEN_REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "grant_type": {"type": "string", "enum": ["client_credentials"]},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string"},
        "scope": {"type": "string"},
    },
}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": _PROBLEM}


def webhook_description() -> dict[str, Any]:
    """POST /webhooks/didomi, as arguments of a FastAPI route."""
    return {
        "status_code": 202,
        "name": "receive_notification",
        "tags": ["didomi"],
        "summary": "Receive a Didomi webhook notification",
        "description": (
            "Stores one notification, or a list of them, and answers as soon as it is durably stored."
            " A notification that cannot be applied is stored too, with the reason."
        ),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [_NOTIFICATION, {"type": "array", "items": _NOTIFICATION}]}
                    }
                },
            },
        },
        "responses": {
            202: {
                "description": "Stored.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "received": {"type": "integer"},
                                "duplicates": {"type": "integer"},
                            },
                        }
                    }
                },
            },
            400: _problem("Neither a JSON object nor a list of JSON objects; kept in quarantine."),
            401: _problem("Missing or wrong credentials."),
            403: _problem("The caller's address is not on the list."),
            408: _problem("The body did not arrive in time."),
            413: _problem("The body is larger than configured."),
            503: _problem("Nothing was stored; see Retry-After."),
        },
    }


def token_description() -> dict[str, Any]:
    """POST /oauth/token, as arguments of a FastAPI route."""
    return {
        "status_code": 200,
        "name": "issue_token",
        "tags": ["didomi"],
        "summary": "Issue an access token (OAuth 2.0 client credentials)",
        "description": (
            "Credentials may stand in a form, in a JSON object or in an Authorization: Basic header."
            " A missing grant_type means client_credentials."
        ),
        "openapi_extra": {
            "requestBody": {
                "content": {
                    "application/x-www-form-urlencoded": {"schema": _TOKEN_REQUEST},
                    "application/json": {"schema": _TOKEN_REQUEST},
                },
            },
        },
        "responses": {
            200: {
                "description": "A token for POST /webhooks/didomi.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "access_token": {"type": "string"},
                                "token_type": {"type": "string", "const": "Bearer"},
                                "expires_in": {"type": "integer", "description": "Seconds."},
                                "scope": {"type": "string"},
                            },
                        }
                    }
                },
            },
            400: {"description": "RFC 6749 error: invalid_request, invalid_scope, unsupported_grant_type."},
            401: {"description": "RFC 6749 error: invalid_client."},
            403: _problem("The caller's address is not on the list."),
            429: {"description": "Too many failures from this address; see Retry-After."},
        },
    }

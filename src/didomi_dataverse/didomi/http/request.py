"""What is read of a request: the other end's address, and the body, bounded in size and in time."""

import asyncio
from datetime import timedelta

from starlette.requests import ClientDisconnect, Request

from didomi_dataverse.errors import BodyTimeoutError, BodyTooLargeError, DisconnectedError


def peer_address(request: Request) -> str | None:
    """The other end of the connection. The server must not have replaced it by what a header says."""
    return None if request.client is None else request.client.host


async def read_body(request: Request, *, max_bytes: int, timeout: timedelta) -> bytes:  # noqa: ASYNC109
    """The whole body.

    Raises BodyTooLargeError as soon as it is known to be longer than `max_bytes`, BodyTimeoutError when it
    has not arrived within `timeout`, and DisconnectedError.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > max_bytes:
        raise BodyTooLargeError(f"More than {max_bytes} bytes are announced.")
    body = bytearray()
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise BodyTooLargeError(f"The body is longer than {max_bytes} bytes.")
    except TimeoutError:
        raise BodyTimeoutError(f"The body took longer than {timeout.total_seconds():g} seconds.") from None
    except ClientDisconnect:
        raise DisconnectedError from None
    return bytes(body)

"""The sandbox as one ASGI application: sign-in service, Web API and control routes on the same address."""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from dataverse_sandbox.control.routes import CONTROL_PREFIX, ControlRoutes
from dataverse_sandbox.entra.identity import SandboxIdentity
from dataverse_sandbox.entra.tenant import EntraTenant
from dataverse_sandbox.environment.environment import create_environment
from dataverse_sandbox.environment.faults import ConnectionCutError, Fault, FaultBehaviour
from dataverse_sandbox.environment.limits import Usage
from dataverse_sandbox.environment.stats import call_kind, delivery_mode
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.guid import new_guid
from dataverse_sandbox.messages import Headers, Request, Response, error_response
from dataverse_sandbox.metadata.definitions import MetadataExtension
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.server.clock import SandboxClock, SystemClock
from dataverse_sandbox.users import Users
from dataverse_sandbox.web_api.batch import BatchExecutor, BatchResult
from dataverse_sandbox.web_api.bulk import BulkMessages
from dataverse_sandbox.web_api.routing import WebApi
from dataverse_sandbox.web_api.row_targets import row_targets
from dataverse_sandbox.web_api.user_functions import UserFunctions

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
CutConnection = Callable[[Scope, Receive], Awaitable[bool]]
"""Cuts the connection of a call; False when it cannot."""

_API_PREFIX = "/api/"


async def _cannot_cut(_scope: Scope, _receive: Receive) -> bool:
    return False


class SandboxApp:
    """The ASGI application. Without `cut_connection` a caller gets ConnectionCutError in place of a cut."""

    def __init__(
        self,
        identity: SandboxIdentity | None = None,
        *,
        clock: SandboxClock | None = None,
        accent_sensitive: bool = False,
        signing_key: RSAPrivateKey | None = None,
        cut_connection: CutConnection = _cannot_cut,
    ) -> None:
        self.identity = identity or SandboxIdentity()
        self.clock = clock or SystemClock()
        self.environment = create_environment(
            self.clock.now(),
            SandboxOptions(accent_sensitive=accent_sensitive),
            Users(self.identity.client_id, self.identity.user_id),
        )
        environment = self.environment
        table, options, users = environment.table, environment.options, environment.users
        self.entra = EntraTenant(self.identity, options, signing_key)
        extensions = (
            BulkMessages(table, options),
            UserFunctions(table, options, users, self.identity),
            MetadataExtension(table, environment.key_jobs, options),
        )
        self._api = WebApi(table, options, users, extensions)
        self._control = ControlRoutes(environment, self.entra.register)
        self._cut_connection = cut_connection
        # One web server of many: a client that keeps this cookie would stick to it (dataverse.md 4.1).
        self._affinity = secrets.token_hex(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point. Only HTTP is answered."""
        if scope["type"] != "http":
            return
        path = scope.get("raw_path") or scope["path"].encode()
        is_api = path.startswith(b"/api/")
        if is_api:
            self.environment.stats.begin_call()
        try:
            request = await _receive_request(scope, path, receive)
            if request.path.startswith(CONTROL_PREFIX):
                await _send_response(send, self._control.answer(request, self.clock.now()))
                return
            try:
                response = await self._answer(request)
            except ConnectionCutError:
                self.environment.stats.count(call_kind(request), 0)
                if not await self._cut_connection(scope, receive):
                    raise
                return
            self.environment.stats.count(call_kind(request), response.status)
            await _send_response(send, response)
        finally:
            if is_api:
                self.environment.stats.end_call()

    async def _answer(self, request: Request) -> Response:
        """The response to a call, changed by a fault if one hits it. Raises ConnectionCutError."""
        fault = self._find_fault(request)
        if fault is not None and fault.behaviour is FaultBehaviour.CUT_BEFORE:
            raise ConnectionCutError
        response = fault.response if fault is not None else None
        if fault is not None and fault.delay_seconds:
            await self.clock.sleep(fault.delay_seconds)
        if response is None:
            if request.path.startswith(_API_PREFIX):
                response = await self._answer_api(request)
            else:
                response = self.entra.answer(request, self.clock.now()) or Response(404)
        if fault is not None and fault.behaviour is FaultBehaviour.CUT_AFTER_COMMIT:
            raise ConnectionCutError
        return response

    def _find_fault(self, request: Request) -> Fault | None:
        environment = self.environment
        if not environment.faults.active:
            return None
        return environment.faults.take(request, lambda: row_targets(request, environment.table))

    async def _answer_api(self, request: Request) -> Response:
        """Authenticate, apply the limits, execute. Raises ConnectionCutError."""
        started_at = self.clock.now()
        environment = self.environment
        try:
            client_id = self.entra.authenticate(request, started_at)
            request = replace(request, caller=environment.users.of_client(client_id))
        except ODataError as error:
            return self._access_denied(error)
        usage = environment.usage(client_id)
        usage.running += 1
        try:
            try:
                usage.admit(environment.limits, started_at)
            except ODataError as error:
                response = error_response(error, environment.options)
            else:
                response = await self._execute(request, started_at)
                now = self.clock.now()
                usage.charge(now - started_at, now)
        finally:
            usage.running -= 1
        return Response(response.status, (*response.headers, *self._common_headers(usage)), response.body)

    def _access_denied(self, error: ODataError) -> Response:
        """403 without an application user, else 401, whose body no source documents (dataverse.md 13.5)."""
        options = self.environment.options
        if error.status == 401 and options.unauthorized_body == "empty":
            return Response(error.status, error.headers)
        return error_response(error, options)

    async def _execute(self, request: Request, now: float) -> Response:
        """Commit at once, then let the simulated time pass: a caller who stops waiting has still written."""
        environment = self.environment
        stats, table = environment.stats, environment.table
        environment.key_jobs.advance(now)
        before = table.rows_written
        table.written_ids = []
        mode = delivery_mode(request)
        if mode == "batch":
            find_fault = self._find_fault if environment.faults.active else None
            result = BatchExecutor(self._api, now, find_fault).run(request)
        else:
            result = BatchResult(self._api.answer(request, now=now))
        if table.rows_written > before:
            stats.writing_calls += 1
        for method, status in result.parts:
            stats.count(f"part.{method.lower()}", status)
        seconds = result.delay_seconds + environment.limits.cost_seconds(mode, result.response.rows)
        rows = set(table.written_ids)
        stats.begin_writes(rows)
        try:
            if seconds:
                await self.clock.sleep(seconds)
        finally:
            stats.end_writes(rows)
        if result.cuts_connection:
            raise ConnectionCutError
        return result.response

    def _common_headers(self, usage: Usage) -> Headers:
        request_id = new_guid()
        return (
            ("x-ms-service-request-id", request_id),
            ("REQ_ID", request_id),
            ("AuthActivityId", new_guid()),
            *usage.headers(self.environment.limits),
            ("Set-Cookie", f"ARRAffinity={self._affinity}; path=/; secure; HttpOnly"),
            ("Set-Cookie", f"ARRAffinitySameSite={self._affinity}; path=/; secure; HttpOnly; SameSite=None"),
        )


async def _receive_request(scope: Scope, path: bytes, receive: Receive) -> Request:
    headers: Mapping[str, str] = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    chunks = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    query = scope["query_string"].decode("latin-1")
    return Request(scope["method"], path.decode("latin-1"), query, headers, b"".join(chunks))


async def _send_response(send: Send, response: Response | Iterator[bytes]) -> None:
    """Send a response, or a JSON document in chunks."""
    if isinstance(response, Response):
        body = response.body
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        if response.status not in {204, 304}:
            headers.append((b"Content-Length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    headers = [(b"Content-Type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in response:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

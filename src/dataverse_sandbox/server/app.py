"""The sandbox as one ASGI application: sign-in service, Web API and control routes on the same address."""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from dataverse_sandbox.control.routes import CONTROL_PREFIX, Control
from dataverse_sandbox.entra.identity import RealClock, SandboxClock, SandboxIdentity
from dataverse_sandbox.entra.tenant import Entra
from dataverse_sandbox.environment import limits
from dataverse_sandbox.environment.environment import new_environment
from dataverse_sandbox.environment.faults import Behaviour, Fault
from dataverse_sandbox.environment.request_kind import kind_of, mode_of
from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.messages import Request, Response, error_response
from dataverse_sandbox.metadata.definitions import Metadata
from dataverse_sandbox.options import Switches
from dataverse_sandbox.users import Users
from dataverse_sandbox.web_api.batch import Batch, BatchRun, CutError, FaultFor
from dataverse_sandbox.web_api.bulk import BulkMessages
from dataverse_sandbox.web_api.request_columns import named_columns
from dataverse_sandbox.web_api.routing import WebApi, request_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Cut = Callable[[Scope, Receive], Awaitable[bool]]

_API_PREFIX = "/api/"


class ConnectionCutError(Exception):
    """Raised to an in-process caller where a real server would cut the connection: map it to a read error."""


async def _cannot_cut(_scope: Scope, _receive: Receive) -> bool:
    return False


class SandboxApp:
    """`cut` is how the server around it cuts a connection; without one the caller gets ConnectionCutError."""

    def __init__(
        self,
        identity: SandboxIdentity | None = None,
        *,
        clock: SandboxClock | None = None,
        accent_sensitive: bool = False,
        signing_key: RSAPrivateKey | None = None,
        cut: Cut = _cannot_cut,
    ) -> None:
        self.identity = identity or SandboxIdentity()
        self.clock = clock or RealClock()
        self.environment = new_environment(
            self.clock.now(),
            Switches(accent_sensitive=accent_sensitive),
            Users(self.identity.client_id, self.identity.user_id),
        )
        table, switches = self.environment.table, self.environment.switches
        self.entra = Entra(self.identity, switches, signing_key)
        organization = self.identity.organization
        users = self.environment.users
        metadata = Metadata(table, self.environment.key_jobs, switches, users, organization.business_unit_id)
        self.api = WebApi(table, organization, switches, users, (BulkMessages(table, switches), metadata))
        self._control = Control(self.environment, self.entra.register)
        self._cut = cut
        # One web server of many: a client that keeps this cookie would stick to it (dataverse.md 4.1).
        self._affinity = secrets.token_hex(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry; only HTTP is spoken."""
        if scope["type"] != "http":
            return
        path = scope.get("raw_path") or scope["path"].encode()
        is_api = path.startswith(b"/api/")
        if is_api:
            self.environment.stats.started()
        try:
            request = await _read(scope, path, receive)
            if request.path.startswith(CONTROL_PREFIX):
                await _send(send, self._control.answer(request, self.clock.now()))
                return
            try:
                answer = await self._answer(request)
            except CutError:
                if not await self._cut(scope, receive):
                    raise ConnectionCutError("the sandbox was told to cut this connection") from None
                return
            self.environment.stats.count(kind_of(request), answer.status)
            await _send(send, answer)
        finally:
            if is_api:
                self.environment.stats.ended()

    async def _answer(self, request: Request) -> Response:
        fault = self._fault(request)
        if fault is not None and fault.behaviour is Behaviour.CUT_BEFORE:
            self.environment.stats.count(kind_of(request), 0)
            raise CutError
        answer = fault.answer if fault is not None else None
        if fault is not None and fault.delay_seconds:
            await self.clock.sleep(fault.delay_seconds)
        if answer is None:
            if request.path.startswith(_API_PREFIX):
                answer = await self._api_answer(request)
            else:
                answer = self.entra.answer(request, self.clock.now()) or Response(404)
        if fault is not None and fault.behaviour is Behaviour.CUT_AFTER_COMMIT:
            self.environment.stats.count(kind_of(request), 0)
            raise CutError
        return answer

    def _fault(self, request: Request) -> Fault | None:
        environment = self.environment
        if not environment.faults.standing:
            return None
        return environment.faults.take(request, lambda: named_columns(request, environment.table))

    async def _api_answer(self, request: Request) -> Response:
        started_at = self.clock.now()
        environment = self.environment
        try:
            client_id = self.entra.caller(request, started_at)
            request = replace(request, caller=environment.users.of_client(client_id))
        except Refusal as refused:
            return self._stranger(refused)
        usage = environment.usage(client_id)
        usage.running += 1
        try:
            try:
                limits.admit(usage, environment.limits, started_at)
            except Refusal as refused:
                answer = error_response(refused, environment.switches)
            else:
                answer = await self._executed(request, started_at)
                now = self.clock.now()
                limits.charge(usage, now - started_at, now)
        finally:
            usage.running -= 1
        return Response(answer.status, (*answer.headers, *self._common_headers(usage)), answer.body)

    def _stranger(self, refused: Refusal) -> Response:
        """403 without an application user, else 401, whose body is nowhere documented (dataverse.md 13.5)."""
        answer = error_response(refused, self.environment.switches)
        if answer.status == 401 and self.environment.switches.unauthorized_body == "empty":
            return Response(answer.status, refused.headers)
        return answer

    async def _executed(self, request: Request, now: float) -> Response:
        """Commit at once, then let the simulated time pass: a caller who stops waiting has still written."""
        environment = self.environment
        environment.key_jobs.advance(now)
        before = environment.table.rows_written
        environment.table.written_now = []
        mode = mode_of(request)
        if mode == "batch":
            run = self._run_batch(request, now)
        else:
            run = BatchRun(self.api.answer(request, now=now))
        if environment.table.rows_written > before:
            environment.stats.writing_calls += 1
        for method, status in run.parts:
            environment.stats.count(f"part.{method.lower()}", status)
        seconds = run.delay_seconds + environment.limits.cost_seconds(mode, run.answer.rows)
        stats, rows = environment.stats, set(environment.table.written_now)
        stats.rows_started(rows)
        try:
            if seconds:
                await self.clock.sleep(seconds)
        finally:
            stats.rows_ended(rows)
        if run.cut_after:
            environment.stats.count(kind_of(request), 0)
            raise CutError
        return run.answer

    def _run_batch(self, request: Request, now: float) -> BatchRun:
        fault_for: FaultFor | None = self._fault if self.environment.faults.standing else None
        batch = Batch(self.api, now, fault_for)
        try:
            return batch.answer(request)
        except CutError:
            batch.run.cut_after = True
            return batch.run

    def _common_headers(self, usage: limits.Usage) -> tuple[tuple[str, str], ...]:
        identifier = request_id()
        return (
            ("x-ms-service-request-id", identifier),
            ("REQ_ID", identifier),
            ("AuthActivityId", request_id()),
            *limits.headers(usage, self.environment.limits),
            ("Set-Cookie", f"ARRAffinity={self._affinity}; path=/; secure; HttpOnly"),
            ("Set-Cookie", f"ARRAffinitySameSite={self._affinity}; path=/; secure; HttpOnly; SameSite=None"),
        )


async def _read(scope: Scope, path: bytes, receive: Receive) -> Request:
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


async def _send(send: Send, answer: Response | Iterator[bytes]) -> None:
    if isinstance(answer, Response):
        body = answer.body
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        if answer.status not in {204, 304}:
            headers.append((b"Content-Length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    headers = [(b"Content-Type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in answer:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

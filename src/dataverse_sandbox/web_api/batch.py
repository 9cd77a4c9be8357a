"""Runs the requests of a `$batch` one after another (dataverse.md 3.1 to 3.3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dataverse_sandbox import errors
from dataverse_sandbox.environment.faults import ConnectionCutError, Fault, FaultBehaviour
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.guid import new_guid
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, error_response
from dataverse_sandbox.web_api.multipart import (
    ChangeSet,
    Part,
    encode_change_set,
    encode_part,
    encode_parts,
    parse_batch,
)
from dataverse_sandbox.web_api.routing import WebApi

FindFault = Callable[[Request], Fault | None]


class _RollbackError(Exception):
    """A request of a change set failed; carries its response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(slots=True)
class BatchResult:
    """The result of a batch, or of a call without one."""

    response: Response

    parts: list[tuple[str, int]] = field(default_factory=list)
    """(HTTP method, status) of each request that ran."""

    delay_seconds: float = 0.0
    """Sum of the delays by faults."""

    cuts_connection: bool = False
    """Whether a fault cuts the connection instead of sending the response."""


class BatchExecutor:
    """Runs one `$batch` through the Web API; `find_fault` is called before each request in it."""

    def __init__(self, api: WebApi, now: float, find_fault: FindFault | None) -> None:
        self._api = api
        self._options = api.options
        self._now = now
        self._find_fault = find_fault
        self._result = BatchResult(Response(500))

    def run(self, batch: Request) -> BatchResult:
        """Run the batch. What a fault left undone by cutting the connection stays undone."""
        try:
            self._result.response = self._respond(batch)
        except ConnectionCutError:
            self._result.cuts_connection = True
        return self._result

    def _respond(self, batch: Request) -> Response:
        if batch.method != "POST":
            return error_response(errors.method_not_allowed(batch.method), self._options)
        if self._options.batch_line_ends == "any":
            batch = replace(batch, body=batch.body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        try:
            items = parse_batch(batch, self._options.batch_requests, self._inherited_headers(batch))
        except ODataError as error:
            # dataverse.md 3.2: malformed → plain JSON, no parts.
            return error_response(error, self._options, details=batch.prefer.all_annotations)
        return self._run_items(items, continue_on_error=batch.prefer.continue_on_error)

    def _inherited_headers(self, batch: Request) -> Mapping[str, str]:
        """Headers of the batch that its parts have too (dataverse.md 2.5). No source says which (13.9)."""
        if self._options.batch_headers == "own":
            return {}
        return {
            name: value
            for name, value in batch.headers.items()
            if name.startswith("mscrm") or name == "callerobjectid"
        }

    def _run_items(self, items: Iterable[Part | ChangeSet], *, continue_on_error: bool) -> Response:
        encoded: list[bytes] = []
        status = 200
        for item in items:
            if isinstance(item, ChangeSet):
                failure, part = self._run_change_set(item)
            else:
                response = self._run_request(item.request)
                failure = response.status if response.status >= 400 else None
                part = encode_part(response)
            encoded.append(part)
            if failure is not None and not continue_on_error:
                # dataverse.md 3.2: without continue-on-error the first failure ends it and gives the status.
                status = failure
                break
        boundary = f"batchresponse_{new_guid()}"
        headers = [("Content-Type", f"multipart/mixed; boundary={boundary}"), ODATA_VERSION]
        if continue_on_error:
            headers.append(("Preference-Applied", "odata.continue-on-error"))
        return Response(status, tuple(headers), encode_parts(boundary, encoded), len(self._result.parts))

    def _run_request(self, request: Request) -> Response:
        return self._count(request, self._execute(request))

    def _count(self, request: Request, response: Response) -> Response:
        """Add the request to the result. Error responses get a request id."""
        self._result.parts.append((request.method, response.status))
        if response.status >= 400:
            return replace(response, headers=(("REQ_ID", new_guid()), *response.headers))
        return response

    def _execute(self, request: Request) -> Response:
        """The response to one request, by a fault or by the Web API. Raises ConnectionCutError."""
        if request.path.endswith("/$batch"):
            return error_response(errors.malformed_body("A batch cannot hold another batch."), self._options)
        fault = self._find_fault(request) if self._find_fault is not None else None
        if fault is not None:
            if fault.behaviour is FaultBehaviour.CUT_BEFORE:
                raise ConnectionCutError
            if fault.response is not None:
                return fault.response
            self._result.delay_seconds += fault.delay_seconds
            self._result.cuts_connection |= fault.behaviour is FaultBehaviour.CUT_AFTER_COMMIT
        return self._api.answer(request, now=self._now, in_batch=True)

    def _run_change_set(self, changes: ChangeSet) -> tuple[int | None, bytes]:
        """(status of the failure or None, the encoded part). A failure is one error part alone."""
        encoded: list[bytes] = []
        urls: dict[str, str] = {}
        try:
            with self._api.table.transaction():
                for part in changes.parts:
                    response = self._run_change(part.request, urls)
                    url = response.header("OData-EntityId")
                    if url is not None and part.content_id is not None:
                        urls[part.content_id] = url
                    encoded.append(encode_part(response, part.content_id))
        except _RollbackError as failure:
            return failure.response.status, encode_part(failure.response)
        return None, encode_change_set(f"changesetresponse_{new_guid()}", encoded)

    def _run_change(self, request: Request, urls: Mapping[str, str]) -> Response:
        """Run one request of a change set. Raises _RollbackError when it fails."""
        try:
            response = self._run_request(_resolve_references(request, urls))
        except ODataError as error:
            response = self._count(request, error_response(error, self._options))
        if response.status >= 400:
            raise _RollbackError(response)
        return response


def _resolve_references(request: Request, urls: Mapping[str, str]) -> Request:
    """The request with each `$n` replaced by the row that the request of Content-ID n wrote.

    `urls` holds the URL of that row by Content-ID. Raises 400 (dataverse.md 3.3).
    """
    if request.method == "GET":
        raise errors.malformed_body("A change set cannot hold a GET request.")
    path, body = request.path, request.body
    if path.startswith("$"):
        reference, slash, rest = path[1:].partition("/")
        if reference not in urls:
            raise errors.malformed_body(
                f"Content-ID Reference '{reference}' does not exist in the change set."
            )
        path = "/" + urls[reference].split("://", 1)[1].split("/", 1)[1] + slash + rest
    for content_id, url in urls.items():
        entity = url.rsplit("/", 1)[1]
        body = body.replace(f'"${content_id}"'.encode(), f'"/{entity}"'.encode())
    return replace(request, path=path, body=body)

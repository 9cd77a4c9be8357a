"""Runs the requests of a `$batch` one after another (dataverse.md 3.1-3.3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from dataverse_sandbox import errors
from dataverse_sandbox.environment.faults import Behaviour, Fault
from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, error_response
from dataverse_sandbox.web_api.multipart import (
    ChangeSet,
    Part,
    encode_answer,
    encode_change_set,
    encode_part,
    parse_batch,
)
from dataverse_sandbox.web_api.routing import WebApi

FaultFor = Callable[[Request], Fault | None]


class CutError(Exception):
    """The connection of the call is to be cut here; what was committed so far stays."""


class _RollbackError(Exception):
    """A request of a change set failed; carries its answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True)
class BatchRun:
    """What running a batch came to."""

    answer: Response
    parts: list[tuple[str, int]] = field(default_factory=list)
    delay_seconds: float = 0.0
    cut_after: bool = False


class Batch:
    """One `$batch` on its way through the Web API; `fault_for` is asked before each request in it."""

    def __init__(self, api: WebApi, now: float, fault_for: FaultFor | None) -> None:
        self._api = api
        self._switches = api.switches
        self._now = now
        self._fault_for = fault_for
        self.run = BatchRun(Response(500))

    def answer(self, outer: Request) -> BatchRun:
        """Run the batch. Raises CutError when a fault says so."""
        if outer.method != "POST":
            self.run.answer = error_response(errors.wrong_method(outer.method), self._switches)
            return self.run
        if self._switches.batch_line_ends == "any":
            outer = replace(outer, body=outer.body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        try:
            items = parse_batch(outer, self._switches.batch_requests, self._inherited(outer))
        except Refusal as refused:
            # dataverse.md 3.2: malformed → plain JSON, no parts.
            self.run.answer = error_response(refused, self._switches, details=outer.prefer.all_annotations)
            return self.run
        self.run.answer = self._answered(items, continue_on_error=outer.prefer.continue_on_error)
        return self.run

    def _inherited(self, outer: Request) -> Mapping[str, str]:
        """What the outer request's headers of dataverse.md 2.5 mean to its parts: nobody knows (13.9)."""
        if self._switches.batch_headers == "own":
            return {}
        return {
            name: value
            for name, value in outer.headers.items()
            if name.startswith("mscrm") or name == "callerobjectid"
        }

    def _answered(self, items: Iterable[Part | ChangeSet], *, continue_on_error: bool) -> Response:
        encoded: list[bytes] = []
        status = 200
        for item in items:
            if isinstance(item, ChangeSet):
                failed, answered = self._change_set(item)
            else:
                answer = self._one(item.request)
                failed = answer.status if answer.status >= 400 else None
                answered = encode_part(answer)
            encoded.append(answered)
            if failed is not None and not continue_on_error:
                # dataverse.md 3.2: without continue-on-error the first failure ends it and names the status.
                status = failed
                break
        boundary = f"batchresponse_{uuid4()}"
        headers = [("Content-Type", f"multipart/mixed; boundary={boundary}"), ODATA_VERSION]
        if continue_on_error:
            headers.append(("Preference-Applied", "odata.continue-on-error"))
        return Response(status, tuple(headers), encode_answer(boundary, encoded), len(self.run.parts))

    def _one(self, request: Request) -> Response:
        return self._noted(request, self._carried_out(request))

    def _noted(self, request: Request, answer: Response) -> Response:
        self.run.parts.append((request.method, answer.status))
        if answer.status >= 400:
            return replace(answer, headers=(("REQ_ID", str(uuid4())), *answer.headers))
        return answer

    def _carried_out(self, request: Request) -> Response:
        if request.path.endswith("/$batch"):
            return error_response(errors.unreadable("A batch cannot hold another batch."), self._switches)
        fault = self._fault_for(request) if self._fault_for is not None else None
        if fault is not None:
            if fault.behaviour is Behaviour.CUT_BEFORE:
                raise CutError
            if fault.answer is not None:
                return fault.answer
            self.run.delay_seconds += fault.delay_seconds
            self.run.cut_after |= fault.behaviour is Behaviour.CUT_AFTER_COMMIT
        return self._api.answer(request, now=self._now, in_batch=True)

    def _change_set(self, changes: ChangeSet) -> tuple[int | None, bytes]:
        """(status of the failure or None, the encoded part). A failure is one error part alone."""
        answers: list[bytes] = []
        made: dict[str, str] = {}
        try:
            with self._api.table.transaction():
                for part in changes.parts:
                    answer = self._change(part.request, made)
                    url = answer.header("OData-EntityId")
                    if url is not None and part.content_id is not None:
                        made[part.content_id] = url
                    answers.append(encode_part(answer, part.content_id))
        except _RollbackError as failure:
            return failure.answer.status, encode_part(failure.answer)
        return None, encode_change_set(f"changesetresponse_{uuid4()}", answers)

    def _change(self, request: Request, made: dict[str, str]) -> Response:
        """One request of a change set; raises _RollbackError when it fails."""
        try:
            answer = self._one(_resolved(request, made))
        except Refusal as refused:
            answer = self._noted(request, error_response(refused, self._switches))
        if answer.status >= 400:
            raise _RollbackError(answer)
        return answer


def _resolved(request: Request, made: dict[str, str]) -> Request:
    """The request with `$n` replaced by what the request of that Content-ID made (dataverse.md 3.3)."""
    if request.method == "GET":
        raise errors.unreadable("A change set cannot hold a GET request.")
    path, body = request.path, request.body
    if path.startswith("$"):
        reference, slash, rest = path[1:].partition("/")
        if reference not in made:
            raise errors.unreadable(f"Content-ID Reference '{reference}' does not exist in the change set.")
        path = "/" + made[reference].split("://", 1)[1].split("/", 1)[1] + slash + rest
    for content_id, url in made.items():
        entity = url.rsplit("/", 1)[1]
        body = body.replace(f'"${content_id}"'.encode(), f'"/{entity}"'.encode())
    return replace(request, path=path, body=body)

"""A client that is not ours, unmodified and in a process of its own, driven through two pipes.

The scripts in `clients/` are the other end. Each turns a line of JSON into a call of its client, and the
result into a line of JSON: `returned` with a value, or `raised` with an error.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.processes import GIVE_UP_AFTER_SECONDS, RunningSandbox

CLIENTS = Path(__file__).with_name("clients")
# An id that no row has.
UNKNOWN_ID = "00000000-0000-4000-8000-00000000ffff"
# dataverse.md 6.1: the annotation that holds the label of a value.
LABEL = "@OData.Community.Display.V1.FormattedValue"

Row = dict[str, Any]


class ThirdPartyClient:
    """A running client, and the sandbox that it calls."""

    def __init__(self, process: subprocess.Popen[str], sandbox: RunningSandbox) -> None:
        self._process = process
        self.sandbox = sandbox

    def send(self, request: object) -> dict[str, Any]:
        """Carry out one request and return its outcome. A client that died wrote why to standard error."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the client's process ended"
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    def result(self, request: object) -> Any:  # noqa: ANN401 - JSON
        """The value that the client returned; fails when it raised."""
        outcome = self.send(request)
        assert "returned" in outcome, outcome
        return outcome["returned"]

    def error(self, request: object) -> dict[str, Any]:
        """The error that the client raised; fails when it returned."""
        outcome = self.send(request)
        assert "raised" in outcome, outcome
        return outcome

    def clear_table(self) -> None:
        """Remove all rows and reset all counters."""
        self.sandbox.control("POST", "reset")
        self.sandbox.control("PUT", "contacts", [])

    def table(self) -> dict[str, Row]:
        """The rows of the sandbox, by key, in the order of the keys."""
        rows: list[Row] = self.sandbox.control("GET", "contacts")
        return {row["new_didomikey"]: row for row in sorted(rows, key=lambda row: str(row["new_didomikey"]))}

    def column(self, name: str) -> dict[str, Any]:
        """One column of the table, by key."""
        return {key: row[name] for key, row in self.table().items()}

    def calls(self) -> dict[str, dict[str, int]]:
        """The calls that the sandbox answered, by kind and status."""
        calls: dict[str, dict[str, int]] = self.sandbox.control("GET", "stats")["calls"]
        return calls


@contextmanager
def client_process(
    sandbox: RunningSandbox, command: Sequence[str], *, trust: Sequence[str], **replacements: str
) -> Iterator[subprocess.Popen[str]]:
    """The process of a client, for as long as the block runs.

    `trust` names the variables that hold its certification authorities. `replacements` replace members of
    the sandbox's ready line.
    """
    environment = os.environ | dict.fromkeys(trust, sandbox.ready["ca_bundle"])
    environment["READY"] = json.dumps(sandbox.ready | replacements)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(GIVE_UP_AFTER_SECONDS) == 0
        finally:
            process.kill()

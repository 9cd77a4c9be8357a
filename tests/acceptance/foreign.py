"""A client that is not ours in a process of its own: two pipes carry what it is to do, and the result.

The scripts at the other end stand in `clients/`. They translate a line of JSON into a call, and what came of
it into a line of JSON: what it `gave`, or what it `raised`. The client itself is as it was published.
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
# dataverse.md 6.1: where the label of a value stands.
LABEL = "@OData.Community.Display.V1.FormattedValue"

Row = dict[str, Any]


class Foreign:
    """A running client, and the sandbox that it talks to."""

    def __init__(self, process: subprocess.Popen[str], sandbox: RunningSandbox) -> None:
        self._process = process
        self.sandbox = sandbox

    def outcome(self, wish: object) -> dict[str, Any]:
        """What became of it. A client that died has said why on standard error."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(wish) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the client's process ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def given(self, wish: object) -> Any:  # noqa: ANN401 - JSON
        """What it returned."""
        found = self.outcome(wish)
        assert "gave" in found, found
        return found["gave"]

    def empty(self) -> None:
        """An empty table, and nothing counted."""
        self.sandbox.control("POST", "reset")
        self.sandbox.control("PUT", "contacts", [])

    def table(self) -> dict[str, Row]:
        """What the sandbox really holds, by key, in the order of the keys."""
        rows: list[Row] = self.sandbox.control("GET", "contacts")
        return {row["new_didomikey"]: row for row in sorted(rows, key=lambda row: str(row["new_didomikey"]))}

    def column(self, name: str) -> dict[str, Any]:
        """One column of it, by key."""
        return {key: row[name] for key, row in self.table().items()}

    def calls(self) -> dict[str, dict[str, int]]:
        """The calls that the sandbox answered, by kind and status."""
        calls: dict[str, dict[str, int]] = self.sandbox.control("GET", "stats")["calls"]
        return calls


@contextmanager
def started_foreign(
    sandbox: RunningSandbox, command: Sequence[str], *, trust: Sequence[str], **changed: str
) -> Iterator[subprocess.Popen[str]]:
    """The process of a client. `trust` are the variables that name its certification authorities; `changed`
    replaces members of what it is given about the sandbox.
    """
    environment = os.environ | dict.fromkeys(trust, sandbox.ready["ca_bundle"])
    environment["READY"] = json.dumps(sandbox.ready | changed)
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

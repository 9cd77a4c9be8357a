"""Real processes of the command, started, spoken to, and ended by signal."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx

COMMAND = (sys.executable, "-m", "didomi_dataverse")
GIVE_UP_AFTER_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.02

_T = TypeVar("_T")


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def eventually(look: Callable[[], _T | None]) -> _T:
    """What `look` returns once it is true. Processes have no frozen clock; the bound only ends a failing
    test.
    """
    pause = threading.Event()
    for _ in range(int(GIVE_UP_AFTER_SECONDS / _LOOK_EVERY_SECONDS)):
        try:
            found = look()
        except httpx.TransportError:
            found = None
        if found:
            return found
        pause.wait(_LOOK_EVERY_SECONDS)
    raise AssertionError(f"It did not happen within {GIVE_UP_AFTER_SECONDS} s.")


@dataclass(slots=True)
class Command:
    """A running command and the file that its output goes to."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it and returns its exit status; negative for a signal that it died of."""
        self.process.send_signal(number)
        return self.process.wait(GIVE_UP_AFTER_SECONDS)


def run(*words: str, folder: Path, stdin: IO[bytes] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * GIVE_UP_AFTER_SECONDS,
        env=_environment(),
    )


@contextmanager
def started(*words: str, folder: Path, name: str) -> Iterator[Command]:
    """A command in the background, killed at the end of the block if it still runs."""
    output = folder / f"{name}.log"
    with output.open("ab") as stream:
        process = subprocess.Popen(
            [*COMMAND, *words], cwd=folder, stdout=stream, stderr=subprocess.STDOUT, env=_environment()
        )
    try:
        yield Command(process, output)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that runs, and a service that a test starts and ends as it likes."""

    folder: Path
    ready: dict[str, str]
    sandbox: Command
    service_port: int
    http: httpx.Client

    @property
    def config(self) -> str:
        return self.ready["config"]

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.service_port}"

    @contextmanager
    def service(self, name: str = "serve") -> Iterator[Command]:
        """`serve`, ready to receive."""
        with started("serve", "--config", self.config, folder=self.folder, name=name) as command:
            eventually(lambda: self._is_ready() or command.process.poll() is not None)
            assert command.process.poll() is None, command.text()
            yield command

    def _is_ready(self) -> bool:
        return self.http.get(f"{self.service_url}/readyz").status_code == 200

    def send(self, *bodies: object) -> subprocess.CompletedProcess[str]:
        """Posts bodies through the command `send`."""
        files = []
        for number, body in enumerate(bodies):
            file = self.folder / f"body-{number}.json"
            file.write_text(json.dumps(body))
            files.append(str(file))
        return run("send", "--config", self.config, "--json", *files, folder=self.folder)

    def control(self, method: str, what: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        answer = self.http.request(method, f"{self.ready['url']}/_sandbox/{what}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def row(self, key: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.control("GET", "contacts")
        return next(row for row in rows if row["new_didomikey"] == key)


@contextmanager
def run_sandbox(folder: Path) -> Iterator[RunningSandbox]:
    """A sandbox in a process of its own."""
    port = free_port()
    words = ("sandbox", "--port", "0", "--dir", str(folder / "sandbox"), "--service-port", str(port))
    with started(*words, folder=folder, name="sandbox") as sandbox:
        line = eventually(
            lambda: next((one for one in sandbox.text().splitlines() if one.startswith("{")), None)
        )
        ready = json.loads(line)
        trust = ssl.create_default_context(cafile=ready["ca_bundle"])
        with httpx.Client(verify=trust, trust_env=False, timeout=GIVE_UP_AFTER_SECONDS) as http:
            yield RunningSandbox(folder, ready, sandbox, port, http)

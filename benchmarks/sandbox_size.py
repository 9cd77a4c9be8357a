"""The sandbox at size: its memory with many contacts, and its speed for writes and reads.

    python benchmarks/sandbox_size.py [--contacts 1000000] [--seconds 5]

Bodies are made before the clock starts, so that only the sandbox is measured. The callers share its machine.
Every write is a real change of an existing row, found by its alternate key.
"""

import argparse
import http.client
import json
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

API = "/api/data/v9.2/"
BODIES = 40
"""Prepared bodies of each kind. Too few: the sandbox writes the same rows again and again."""

CALLERS = 2
"""Threads that call at the same time. Too few: the sandbox waits. Too many: they take its processor."""


@dataclass(frozen=True, slots=True)
class Call:
    """One prepared request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    rows: int
    """Number of rows that it writes or reads."""


class Sandbox:
    """A sandbox process, and a token for it."""

    def __init__(self, started: subprocess.Popen[str]) -> None:
        assert started.stdout is not None
        ready = json.loads(started.stdout.readline())
        self._pid = started.pid
        self.host = urlsplit(ready["url"]).netloc
        self._tls = ssl.create_default_context(cafile=ready["ca_bundle"])
        form = {
            "grant_type": "client_credentials",
            "client_id": ready["client_id"],
            "client_secret": ready["client_secret"],
            "scope": f"{ready['url']}/.default",
        }
        path = f"/{ready['tenant_id']}/oauth2/v2.0/token"
        answer = self.call(self.connection(), Call("POST", path, urlencode(form).encode(), {}, 0))
        self.token = json.loads(answer)["access_token"]

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, context=self._tls, timeout=300)

    def call(self, connection: http.client.HTTPSConnection, call: Call) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"} if hasattr(self, "token") else {}
        connection.request(call.method, call.path, call.body or None, {**headers, **call.headers})
        response = connection.getresponse()
        body = response.read()
        if response.status >= 300:
            raise SystemExit(f"{call.method} {call.path}: {response.status} {body[:300]!r}")
        return body

    def memory_mb(self) -> int:
        status = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def running() -> Iterator[Sandbox]:
    """A sandbox in a temporary folder, for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "dataverse_sandbox", "--dir", folder]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield Sandbox(started)
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait(timeout=60)


def key(number: int) -> str:
    """The address of a sample row."""
    return f"contacts(new_didomikey='customer-{number:04d}')"


def upsert_multiple(numbers: Sequence[int], round_: int) -> Call:
    """A bulk message that changes two columns of each row."""
    targets = [
        {
            "@odata.type": "Microsoft.Dynamics.CRM.contact",
            "@odata.id": key(number),
            "new_newsletter": bool(round_ % 2),
            "new_didomievent": f"event-{round_}-{number}",
        }
        for number in numbers
    ]
    body = json.dumps({"Targets": targets}).encode()
    path = f"{API}contacts/Microsoft.Dynamics.CRM.UpsertMultiple"
    return Call("POST", path, body, {"Content-Type": "application/json"}, len(numbers))


def batch(numbers: Sequence[int], round_: int) -> Call:
    """The same changes as a batch of conditional upserts."""
    flag = "true" if round_ % 2 else "false"
    parts = [
        "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"PATCH {API}{key(number)} HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: *\r\n\r\n"
        f'{{"new_newsletter":{flag},"new_didomievent":"event-{round_}-{number}"}}\r\n'
        for number in numbers
    ]
    headers = {"Content-Type": "multipart/mixed; boundary=b", "Prefer": "odata.continue-on-error"}
    return Call("POST", f"{API}$batch", "".join([*parts, "--b--\r\n"]).encode(), headers, len(numbers))


def single(numbers: Sequence[int], round_: int) -> Call:
    """A single upsert."""
    body = json.dumps({"new_didomievent": f"event-{round_}-{numbers[0]}"}).encode()
    return Call("PATCH", API + key(numbers[0]), body, {"Content-Type": "application/json"}, 1)


def by_mail(numbers: Sequence[int], _round: int) -> Call:
    """A lookup by a column that is not a key."""
    query = f"$select=contactid&$filter=emailaddress1%20eq%20'customer-{numbers[0]:04d}@example.com'"
    return Call("GET", f"{API}contacts?{query}", b"", {}, 1)


def page(_numbers: Sequence[int], _round: int) -> Call:
    """A full page."""
    return Call("GET", f"{API}contacts?$select=new_didomikey,donotemail", b"", {}, 5000)


def measure(sandbox: Sandbox, calls: Sequence[Call], seconds: float) -> tuple[float, float, float]:
    """(rows per second, calls per second, processor seconds of the sandbox per second) with all callers."""
    done: list[Call] = []
    until = time.monotonic() + seconds

    def caller(offset: int) -> None:
        connection = sandbox.connection()
        position = offset
        while time.monotonic() < until:
            call = calls[position % len(calls)]
            sandbox.call(connection, call)
            done.append(call)
            position += CALLERS
        connection.close()

    threads = [threading.Thread(target=caller, args=(offset,)) for offset in range(CALLERS)]
    started, busy = time.monotonic(), sandbox.processor_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started
    rows = sum(call.rows for call in done)
    return rows / elapsed, len(done) / elapsed, (sandbox.processor_seconds() - busy) / elapsed


KINDS: list[tuple[str, Callable[[Sequence[int], int], Call], int]] = [
    ("UpsertMultiple, 1,000 rows a call", upsert_multiple, 1000),
    ("UpsertMultiple, 100 rows a call", upsert_multiple, 100),
    ("$batch, 1,000 rows a call", batch, 1000),
    ("$batch, 100 rows a call", batch, 100),
    ("single PATCH", single, 1),
    ("GET by $filter on an e-mail address", by_mail, 1),
    ("GET pages of 5,000", page, 1),
]


def main() -> None:
    """Fill the table, then measure each kind of call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contacts", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each measurement")
    arguments = parser.parse_args()
    chosen = random.Random(7)
    with running() as sandbox:
        print(f"empty: {sandbox.memory_mb()} MB")
        started = time.monotonic()
        connection = sandbox.connection()
        sandbox.call(
            connection,
            Call("POST", "/_sandbox/fill", json.dumps({"rows": arguments.contacts}).encode(), {}, 0),
        )
        print(f"{arguments.contacts:,} contacts: filled in {time.monotonic() - started:.1f} s")
        print(f"{arguments.contacts:,} contacts: {sandbox.memory_mb()} MB")
        for name, make, rows in KINDS:
            calls = [
                make(chosen.sample(range(1, arguments.contacts + 1), min(rows, arguments.contacts)), round_)
                for round_ in range(BODIES)
            ]
            sandbox.call(connection, calls[0])  # builds the index that later calls use
            rows_s, calls_s, busy = measure(sandbox, calls, arguments.seconds)
            print(f"{name}: {rows_s:,.0f} rows/s, {calls_s:,.1f} calls/s, {busy:.0%} of one core")
        connection.close()
        print(f"afterwards: {sandbox.memory_mb()} MB")


if __name__ == "__main__":
    main()

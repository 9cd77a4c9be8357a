"""One serving process per SQLite file.

SQLite itself would let two processes write in turn. But each would deliver with its own rate limits and its
own view of the other's leases, on a file that a second machine may not even see. Replicas need PostgreSQL
(docs/howto/scale-out.md).
"""

import contextlib
import fcntl
import os
from pathlib import Path

from didomi_dataverse.errors import StoreError


class ServingLock:
    """A lock on a file beside the database. The kernel releases it with the process, however that ends."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.serving")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises StoreError when another process serves from the database."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"Cannot write {self._path} ({error.strerror}). Let the service write in this folder."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreError(
                f"Another process ({holder or 'unknown'}) already serves from this store ({self._path}). "
                "Stop it first; for several replicas use PostgreSQL: store.url: postgresql://…"
            ) from error
        # Only for the message above: the lock is what counts, and the file stays when it is released.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process serve."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

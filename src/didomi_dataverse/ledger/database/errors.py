"""What an error of a database means: the store failed, two transactions collided, or the program is wrong."""

import contextlib

from sqlalchemy import exc as sa_exc

_NOT_A_DATABASE = "file is not a database"
_DAMAGED = "malformed"

# PostgreSQL, "Appendix A. Error Codes".
_SERIALIZATION_FAILURE = "40001"
_DEADLOCK_DETECTED = "40P01"
_UNIQUE_VIOLATION = "23505"
_INSUFFICIENT_PRIVILEGE = "42501"
_UNDEFINED_TABLE = "42P01"


def is_unavailable(error: sa_exc.SQLAlchemyError) -> bool:
    """Whether the store failed (locked, full, read-only, broken, unreachable), not a row or our code."""
    if isinstance(error, sa_exc.TimeoutError):
        return True
    if not isinstance(error, sa_exc.DBAPIError):
        return False
    if error.connection_invalidated or _sqlstate(error) in {_INSUFFICIENT_PRIVILEGE, _UNDEFINED_TABLE}:
        return True
    return isinstance(error, sa_exc.OperationalError | sa_exc.InternalError | sa_exc.InterfaceError) or (
        # The class itself, not its many children: SQLite's "malformed" and "not a database".
        type(error) is sa_exc.DatabaseError
    )


def is_collision(error: sa_exc.SQLAlchemyError) -> bool:
    """Whether two transactions got in each other's way, so that the same transaction can succeed now.

    A unique violation is a collision: another replica logged the same notification between our look and our
    insert.
    """
    return _sqlstate(error) in {_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED, _UNIQUE_VIOLATION}


def is_not_a_database(error: sa_exc.SQLAlchemyError) -> bool:
    """Whether the file is something else than a SQLite database."""
    return isinstance(error, sa_exc.DBAPIError) and _NOT_A_DATABASE in str(error.orig)


def is_damaged(error: sa_exc.SQLAlchemyError) -> bool:
    """Whether SQLite found its own file to be damaged."""
    return isinstance(error, sa_exc.DBAPIError) and _DAMAGED in str(error.orig)


def describe(error: sa_exc.SQLAlchemyError) -> str:
    """What went wrong, in the database's words where those cannot quote a row."""
    if isinstance(error, sa_exc.DBAPIError) and error.orig is not None:
        sqlstate = _sqlstate(error)
        if sqlstate:
            return f"{type(error.orig).__name__} ({sqlstate})"
        with contextlib.suppress(IndexError):
            # SQLite's messages name tables and columns, never values; the driver's name hosts.
            return str(error.orig).splitlines()[0]
    return type(error).__name__


def _sqlstate(error: sa_exc.SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) or ""

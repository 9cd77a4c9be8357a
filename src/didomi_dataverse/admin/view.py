"""What use cases return: frozen values with typed fields, and the JSON form that programs read."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class View:
    """The base of every view value. Its fields, in their order, are the members of its JSON form."""

    TIMESPEC: ClassVar[str] = "milliseconds"
    """The precision of its times in JSON, as `datetime.isoformat` names it."""

    def to_json(self) -> dict[str, Any]:
        """The members as plain JSON values: times as ISO 8601 in UTC, enums as their value."""
        return {
            field.name: _json_value(getattr(self, field.name), timespec=self.TIMESPEC)
            for field in fields(self)
        }


def to_json(value: object) -> Any:  # noqa: ANN401 - JSON, whatever it is
    """The JSON form of a view, or of a list, tuple or mapping of views.

    >>> to_json([{"times": (1, 2)}, None])
    [{'times': [1, 2]}, None]
    """
    return _json_value(value, timespec=View.TIMESPEC)


def _json_value(value: object, *, timespec: str) -> Any:  # noqa: ANN401 - JSON, whatever it is
    match value:
        case View():
            return value.to_json()
        case datetime():
            return value.isoformat(timespec=timespec)
        case Enum():
            return value.value
        case Mapping():
            return {str(name): _json_value(one, timespec=timespec) for name, one in value.items()}
        case list() | tuple():
            return [_json_value(one, timespec=timespec) for one in value]
        case _:
            return value


def format_time(instant: datetime) -> str:
    """A time as views show it to people and programs: ISO 8601 to the millisecond."""
    return instant.isoformat(timespec=View.TIMESPEC)

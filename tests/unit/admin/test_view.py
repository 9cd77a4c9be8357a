"""A view's JSON form: its fields in their order, as plain values that programs read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from didomi_dataverse.admin.view import View, to_json

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner(View):
    TIMESPEC: ClassVar[str] = "auto"

    at: datetime


@dataclass(frozen=True, slots=True)
class Outer(View):
    at: datetime | None
    colour: Colour
    inner: tuple[Inner, ...]
    by_name: Mapping[str, object]
    is_set: bool


def test_fields_become_members_in_their_order() -> None:
    view = Outer(AT, Colour.RED, (Inner(AT),), {"a": (1, None)}, is_set=True)

    assert json.dumps(to_json([view])) == json.dumps(
        [
            {
                "at": "2026-03-01T12:00:00.123+00:00",
                "colour": "red",
                "inner": [{"at": "2026-03-01T12:00:00.123456+00:00"}],
                "by_name": {"a": [1, None]},
                "is_set": True,
            }
        ]
    )


def test_a_time_that_is_not_known_is_null() -> None:
    assert Outer(None, Colour.RED, (), {}, is_set=False).to_json()["at"] is None

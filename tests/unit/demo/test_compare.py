"""The demo is right only if every column that had to change did, and no other."""

import pytest

from didomi_dataverse.demo.compare import compare_columns, find_wrong_write_counts
from didomi_dataverse.demo.story import Expected, Row, Story

STORY = Story(
    rows=(),
    scenes=(),
    expected={"ada": {"new_newsletter": Expected(value=True, reason="said yes")}},
    writes={"ada": 1},
)
BEFORE: Row = {"contactid": "1", "new_newsletter": None, "lastname": "A", "versionnumber": 1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"new_newsletter": True}, [("new_newsletter", "said yes", True)], id="as it must be"),
        pytest.param({}, [("new_newsletter", "said yes", False)], id="not written"),
        pytest.param(
            {"new_newsletter": True, "lastname": "B"},
            [("new_newsletter", "said yes", True), ("lastname", "must stay as it was", False)],
            id="another column changed",
        ),
        pytest.param(
            {"new_newsletter": True, "versionnumber": 2},
            [("new_newsletter", "said yes", True)],
            id="what the server itself changes does not count",
        ),
    ],
)
def test_columns_are_compared(changes: Row, expected: list[tuple[str, str, bool]]) -> None:
    results = compare_columns(STORY, {"ada": BEFORE}, {"ada": {**BEFORE, **changes}})

    assert [(one.column, one.reason, one.is_right) for one in results] == expected


@pytest.mark.parametrize(
    ("writes", "wrong"),
    [
        pytest.param({"1": 1}, {}, id="as often as it must be"),
        pytest.param({"1": 2}, {"ada": 1}, id="once too often"),
        pytest.param({}, {"ada": 1}, id="never"),
    ],
)
def test_writes_are_counted(writes: dict[str, int], wrong: dict[str, int]) -> None:
    assert find_wrong_write_counts(STORY, {"ada": BEFORE}, writes) == wrong

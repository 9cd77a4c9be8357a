"""The values of the consent domain: when two are the same, and which of two is more restrictive."""

from itertools import pairwise

import pytest

from didomi_dataverse.consent.model import UNSET, Selection, Value, is_same_value, restrictiveness


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(True, True, True, id="a yes and a yes"),
        pytest.param(True, 1, False, id="a yes is not an option number"),
        pytest.param(False, 0, False, id="a no is not an option number"),
        pytest.param(1, 1.0, False, id="a whole number is not a decimal"),
        pytest.param(None, None, True, id="empty and empty"),
        pytest.param(Selection(("a",), "a"), Selection(("a",), "a"), True, id="equal selections"),
        pytest.param(Selection(("a",), "a"), Selection(("a",), " a"), False, id="another text"),
    ],
)
def test_values_are_the_same_only_within_one_type(one: object, other: object, expected: bool) -> None:
    assert is_same_value(one, other) is expected


def test_values_are_ordered_from_the_most_to_the_least_restrictive() -> None:
    ordered: list[Value] = [
        UNSET,
        False,
        Selection((), ""),
        Selection(("a",), "a"),
        Selection(("b",), "b"),
        Selection(("a", "b"), "a,b"),
        True,
    ]

    assert all(restrictiveness(stricter) < restrictiveness(looser) for stricter, looser in pairwise(ordered))


def test_the_order_of_values_is_total() -> None:
    """Values that Python takes for equal still have an order, so that ties have one winner."""
    values: list[Value] = [1, 1.0, "1", 0, 0.0]

    assert len({restrictiveness(value) for value in values}) == len(values)

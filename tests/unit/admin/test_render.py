"""The texts that tell how many were changed read well for none, one and many."""

import pytest

from didomi_dataverse.admin.contacts import RetryResult
from didomi_dataverse.admin.parked import DiscardResult
from didomi_dataverse.admin.render_contact import render_retry
from didomi_dataverse.admin.render_notification import render_discard, render_due


@pytest.mark.parametrize(
    ("due", "requested", "text"),
    [
        (0, 1, "Nothing changed: it was neither parked nor without a row."),
        (0, 3, "Nothing changed: none of the 3 was parked or without a row."),
        (1, 1, "1 is due now."),
        (1, 2, "1 of 2 is due now; the other was neither parked nor without a row."),
        (2, 4, "2 of 4 are due now; the others were neither parked nor without a row."),
        (3, 3, "3 are due now."),
    ],
)
def test_a_retry_says_how_many_are_due(due: int, requested: int, text: str) -> None:
    assert render_retry(RetryResult(due=due, requested=requested)) == text


@pytest.mark.parametrize(
    ("discarded", "requested", "text"),
    [
        (0, 1, "Nothing changed: it was not parked."),
        (0, 3, "Nothing changed: none of the 3 was parked."),
        (1, 1, "1 was parked, and is skipped now."),
        (1, 2, "1 of 2 was parked, and is skipped now; the other stays as it is."),
        (2, 4, "2 of 4 were parked, and are skipped now; the others stay as they are."),
        (3, 3, "3 were parked, and are skipped now."),
    ],
)
def test_a_discard_says_how_many_are_skipped(discarded: int, requested: int, text: str) -> None:
    assert render_discard(DiscardResult(discarded=discarded, requested=requested)) == text


@pytest.mark.parametrize(
    ("due", "text"),
    [
        (0, "No contact was parked."),
        (1, "1 parked contact is due now."),
        (2, "2 parked contacts are due now."),
    ],
)
def test_a_retry_of_all_says_how_many_are_due(due: int, text: str) -> None:
    assert render_due(due) == text

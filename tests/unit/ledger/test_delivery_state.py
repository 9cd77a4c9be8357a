"""The table of a contact's delivery states and moves (docs/path.md)."""

import pytest

from didomi_dataverse.ledger.delivery_state import MOVES, DeliveryState, Move, next_state


def test_every_state_can_be_changed_and_left() -> None:
    """No state is a dead end: a new choice is heard in each, and each but the waiting ones can be claimed or
    left.
    """
    for state in DeliveryState:
        assert (state, Move.CHANGED) in MOVES


def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    """A bug must not be able to settle what was not claimed."""
    with pytest.raises(KeyError):
        next_state(DeliveryState.DUE, Move.SETTLED)

"""One contact while a group of notifications is folded into it: from its row, to its row."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from didomi_dataverse.consent.change import compare_states
from didomi_dataverse.consent.model import Choice
from didomi_dataverse.consent.registers import RegisterKey, Registers, fold, resolve, retract
from didomi_dataverse.consent.tombstones import NO_TOMBSTONES, Tombstones
from didomi_dataverse.didomi.interpreted import InterpretedNotification, Reason
from didomi_dataverse.ledger.codec import decode_registers, encode_registers
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move, Priority, next_state

MAX_REGISTERS_CHARACTERS = 1_000_000
"""Longest text of a contact's registers: some ten thousand choices. A notification that would make it longer
is parked. Too small: choices of people with many devices are parked. Too large: every later notification and
every write reads the whole text."""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What one notification did to its contact."""

    changed: bool
    """Whether some item has another value now, or was stated again later: there is something to deliver."""

    withdrawal: bool
    """Whether some item became more restrictive."""

    problem: Reason | None = None
    """Why a person has to look at the notification. None when there is nothing to look at."""


NOTHING_NEW = FoldResult(changed=False, withdrawal=False)


@dataclass(slots=True, kw_only=True)
class ContactUpdate:
    """A contact, and what the notifications so far have made of it."""

    contact_id: int
    """The contact's number in the ledger."""

    state: DeliveryState
    """Where its delivery stood when it was loaded."""

    due_at: datetime | None
    """As in `Contact.due_at`, when it was loaded."""

    priority: Priority
    """The most urgent of its undelivered changes."""

    revision: int
    """Counts its changes. A change here adds 1."""

    reason: str | None
    """Why it was parked, unmatched or postponed when it was loaded. None when there was no reason."""

    stored_text: str
    """Its registers as encoded in its row."""

    history_cut_at: datetime | None = None
    """When retention first deleted one of its notifications. None while all are kept."""

    text: str = field(init=False)
    """Its registers as encoded now."""

    is_changed: bool = field(default=False, init=False)
    """Whether there is something to deliver that its row does not show yet."""

    _registers: Registers | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.text = self.stored_text

    def fold(
        self, notification: InterpretedNotification, tombstones: Tombstones = NO_TOMBSTONES
    ) -> FoldResult:
        """Fold the notification's choices, some of which may be deleted already.

        Raises whatever it or the stored registers make it raise; then nothing has changed here.
        """
        if not notification.choices:
            return NOTHING_NEW
        before = self._decode()
        return self._apply(before, fold(before, notification.choices, tombstones))

    def would_orphan(self, deleted: Tombstones) -> bool:
        """Whether `retract` has to know the history: some newest statement is among what is deleted."""
        return self.history_cut_at is None and retract(self._decode(), deleted)[1]

    def retract(self, deleted: Tombstones, history: Iterable[Choice], tombstones: Tombstones) -> FoldResult:
        """Let what `deleted` names no longer count.

        `history` is every choice of the notifications about this contact, and `tombstones` all that is
        deleted of it; both may be empty unless `would_orphan`. Raises as `fold`.
        """
        before = self._decode()
        after, is_orphaned = retract(before, deleted)
        if is_orphaned:
            if self.history_cut_at is not None:
                # What was chosen before cannot be known, and "nothing" may be as wrong as anything.
                return FoldResult(changed=False, withdrawal=False, problem=Reason.HISTORY_INCOMPLETE)
            after = fold(after, history, tombstones)
        result = self._apply(before, after)
        if result.problem is None and _is_withheld(after, deleted):
            return replace(result, problem=Reason.DELETE_WOULD_GRANT)
        return result

    def deliver_again(self) -> None:
        """Have the contact delivered, whether or not anything changed."""
        if not self.is_changed and self.revision:
            self.is_changed = True
            self.revision += 1

    def _decode(self) -> Registers:
        return decode_registers(self.text) if self._registers is None else self._registers

    def _apply(self, before: Registers, after: Registers) -> FoldResult:
        if after is before:
            self._registers = before
            return NOTHING_NEW
        # Encoding is the last thing that a strange value can break: before anything is kept.
        text = encode_registers(after)
        if len(text) > max(MAX_REGISTERS_CHARACTERS, len(self.text)):
            return FoldResult(changed=False, withdrawal=False, problem=Reason.TOO_LARGE)
        change = compare_states(before, after)
        self._registers, self.text = after, text
        if change.changed:
            self.is_changed = True
            self.revision += 1
            self.priority = min(self.priority, Priority.WITHDRAWAL if change.withdrawal else Priority.NORMAL)
        return FoldResult(changed=change.changed, withdrawal=change.withdrawal)

    @property
    def is_refined(self) -> bool:
        """Whether the registers are others but say the same: which of two equal statements is kept, or what a
        device repeated that has no say. Nothing is to be delivered, but the fold must have seen it to stay a
        join.
        """
        return not self.is_changed and self.text != self.stored_text

    def changed_row(self, now: datetime) -> dict[str, Any]:
        """What to store of a contact that changed: due now, unless it is being delivered."""
        state = next_state(self.state, Move.CHANGED)
        due_at, reason = self.due_at, self.reason
        if state is DeliveryState.DUE:
            # A contact that changes while it waits keeps its place in the line.
            due_at = now if due_at is None else min(due_at, now)
            reason = reason if self.state is DeliveryState.DUE else None
        return {
            "id": self.contact_id,
            "registers": self.text,
            "revision": self.revision,
            "state": state.value,
            "due_at": due_at,
            "priority": int(self.priority),
            "reason": reason,
            "changed_at": now,
        }


def _is_withheld(registers: Registers, deleted: Tombstones) -> bool:
    """Whether something of what is deleted was a refusal that stays in force."""

    def is_concerned(key: RegisterKey) -> bool:
        register = registers[key]
        return key[1] in deleted.users or any(deleted.is_retracted(choice) for choice in register.retracted)

    subjects = {key[0] for key in registers if is_concerned(key)}
    return any(resolved.withheld for subject, resolved in resolve(registers).items() if subject in subjects)

"""One contact while a group of readings is folded into it: from its row, to its row."""

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
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move, Priority, moved

MAX_CHARACTERS = 1_000_000
"""Of a contact's registers as text: some ten thousand choices. What would make them longer is parked: every
later notification and every write would have to read them whole.
"""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What one reading did to its contact.

    `changed`: some item's value is another now, or was stated again later: there is something to deliver.
    `withdrawal`: some item became more restrictive. `problem`: why a person has to look at it.
    """

    changed: bool
    withdrawal: bool
    problem: Reason | None = None


NOTHING_NEW = FoldResult(changed=False, withdrawal=False)


@dataclass(slots=True, kw_only=True)
class ContactUpdate:
    """A contact, and what the readings so far have made of it.

    `stored` is the text of its registers as they were found, `text` as they are now. `history_cut_at`: when
    the first of its notifications was deleted for its age, None while all are kept.
    """

    contact_id: int
    state: DeliveryState
    due_at: datetime | None
    priority: Priority
    revision: int
    reason: str | None
    stored: str
    history_cut_at: datetime | None = None
    text: str = field(init=False)
    registers: Registers | None = None
    changed: bool = False

    def __post_init__(self) -> None:
        self.text = self.stored

    def fold(self, reading: InterpretedNotification, tombstones: Tombstones = NO_TOMBSTONES) -> FoldResult:
        """Fold the reading's choices, some of which may be deleted already. Raises whatever it or the stored
        registers make it raise; then nothing has changed here.
        """
        if not reading.choices:
            return NOTHING_NEW
        before = self._decoded()
        return self._become(before, fold(before, reading.choices, tombstones))

    def would_orphan(self, deleted: Tombstones) -> bool:
        """Whether `retract` has to know the history: some newest statement is among what is deleted."""
        return self.history_cut_at is None and retract(self._decoded(), deleted)[1]

    def retract(self, deleted: Tombstones, history: Iterable[Choice], tombstones: Tombstones) -> FoldResult:
        """Let what `deleted` names no longer count.

        `history` is everything that the notifications about this contact say, and `tombstones` all that is
        deleted of it; both may be empty unless `would_orphan`. Raises as `fold`.
        """
        before = self._decoded()
        after, is_orphaned = retract(before, deleted)
        if is_orphaned:
            if self.history_cut_at is not None:
                # What was chosen before cannot be known, and "nothing" may be as wrong as anything.
                return FoldResult(changed=False, withdrawal=False, problem=Reason.HISTORY_INCOMPLETE)
            after = fold(after, history, tombstones)
        consequence = self._become(before, after)
        if consequence.problem is None and _is_withheld(after, deleted):
            return replace(consequence, problem=Reason.DELETE_WOULD_GRANT)
        return consequence

    def deliver_again(self) -> None:
        """Have the contact looked at by the sender, whether or not anything changed."""
        if not self.changed and self.revision:
            self.changed = True
            self.revision += 1

    def _decoded(self) -> Registers:
        return decode_registers(self.text) if self.registers is None else self.registers

    def _become(self, before: Registers, after: Registers) -> FoldResult:
        if after is before:
            self.registers = before
            return NOTHING_NEW
        # Encoding is the last thing that a strange value can break: before anything is kept.
        text = encode_registers(after)
        if len(text) > max(MAX_CHARACTERS, len(self.text)):
            return FoldResult(changed=False, withdrawal=False, problem=Reason.TOO_LARGE)
        found = compare_states(before, after)
        self.registers, self.text = after, text
        if found.changed:
            self.changed = True
            self.revision += 1
            self.priority = min(self.priority, Priority.WITHDRAWAL if found.withdrawal else Priority.NORMAL)
        return FoldResult(changed=found.changed, withdrawal=found.withdrawal)

    @property
    def refined(self) -> bool:
        """True when the registers are others, but say the same: which of two equal statements is remembered,
        or what a device without a say repeated. Nobody needs to deliver that, but the fold must have seen it
        to stay a join.
        """
        return not self.changed and self.text != self.stored

    def changed_row(self, now: datetime) -> dict[str, Any]:
        """What to store of a contact that changed: due now, unless it is being delivered."""
        state = moved(self.state, Move.CHANGED)
        due_at, reason = self.due_at, self.reason
        if state is DeliveryState.DUE:
            # Who changes their mind while waiting in line keeps the place in it.
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
    """True when something of what is deleted was a refusal that stays in force."""

    def concerns(key: RegisterKey) -> bool:
        register = registers[key]
        return key[1] in deleted.users or any(deleted.is_retracted(choice) for choice in register.retracted)

    subjects = {key[0] for key in registers if concerns(key)}
    return any(resolved.withheld for subject, resolved in resolve(registers).items() if subject in subjects)

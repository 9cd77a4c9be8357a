"""One contact while a group of readings is folded into it: from its row, to its row."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from didomi_dataverse.didomi.reading import Reading
from didomi_dataverse.ledger.contact import (
    DeliveryState,
    Move,
    Registers,
    fold,
    is_withdrawal,
    moved,
    resolve,
)
from didomi_dataverse.ledger.priority import Priority
from didomi_dataverse.ledger.registers_json import decode_registers, encode_registers


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one reading did to its contact.

    `changed`: some item's value is another now, or was stated again later: there is something to deliver.
    `withdrawal`: some item became more restrictive.
    """

    changed: bool
    withdrawal: bool


NOTHING_NEW = Consequence(changed=False, withdrawal=False)


@dataclass(slots=True, kw_only=True)
class Folding:
    """A contact, and what the readings so far have made of it.

    `stored` is the text of its registers as they were found, `text` as they are now.
    """

    contact_id: int
    state: DeliveryState
    due_at: datetime | None
    priority: Priority
    revision: int
    reason: str | None
    stored: str
    text: str = field(init=False)
    registers: Registers | None = None
    changed: bool = False

    def __post_init__(self) -> None:
        self.text = self.stored

    def fold(self, reading: Reading) -> Consequence:
        """Fold the reading's choices. Raises whatever it or the stored registers make it raise; then nothing
        has changed here.
        """
        if not reading.choices:
            return NOTHING_NEW
        before = decode_registers(self.text) if self.registers is None else self.registers
        after = fold(before, reading.choices)
        if after is before:
            self.registers = before
            return NOTHING_NEW
        # Encoding is the last thing that a strange value can break: before anything is kept.
        text = encode_registers(after)
        withdrawal = is_withdrawal(before, after)
        changed = withdrawal or _says_otherwise(before, after)
        self.registers, self.text = after, text
        if changed:
            self.changed = True
            self.revision += 1
            self.priority = min(self.priority, Priority.WITHDRAWAL if withdrawal else Priority.NORMAL)
        return Consequence(changed=changed, withdrawal=withdrawal)

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
            "contact_id": self.contact_id,
            "registers": self.text,
            "revision": self.revision,
            "state": state.value,
            "due_at": due_at,
            "priority": int(self.priority),
            "reason": reason,
            "changed_at": now,
        }


def _says_otherwise(before: Registers, after: Registers) -> bool:
    """True when a value changed, or the time at which somebody last stated it."""
    if not before:
        return True
    was = resolve(before)
    for subject, now in resolve(after).items():
        earlier = was.get(subject)
        if earlier is None or earlier.stated_at != now.stated_at or earlier.choice.value != now.choice.value:
            return True
    return False

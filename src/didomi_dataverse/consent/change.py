"""What a fold did to a contact: whether there is something to deliver, and how urgent that is."""

from collections.abc import Collection
from dataclasses import dataclass

from didomi_dataverse.consent.model import UNSET, Fact, Subject, is_same_value, restrictiveness
from didomi_dataverse.consent.registers import Register, Registers, Resolved, resolve_subject


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a fold did to a contact."""

    changed: bool
    """Some subject has another value now, or was stated again later: there is something to deliver."""
    withdrawal: bool
    """Some item became more restrictive. Such contacts are written first (docs/promises.md 5)."""


NO_CHANGE = StateChange(changed=False, withdrawal=False)


def compare_states(before: Registers, after: Registers) -> StateChange:
    """What a fold or a retraction did to `before`. Looks only at the subjects whose registers it replaced.

    `after` is what `fold` or `retract` returned for `before`: both keep every register that they do not
    change, so that identity tells which ones changed.
    """
    if after is before:
        return NO_CHANGE
    touched = {key[0] for key, register in after.items() if before.get(key) is not register}
    old_registers, new_registers = _group_by_subject(touched, before), _group_by_subject(touched, after)
    changed = withdrawal = False
    for subject in touched:
        new = resolve_subject(subject, new_registers[subject])
        old = resolve_subject(subject, old_registers[subject]) if subject in old_registers else None
        changed = changed or (
            old is None
            or old.stated_at != new.stated_at
            or not is_same_value(old.choice.value, new.choice.value)
        )
        withdrawal = withdrawal or _is_withdrawal(subject, old, new)
    return StateChange(changed=changed or withdrawal, withdrawal=withdrawal)


def _is_withdrawal(subject: Subject, old: Resolved | None, new: Resolved) -> bool:
    if isinstance(subject, Fact):
        # A fact is not a choice: no change of it takes consent back.
        return False
    value = new.choice.value
    if old is None:
        return value is False or value is UNSET
    return restrictiveness(value) < restrictiveness(old.choice.value)


def _group_by_subject(subjects: Collection[Subject], registers: Registers) -> dict[Subject, list[Register]]:
    grouped: dict[Subject, list[Register]] = {}
    for (subject, _), register in registers.items():
        if subject in subjects:
            grouped.setdefault(subject, []).append(register)
    return grouped

"""Registers, confirmations and evidence as compact JSON text, and back.

One notification usually speaks of many items, so what its choices share (time, user, source, digest) is
written once, in `origins`, and referred to by number. The text is ASCII only, whatever people typed: no
database, driver or encoding can change it. Every text carries its version; a text of an unknown version is
refused rather than half understood.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from didomi_dataverse.consent.model import (
    UNSET,
    Basis,
    Choice,
    ChoiceKind,
    Fact,
    Item,
    JsonScalar,
    Selection,
    Subject,
    Unset,
    Value,
)
from didomi_dataverse.consent.registers import Register, RegisterKey, Registers
from didomi_dataverse.ledger.database.instants import from_microseconds, to_microseconds
from didomi_dataverse.ledger.delivery_state import Written

_VERSION = 1
# Of registers in which something is deleted: a program from before deletions must not half understand them.
_VERSION_WITH_DELETIONS = 2
_BASES = (Basis.CONSENT, Basis.LEGITIMATE_INTEREST)
_BASIS_NUMBERS = {basis: number for number, basis in enumerate(_BASES)}

EMPTY_REGISTERS = '{"v":1,"origins":[],"registers":[]}'
EMPTY_WRITTEN = '{"v":1,"columns":{}}'


def encode_registers(registers: Registers) -> str:
    """The text of registers that `fold` made.

    Every choice must name the subject and the Didomi user of its register's key.
    """
    origins: dict[tuple[int | str, ...], int] = {}

    def encode_choice(choice: Choice | None) -> list[Any] | None:
        if choice is None:
            return None
        made_at = to_microseconds(choice.made_at)
        origin: tuple[int | str, ...] = (made_at, choice.didomi_user, choice.source_id, choice.notification)
        if choice.told_at is not None:
            origin += (to_microseconds(choice.told_at),)
        return [origins.setdefault(origin, len(origins)), _encode_value(choice.value)]

    has_deletions = False
    rows: list[Any] = []
    for (subject, _), register in registers.items():
        row: list[Any] = [
            _encode_subject(subject),
            encode_choice(register.statement),
            encode_choice(register.assertion),
        ]
        if register.retracted or register.deleted_until is not None:
            has_deletions = True
            deleted_until = (
                None if register.deleted_until is None else to_microseconds(register.deleted_until)
            )
            row += [deleted_until, [encode_choice(choice) for choice in register.retracted]]
        rows.append(row)
    version = _VERSION_WITH_DELETIONS if has_deletions else _VERSION
    return _dumps({"v": version, "origins": list(origins), "registers": rows})


def decode_registers(text: str) -> dict[RegisterKey, Register]:
    """The registers of a text. Raises ValueError when `encode_registers` did not write it."""
    if text == EMPTY_REGISTERS:
        return {}
    document = _loads(text, _VERSION, _VERSION_WITH_DELETIONS)
    try:
        origins = [
            (
                from_microseconds(made_at),
                didomi_user,
                source_id,
                notification,
                from_microseconds(told_at[0]) if told_at else None,
            )
            for made_at, didomi_user, source_id, notification, *told_at in document["origins"]
        ]

        def decode_choice(subject: Subject, kind: ChoiceKind, encoded: list[Any] | None) -> Choice | None:
            if encoded is None:
                return None
            number, value = encoded
            made_at, didomi_user, source_id, notification, told_at = origins[number]
            return Choice(
                subject=subject,
                value=_decode_value(value),
                made_at=made_at,
                didomi_user=didomi_user,
                kind=kind,
                source_id=source_id,
                notification=notification,
                told_at=told_at,
            )

        registers: dict[RegisterKey, Register] = {}
        for encoded_subject, encoded_statement, encoded_assertion, *deleted in document["registers"]:
            subject = _decode_subject(encoded_subject)
            statement = decode_choice(subject, ChoiceKind.STATEMENT, encoded_statement)
            assertion = decode_choice(subject, ChoiceKind.ASSERTION, encoded_assertion)
            deleted_until: datetime | None = None
            retracted: list[Choice] = []
            if deleted:
                deleted_until = None if deleted[0] is None else from_microseconds(deleted[0])
                decoded = [decode_choice(subject, ChoiceKind.STATEMENT, one) for one in deleted[1]]
                retracted = [one for one in decoded if one is not None]
            any_choice = next((one for one in (statement, assertion, *retracted) if one is not None), None)
            if any_choice is not None:
                registers[subject, any_choice.didomi_user] = Register(
                    statement, assertion, tuple(retracted), deleted_until
                )
    except (KeyError, IndexError, TypeError, OverflowError) as error:
        raise ValueError(
            "The stored registers of a contact are not of the shape that this version writes."
        ) from error
    else:
        return registers


def encode_written(written: Mapping[str, Written]) -> str:
    """The text of what Dataverse confirmed for each column.

    >>> encode_written({"donotemail": Written(True, None)})
    '{"v":1,"columns":{"donotemail":[true,null]}}'
    """
    columns: dict[str, list[JsonScalar]] = {
        column: [entry.value, None if entry.stated_at is None else to_microseconds(entry.stated_at)]
        for column, entry in written.items()
    }
    return _dumps({"v": _VERSION, "columns": columns})


def decode_written(text: str) -> dict[str, Written]:
    """What Dataverse confirmed for each column.

    Raises ValueError when `encode_written` did not write the text.
    """
    if text == EMPTY_WRITTEN:
        return {}
    document = _loads(text, _VERSION)
    try:
        return {
            column: Written(value, None if stated_at is None else from_microseconds(stated_at))
            for column, (value, stated_at) in document["columns"].items()
        }
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            "The stored confirmation of a contact is not of the shape that this version writes."
        ) from error


def encode_evidence(columns: Mapping[str, Mapping[str, object]]) -> str:
    """The text of an attempt's columns. A value that JSON cannot represent is kept as its text: evidence must
    never be the reason why a contact cannot be settled.
    """
    return _dumps_evidence(columns)


def decode_evidence(text: str) -> dict[str, dict[str, object]]:
    """The columns of an attempt: what `encode_evidence` wrote."""
    columns: dict[str, dict[str, object]] = json.loads(text)
    return columns


# Built once: `json.dumps` with any option builds an encoder for every call, which costs as much as encoding
# does.
_dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_dumps_evidence = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _loads(text: str, *versions: int) -> dict[str, Any]:
    document = json.loads(text)
    version = document.get("v") if isinstance(document, dict) else None
    if version not in versions:
        raise ValueError(
            f"The stored state of a contact is of version {version!r}; this program reads {versions[-1]}."
        )
    return document  # type: ignore[no-any-return]  # json.loads has no types; the shape is checked where it is read


def _encode_subject(subject: Subject) -> list[str | int]:
    """An item has five parts, a fact two: the length tells them apart."""
    if isinstance(subject, Fact):
        return [subject.regulation, subject.path]
    return [
        subject.regulation,
        subject.purpose,
        subject.preference,
        subject.channel,
        _BASIS_NUMBERS[subject.basis],
    ]


def _decode_subject(parts: list[Any]) -> Subject:
    return Fact(*parts) if len(parts) == 2 else _item(*parts)


@lru_cache(maxsize=4096)
def _item(regulation: str, purpose: str, preference: str, channel: str, basis: int) -> Item:
    """Cached, because all contacts hold the same few items. The ids are an organization's, not a person's."""
    return Item(regulation, purpose, preference, channel, _BASES[basis])


def _encode_value(value: Value) -> JsonScalar | list[Any]:
    """JSON's own scalars stay as they are; a selection becomes a list of its text and its ids."""
    if isinstance(value, Selection):
        return [value.text, *value.ids]
    return None if isinstance(value, Unset) else value


def _decode_value(value: Any) -> Value:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, list):
        text, *ids = value
        return Selection(tuple(ids), text)
    if value is None:
        return UNSET
    return value  # type: ignore[no-any-return]

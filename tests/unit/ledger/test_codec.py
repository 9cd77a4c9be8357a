"""What is stored is what is read back."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clocks import START
from tests.notifications import NEWSLETTER, PROFILING, any_choice, choice, rival_choice
from tests.reference_fold import Deletion, Told
from tests.unit.consent.choices import any_deletion, any_told, fold_history

from didomi_dataverse.consent.model import Choice, Fact, Selection
from didomi_dataverse.consent.registers import Registers, fold
from didomi_dataverse.consent.tombstones import Tombstones
from didomi_dataverse.ledger.codec import (
    EMPTY_REGISTERS,
    EMPTY_WRITTEN,
    decode_evidence,
    decode_registers,
    decode_written,
    encode_evidence,
    encode_registers,
    encode_written,
)
from didomi_dataverse.ledger.delivery_state import Written


def _types_of_values(registers: Registers) -> dict[tuple[object, str], list[type]]:
    """Python says `True == 1 == 1.0`; Dataverse does not."""
    return {
        key: [type(spoken.value) for spoken in (register.statement, register.assertion) if spoken is not None]
        for key, register in registers.items()
    }


@given(st.lists(any_choice | rival_choice, max_size=8))
def test_registers_are_read_back_as_they_were(choices: list[Choice]) -> None:
    registers = fold({}, choices)

    decoded = decode_registers(encode_registers(registers))

    assert decoded == registers
    assert _types_of_values(decoded) == _types_of_values(registers)


@given(st.lists(any_told | any_deletion, max_size=10))
def test_registers_with_deletions_are_read_back_as_they_were(history: list[Told | Deletion]) -> None:
    registers = fold_history(history)

    assert decode_registers(encode_registers(registers)) == registers


def test_registers_without_deletions_keep_the_form_that_older_programs_read() -> None:
    deleted = Tombstones(events=frozenset({"E1"}))

    assert encode_registers(fold({}, [choice()], deleted)).startswith('{"v":1,')
    assert encode_registers(fold({}, [choice(source_id="E1")], deleted)).startswith('{"v":2,')


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.builds(
            Written,
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
            st.none() | st.integers(0, 10**15).map(lambda n: START + timedelta(microseconds=n)),
        ),
        max_size=4,
    )
)
def test_a_confirmation_is_read_back_as_it_was(written: dict[str, Written]) -> None:
    decoded = decode_written(encode_written(written))

    assert decoded == written
    assert [type(entry.value) for entry in decoded.values()] == [
        type(entry.value) for entry in written.values()
    ]


def test_microseconds_survive() -> None:
    registers = fold({}, [choice(after=timedelta(days=20_000, microseconds=1))])

    assert decode_registers(encode_registers(registers)) == registers


def test_registers_of_nobody_are_the_text_that_new_contacts_get() -> None:
    assert encode_registers({}) == EMPTY_REGISTERS
    assert encode_written({}) == EMPTY_WRITTEN


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Zoë ☃ 🙂", id="beyond ASCII"),
        pytest.param("a\0b", id="NUL, which PostgreSQL refuses"),
        pytest.param("a\ud800b", id="a lone surrogate, which no encoding can spell"),
    ],
)
def test_whatever_people_type_is_stored_as_plain_ascii(text: str) -> None:
    registers = fold(
        {}, [choice(text, subject=Fact("gdpr", "metadata.note")), choice(Selection((text,), text))]
    )

    encoded = encode_registers(registers)

    assert encoded.isascii()
    assert "\0" not in encoded
    assert decode_registers(encoded) == registers


def test_what_choices_of_one_notification_share_is_stored_once() -> None:
    digest = "d" * 64
    registers = fold(
        {}, [choice(subject=subject, notification=digest) for subject in (NEWSLETTER, PROFILING)]
    )

    assert encode_registers(registers).count(digest) == 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("[]", id="not an object"),
        pytest.param('{"origins":[],"registers":[]}', id="no version"),
        pytest.param('{"v":3,"origins":[],"registers":[]}', id="a version to come"),
        pytest.param('{"v":1}', id="no registers"),
        pytest.param('{"v":1,"origins":[],"registers":[[["gdpr","a"],[0,true],null]]}', id="no such origin"),
        pytest.param(
            '{"v":1,"origins":[[0,"","",""]],"registers":[[["gdpr"],[0,true],null]]}', id="half a fact"
        ),
        pytest.param('{"v":1,"origins":[[9e99,"","",""]],"registers":[]}', id="a time that no calendar has"),
    ],
)
def test_registers_that_we_did_not_write_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_registers(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"v":2,"columns":{}}', id="a version to come"),
        pytest.param('{"v":1}', id="no columns"),
        pytest.param('{"v":1,"columns":[]}', id="a list of columns"),
        pytest.param('{"v":1,"columns":{"a":[1]}}', id="half an entry"),
    ],
)
def test_a_confirmation_that_we_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_written(text)


def test_evidence_that_json_cannot_spell_is_kept_as_its_text() -> None:
    evidence = encode_evidence({"new_on": {"value": START, "rule": "changed_at"}})

    assert json.loads(evidence) == decode_evidence(evidence)
    assert decode_evidence(evidence) == {"new_on": {"value": str(START), "rule": "changed_at"}}

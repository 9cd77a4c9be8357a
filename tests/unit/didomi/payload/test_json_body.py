import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.didomi.payload.json_body import MAX_DEPTH, MAX_ENVELOPES, split_envelopes
from didomi_dataverse.errors import NotJsonError


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  \n", id="blank"),
        pytest.param(b"null", id="null"),
        pytest.param(b"true", id="true"),
        pytest.param(b"42", id="number"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"type=event.created", id="form"),
        pytest.param(b"<xml/>", id="XML"),
        pytest.param(b"{", id="not closed"),
        pytest.param(b'{"a": 1', id="cut off"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": 1,}', id="comma at the end"),
        pytest.param(b'{"a": 1} {"b": 2}', id="two objects"),
        pytest.param(b'{"a": 1}]', id="one bracket too many"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": Infinity}', id="Infinity"),
        pytest.param(b'{"a": -Infinity}', id="minus Infinity"),
        pytest.param(b'{"a": 01}', id="leading zero"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', id="surrogate encoded as UTF-8"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a": "\n"}', id="bare line feed in text"),
        pytest.param(b"[1]", id="list of numbers"),
        pytest.param(b'[{"a": 1}, null]', id="list with null"),
        pytest.param(b'[[{"a": 1}]]', id="list in a list"),
        pytest.param(b'[{"a": 1}', id="list not closed"),
        pytest.param(b'[{"a": 1},]', id="list with a comma at its end"),
        pytest.param(b'[{"a": 1} {"a": 2}]', id="list without comma"),
        pytest.param(b'[{"a": 1}] x', id="more after the list"),
        pytest.param("{\u00a0}".encode(), id="white space that JSON does not know"),
        pytest.param(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), id="nested too deep"),
        pytest.param(b'{"a":' + b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested deeper than Python can"),
        pytest.param(b"[" + b",".join([b"{}"] * (MAX_ENVELOPES + 1)) + b"]", id="list too long"),
    ],
)
def test_a_body_that_is_no_object_and_no_list_of_objects_is_refused(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        split_envelopes(body)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        pytest.param(b"{}", 1, id="empty object"),
        pytest.param(b' \r\n\t{"a": 1}\n', 1, id="white space around"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', 1, id="byte order mark"),
        pytest.param(b'\xef\xbb\xbf [{"a": 1}]', 1, id="byte order mark before a list"),
        pytest.param(b"[]", 0, id="empty list"),
        pytest.param(b"[ ]", 0, id="empty list with a blank"),
        pytest.param(b'[{"a": 1}]', 1, id="list of one"),
        pytest.param(b'[ {"a": 1} , {"b": 2} ] ', 2, id="list of two"),
        pytest.param(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH, 1, id="as deep as allowed"),
        pytest.param(b'{"a": [' + b"{}," * 1_000 + b"[]]}", 1, id="many brackets, none deep"),
        pytest.param(b'{"a": "\\ud800"}', 1, id="half a surrogate pair, escaped"),
        pytest.param(b'{"a": "\\u0000"}', 1, id="NUL, escaped"),
        pytest.param(b'{"a": 1' + b"0" * 5_000 + b"}", 1, id="an integer of 5,001 digits"),
        pytest.param(b'{"a": 1e999}', 1, id="a number beyond what floats hold"),
    ],
)
def test_objects_and_lists_of_objects_are_taken(body: bytes, count: int) -> None:
    assert len(split_envelopes(body)) == count


def test_the_elements_of_a_list_keep_their_own_bytes() -> None:
    """Evidence: number spellings, escapes and the order of keys are as they came."""
    first, second = split_envelopes('[{"b":1e2, "a":"\\u00e9"} ,\n{"c":"é"}]'.encode())

    assert (first.body, second.body) == (b'{"b":1e2, "a":"\\u00e9"}', '{"c":"é"}'.encode())


def test_a_single_object_keeps_its_bytes() -> None:
    (only,) = split_envelopes(b' {"a" : 1}\n')

    assert only.body == b'{"a" : 1}'


def test_the_digest_is_that_of_the_canonical_form() -> None:
    (spaced,) = split_envelopes(b'{"b": [1, 2],\n "a": "\\u00e9"}')
    (compact,) = split_envelopes('{"a":"é","b":[1,2]}'.encode())

    assert spaced.digest == compact.digest == hashlib.sha256(b'{"a":"\\u00e9","b":[1,2]}').hexdigest()


def test_the_digest_is_the_same_alone_and_in_a_list() -> None:
    (alone,) = split_envelopes(b'{"a": 1}')
    (_, in_list) = split_envelopes(b'[{"b": 2}, {"a": 1}]')

    assert in_list.digest == alone.digest


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"a": 1, "a": 1}', [True], id="at the top"),
        pytest.param(b'{"x": [{"a": 1, "a": 2}]}', [True], id="below"),
        pytest.param(b'{"a": 1, "A": 1}', [False], id="another case is another key"),
        pytest.param(b'{"a": {"a": 1}}', [False], id="the same key at two levels"),
        pytest.param(b'[{"a": 1}, {"a": 1, "a": 2}, {"a": 1}]', [False, True, False], id="in one of three"),
    ],
)
def test_a_key_named_twice_is_flagged(body: bytes, expected: list[bool]) -> None:
    assert [envelope.has_duplicate_keys for envelope in split_envelopes(body)] == expected


def test_a_refusal_quotes_nothing_of_the_body() -> None:
    with pytest.raises(NotJsonError) as refusal:
        split_envelopes(b'{"user": secret@example.com}')

    assert "secret" not in str(refusal.value)


JSON_OBJECTS = st.dictionaries(
    st.text(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda below: st.lists(below) | st.dictionaries(st.text(), below),
        max_leaves=20,
    ),
)


@given(st.lists(JSON_OBJECTS, max_size=4), st.booleans())
def test_every_list_of_objects_comes_back_whole(objects: list[dict[str, object]], spaced: bool) -> None:
    body = json.dumps(objects, indent=2 if spaced else None, ensure_ascii=spaced)

    found = split_envelopes(body.encode("utf-8", "replace"))

    assert [json.loads(envelope.body) for envelope in found] == [envelope.members for envelope in found]
    assert len(found) == len(objects)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    try:
        found = split_envelopes(body)
    except NotJsonError:
        return
    assert all(isinstance(envelope.members, dict) for envelope in found)

"""Warnings are short, bounded, and each there once."""

from didomi_dataverse.didomi.payload.warnings import MAX_PATH_CHARACTERS, MAX_WARNINGS, ParseWarnings


def test_a_warning_is_a_word_with_its_place() -> None:
    warnings = ParseWarnings()

    warnings.add("flattened")
    warnings.add("wrong_type", "consents.purposes[3].enabled")
    warnings.add("flattened")

    assert warnings.to_tuple() == ("flattened", "wrong_type consents.purposes[3].enabled")


def test_a_long_or_unstorable_place_is_cut_and_cleaned() -> None:
    warnings = ParseWarnings()

    warnings.add("wrong_type", "a\x00" * MAX_PATH_CHARACTERS)

    (warning,) = warnings.to_tuple()
    assert warning == "wrong_type " + "a\ufffd" * (MAX_PATH_CHARACTERS // 2)


def test_the_number_of_warnings_is_bounded_and_says_so() -> None:
    warnings = ParseWarnings()

    for number in range(MAX_WARNINGS + 10):
        warnings.add("repeated", f"[{number}]")

    assert len(warnings.to_tuple()) == MAX_WARNINGS + 1
    assert warnings.to_tuple()[-1] == "more_notes_left_out"

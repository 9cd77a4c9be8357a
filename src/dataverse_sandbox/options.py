"""How the sandbox behaves where sources contradict each other or a fact is unknown.

The defaults are what live environments were seen to do. Where no observation exists, they are the stricter
reading. The control route `switches` shows and changes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal


def _choice(choices: tuple[str | bool | int, ...], about: str) -> Any:  # noqa: ANN401 - the type of the field
    """A field with a closed set of values; the first is its default."""
    return field(default=choices[0], metadata={"choices": choices, "about": about})


def _number(default: float | None, about: str) -> Any:  # noqa: ANN401 - the type of the field
    """A field with any number of the default's type, 0 or more; None only where it is the default."""
    return field(default=default, metadata={"choices": None, "about": about})


@dataclass(slots=True, kw_only=True)
class SandboxOptions:
    """The options of one environment. Every part of the sandbox holds the same instance, changed in place.

    The text of each field is its documentation; `GET switches` shows it too.
    """

    accent_sensitive: bool = _choice(  # dataverse.md 1.5
        (False, True), "whether keys and filters distinguish é from e"
    )
    key_characters: Literal["refused", "taken"] = _choice(  # dataverse.md 1.4, 11.3
        ("refused", "taken"), "the ten characters that no encoding saves, in a key URL"
    )
    bulk_key_characters: Literal["refused", "taken"] = _choice(  # dataverse.md 3.4, 13.3
        ("refused", "taken"), "the same characters in the @odata.id of a bulk message"
    )
    unknown_key_status: Literal[400, 404] = _choice(  # dataverse.md 1.5, 13.2
        (400, 404), "status of 0x80060888, key not valid"
    )
    inactive_key: Literal["unknown", "violated"] = _choice(  # dataverse.md 1.5, 13.2
        ("unknown", "violated"), "the answer to a key that is not Active: 0x80060888, or 412 0x80060892"
    )
    null_in_composite_key: Literal["unchecked", "compared"] = _choice(  # dataverse.md 13.6
        ("unchecked", "compared"), "whether a row with one null in a key of several columns must be unique"
    )
    duplicate_status: Literal[412, 500] = _choice(  # dataverse.md 2.4, 13.4
        (412, 500), "status of 0x80040333, duplicate detection"
    )
    documented_codes: bool = _choice(  # dataverse.md 2.3
        (False, True), 'the code "" that the documentation shows where live answers have a code'
    )
    inner_error: bool = _choice((False, True), "innererror in error bodies")  # dataverse.md 5.1
    unauthorized_body: Literal["json", "empty"] = _choice(  # dataverse.md 5.1, 13.5
        ("json", "empty"), "body of a 401"
    )
    unauthorized_challenge: bool = _choice(  # dataverse.md 5.1, 13.5
        (True, False), "WWW-Authenticate on a 401"
    )
    bulk_messages: bool = _choice(  # dataverse.md 1.2, 3.4
        (True, False), "whether contact has CreateMultiple, UpdateMultiple and UpsertMultiple"
    )
    batch_requests: int = _number(  # dataverse.md 3.1, 13.7
        1000, "maximum number of requests in a $batch; 250 was seen too"
    )
    batch_line_ends: Literal["crlf", "any"] = _choice(  # dataverse.md 3.1
        ("crlf", "any"), "whether a $batch with bare LF is read"
    )
    batch_headers: Literal["own", "inherited"] = _choice(  # dataverse.md 2.5, 13.9
        ("own", "inherited"), "whether MSCRM.* and CallerObjectId of a $batch reach its parts"
    )
    key_build_seconds: float = _number(  # dataverse.md 1.5
        0.0, "how long a new key is Pending, then InProgress, before it is Active or Failed"
    )
    metadata_delay_seconds: float = _number(  # dataverse.md 1.3, 7
        0.0, "how long metadata shows the previous schema, except with Consistency: Strong"
    )
    token_seconds: int = _number(3599, "lifetime of an access token")  # dataverse.md 10, 11.10
    token_refresh_seconds: int | None = _number(  # dataverse.md 10, 11.10
        None, "refresh_in of a token response; null: the member is absent"
    )

    def assign(self, other: "SandboxOptions") -> None:
        """Take over every value of `other`."""
        for option in fields(self):
            setattr(self, option.name, getattr(other, option.name))

    def copy(self) -> "SandboxOptions":
        """The same values, independent of this instance."""
        return replace(self)

    def document(self) -> dict[str, object]:
        """The answer of `GET switches`: value, choices and meaning of each option."""
        return {
            option.name: {
                "value": getattr(self, option.name),
                "choices": option.metadata["choices"],
                "about": option.metadata["about"],
            }
            for option in fields(self)
        }

    def merge(self, changes: Mapping[str, Any]) -> "SandboxOptions":
        """These options with other values for some. Raises ValueError that says what is wrong with one."""
        known = {option.name: option for option in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown key {name!r} in the body: {', '.join(sorted(known))} are known")
            choices = known[name].metadata["choices"]
            if choices is None:
                _check_number(name, value, known[name].default)
            elif not any(type(value) is type(choice) and value == choice for choice in choices):
                raise ValueError(f"{name} is one of {', '.join(map(_json_text, choices))}")
        return replace(self, **changes)


def _check_number(name: str, value: object, default: object) -> None:
    if value is None and default is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not isinstance(default, float)):
        raise ValueError(f"{name} is a {'' if isinstance(default, float) else 'whole '}number")
    if isinstance(value, int | float) and value < 0:
        raise ValueError(f"{name} is 0 or more")


def _json_text(choice: object) -> str:
    """A choice as JSON shows it.

    >>> _json_text(True), _json_text(412), _json_text("crlf")
    ('true', '412', 'crlf')
    """
    return str(choice).lower() if isinstance(choice, bool) else str(choice)

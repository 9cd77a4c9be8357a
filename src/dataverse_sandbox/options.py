"""What the sandbox can be told to do otherwise, where sources contradict each other or a fact is unknown.

The defaults are what live environments were seen to do, or, where nobody has looked, the stricter reading.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any


def _switch(choices: tuple[str | bool | int, ...], about: str) -> Any:  # noqa: ANN401 - the type of the field it stands for
    """A field whose first choice is its default."""
    return field(default=choices[0], metadata={"choices": choices, "about": about})


def _number(default: float | None, about: str) -> Any:  # noqa: ANN401 - the type of the field it stands for
    return field(default=default, metadata={"choices": None, "about": about})


@dataclass(slots=True, kw_only=True)
class Switches:
    """One environment's switches. Shared by everything that obeys them, and changed in place."""

    accent_sensitive: bool = _switch((False, True), "whether é and e differ in keys and filters (1.5)")
    key_characters: str = _switch(
        ("refused", "taken"), "the ten characters that no encoding saves, in a key URL (1.4, 11.3)"
    )
    bulk_key_characters: str = _switch(
        ("refused", "taken"), "the same in the @odata.id of a bulk message (3.4, 13.3)"
    )
    unknown_key_status: int = _switch((400, 404), "status of 0x80060888, key not valid (1.5, 13.2)")
    inactive_key: str = _switch(
        ("unknown", "violated"), "a key that is not Active: 0x80060888, or 412 0x80060892 (1.5, 13.2)"
    )
    null_in_composite_key: str = _switch(
        ("unchecked", "compared"), "rows with one null in a key of several columns (13.6)"
    )
    duplicate_status: int = _switch((412, 500), "status of 0x80040333, duplicate rules (2.4, 13.4)")
    documented_codes: bool = _switch(
        (False, True), 'the code "" that documentation shows where live answers have one (2.3)'
    )
    inner_error: bool = _switch((False, True), "innererror in error bodies (5.1)")
    unauthorized_body: str = _switch(("json", "empty"), "body of a 401 (5.1, 13.5)")
    unauthorized_challenge: bool = _switch((True, False), "WWW-Authenticate on a 401 (5.1, 13.5)")
    bulk_messages: bool = _switch(
        (True, False), "CreateMultiple, UpdateMultiple, UpsertMultiple on contact (1.2, 3.4)"
    )
    batch_requests: int = _number(1000, "most requests in a $batch; 250 was seen too (3.1, 13.7)")
    batch_line_ends: str = _switch(("crlf", "any"), "whether a $batch with bare LF is read (3.1)")
    batch_headers: str = _switch(
        ("own", "inherited"), "whether MSCRM.* and CallerObjectId reach the parts of a $batch (2.5, 13.9)"
    )
    key_build_seconds: float = _number(
        0.0, "how long a new key is Pending, then InProgress, before it is Active or Failed (1.5)"
    )
    metadata_delay_seconds: float = _number(
        0.0, "how long metadata shows the schema before, except with Consistency: Strong (1.3, 7)"
    )
    token_seconds: int = _number(3599, "life of an access token (10, 11.10)")
    token_refresh_seconds: int | None = _number(
        None, "refresh_in of a token answer; null: none is given (10, 11.10)"
    )

    def take(self, changed: "Switches") -> None:
        """Be as the other is."""
        for known in fields(self):
            setattr(self, known.name, getattr(changed, known.name))

    def copy(self) -> "Switches":
        """The same settings, independent of these."""
        return replace(self)


def document(switches: Switches) -> dict[str, object]:
    """The answer of `GET switches`: value, choices and meaning of each."""
    return {
        known.name: {
            "value": getattr(switches, known.name),
            "choices": known.metadata["choices"],
            "about": known.metadata["about"],
        }
        for known in fields(switches)
    }


def changed(switches: Switches, settings: dict[str, Any]) -> Switches:
    """The switches with these settings. Raises ValueError that says what is wrong with one."""
    known = {switch.name: switch for switch in fields(switches)}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"unknown key {name!r} in the body: {', '.join(sorted(known))} are known")
        choices = known[name].metadata["choices"]
        if choices is None:
            _check_number(name, value, known[name].default)
        elif not any(type(value) is type(choice) and value == choice for choice in choices):
            raise ValueError(f"{name} is one of {', '.join(map(_json, choices))}")
    return replace(switches, **settings)


def _check_number(name: str, value: object, default: object) -> None:
    if value is None and default is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not isinstance(default, float)):
        raise ValueError(f"{name} is a {'' if isinstance(default, float) else 'whole '}number")
    if isinstance(value, int | float) and value < 0:
        raise ValueError(f"{name} is 0 or more")


def _json(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)

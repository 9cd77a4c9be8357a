"""What the configuration takes from the environment: quoted variables, files of secrets, and whole values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OVERRIDE_PREFIX = "DIDOMI_DATAVERSE__"
OVERRIDE_ADVICE = f"Write {OVERRIDE_PREFIX}SECTION__KEY, with two underscores between the keys."
MAX_SECRET_FILE_BYTES = 64 * 1024

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text with its `${NAME}` filled in: the variables it quotes, and what is wrong (message, advice)."""

    text: str
    variables: tuple[str, ...]
    troubles: tuple[tuple[str, str], ...]


def interpolated(text: str, environ: Mapping[str, str]) -> Interpolated:
    """`${NAME}` is the variable, or what the file named by NAME_FILE holds; `$${` is a literal `${`."""
    variables: dict[str, None] = {}
    troubles: list[tuple[str, str]] = []

    def value_of(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, closed = match[1], match[2]
        if not closed or _VARIABLE_NAME.fullmatch(name) is None:
            advice = "Write `${NAME}` with letters, digits and underscores only, or `$${` for a literal `${`."
            troubles.append(("holds a `${` that is not followed by a variable's name and `}`.", advice))
            return ""
        variables[name] = None
        try:
            return _variable(name, environ)
        except LookupError:
            advice = f"Set {name}, or {name}_FILE to the path of a file that holds it."
            troubles.append((f"needs the environment variable {name}, which is not set.", advice))
        except ValueError as error:
            advice = "Correct the path or its permissions."
            troubles.append((f"The environment variable {name}_FILE {error}", advice))
        return ""

    filled = _REFERENCE.sub(value_of, text)
    return Interpolated(filled, tuple(variables), tuple(troubles))


def read_text_file(path: str) -> str:
    """A secret's file: UTF-8, without the newline that editors and `echo` leave at its end.

    Raises ValueError that says what is wrong and never what the file holds.
    """
    try:
        with Path(path).open("rb") as opened:
            raw = opened.read(MAX_SECRET_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise ValueError(f"names a file that cannot be read ({cause}).") from None
    if len(raw) > MAX_SECRET_FILE_BYTES:
        raise ValueError(f"names a file of more than {MAX_SECRET_FILE_BYTES} bytes, which is no secret.")
    try:
        return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text.") from None


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name in environ:
        return environ[name]
    return read_text_file(environ[f"{name}_FILE"])


@dataclass(frozen=True, slots=True)
class Override:
    """A value that the environment sets: by which variable, under which keys (lower case), to which text."""

    variable: str
    keys: tuple[str, ...]
    text: str


def overrides_of(environ: Mapping[str, str]) -> tuple[Override, ...]:
    """Every DIDOMI_DATAVERSE__SECTION__KEY, sorted: a section set as a whole comes before single keys of
    it.
    """
    return tuple(
        Override(
            name, tuple(key.lower() for key in name.removeprefix(OVERRIDE_PREFIX).split("__")), environ[name]
        )
        for name in sorted(environ)
        if name.startswith(OVERRIDE_PREFIX)
    )

"""What the configuration takes from the environment: quoted variables, files of secrets, and whole values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OVERRIDE_PREFIX = "DIDOMI_DATAVERSE__"
"""Begins the name of every environment variable that overrides a value."""

OVERRIDE_ADVICE = f"Write {OVERRIDE_PREFIX}SECTION__KEY, with two underscores between the keys."

MAX_SECRET_FILE_BYTES = 64 * 1024
"""Larger secret files are refused. Too small: a certificate chain does not fit. Too large: a wrong file is
read into memory."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong with a value: what, and what to do about it. Neither text repeats the value."""

    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A text with its references filled in."""

    text: str
    """References with a mistake are replaced by nothing."""

    variables: tuple[str, ...]
    """The environment variables that the text quotes, each one once."""

    mistakes: tuple[Mistake, ...]
    """Empty if every reference could be filled in."""


def interpolate(text: str, environ: Mapping[str, str]) -> Interpolated:
    """Replace each `${NAME}` by the variable, or by the content of the file that `NAME_FILE` names. `$${` is
    a literal `${`. Never raises for a wrong reference: `mistakes` says what is wrong.

    >>> interpolate("https://${HOST}/$${x}", {"HOST": "example.com"}).text
    'https://example.com/${x}'
    >>> interpolate("${HOST}", {}).mistakes[0].message
    'needs the environment variable HOST, which is not set.'
    """
    variables: dict[str, None] = {}
    mistakes: list[Mistake] = []

    def fill_in(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, closed = match[1], match[2]
        if not closed or _VARIABLE_NAME.fullmatch(name) is None:
            advice = "Write `${NAME}` with letters, digits and underscores only, or `$${` for a literal `${`."
            mistakes.append(Mistake("contains `${` without a variable's name and `}` after it.", advice))
            return ""
        variables[name] = None
        try:
            return _read_variable(name, environ)
        except LookupError:
            advice = f"Set {name}, or set {name}_FILE to the path of a file that contains the value."
            mistakes.append(Mistake(f"needs the environment variable {name}, which is not set.", advice))
        except ValueError as error:
            advice = "Correct the path, or the file and its permissions."
            mistakes.append(Mistake(f"The environment variable {name}_FILE {error}", advice))
        return ""

    filled = _REFERENCE.sub(fill_in, text)
    return Interpolated(filled, tuple(variables), tuple(mistakes))


def read_text_file(path: str) -> str:
    """The content of a secret's file: UTF-8, without the newline that editors and `echo` leave at its end.

    Raises ValueError with the end of a sentence ("names a file that ..."), which never repeats the content.
    """
    try:
        with Path(path).open("rb") as opened:
            raw = opened.read(MAX_SECRET_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise ValueError(f"names a file that cannot be read ({cause}).") from None
    if len(raw) > MAX_SECRET_FILE_BYTES:
        raise ValueError(f"names a file of more than {MAX_SECRET_FILE_BYTES} bytes, the limit for a secret.")
    try:
        return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text.") from None


def _read_variable(name: str, environ: Mapping[str, str]) -> str:
    if name in environ:
        return environ[name]
    return read_text_file(environ[f"{name}_FILE"])


@dataclass(frozen=True, slots=True)
class Override:
    """A value that the environment sets."""

    variable: str
    """The environment variable's name."""

    keys: tuple[str, ...]
    """The keys that lead to the value, in lower case. One of them is empty if the name is malformed."""

    text: str
    """The variable's value."""


def find_overrides(environ: Mapping[str, str]) -> tuple[Override, ...]:
    """Every DIDOMI_DATAVERSE__SECTION__KEY, sorted by name: a section set as a whole comes before its keys.

    >>> find_overrides({"DIDOMI_DATAVERSE__SERVER__PORT": "9000", "PATH": "/bin"})
    (Override(variable='DIDOMI_DATAVERSE__SERVER__PORT', keys=('server', 'port'), text='9000'),)
    """
    return tuple(
        Override(
            name, tuple(key.lower() for key in name.removeprefix(OVERRIDE_PREFIX).split("__")), environ[name]
        )
        for name in sorted(environ)
        if name.startswith(OVERRIDE_PREFIX)
    )

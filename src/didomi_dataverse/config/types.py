"""The types of settings: what each accepts as text, and the message for everything else.

A check raises ValueError with the end of a sentence that begins with the setting's name ("must be ...").
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, SecretStr

from didomi_dataverse.config.document import JsonScalar

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts of this machine: they may be called by plain http, except for Dataverse."""

DURATION_UNITS: Mapping[str, timedelta] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
"""The units of durations as people write them. `m` is a minute: months have no fixed length."""

AUTHORITIES = {
    "public": "https://login.microsoftonline.com",
    "gcc_high": "https://login.microsoftonline.us",
    "dod": "https://login.microsoftonline.us",
    "china": "https://login.partner.microsoftonline.cn",
}
"""Where tokens come from, by the name of the cloud (dataverse.md 1.1). GCC logs in where the public cloud
does."""

_DURATION = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(DURATION_UNITS)})")
_ISO_DURATION = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
_BINDING = re.compile(r"[A-Za-z][A-Za-z0-9_]*@odata\.bind")


def parse_duration(written: object) -> timedelta:
    """A duration with its unit: `30d`, `12h`, `90s`, `500ms`, `1h30m`, or ISO 8601 (`P30D`, `PT12H`).

    A number without a unit is refused: one reader takes it for seconds, another for days. ISO years and
    months are refused because they have no fixed length. A timedelta is returned as it is. Raises ValueError.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    >>> parse_duration("P30D") == parse_duration("30d")
    True
    >>> parse_duration("30")
    Traceback (most recent call last):
        ...
    ValueError: must be a duration with its unit, such as `30d`, `12h`, `90s`, `500ms` or ISO 8601 `P30D`
    """
    if isinstance(written, timedelta):
        return written
    text = written.strip() if isinstance(written, str) else ""
    try:
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum((float(number) * DURATION_UNITS[unit] for number, unit in parts), timedelta())
        match = _ISO_DURATION.fullmatch(text)
        if match and any(match.groups()):
            weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        pass
    raise ValueError(
        "must be a duration with its unit, such as `30d`, `12h`, `90s`, `500ms` or ISO 8601 `P30D`"
    )


def is_column_name(text: str) -> bool:
    """Whether `text` can be a column's logical name.

    >>> is_column_name("new_newsletter"), is_column_name("New_Newsletter")
    (True, False)
    """
    return _COLUMN.fullmatch(text) is not None


def _wrap_single(written: object) -> object:
    """A list of one where a single value is written."""
    return (written,) if isinstance(written, str | SecretStr) else written


def _check_column(name: str) -> str:
    if not is_column_name(name):
        raise ValueError(
            "must be a column's logical name: lower-case letters, digits and underscores, with a letter first"
        )
    return name


def _check_column_or_binding(name: str) -> str:
    if not is_column_name(name) and _BINDING.fullmatch(name) is None:
        raise ValueError("is neither a column's logical name nor `navigation_property@odata.bind`")
    return name


def _parse_network(written: object) -> Network:
    if isinstance(written, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return written
    try:
        return ipaddress.ip_network(str(written))
    except ValueError as error:
        hint = ", with all host bits zero" if "host bits" in str(error) else ""
        raise ValueError(f"must be an IP address or a network such as `10.0.0.0/8`{hint}") from None


def _check_https_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_HOSTS)):
        raise ValueError("must be a URL that begins with `https://` and names a host")
    if "@" in parts.netloc or re.search(r"[\s?#]", url):
        raise ValueError("must be a plain URL, without a user name, a query or a fragment")
    return url


def _check_https_origin(url: str) -> str:
    parts = urlsplit(_check_https_url(url))
    # dataverse.md 1.1; the token's scope is this text with `/.default` (dataverse.md 10), so no slash may
    # end it.
    if parts.scheme != "https":
        raise ValueError("must be a URL that begins with `https://` and names a host")
    if parts.path:
        raise ValueError("must end after the host name, without a path and without a slash at the end")
    return url


def _parse_authority(written: str) -> str:
    known = AUTHORITIES.get(written.strip().lower().replace("-", "_").replace(" ", "_"))
    try:
        return known or _check_https_url(written)
    except ValueError as error:
        raise ValueError(f"must be one of {', '.join(AUTHORITIES)}, or a URL; as a URL it {error}") from None


def _check_header_secret(secret: SecretStr) -> SecretStr:
    # A proxy or an HTTP library trims and refuses such values, and the comparison would never succeed.
    value = secret.get_secret_value()
    if value != value.strip() or not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII without spaces at its start or end")
    return secret


def _check_store_url(url: SecretStr) -> SecretStr:
    value = url.get_secret_value()
    if value.startswith(("postgresql://", "postgresql+psycopg://")):
        return url
    if not value.startswith("sqlite:///"):
        raise ValueError("must begin with `sqlite:///` (a file) or `postgresql://`")
    # docs/promises.md 1: what is only in memory is lost with the process.
    if value.removeprefix("sqlite:///").partition("?")[0] in ("", ":memory:") or "mode=memory" in value:
        raise ValueError("must name a file: a store in memory loses acknowledged notifications")
    return url


def _check_tenant(tenant: str) -> str:
    # dataverse.md 10: these are warned about in the client-credentials flow; no single tenant answers there.
    if tenant.lower() in {"common", "organizations", "consumers"}:
        raise ValueError("must be the tenant's own id or domain name")
    if re.fullmatch(r"[A-Za-z0-9.-]+", tenant) is None:
        raise ValueError("must be the tenant's id (a GUID) or its domain name")
    return tenant


def _check_api_path(path: str) -> str:
    if re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path) is None:
        raise ValueError(
            "must be a path such as `/api/data/v9.2`, with a slash at its start and none at its end"
        )
    return path


def _check_file_exists(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("names a file that does not exist or cannot be read")
    return path


def _check_scalar(value: object) -> JsonScalar:
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("must be text, a number, true or false")


def _lower(written: object) -> object:
    return written.lower() if isinstance(written, str) else written


NonEmptyStr = Annotated[str, Field(min_length=1)]

CaseInsensitive = BeforeValidator(_lower)
"""For one of several words, written in any case."""

Column = Annotated[str, AfterValidator(_check_column)]
"""A column's logical name."""

ColumnsOnCreate = Mapping[
    Annotated[str, AfterValidator(_check_column_or_binding)],
    Annotated[JsonScalar, PlainValidator(_check_scalar)],
]
"""Columns and look-ups (`...@odata.bind`) of a created row, with their values."""

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""See `parse_duration`."""

ExistingFile = Annotated[Path, AfterValidator(_check_file_exists)]
"""The path of a file that is there at the start."""

Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(_parse_network)], ...], BeforeValidator(_wrap_single)
]
"""One address or network, or a list of them. An address is a network of one."""

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
"""The name of an HTTP header."""

Secret = Annotated[SecretStr, Field(min_length=1)]
"""Can also be given as a file, under its key with `_file` at the end (config.messages)."""

Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_wrap_single), Field(min_length=1, max_length=2)]
"""One secret, or two while one replaces the other."""

HeaderSecrets = Annotated[
    tuple[Annotated[Secret, AfterValidator(_check_header_secret)], ...],
    BeforeValidator(_wrap_single),
    Field(min_length=1, max_length=2),
]
"""As `Secrets`, for the value of an HTTP header."""

HttpsUrl = Annotated[str, AfterValidator(_check_https_url)]
"""An https URL without user name, query and fragment. Plain http only to this machine."""

Authority = Annotated[str, AfterValidator(_parse_authority)]
"""A name in `AUTHORITIES`, or a URL. Becomes the URL."""

HttpsOrigin = Annotated[str, AfterValidator(_check_https_origin)]
"""https, a host and possibly a port; nothing after it."""

StoreUrl = Annotated[Secret, AfterValidator(_check_store_url)]
"""`sqlite:///` and a file, or `postgresql://`. Secret, because it may hold a password."""

Tenant = Annotated[str, AfterValidator(_check_tenant)]
"""A Microsoft Entra tenant: its GUID or domain name."""

ApiPath = Annotated[str, AfterValidator(_check_api_path)]
"""A path with a slash at its start and none at its end."""


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, and nothing changes after the start."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

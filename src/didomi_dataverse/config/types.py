"""The kinds of value a setting can have: what they accept as text, and what they say when it is something
else.
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

JsonScalar = str | int | float | bool | None
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_DURATION_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_ISO_DURATION = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
_COLUMN_OR_BINDING = re.compile(r"[a-z][a-z0-9_]*|[A-Za-z][A-Za-z0-9_]*@odata\.bind")


def parse_duration(written: object) -> timedelta:
    """`30d`, `12h`, `90s`, `500ms`, `1h30m` or ISO 8601 (`P30D`, `PT12H`) as a timedelta.

    A number without its unit is refused: seconds to one reader are days to another. So are ISO years and
    months, which have no fixed length. Raises ValueError.
    """
    if isinstance(written, timedelta):
        return written
    text = written.strip() if isinstance(written, str) else ""
    try:
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum((float(number) * _DURATION_UNITS[unit] for number, unit in parts), timedelta())
        match = _ISO_DURATION.fullmatch(text)
        if match and any(match.groups()):
            weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        pass
    raise ValueError(
        "must be a duration with its unit, such as `30d`, `12h`, `90s`, `500ms` or ISO 8601 `P30D`"
    )


def _one_or_more(written: object) -> object:
    """A single value where a list may stand."""
    return (written,) if isinstance(written, str | SecretStr) else written


def _is_column(name: str) -> str:
    if _COLUMN.fullmatch(name) is None:
        raise ValueError(
            "must be a column's logical name: lower-case letters, digits and underscores after a letter"
        )
    return name


def _is_column_or_binding(name: str) -> str:
    if _COLUMN_OR_BINDING.fullmatch(name) is None:
        raise ValueError("is neither a column's logical name nor `navigation_property@odata.bind`")
    return name


def _parse_network(written: object) -> Network:
    if isinstance(written, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return written
    try:
        return ipaddress.ip_network(str(written))
    except ValueError as error:
        hint = ", without bits beyond its length" if "host bits" in str(error) else ""
        raise ValueError(f"must be an IP address or a network such as `10.0.0.0/8`{hint}") from None


def _is_https(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a usable URL") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_HOSTS)):
        raise ValueError("must be a URL that begins with `https://` and names a host")
    if "@" in parts.netloc or re.search(r"[\s?#]", url):
        raise ValueError("must be a plain URL, without a user name, a query or a fragment")
    return url


def _is_https_origin(url: str) -> str:
    parts = urlsplit(_is_https(url))
    # dataverse.md 1.1; the token's scope is this text with `/.default` (dataverse.md 10), so no slash may
    # end it.
    if parts.scheme != "https":
        raise ValueError("must be a URL that begins with `https://` and names a host")
    if parts.path:
        raise ValueError("must end after the host, without a path or a slash at its end")
    return url


AUTHORITIES = {
    "public": "https://login.microsoftonline.com",
    "gcc_high": "https://login.microsoftonline.us",
    "dod": "https://login.microsoftonline.us",
    "china": "https://login.partner.microsoftonline.cn",
}
"""The clouds by name (dataverse.md 1.1). GCC logs in where the public cloud does."""


def _is_authority(written: str) -> str:
    known = AUTHORITIES.get(written.strip().lower().replace("-", "_").replace(" ", "_"))
    try:
        return known or _is_https(written)
    except ValueError as error:
        raise ValueError(f"must be one of {', '.join(AUTHORITIES)}, or it {error}") from None


def _is_sent_unchanged(secret: SecretStr) -> SecretStr:
    # A proxy or an HTTP library trims and refuses such values, and the comparison would never succeed.
    value = secret.get_secret_value()
    if value != value.strip() or not value.isascii() or not value.isprintable():
        raise ValueError("must be ASCII without control characters and without blanks at its ends")
    return secret


def _is_store(url: SecretStr) -> SecretStr:
    value = url.get_secret_value()
    if value.startswith(("postgresql://", "postgresql+psycopg://")):
        return url
    if not value.startswith("sqlite:///"):
        raise ValueError("must begin with `sqlite:///` (a file) or `postgresql://`")
    # docs/promises.md 1: what is only in memory is lost with the process.
    if value.removeprefix("sqlite:///").partition("?")[0] in ("", ":memory:") or "mode=memory" in value:
        raise ValueError("must name a file: a store in memory loses what it acknowledged")
    return url


def _is_tenant(tenant: str) -> str:
    # dataverse.md 10: these are warned about in the client-credentials flow; no single tenant answers there.
    if tenant.lower() in {"common", "organizations", "consumers"}:
        raise ValueError("must be the tenant's own id or domain name")
    if re.fullmatch(r"[A-Za-z0-9.-]+", tenant) is None:
        raise ValueError("must be the tenant's id (a GUID) or its domain name")
    return tenant


def _is_api_path(path: str) -> str:
    if re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path) is None:
        raise ValueError("must be a path such as `/api/data/v9.2`: a slash at its start, none at its end")
    return path


def _is_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("names a file that does not exist or cannot be read")
    return path


def _is_scalar(value: object) -> JsonScalar:
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("must be text, a number, true or false")


def _lower(written: object) -> object:
    return written.lower() if isinstance(written, str) else written


NonEmptyStr = Annotated[str, Field(min_length=1)]
CaseInsensitive = BeforeValidator(_lower)
"""For a fixed choice of words, written in any case."""

Column = Annotated[str, AfterValidator(_is_column)]
ColumnsOnCreate = Mapping[
    Annotated[str, AfterValidator(_is_column_or_binding)], Annotated[JsonScalar, PlainValidator(_is_scalar)]
]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
ExistingFile = Annotated[Path, AfterValidator(_is_file)]
Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(_parse_network)], ...], BeforeValidator(_one_or_more)
]

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Secret = Annotated[SecretStr, Field(min_length=1)]
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_one_or_more), Field(min_length=1, max_length=2)]
HeaderSecrets = Annotated[
    tuple[Annotated[Secret, AfterValidator(_is_sent_unchanged)], ...],
    BeforeValidator(_one_or_more),
    Field(min_length=1, max_length=2),
]

HttpsUrl = Annotated[str, AfterValidator(_is_https)]
Authority = Annotated[str, AfterValidator(_is_authority)]
HttpsOrigin = Annotated[str, AfterValidator(_is_https_origin)]
StoreUrl = Annotated[Secret, AfterValidator(_is_store)]
Tenant = Annotated[str, AfterValidator(_is_tenant)]
ApiPath = Annotated[str, AfterValidator(_is_api_path)]


class Section(BaseModel):
    """What all sections share: unknown keys are refused, and nothing changes after the start."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

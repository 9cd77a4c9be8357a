"""What each setting accepts, and what is said when it is something else."""

import copy
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from didomi_dataverse.config.settings import Settings
from didomi_dataverse.config.types import Section, parse_duration

SECRET = "a-secret-hard-to-guess"
TENANT = "11111111-1111-1111-1111-111111111111"
LEAST: dict[str, Any] = {
    "didomi": {"auth": {"header": {"name": "X-Webhook-Secret", "value": SECRET}}},
    "dataverse": {
        "url": "https://acme.crm4.dynamics.com",
        "tenant_id": TENANT,
        "client_id": "22222222-2222-2222-2222-222222222222",
        "client_secret": SECRET,
    },
    "contact": {"match": {"alternate_key": "new_didomikey"}},
}


def settings_with(path: str, value: object) -> Settings:
    """The least that has to be written, with one value at a dotted path (None removes it)."""
    written = copy.deepcopy(LEAST)
    *sections, key = path.split(".")
    section = written
    for name in sections:
        section = section.setdefault(name, {})
    section.pop(key, None)
    if value is not None:
        section[key] = value
    return Settings.model_validate(written)


def complaint(path: str, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        settings_with(path, value)
    # What only follows from the first mistake is not another mistake.
    (error,) = (one for one in caught.value.errors() if one["type"] != "default_factory_not_called")
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


# --- Defaults -------------------------------------------------------------------------------------


def test_what_is_not_written_has_its_documented_default() -> None:
    settings = Settings.model_validate(LEAST)

    assert settings.server.port == 8080
    assert settings.server.max_body_bytes == 1024 * 1024
    assert settings.server.shutdown_grace == timedelta(seconds=20)
    assert settings.store.url.get_secret_value() == "sqlite:///didomi-dataverse.db"
    assert settings.store.retention.notifications == timedelta(days=30)
    assert settings.store.retention.attempts == timedelta(days=90)
    assert settings.didomi.organization_id is None
    assert settings.didomi.auth.anonymous is False
    assert settings.dataverse.authority == f"https://login.microsoftonline.com/{TENANT}"
    assert settings.dataverse.api_path == "/api/data/v9.2"
    assert settings.dataverse.read_timeout >= timedelta(seconds=120)
    assert settings.dataverse.batch_rows == 50
    assert settings.contact.upsert is False
    assert settings.contact.on_many == "park"
    assert settings.contact.unmatched.retry_for == timedelta(days=7)
    assert (settings.log.level, settings.log.format) == ("info", "auto")


@pytest.mark.parametrize(
    "path",
    ["didomi", "didomi.auth", "dataverse", "dataverse.url", "dataverse.client_secret", "contact.match"],
)
def test_what_cannot_be_guessed_has_no_default(path: str) -> None:
    with pytest.raises(ValidationError):
        settings_with(path, None)


def test_no_secret_appears_in_a_representation() -> None:
    settings = settings_with("store.url", "postgresql://u:pa55word@db/x")

    assert SECRET not in repr(settings)
    assert "pa55word" not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    assert "pa55word" not in settings.model_dump_json()


def test_settings_do_not_change_after_the_start() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(LEAST).server.port = 1  # type: ignore[misc]


def sections_of(model: type[Section]) -> list[type[Section]]:
    below = [
        nested
        for field in model.model_fields.values()
        for nested in ([field.annotation, *getattr(field.annotation, "__args__", ())])
        if isinstance(nested, type) and issubclass(nested, Section)
    ]
    return [model, *(section for nested in below for section in sections_of(nested))]


def test_every_setting_says_what_it_means() -> None:
    undocumented = [
        f"{section.__name__}.{name}"
        for section in sections_of(Settings)
        for name, field in section.model_fields.items()
        if not field.description and not sections_of_field(field.annotation)
    ]

    assert undocumented == []


def sections_of_field(annotation: object) -> list[type[Section]]:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    return [one for one in candidates if isinstance(one, type) and issubclass(one, Section)]


# --- Durations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        pytest.param("30d", timedelta(days=30), id="days"),
        pytest.param("12h", timedelta(hours=12), id="hours"),
        pytest.param("15m", timedelta(minutes=15), id="minutes"),
        pytest.param("90s", timedelta(seconds=90), id="seconds"),
        pytest.param("500ms", timedelta(milliseconds=500), id="milliseconds"),
        pytest.param("2w", timedelta(weeks=2), id="weeks"),
        pytest.param("1h30m", timedelta(minutes=90), id="two units"),
        pytest.param("1.5h", timedelta(minutes=90), id="a fraction"),
        pytest.param("0s", timedelta(), id="zero"),
        pytest.param("P30D", timedelta(days=30), id="ISO days"),
        pytest.param("PT12H", timedelta(hours=12), id="ISO hours"),
        pytest.param("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5), id="ISO all"),
        pytest.param("pt5m", timedelta(minutes=5), id="ISO lower case"),
        pytest.param(timedelta(1), timedelta(1), id="a timedelta"),
    ],
)
def test_durations(written: object, duration: timedelta) -> None:
    assert parse_duration(written) == duration


@pytest.mark.parametrize(
    "written",
    [
        "",
        "30",
        "d",
        "30 d",
        "30days",
        "-1d",
        "P",
        "PT",
        "P1Y",
        "P1M",
        "1dd",
        "999999999999d",
        "1d garbage",
        None,
    ],
)
def test_a_duration_without_a_clear_unit_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(written)


@given(st.integers(0, 10**9), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_whole_number_of_any_unit_is_read_exactly(number: int, unit: str) -> None:
    factor = {
        "ms": timedelta(milliseconds=1),
        "s": timedelta(seconds=1),
        "m": timedelta(minutes=1),
        "h": timedelta(hours=1),
    }[unit]

    assert parse_duration(f"{number}{unit}") == number * factor


# --- Each setting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("server.port", "9000", id="a number as text"),
        pytest.param("contact.upsert", "yes", id="yes"),
        pytest.param("store.url", "sqlite:////var/lib/x.db", id="an absolute file"),
        pytest.param("store.url", "postgresql://u:p@h/d", id="PostgreSQL"),
        pytest.param("dataverse.url", "https://localhost:8443", id="a port"),
        pytest.param("dataverse.tenant_id", "contoso.onmicrosoft.com", id="a tenant's domain"),
        pytest.param("dataverse.api_path", "/org/api/data/v9.1", id="another path"),
        pytest.param(
            "didomi.auth.jwt", {"issuer": "i", "audience": "a", "jwks_url": "http://localhost/k"}, id="jwt"
        ),
        pytest.param("log.level", "WARNING", id="upper case"),
        pytest.param(
            "contact.on_create", {"parentcustomerid_account@odata.bind": "/accounts(1)"}, id="lookup"
        ),
    ],
)
def test_values_that_are_accepted(path: str, value: object) -> None:
    assert isinstance(settings_with(path, value), Settings)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param("server.port", "x", "valid integer", id="port"),
        pytest.param("server.port", 70000, "65535", id="port too large"),
        pytest.param("server.max_body_bytes", 10, "1024", id="body limit too small"),
        pytest.param("server.shutdown_grace", "1h", "less than or equal", id="grace too long"),
        pytest.param("store.url", "mysql://h/d", "must begin with", id="another database"),
        pytest.param("store.url", "sqlite://", "must begin with", id="SQLite without a file"),
        pytest.param("store.url", "sqlite:///:memory:", "must name a file", id="memory"),
        pytest.param("store.url", "sqlite:///", "must name a file", id="no file"),
        pytest.param("store.url", "sqlite:///f?mode=memory", "must name a file", id="memory by option"),
        pytest.param("store.retention.notifications", "1s", "greater than", id="retention too short"),
        pytest.param("dataverse.url", "http://acme.crm4.dynamics.com", "https", id="http"),
        pytest.param("dataverse.url", "http://localhost", "https", id="http to this machine"),
        pytest.param("dataverse.url", "https://acme.crm4.dynamics.com/", "after the host", id="a slash"),
        pytest.param(
            "dataverse.url", "https://acme.crm4.dynamics.com/api/data", "after the host", id="a path"
        ),
        pytest.param("dataverse.url", "https://u:p@acme.crm4.dynamics.com", "plain URL", id="a password"),
        pytest.param("dataverse.url", "https://a.crm4.dynamics.com?x", "plain URL", id="a query"),
        pytest.param("dataverse.url", "https://[x", "not a valid URL", id="no URL"),
        pytest.param("dataverse.url", "https://h:port", "not a valid URL", id="no port"),
        pytest.param("dataverse.url", "acme.crm4.dynamics.com", "https", id="no scheme"),
        pytest.param("dataverse.tenant_id", "common", "tenant's own", id="common"),
        pytest.param("dataverse.tenant_id", "a/b", "GUID", id="tenant with a slash"),
        pytest.param("dataverse.client_secret", "", "at least 1", id="empty secret"),
        pytest.param("dataverse.api_path", "api/data/v9.2", "slash at its start", id="no leading slash"),
        pytest.param("dataverse.api_path", "/api/data/v9.2/", "none at its end", id="slash at the end"),
        pytest.param("dataverse.ca_bundle", "/nowhere/ca.pem", "does not exist", id="no such file"),
        pytest.param("dataverse.batch_rows", 101, "100", id="batch too large"),
        pytest.param("dataverse.max_parallel", 53, "52", id="more parallel than allowed"),
        pytest.param("didomi.auth.header.name", "X Secret", "pattern", id="header name"),
        pytest.param(
            "didomi.auth.header.value",
            f" {SECRET}",
            "without spaces at its start or end",
            id="header with blanks",
        ),
        pytest.param("didomi.auth.header.value", "sécret", "ASCII", id="header not ASCII"),
        pytest.param("didomi.auth.header.value", "", "at least 1", id="empty header"),
        pytest.param("didomi.auth.header.value", [], "at least 1", id="no value"),
        pytest.param("didomi.auth.header.value", ["a", "b", "c"], "at most 2", id="three values"),
        pytest.param("didomi.auth.allowed_addresses", ["10.0.0.1/8"], "all host bits zero", id="host bits"),
        pytest.param("didomi.auth.allowed_addresses", "didomi.io", "IP address", id="a name"),
        pytest.param("contact.match.alternate_key", "New_Key", "logical name", id="upper case column"),
        pytest.param("contact.match.column", "emailaddress1", "exactly one", id="two ways to match"),
        pytest.param("contact.match", {}, "exactly one", id="no way to match"),
        pytest.param("contact.match", {"contactid": False}, "exactly one", id="contactid false"),
        pytest.param("contact.match", {"column": "contactid"}, "contactid: true", id="contactid as a column"),
        pytest.param("contact.on_create", {"new_didomikey": "x"}, "matching column", id="key in the body"),
        pytest.param("contact.on_create", {"Last Name": "x"}, "logical name", id="label as column"),
        pytest.param("contact.on_create", {"lastname": ["x"]}, "must be text", id="list as value"),
        pytest.param("contact.on_create", {"new_n": float("nan")}, "must be text", id="not a number"),
        pytest.param("contact.on_many", "first", "'park' or 'all'", id="on_many"),
        pytest.param("log.level", "loud", "'debug'", id="level"),
        pytest.param("server.prot", 1, "not permitted", id="an unknown key"),
        pytest.param("dataverse.bulk", "upsert", "'batch', 'multiple' or 'single'", id="bulk"),
    ],
)
def test_values_that_are_refused(path: str, value: object, says: str) -> None:
    assert says in complaint(path, value)


def test_a_secret_may_be_one_or_two_while_it_is_changed() -> None:
    one = settings_with("didomi.auth.header.value", SECRET).didomi.auth.header
    two = settings_with("didomi.auth.header.value", [SECRET, "other"]).didomi.auth.header

    assert one is not None
    assert one.value == (SecretStr(SECRET),)
    assert two is not None
    assert two.value == (SecretStr(SECRET), SecretStr("other"))


def test_addresses_are_networks_one_or_many() -> None:
    assert settings_with("didomi.auth.allowed_addresses", "35.159.1.63").didomi.auth.allowed_addresses == (
        ip_network("35.159.1.63/32"),
    )
    assert settings_with(
        "didomi.auth.trusted_proxies", ["10.0.0.0/8", "::1"]
    ).didomi.auth.trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("::1/128"),
    )


@pytest.mark.parametrize(
    ("written", "authority"),
    [
        pytest.param(
            "https://login.microsoftonline.us", f"https://login.microsoftonline.us/{TENANT}", id="host"
        ),
        pytest.param(
            "https://login.microsoftonline.us/", f"https://login.microsoftonline.us/{TENANT}", id="slash"
        ),
        pytest.param(
            "https://adfs.example.com/adfs", "https://adfs.example.com/adfs", id="a path of its own"
        ),
    ],
)
def test_an_authority_without_a_path_gets_the_tenant(written: str, authority: str) -> None:
    assert settings_with("dataverse.authority", written).dataverse.authority == authority


def test_a_file_that_exists_is_accepted_as_ca_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")

    assert settings_with("dataverse.ca_bundle", str(bundle)).dataverse.ca_bundle == bundle


# --- Who may call ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"allowed_addresses": ["35.159.1.63"]}, id="an address proves nothing"),
    ],
)
def test_the_service_does_not_start_without_a_way_to_tell_who_calls(auth: object) -> None:
    assert "anonymous: true" in complaint("didomi.auth", auth)


def test_anonymous_calls_have_to_be_asked_for() -> None:
    assert settings_with("didomi.auth", {"anonymous": True}).didomi.auth.anonymous is True


def test_anonymous_beside_another_way_is_a_contradiction() -> None:
    assert "with a way to authenticate" in complaint("didomi.auth.anonymous", True)

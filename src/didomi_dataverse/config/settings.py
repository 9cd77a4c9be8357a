"""Every option of the configuration file except `mapping`, with its meaning, unit, default and limits.

The text under a field is its documentation; `config.example.yaml` shows the same to people. A field with
`repr=False` may hold something secret: its value appears in no representation and in no problem's text.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from didomi_dataverse.config.credentials import ApplicationUser
from didomi_dataverse.config.types import (
    AUTHORITIES,
    ApiPath,
    Authority,
    CaseInsensitive,
    Column,
    ColumnsOnCreate,
    Duration,
    ExistingFile,
    HeaderName,
    HeaderSecrets,
    HttpsOrigin,
    HttpsUrl,
    Networks,
    NonEmptyStr,
    Secrets,
    Section,
    StoreUrl,
    Tenant,
)


class Server(Section):
    """Where Didomi reaches this service."""

    host: NonEmptyStr = "0.0.0.0"  # noqa: S104 - a receiver of webhooks; every call is authenticated
    """Address to listen on. Use `127.0.0.1` behind a proxy on the same machine."""

    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port. 0: any free port."""

    max_body_bytes: int = Field(default=1_048_576, ge=1_024, le=67_108_864)
    """Largest body of a notification, in bytes (didomi.md 1.5). Too small: the service answers 413 and the
    notification is lost. Too large: each request can make the service hold that much memory."""

    shutdown_grace: Duration = Field(default=timedelta(seconds=20), ge=timedelta(), le=timedelta(minutes=10))
    """How long writes in progress may take to end after SIGTERM. Before that, requests in progress get 5s of
    their own. Too small: writes are cut off, and repeated after the next start. Too large: the platform kills
    the process first. Keep it below the platform's own grace period."""


class Retention(Section):
    """How long finished data is kept."""

    notifications: Duration = Field(
        default=timedelta(days=30), ge=timedelta(hours=1), le=timedelta(days=3650)
    )
    """Age at which notifications are deleted. Parked ones stay. Too small: replays and deletions of events
    find no history. Too large: more disk space, and personal data kept for longer than needed."""

    attempts: Duration = Field(default=timedelta(days=90), ge=timedelta(hours=1), le=timedelta(days=3650))
    """Age at which the evidence of writes is deleted. Too small: a column's value can no longer be explained.
    Too large: more disk space."""


class Store(Section):
    """Where notifications and contacts are kept."""

    url: StoreUrl = Field(default=SecretStr("sqlite:///didomi-dataverse.db"), repr=False)
    """`sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:password@host/database`.
    SQLite is for one process on a local disk, PostgreSQL for any number of replicas."""

    takeover_after: Duration = Field(
        default=timedelta(seconds=60), ge=timedelta(seconds=3), le=timedelta(minutes=15)
    )
    """How long a replica may be silent before the other replicas take over its contacts. PostgreSQL only.
    Too small: a short outage of the store interrupts calls; and a write that Dataverse still carries out for
    a dead replica can overlap with the next write of the same contact. Too large: the contacts of a dead
    replica wait that long."""

    retention: Retention = Field(default_factory=Retention)
    """How long finished data is kept."""


class OAuth(Section):
    """Didomi fetches a token from this service, by POST /oauth/token (didomi.md 1.8)."""

    client_id: NonEmptyStr
    """The client id entered in the Didomi console. Free text, chosen by you."""

    client_secret: Secrets = Field(repr=False)
    """The client secret entered there, or a list of two while one replaces the other. Use at least 16
    characters: a shorter secret can be guessed."""

    token_lifetime: Duration = Field(
        default=timedelta(hours=24), ge=timedelta(minutes=5), le=timedelta(days=30)
    )
    """How long an issued token is valid. Too small: Didomi may not notice that its token has expired, and
    gives up on a notification after five minutes. Too large: a stolen token is valid for longer."""


class Jwt(Section):
    """Didomi fetches a token from your own identity provider."""

    issuer: NonEmptyStr
    """The `iss` claim that a token must have, letter by letter."""

    audience: NonEmptyStr
    """The `aud` claim that a token must have: the name of this service at the identity provider."""

    jwks_url: HttpsUrl = Field(repr=False)
    """The https address where the identity provider publishes its signing keys."""


class Header(Section):
    """A fixed secret in a request header, set in the Didomi console (didomi.md 1.9)."""

    name: HeaderName
    """The header's name. Upper and lower case are the same."""

    value: HeaderSecrets = Field(repr=False)
    """The secret, or a list of two while one replaces the other. Use at least 16 characters."""


class Auth(Section):
    """Who may call the webhook. Every configured way is accepted. Addresses are checked in addition."""

    oauth: OAuth | None = None
    """Accept tokens that this service issues."""

    jwt: Jwt | None = None
    """Accept tokens of your own identity provider."""

    header: Header | None = None
    """Accept a fixed secret in a request header."""

    allowed_addresses: Networks = ()
    """Addresses or networks that may call. Empty: every address. An address alone proves nothing
    (didomi.md 1.9): one of the ways above is needed as well, or `anonymous`."""

    trusted_proxies: Networks = ()
    """Proxies whose X-Forwarded-For header is believed. If your proxy is missing here, every caller has the
    proxy's address. If a network here is too wide, a caller in it can claim any address."""

    anonymous: bool = False
    """true: accept every caller without proof. Any caller who knows the URL can then change consents."""

    @model_validator(mode="after")
    def _check_some_way(self) -> Self:
        ways = any((self.oauth, self.jwt, self.header))
        if self.anonymous and ways:
            raise ValueError(
                "combines `anonymous: true` with a way to authenticate, which has no effect then."
                " Remove one of them"
            )
        if not self.anonymous and not ways:
            raise ValueError(
                "does not say how callers authenticate. Configure `oauth`, `jwt` or `header`,"
                " or write `anonymous: true` to accept every caller"
            )
        return self


class Didomi(Section):
    """What is accepted from Didomi, and who may call."""

    organization_id: NonEmptyStr | None = None
    """Your organization's id at Didomi. Notifications of other organizations are parked. Unset: the
    organization is not checked."""

    on_user_deleted: Annotated[Literal["unset", "ignore", "park"], CaseInsensitive] = "unset"
    """What happens when Didomi deletes a user (`user.deleted`; didomi.md 3.2). `unset`: the choices of that
    Didomi user no longer count, and a column without another choice says "no consent". `ignore`: nothing.
    `park`: the notification is parked for a person to decide. A deletion never grants consent, and never
    deletes a contact. Too strict: a clean-up of old devices withdraws consents. Too lax: erased people keep
    their consents."""

    auth: Auth
    """Who may call the webhook."""


def _default_authority(validated: Mapping[str, object]) -> str:
    return f"https://login.microsoftonline.com/{validated.get('tenant_id', '')}"


class Dataverse(ApplicationUser):
    """The environment that holds the Contact table, and how to log in to it."""

    url: HttpsOrigin = Field(repr=False, examples=["https://acme.crm4.dynamics.com"])
    """The environment's address: `https://` and the host, nothing after it."""

    tenant_id: Tenant
    """The Microsoft Entra tenant: its GUID or domain name."""

    authority: Authority = Field(default_factory=_default_authority, repr=False)
    """Where tokens come from: `public` (the default, also for GCC), `gcc_high`, `dod`, `china`, or a URL.
    `/{tenant_id}` is added to a URL without a path."""

    application_users: tuple[ApplicationUser, ...] = Field(default=(), max_length=20)
    """More application users, to share the load: Dataverse limits each user separately (dataverse.md 4.1).
    They need the same rights as the first."""

    api_path: ApiPath = "/api/data/v9.2"
    """Path of the Web API below `url`. Older servers need `/api/data/v9.1`."""

    ca_bundle: ExistingFile | None = None
    """PEM file of the certificate authorities to trust instead of the built-in ones, for servers of your
    own."""

    bulk: Annotated[Literal["batch", "multiple", "single"], CaseInsensitive] = "batch"
    """How rows are sent. `batch`: many requests in one `$batch` call, each with its own reply. `multiple`:
    bulk messages where the table supports them, which cost the server less; the rows of a rejected call are
    sent by `$batch`. `single`: one call per row, for servers that support neither; slow. The outcome of each
    row is the same in all three."""

    max_parallel: int = Field(default=4, ge=1, le=52)
    """Largest number of calls at the same time, per replica and application user. Too small: slow. Too large:
    Dataverse throttles every program that uses this application user; it allows 52 calls in all
    (dataverse.md 4.1)."""

    batch_rows: int = Field(default=50, ge=1, le=100)
    """Largest number of contacts per call. The service lowers it by itself where calls take long. Too small:
    slow, and the daily number of requests is used up sooner. Too large: calls take long, and more is repeated
    when one of them fails (dataverse.md 3.6)."""

    connect_timeout: Duration = Field(
        default=timedelta(seconds=10), ge=timedelta(milliseconds=100), le=timedelta(minutes=2)
    )
    """How long to wait for a connection. Too small: a slow network looks like an outage. Too large: an outage
    is noticed late."""

    read_timeout: Duration = Field(
        default=timedelta(minutes=3), ge=timedelta(milliseconds=100), le=timedelta(minutes=15)
    )
    """How long to wait for a reply. Too small (less than 120s): calls that Dataverse still completes count as
    failed and are repeated (dataverse.md 3.5). Too large: a dead connection delays its contacts for that
    long."""

    @model_validator(mode="after")
    def _check_users_differ(self) -> Self:
        ids = [self.client_id, *(user.client_id for user in self.application_users)]
        if len(set(ids)) < len(ids):
            raise ValueError("names one application user twice, which gains nothing: each user has one limit")
        return self

    @model_validator(mode="before")
    @classmethod
    def _add_tenant_to_authority(cls, written: object) -> object:
        # MSAL refuses an authority without a path (dataverse.md 10).
        if not isinstance(written, Mapping):
            return written
        authority, tenant = written.get("authority"), written.get("tenant_id")
        if not isinstance(authority, str) or not isinstance(tenant, str):
            return written
        authority = AUTHORITIES.get(authority.strip().lower().replace("-", "_"), authority)
        if re.fullmatch(r"https://[^/?#]+/?", authority):
            return {**written, "authority": f"{authority.rstrip('/')}/{tenant}"}
        return written


class Match(Section):
    """How the row of a person is found: by exactly one of `alternate_key`, `column` and `contactid`."""

    alternate_key: Column | None = None
    """The column of an active alternate key that holds the organization user id. This is the fastest and
    safest way. A value that cannot be part of a key URL is looked up instead (dataverse.md 1.4)."""

    column: Column | None = None
    """Any text column that holds the organization user id, e.g. `emailaddress1`. It is looked up before the
    first write of each contact. Several rows may match."""

    contactid: bool = False
    """true: the organization user id is the row's GUID."""

    normalize: Annotated[Literal["literal", "email", "guid", "phone", "sha256"], CaseInsensitive] = "literal"
    """The kind of Didomi's organization user ids, and so their spelling in the column (didomi.md 2.5).
    `literal`: unchanged. `email`: in lower case. `guid`: any spelling of a GUID (implied by `contactid`).
    `phone`: digits only. `sha256`: the column holds the SHA-256 of the id in hex. Too loose: two people
    become one contact. Too strict: ids of another kind are parked. Ids that differ only in upper and lower
    case are always one person."""

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        if sum((self.alternate_key is not None, self.column is not None, self.contactid)) != 1:
            raise ValueError(
                "must have exactly one of `alternate_key: <column>`, `column: <column>` and `contactid: true`"
            )
        if "contactid" in (self.alternate_key, self.column):
            raise ValueError("names `contactid` as a column. Write `contactid: true` instead")
        if self.contactid and self.normalize not in ("literal", "guid"):
            raise ValueError("matches by `contactid`, which is always a GUID. Remove `normalize`")
        return self


class Unmatched(Section):
    """What happens to people without a row."""

    retry_for: Duration = Field(default=timedelta(days=7), ge=timedelta(), le=timedelta(days=365))
    """How long to look for a row again, at growing intervals, before the contact is parked. Too small: people
    whose row is created a little later need a retry by hand. Too large: requests are spent on people who
    never get a row."""


class Contact(Section):
    """Which row belongs to a person, and what happens if no row matches, or several do."""

    match: Match = Field(examples=["{ alternate_key: new_didomikey }"])
    """How the row of a person is found."""

    upsert: bool = False
    """true: create a row if none matches, and write every mapped column in it. Off by default, because Didomi
    may know more people than the CRM should."""

    on_create: ColumnsOnCreate = Field(default_factory=dict)
    """Columns that are written only when a row is created, e.g. `lastname`. No effect without `upsert`."""

    on_many: Annotated[Literal["park", "all"], CaseInsensitive] = "park"
    """What to do if several rows match. `park`: park the contact for a person to decide. `all`: write all of
    them."""

    unmatched: Unmatched = Field(default_factory=Unmatched)
    """What happens to people without a row."""

    @model_validator(mode="after")
    def _check_key_not_in_body(self) -> Self:
        # dataverse.md 2.2: a key column in the body wins over the key, even when different.
        key = self.match.alternate_key or self.match.column
        if key in self.on_create:
            raise ValueError(
                f"has {key}, the matching column, in `on_create`. Remove it there: it is set automatically"
            )
        return self


class Log(Section):
    """What the service writes to standard output."""

    level: Annotated[Literal["debug", "info", "warning", "error"], CaseInsensitive] = "info"
    """The lowest level that is logged. Too high (`error`): parked contacts go unnoticed. Too low (`debug`):
    very many lines."""

    format: Annotated[Literal["auto", "json", "text"], CaseInsensitive] = "auto"
    """`auto`: text on a terminal, JSON elsewhere."""


class Settings(Section):
    """The whole configuration except `mapping`."""

    server: Server = Field(default_factory=Server)
    """Where Didomi reaches this service."""

    store: Store = Field(default_factory=Store)
    """Where notifications and contacts are kept."""

    didomi: Didomi
    """What is accepted from Didomi, and who may call."""

    dataverse: Dataverse
    """The environment that holds the Contact table, and how to log in to it."""

    contact: Contact
    """Which row belongs to a person."""

    log: Log = Field(default_factory=Log)
    """What the service writes to standard output."""

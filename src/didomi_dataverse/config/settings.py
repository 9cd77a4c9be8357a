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
    """Where Didomi reaches us."""

    host: NonEmptyStr = "0.0.0.0"  # noqa: S104 - a receiver of webhooks; every call is authenticated
    """Address to listen on. `127.0.0.1` is right behind a proxy on the same machine."""

    port: int = Field(default=8080, ge=0, le=65535)
    """TCP port. 0 takes a free one."""

    max_body_bytes: int = Field(default=1_048_576, ge=1_024, le=67_108_864)
    """Largest notification, in bytes (didomi.md 1.5). Too small: Didomi is answered 413 and the
    notification is lost. Too large: a caller can make the service hold that much memory per request."""

    shutdown_grace: Duration = Field(default=timedelta(seconds=20), ge=timedelta(), le=timedelta(minutes=10))
    """How long running requests and writes may take to end after SIGTERM. Too small: writes are cut and
    repeated after the next start. Too large: the platform kills the process first; keep it below the
    platform's own grace."""


class Retention(Section):
    """How long what has been dealt with is kept."""

    notifications: Duration = Field(
        default=timedelta(days=30), ge=timedelta(hours=1), le=timedelta(days=3650)
    )
    """Age at which notifications are deleted, except parked ones. Too small: replays and deletions of
    events find no history. Too large: more disk, and personal data kept for longer than it is needed."""

    attempts: Duration = Field(default=timedelta(days=90), ge=timedelta(hours=1), le=timedelta(days=3650))
    """Age at which the evidence of writes is deleted. Too small: a column's value can no longer be explained.
    Too large: more disk."""


class Store(Section):
    """Where notifications and contacts are kept."""

    url: StoreUrl = Field(default=SecretStr("sqlite:///didomi-dataverse.db"), repr=False)
    """`sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:password@host/database`.
    SQLite is for one process on a local disk, PostgreSQL for any number of replicas."""

    takeover_after: Duration = Field(
        default=timedelta(seconds=60), ge=timedelta(seconds=3), le=timedelta(minutes=15)
    )
    """How long a replica may be silent before the others deliver what it had begun; PostgreSQL only. Too
    small: a short outage of the store interrupts calls, and a write that Dataverse still carries out for a
    replica that died may meet the next one. Too large: what a dead replica had begun waits that long."""

    retention: Retention = Field(default_factory=Retention)


class OAuth(Section):
    """Didomi fetches a token from our own POST /oauth/token (didomi.md 1.8)."""

    client_id: NonEmptyStr
    """The client id entered in the Didomi console. Free text, chosen by you."""

    client_secret: Secrets = Field(repr=False)
    """The client secret entered there, or a list of two while changing from one to the other. At least 16
    characters: a shorter one can be guessed."""

    token_lifetime: Duration = Field(
        default=timedelta(hours=24), ge=timedelta(minutes=5), le=timedelta(days=30)
    )
    """How long a token of ours is good. Too small: an expired token that Didomi does not notice costs
    notifications after five minutes. Too large: a stolen token is good for longer."""


class Jwt(Section):
    """Didomi fetches a token from your own identity provider."""

    issuer: NonEmptyStr
    """The `iss` that a token must carry, to the letter."""

    audience: NonEmptyStr
    """The `aud` that a token must carry: the name of this service at the identity provider."""

    jwks_url: HttpsUrl = Field(repr=False)
    """Where the identity provider publishes its signing keys; https."""


class Header(Section):
    """A fixed secret in a request header, set in the Didomi console (didomi.md 1.9)."""

    name: HeaderName
    """The header's name; its case does not matter."""

    value: HeaderSecrets = Field(repr=False)
    """The secret, or a list of two while changing from one to the other. At least 16 characters."""


class Auth(Section):
    """Who may call the webhook. Any configured way is accepted; addresses are checked in addition."""

    oauth: OAuth | None = None
    jwt: Jwt | None = None
    header: Header | None = None

    allowed_addresses: Networks = ()
    """Addresses or networks that may call; everyone if empty. No proof on its own (didomi.md 1.9): it needs
    one of the ways above, or `anonymous`."""

    trusted_proxies: Networks = ()
    """Proxies whose X-Forwarded-For is believed. Without yours here, every caller has the proxy's address;
    with too wide a network here, a caller can claim any address."""

    anonymous: bool = False
    """true: accept every caller without proof. Anybody who knows the URL can then change consents."""

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        ways = any((self.oauth, self.jwt, self.header))
        if self.anonymous and ways:
            raise ValueError(
                "has `anonymous: true` beside another way, which it makes meaningless. Remove one of them"
            )
        if not self.anonymous and not ways:
            raise ValueError(
                "names no way to tell who calls. Configure `oauth`, `jwt` or `header`,"
                " or write `anonymous: true` to accept everybody"
            )
        return self


class Didomi(Section):
    """What is accepted from Didomi, and from whom."""

    organization_id: NonEmptyStr | None = None
    """Your organization's id at Didomi: notifications of others are parked. Unset: not checked."""

    on_user_deleted: Annotated[Literal["unset", "ignore", "park"], CaseInsensitive] = "unset"
    """What a `user.deleted` does (didomi.md 3.2). `unset`: what that Didomi user chose no longer counts, and
    columns for which nothing else is known say "no consent"; `ignore`: nothing; `park`: it waits for a
    person. Nothing is ever granted by it, and no contact is deleted. Too eager: a clean-up of old devices
    withdraws consents. Too lax: erased people keep theirs."""

    auth: Auth


def _login_authority(validated: Mapping[str, object]) -> str:
    return f"https://login.microsoftonline.com/{validated.get('tenant_id', '')}"


class Dataverse(ApplicationUser):
    """The environment that holds the Contact table, and how to log in to it."""

    url: HttpsOrigin = Field(repr=False, examples=["https://acme.crm4.dynamics.com"])
    """The environment's address: https and host, nothing after it."""

    tenant_id: Tenant
    """The Microsoft Entra tenant: its GUID or domain name."""

    authority: Authority = Field(default_factory=_login_authority, repr=False)
    """Where tokens come from: `public` (the default, also for GCC), `gcc_high`, `dod`, `china`, or an
    address; `/{tenant_id}` is added where it has no path."""

    application_users: tuple[ApplicationUser, ...] = Field(default=(), max_length=20)
    """More application users to spread the load over: limits are per user (dataverse.md 4.1). They need the
    same rights as the first."""

    api_path: ApiPath = "/api/data/v9.2"
    """Path of the Web API below `url`. Older servers need `/api/data/v9.1`."""

    ca_bundle: ExistingFile | None = None
    """PEM file of the certificate authorities to trust instead of the built-in ones, for servers of your
    own."""

    bulk: Annotated[Literal["batch", "multiple", "single"], CaseInsensitive] = "batch"
    """How rows travel. `batch`: many requests in one `$batch`, each answered for itself. `multiple`: bulk
    messages where the table has them, which cost the server less; a call that is refused goes through
    `$batch`. `single`: one call per row, for servers that know neither; slow. Same outcomes in all three."""

    max_parallel: int = Field(default=4, ge=1, le=52)
    """Calls under way at once, per replica. Too small: slow. Too large: Dataverse throttles all your
    applications of this user; it allows 52 in all (dataverse.md 4.1)."""

    batch_rows: int = Field(default=50, ge=1, le=100)
    """Contacts per call. Too small: slow, and requests are used up sooner. Too large: calls last long, and
    more is repeated when one of them breaks (dataverse.md 3.6)."""

    connect_timeout: Duration = Field(
        default=timedelta(seconds=10), ge=timedelta(milliseconds=100), le=timedelta(minutes=2)
    )
    """How long to wait for a connection. Too small: a slow network looks like an outage. Too large: an
    outage is noticed late."""

    read_timeout: Duration = Field(
        default=timedelta(minutes=3), ge=timedelta(milliseconds=100), le=timedelta(minutes=15)
    )
    """How long to wait for an answer. Too small (less than 120s): calls that Dataverse completes are taken
    for failed and repeated (dataverse.md 3.5). Too large: a dead connection blocks its contacts for that
    long."""

    @model_validator(mode="after")
    def _no_user_twice(self) -> Self:
        ids = [self.client_id, *(user.client_id for user in self.application_users)]
        if len(set(ids)) < len(ids):
            raise ValueError("names one application user twice, which gains nothing: limits are per user")
        return self

    @model_validator(mode="before")
    @classmethod
    def _tenant_in_authority(cls, written: object) -> object:
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
    """How the row of a person is found. Exactly one."""

    alternate_key: Column | None = None
    """The column of an Active alternate key that holds the organization user id. The fastest and safest
    way; what a key URL cannot carry is looked up instead (dataverse.md 1.4)."""

    column: Column | None = None
    """Any text column that holds it, e.g. `emailaddress1`; looked up before each first write, and possibly
    found in several rows."""

    contactid: bool = False
    """true: the organization user id is the row's GUID."""

    normalize: Annotated[Literal["literal", "email", "guid", "phone", "sha256"], CaseInsensitive] = "literal"
    """What Didomi's organization user ids are, and so how the column spells them (didomi.md 2.5): `literal`
    as they come, `email` in lower case, `guid` in any spelling (always so with `contactid`), `phone` digits
    only, `sha256` the column holds the hex SHA-256 of the id. Too loose: two people become one contact. Too
    strict: ids that are not of this kind are parked. Upper and lower case never make two people."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum((self.alternate_key is not None, self.column is not None, self.contactid)) != 1:
            raise ValueError(
                "must say exactly one of `alternate_key: <column>`, `column: <column>` and `contactid: true`"
            )
        if "contactid" in (self.alternate_key, self.column):
            raise ValueError("names `contactid` as a column. Write `contactid: true` instead")
        if self.contactid and self.normalize not in ("literal", "guid"):
            raise ValueError("matches by `contactid`, which only a GUID can be. Remove `normalize`")
        return self


class Unmatched(Section):
    """What becomes of people who have no row."""

    retry_for: Duration = Field(default=timedelta(days=7), ge=timedelta(), le=timedelta(days=365))
    """How long to look again, at growing intervals, before the contact is parked. Too small: people whose
    row is created a little later need a retry by hand. Too large: requests spent on people who never become
    contacts."""


class Contact(Section):
    """Which row is a person's, and what happens when there is none, or more than one."""

    match: Match = Field(examples=["{ alternate_key: new_didomikey }"])

    upsert: bool = False
    """true: create a row when none matches, with every mapped column written. Didomi may know more people
    than the CRM should, so it is off by default."""

    on_create: ColumnsOnCreate = Field(default_factory=dict)
    """Columns that are only ever written when creating, e.g. `lastname`. No effect without `upsert`."""

    on_many: Annotated[Literal["park", "all"], CaseInsensitive] = "park"
    """What to do when several rows match: `park` for a person to decide, or write `all` of them."""

    unmatched: Unmatched = Field(default_factory=Unmatched)

    @model_validator(mode="after")
    def _key_not_in_body(self) -> Self:
        # dataverse.md 2.2: a key column in the body wins over the key, even when different.
        key = self.match.alternate_key or self.match.column
        if key in self.on_create:
            raise ValueError(
                f"has {key}, the matching column, in `on_create`. Remove it there: it is set by itself"
            )
        return self


class Log(Section):
    """What the service says of itself on standard output."""

    level: Annotated[Literal["debug", "info", "warning", "error"], CaseInsensitive] = "info"
    """Too high (`error`): parked contacts go unnoticed. Too low (`debug`): volume."""

    format: Annotated[Literal["auto", "json", "text"], CaseInsensitive] = "auto"
    """`auto` writes text to a terminal and JSON elsewhere."""


class Settings(Section):
    """The whole configuration except `mapping`."""

    server: Server = Field(default_factory=Server)
    store: Store = Field(default_factory=Store)
    didomi: Didomi
    dataverse: Dataverse
    contact: Contact
    log: Log = Field(default_factory=Log)

"""Every row of didomi.md 1 to 3 (not yet 2.6), and every answer of 8.2 (not yet 22) that a body can show,
from the body to the columns.

All cases share one sandbox, one store and one delivery: each is about a person and Didomi ids of its own.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dataverse_sandbox import running_sandbox
from didomi_dataverse.admin.explain import interpret_body
from tests.clocks import START
from tests.service.harness import open_house, replaced

Json = dict[str, Any]
NEWS, ADS, PROFILING, TOPICS = "new_newsletter", "donotbulkemail", "new_profiling", "new_topics"
COUNTRY, LOYALTY = "address1_country", "new_loyaltyid"
WHEN, SOURCE = "new_consentchangedon", "new_didomievent"


def at(minutes: float) -> str:
    """A time of this morning, as Didomi writes it."""
    moment = START - timedelta(hours=6) + timedelta(minutes=minutes)
    return moment.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class PersonIds:
    """The ids of one case's person: ours and Didomi's."""

    key: str

    def event(
        self, number: int = 1, /, *, person: Json | None = None, device: str = "phone", **more: object
    ) -> Json:
        """An Event that says yes to the newsletter unless told otherwise; `...` leaves a member out."""
        who = {"id": f"{device}-{self.key}", "organization_user_id": self.key, **(person or {})}
        whole = {
            "id": f"E{number}-{self.key}",
            "organization_id": "acme",
            "created_at": at(number),
            "user": {name: value for name, value in who.items() if value is not ...},
            "consents": {"purposes": [{"id": "newsletter", "enabled": True}]},
            **more,
        }
        return {name: value for name, value in whole.items() if value is not ...}

    def user(self, number: int = 1, /, *, device: str = "phone", **more: object) -> Json:
        """A User, likewise."""
        whole = {
            "id": f"{device}-{self.key}",
            "organization_id": "acme",
            "organization_user_id": self.key,
            "version": number,
            "created_at": at(0),
            "updated_at": at(number),
            "consents": {"purposes": [{"id": "newsletter", "enabled": True}]},
            **more,
        }
        return {name: value for name, value in whole.items() if value is not ...}


def envelope(kind: str, entity: Json, **more: object) -> Json:
    return {"type": kind, "regulation": "gdpr", "parameters": {"entity": entity}, **more}


def update(kind: str, new: Json, old: Json | None = None, source: object = ...) -> Json:
    parameters: Json = {"new_entity": new}
    if old is not None:
        parameters["old_entity"] = old
    if source is not ...:
        parameters["source"] = source
    return {"type": kind, "regulation": "gdpr", "parameters": parameters}


def purposes(*entries: Json) -> Json:
    return {"purposes": list(entries)}


def of(purpose: str, **more: object) -> Json:
    return {"id": purpose, **more}


Bodies = Callable[[PersonIds], list[Any]]


@dataclass(frozen=True)
class Case:
    """Bodies about one person, and what must come of them."""

    name: str
    """The section of the fact page, and what is special."""
    bodies: Bodies
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What the row must hold afterwards; every other column must be as it was."""
    disposition: str = "applied"
    """Of the last body, with its reason if it has one."""


def created(*, person: Json | None = None, device: str = "phone", **more: object) -> Bodies:
    """One `event.created`."""
    return lambda one: [envelope("event.created", one.event(person=person, device=device, **more))]


def choices(*entries: Json) -> Bodies:
    return created(consents=purposes(*entries))


def values(**chosen_values: object) -> Bodies:
    entry = of("profiling", values=chosen_values)
    return choices(entry)


def flat(kind: str = "event.created", /, **leaves: object) -> Bodies:
    """A flattened body. `E__` stands for `entity__`."""

    def build(one: PersonIds) -> list[Any]:
        whole = {
            "entity__id": f"E1-{one.key}",
            "entity__organization_id": "acme",
            "entity__created_at": at(1),
            "entity__user__id": f"phone-{one.key}",
            "entity__user__organization_user_id": one.key,
            **{f"entity__consents__purposes__{name}": value for name, value in leaves.items()},
        }
        return [{"type": kind, "regulation": "gdpr", **whole}]

    return build


news_yes, news_no = of("newsletter", enabled=True), of("newsletter", enabled=False)
CASES = [
    # 1.2 Envelope
    Case(
        "1.2 regulation missing",
        lambda one: [envelope("event.created", one.event(), regulation=None)],
        {NEWS: True},
    ),
    Case(
        "1.2 regulation of the entity",
        lambda one: [envelope("event.created", one.event(regulation="gdpr"), regulation=None)],
        {NEWS: True},
    ),
    Case(
        "1.2 another regulation of the entity",
        lambda one: [envelope("event.created", one.event(regulation="cpra"), regulation=None)],
        disposition="skipped regulation_not_mapped",
    ),
    Case(
        "1.2 unknown type",
        lambda one: [envelope("event.archived", one.event())],
        disposition="parked unknown_type",
    ),
    Case("1.2 no parameters", lambda _: [{"type": "event.created"}], disposition="parked malformed"),
    Case("1.2 source null", lambda one: [update("user.updated", one.user(), source=None)], {NEWS: True}),
    Case(
        "1.2 source with its time",
        lambda one: [
            update("user.updated", one.user(9), one.user(8, consents=...), {"id": "E7", "created_at": at(3)})
        ],
        {NEWS: True, WHEN: "2026-03-01T06:03:00Z", SOURCE: "E7"},
    ),
    # 1.3 The six types
    Case("1.3 event.created", created(), {NEWS: True}),
    Case(
        "1.3 event.updated",
        lambda one: [
            envelope("event.created", one.event()),
            update("event.updated", one.event(updated_at=at(5), consents=purposes(news_no)), one.event()),
        ],
        {NEWS: False},
    ),
    Case(
        "1.3 event.deleted",
        lambda one: [
            envelope("event.created", one.event()),
            envelope("event.deleted", {"id": f"E1-{one.key}", "created_at": at(1)}),
        ],
        {NEWS: False, WHEN: None, SOURCE: None},
    ),
    Case("1.3 user.created", lambda one: [envelope("user.created", one.user())], {NEWS: True}),
    Case(
        "1.3 user.created without consents",
        lambda one: [envelope("user.created", one.user(consents=...))],
        disposition="skipped no_choices",
    ),
    Case(
        "1.3 user.updated",
        lambda one: [update("user.updated", one.user(2), one.user(1, consents=...))],
        {NEWS: True},
    ),
    Case(
        "1.3 user.updated that changes nothing",
        lambda one: [
            envelope("event.created", one.event(5, consents=purposes(news_no))),
            update("user.updated", one.user(2, device="laptop"), one.user(1, device="laptop")),
        ],
        {NEWS: False},
        disposition="unchanged",
    ),
    Case(
        "1.3 user.deleted",
        lambda one: [envelope("event.created", one.event()), envelope("user.deleted", one.user(2))],
        {NEWS: False, WHEN: None, SOURCE: None},
    ),
    # 1.4 Families
    Case(
        "1.4 an event is partial",
        lambda one: [
            envelope("event.created", one.event(1)),
            envelope("event.created", one.event(2, consents=purposes(of("email_ads", enabled=False)))),
        ],
        {NEWS: True, ADS: True},
    ),
    Case(
        "1.4 both families tell of one action",
        lambda one: [
            envelope("event.created", one.event(1)),
            update(
                "user.updated",
                one.user(2),
                one.user(1, consents=...),
                {"id": f"E1-{one.key}", "created_at": at(1)},
            ),
        ],
        {NEWS: True, WHEN: "2026-03-01T06:01:00Z"},
        disposition="unchanged",
    ),
    Case(
        "1.4 a snapshot heals a lost delivery",
        lambda one: [
            envelope("event.created", one.event(1)),
            update(
                "user.updated",
                one.user(5, consents=purposes(news_no)),
                one.user(4, consents=purposes(news_no)),
            ),
        ],
        {NEWS: False},
    ),
    Case(
        "1.4 two devices merge by time",
        lambda one: [
            envelope("event.created", one.event(3, device="laptop", consents=purposes(news_no))),
            envelope("event.created", one.event(2)),
        ],
        {NEWS: False},
        disposition="unchanged",
    ),
    # 1.6 Order and duplicates
    Case(
        "1.6 the update's time counts",
        lambda one: [
            envelope("event.created", one.event(3, consents=purposes(news_no))),
            envelope("event.created", one.event(1, updated_at=at(9))),
        ],
        {NEWS: True},
    ),
    Case(
        "1.6 items are ordered each by itself",
        lambda one: [
            envelope("event.created", one.event(3, consents=purposes(news_no))),
            envelope(
                "event.created", one.event(2, consents=purposes(news_yes, of("email_ads", enabled=True)))
            ),
        ],
        {NEWS: False, ADS: False},
    ),
    Case(
        "1.6 versions of two users are not compared",
        lambda one: [
            envelope("user.created", one.user(90, updated_at=at(1))),
            envelope(
                "user.created", one.user(2, updated_at=at(5), device="laptop", consents=purposes(news_no))
            ),
        ],
        {NEWS: False},
    ),
    Case(
        "1.6 equal times, no wins",
        lambda one: [
            envelope("event.created", one.event(1, consents=purposes(news_no))),
            envelope("event.created", one.event(2, created_at=at(1))),
        ],
        {NEWS: False},
        disposition="unchanged",
    ),
    Case(
        "1.6 a duplicate",
        lambda one: [
            envelope("event.created", one.event()),
            dict(reversed(envelope("event.created", one.event()).items())),
        ],
        {NEWS: True},
    ),
    Case(
        "1.6 fractions",
        created(created_at="2026-03-01T06:30:00.250Z"),
        {WHEN: "2026-03-01T06:30:00Z"} | {NEWS: True},
    ),
    Case(
        "1.6 an offset",
        created(created_at="2026-03-01T08:30:00+02:00"),
        {NEWS: True, WHEN: "2026-03-01T06:30:00Z"},
    ),
    Case(
        "1.6 no zone is UTC",
        created(created_at="2026-03-01T06:30:00"),
        {NEWS: True, WHEN: "2026-03-01T06:30:00Z"},
    ),
    Case(
        "1.6 unreadable time is the arrival",
        created(created_at="soon"),
        {NEWS: True, WHEN: "2026-03-01T12:00:00Z"},
    ),
    Case("1.6 no time is the arrival", created(created_at=...), {NEWS: True, WHEN: "2026-03-01T12:00:00Z"}),
    Case(
        "1.6 no time is in the future",
        created(created_at="2099-01-01T00:00:00Z"),
        {NEWS: True, WHEN: "2026-03-01T12:00:00Z"},
    ),
    # 1.7 Flattened
    Case(
        "1.7 by position", flat("event.created", **{"0__id": "newsletter", "0__enabled": True}), {NEWS: True}
    ),
    Case("1.7 by id", flat(newsletter__enabled=True), {NEWS: True}),
    Case("1.7 values by id", flat(profiling__values__topics__value="sport"), {TOPICS: "100000000"}),
    Case(
        "1.7 an update without an old entity", flat("event.updated", newsletter__enabled=False), {NEWS: False}
    ),
    Case(
        "1.7 inside parameters",
        lambda one: [
            {
                "type": "event.created",
                "parameters": {
                    "new_entity__id": "E1",
                    "new_entity__created_at": at(1),
                    "new_entity__user__organization_user_id": one.key,
                    "new_entity__consents__purposes": [news_no],
                },
            }
        ],
        {NEWS: False},
    ),
    Case(
        "1.7 two structures",
        flat("event.created", **{"newsletter__enabled": True, "0__id": "newsletter", "0__enabled": False}),
        disposition="parked malformed",
    ),
    # 1.8, 1.10 Organizations and regulations
    Case(
        "1.8 another organization",
        created(organization_id="other"),
        disposition="parked foreign_organization",
    ),
    Case(
        "1.10 another regulation",
        lambda one: [envelope("event.created", one.event(), regulation="cpra")],
        disposition="skipped regulation_not_mapped",
    ),
    Case(
        "1.10 another regulation overwrites nothing",
        lambda one: [
            envelope("event.created", one.event(1)),
            envelope("event.created", one.event(2, consents=purposes(news_no)), regulation="cpra"),
        ],
        {NEWS: True},
        disposition="skipped regulation_not_mapped",
    ),
    Case(
        "1.10 in capitals",
        lambda one: [envelope("event.created", one.event(), regulation="GDPR")],
        {NEWS: True},
    ),
    Case(
        "1.10 two that disagree",
        created(regulation="cpra"),
        disposition="parked regulation_mismatch",
    ),
    # 2.1 Event
    Case("2.1 no id", created(id=...), {NEWS: True, SOURCE: None}),
    Case("2.1 no organization", created(organization_id=...), {NEWS: True}),
    Case("2.1 status null", created(status=None), {NEWS: True}),
    Case("2.1 domain", created(domain="p.example.com"), {NEWS: True}),
    Case(
        "2.1 metadata of the event is not the person's", created(metadata={"loyalty_id": "x"}), {NEWS: True}
    ),
    Case(
        "2.1 metadata of the person",
        created(person={"metadata": {"loyalty_id": "L7"}}),
        {NEWS: True, LOYALTY: "L7"},
    ),
    Case("2.1 metadata null", created(person={"metadata": None}), {NEWS: True}),
    Case("2.1 country", created(person={"country": "FR"}), {NEWS: True, COUNTRY: "FR"}),
    Case("2.1 country null", created(person={"country": None}), {NEWS: True}),
    Case("2.1 no Didomi user", created(person={"id": ...}), {NEWS: True}),
    Case(
        "2.1 no organization user id",
        created(person={"organization_user_id": ...}),
        disposition="skipped anonymous",
    ),
    Case(
        "2.1 organization user id null",
        created(person={"organization_user_id": None}),
        disposition="skipped anonymous",
    ),
    Case("2.1 type of the id", created(person={"organization_user_id_type": "crm"}), {NEWS: True}),
    Case("2.1 no consents", created(consents=...), disposition="skipped no_choices"),
    Case("2.1 consents null", created(consents=None), disposition="skipped no_choices"),
    Case("2.1 purposes null", created(consents={"purposes": None}), disposition="skipped no_choices"),
    Case("2.1 channels", created(consents={"channels": [of("sms", enabled=False)]}), {"donotphone": True}),
    Case("2.1 channels null", created(consents={"channels": None, "purposes": [news_yes]}), {NEWS: True}),
    Case(
        "2.1 vendors", created(consents={"vendors": {"enabled": ["v"]}, "purposes": [news_yes]}), {NEWS: True}
    ),
    Case("2.1 tcfcs", created(consents={"tcfcs": None, "purposes": [news_yes]}), {NEWS: True}),
    Case("2.1 proofs", created(proofs_id=["p"], proofs=["data:,x"]), {NEWS: True}),
    Case("2.1 delegate", created(delegate={"id": "agent", "name": "A"}), {NEWS: True}),
    Case("2.1 anything else", created(validation={"method": "email"}, novel=[1]), {NEWS: True}),
    # 2.2 User
    Case(
        "2.2 no organization user id",
        lambda one: [envelope("user.created", one.user(organization_user_id=...))],
        disposition="skipped anonymous",
    ),
    Case(
        "2.2 metadata and country",
        lambda one: [envelope("user.created", one.user(metadata={"loyalty_id": "L8"}, country="DE"))],
        {NEWS: True, LOYALTY: "L8", COUNTRY: "DE"},
    ),
    Case("2.2 country null", lambda one: [envelope("user.created", one.user(country=None))], {NEWS: True}),
    Case(
        "2.2 last seen country",
        lambda one: [envelope("user.created", one.user(last_seen_country="DE"))],
        {NEWS: True},
    ),
    Case("2.2 version as text", lambda one: [envelope("user.created", one.user(version="7"))], {NEWS: True}),
    # 2.3 Purpose entry
    Case("2.3 enabled", choices(news_yes), {NEWS: True}),
    Case("2.3 refused", choices(news_no), {NEWS: False}),
    Case("2.3 enabled null", choices(of("newsletter", enabled=None)), disposition="skipped no_choices"),
    Case("2.3 enabled absent", choices(of("newsletter")), disposition="skipped no_choices"),
    Case("2.3 enabled as text", choices(of("newsletter", enabled="true")), disposition="parked malformed"),
    Case("2.3 enabled as number", choices(of("newsletter", enabled=1)), disposition="parked malformed"),
    Case("2.3 objection", choices(of("profiling", enabled_li=False)), {"new_profilingobjection": True}),
    Case(
        "2.3 objection withdrawn",
        choices(of("profiling", enabled_li=True)),
        {"new_profilingobjection": False},
    ),
    Case("2.3 metadata of a purpose", choices({**news_yes, "metadata": {"x": 1}}), {NEWS: True}),
    Case("2.3 values", values(topics={"value": "sport,culture"}), {TOPICS: "100000000,100000001"}),
    Case(
        "2.3 values with blanks and repeats",
        values(topics={"value": " sport ,,sport"}),
        {TOPICS: "100000000"},
    ),
    Case("2.3 one value", values(frequency={"value": "weekly"}), {"new_frequency": 2}),
    Case(
        "2.3 a value each",
        values(interests={"value": "film"}),
        {"new_likesfilm": True, "new_likesmusic": False},
    ),
    Case(
        "2.3 value empty",
        lambda one: [
            *values(topics={"value": "sport"})(one),
            envelope(
                "event.created",
                one.event(2, consents=purposes(of("profiling", values={"topics": {"value": ""}}))),
            ),
        ],
        {TOPICS: None},
    ),
    Case("2.3 value null", values(topics={"value": None}), disposition="skipped no_choices"),
    Case("2.3 no value", values(topics={}), disposition="skipped no_choices"),
    Case("2.3 a list of values", values(topics={"value": ["sport"]}), {TOPICS: "100000000"}),
    Case("2.3 values null", choices({**news_yes, "values": None}), {NEWS: True}),
    Case(
        "2.3 values without a choice on the purpose",
        choices(of("profiling", enabled=None, values={"topics": {"value": "sport"}})),
        {TOPICS: "100000000"},
    ),
    Case("2.3 an unknown value", values(frequency={"value": "hourly"})),
    Case(
        "2.3 a preference of any purpose",
        choices(of("elsewhere", values={"language": {"value": "fr"}})),
        {"new_language": "fr"},
    ),
    Case(
        "2.3 nested channels",
        choices(of("profiling", channels=[of("email", enabled=False)])),
        {"new_profilingbyemail": False},
    ),
    Case(
        "2.3 nested preferences refused",
        choices(of("profiling", preferences=[of("topics", enabled=False)])),
        {TOPICS: None},
    ),
    # 2.4, 2.5 Identity
    Case(
        "2.5 in capitals and with blanks",
        lambda one: [
            envelope("event.created", one.event(person={"organization_user_id": f" {one.key.upper()} "}))
        ],
        {NEWS: True},
    ),
    Case(
        "2.5 assigned later",
        lambda one: [update("user.updated", one.user(2), one.user(1, organization_user_id=...))],
        {NEWS: True},
    ),
    Case(
        "2.5 a number",
        lambda one: [envelope("event.created", one.event(person={"organization_user_id": int(one.key)}))],
        {NEWS: True},
    ),
    Case(
        "2.5 no identifier at all",
        created(person={"organization_user_id": {"a": 1}}),
        disposition="parked identity_unusable",
    ),
    # 3.1 Approval
    Case("3.1 pending", created(status="pending_approval"), disposition="skipped pending_approval"),
    Case(
        "3.1 pending, then confirmed",
        lambda one: [
            envelope("event.created", one.event(status="pending_approval")),
            update(
                "event.updated",
                one.event(status="confirmed", updated_at=at(9)),
                one.event(status="pending_approval"),
            ),
        ],
        {NEWS: True, WHEN: "2026-03-01T06:09:00Z"},
    ),
    Case(
        "3.1 confirmed, then pending",
        lambda one: [
            envelope("event.created", one.event()),
            update("event.updated", one.event(status="pending_approval"), one.event(status="confirmed")),
        ],
        {NEWS: True},
        disposition="parked confirmation_revoked",
    ),
    Case("3.1 unknown status", created(status="revoked"), disposition="parked unknown_status"),
    # 3.2 Deletes
    Case(
        "3.2 what was chosen before counts again",
        lambda one: [
            envelope("event.created", one.event(1, consents=purposes(news_no))),
            envelope("event.created", one.event(2)),
            envelope("event.deleted", {"id": f"E2-{one.key}", "created_at": at(2)}),
        ],
        {NEWS: False, WHEN: "2026-03-01T06:01:00Z"},
    ),
    Case(
        "3.2 a delete never grants",
        lambda one: [
            envelope("event.created", one.event(1)),
            envelope("event.created", one.event(2, consents=purposes(news_no))),
            envelope("event.deleted", {"id": f"E2-{one.key}", "created_at": at(2)}),
        ],
        {NEWS: False},
        disposition="parked delete_would_grant",
    ),
    Case(
        "3.2 a delete that comes first",
        lambda one: [
            envelope("event.deleted", {"id": f"E1-{one.key}", "created_at": at(1)}),
            envelope("event.created", one.event()),
        ],
        {NEWS: False, WHEN: None, SOURCE: None},
    ),
    Case(
        "3.2 a delete of an event never heard of",
        lambda one: [envelope("event.deleted", {"id": f"E9-{one.key}", "created_at": at(1)})],
        disposition="parked deleted_event_unknown",
    ),
    Case(
        "3.2 deleted values",
        lambda one: [
            *values(topics={"value": "sport"}, interests={"value": "film"}, frequency={"value": "daily"})(
                one
            ),
            envelope("event.deleted", {"id": f"E1-{one.key}", "created_at": at(1)}),
        ],
        {TOPICS: None, "new_likesfilm": False, "new_likesmusic": False, "new_frequency": None},
    ),
    Case(
        "3.2 another user with the same id remains",
        lambda one: [
            envelope("event.created", one.event(1)),
            envelope(
                "event.created",
                one.event(2, device="laptop", consents=purposes(of("email_ads", enabled=True))),
            ),
            envelope("user.deleted", one.user(2)),
        ],
        {NEWS: False, ADS: False},
    ),
    Case(
        "3.2 inverted columns say no consent, too",
        lambda one: [
            *choices(of("email_ads", enabled=True), of("profiling", enabled=True, enabled_li=True))(one),
            envelope("user.deleted", one.user(2)),
        ],
        {ADS: True, PROFILING: 100000001, "new_profilingobjection": True, "new_profilingon": None},
    ),
    # 3.3 One click
    Case("3.3 propagated", choices({**news_yes, "propagation": True}), {NEWS: True}),
    Case(
        "3.3 a propagated value",
        values(topics={"value": "sport", "from_propagation": True}),
        {TOPICS: "100000000"},
    ),
    # 8.2 Answers
    Case(
        "8.2-2 an old event that comes late",
        lambda one: [
            envelope("event.created", one.event(9, consents=purposes(news_no))),
            envelope("event.created", one.event(1, created_at="2024-01-01T00:00:00Z")),
        ],
        {NEWS: False},
        disposition="unchanged",
    ),
    Case("8.2-12 a purpose that occurs twice", choices(news_yes, news_no), {NEWS: False}),
    Case(
        "8.2-13 null after true",
        lambda one: [
            envelope("event.created", one.event(1)),
            envelope("event.created", one.event(2, consents=purposes(of("newsletter", enabled=None)))),
        ],
        {NEWS: True},
        disposition="skipped no_choices",
    ),
    Case(
        "8.2-14 missing from the snapshot",
        lambda one: [
            envelope("event.created", one.event(1)),
            envelope("user.created", one.user(5, consents=purposes(of("email_ads", enabled=True)))),
        ],
        {NEWS: True, ADS: False},
    ),
    Case(
        "8.2-15 a list",
        lambda one: [
            [
                envelope("event.created", one.event(1)),
                envelope("event.created", one.event(2, consents=purposes(news_no))),
            ]
        ],
        {NEWS: False},
    ),
]


@dataclass
class CaseResult:
    """What became of one case."""

    disposition: str
    before: Json
    after: Json


async def _run_cases(folder: Path, certificates: Path) -> dict[str, CaseResult]:
    keys = {case.name: str(100_000 + number) for number, case in enumerate(CASES)}
    with_organization = replaced(("didomi:", "didomi:\n  organization_id: acme"))
    dispositions: dict[str, str] = {}
    async with (
        running_sandbox(certificates) as sandbox,
        open_house(sandbox, folder, change=with_organization) as house,
    ):
        await house.put_rows(*({"new_didomikey": key} for key in keys.values()))
        before = {row["new_didomikey"]: row for row in await house.rows()}
        for case in CASES:
            for body in case.bodies(PersonIds(keys[case.name])):
                notifications = interpret_body(
                    house.configuration, json.dumps(body).encode(), now=house.clock.now()
                )
                ingested = await house.ledger.inbox.ingest(notifications)
                last = ingested[-1]
                dispositions[case.name] = f"{last.disposition} {last.reason or ''}".strip()
        await house.deliver()
        after = {row["new_didomikey"]: row for row in await house.rows()}
    return {name: CaseResult(dispositions[name], before[key], after[key]) for name, key in keys.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, sandbox_folder: Path) -> dict[str, CaseResult]:
    return asyncio.run(_run_cases(tmp_path_factory.mktemp("rows"), sandbox_folder))


# Columns that every write changes; a case that tests them names them.
_STAMPS = {WHEN, SOURCE, "new_profilingon", "modifiedon", "versionnumber"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_row_of_the_fact_page(results: dict[str, CaseResult], case: Case) -> None:
    was = results[case.name]
    assert was.disposition == case.disposition
    assert {name: was.after[name] for name in case.columns} == dict(case.columns)
    elsewhere = was.after.keys() - case.columns.keys() - _STAMPS
    assert {name: was.after[name] for name in elsewhere} == {name: was.before[name] for name in elsewhere}
    if not case.columns:
        assert was.after == was.before

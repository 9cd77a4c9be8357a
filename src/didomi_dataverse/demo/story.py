"""The story that `demo` plays: who did what, what arrives in which order, and what is expected at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from didomi_sandbox.bodies import (
    event,
    event_confirmed,
    event_created,
    person,
    purpose,
    user_state,
    user_updated,
)

YES, NO = True, False
THROTTLE_SECONDS = 3
_TABLE_CONTACTS = 6

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """The `value` that one column of one person must hold at the end, and the `reason`."""

    value: object
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Some notifications that arrive one after another."""

    title: str
    """What happens, in a sentence."""

    bodies: tuple[dict[str, Any], ...]
    """The notifications, in the order in which they arrive."""

    faults: tuple[dict[str, Any], ...] = ()
    """Faults of the sandbox that begin before them (docs/sandbox.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens, from the Contact table at the start to what is expected at the end."""

    rows: tuple[Row, ...]
    """The Contact table at the start."""

    scenes: tuple[Scene, ...]
    """What happens, in order."""

    expected: Mapping[str, Mapping[str, Expected]]
    """By person and column, the values at the end. Every other column of every row must stay as it was."""

    writes: Mapping[str, int] = field(default_factory=dict)
    """By person, how often the row must have been written, where that matters."""

    unmatched: tuple[str, ...] = ()
    """People without a row, and none may be created for them."""


def build_story(now: datetime) -> Story:
    """The story, dated as if it happened in the hour before `now`."""
    start = (now - timedelta(hours=1)).replace(microsecond=0)

    def at(minute: int) -> datetime:
        return start + timedelta(minutes=minute)

    def clock(minute: int) -> str:
        return f"{at(minute):%H:%M}"

    one, two, three, four, five, six = (f"customer-000{number}" for number in range(1, _TABLE_CONTACTS + 1))
    stranger = "customer-9999"
    news_yes, news_no = purpose("newsletter", enabled=True), purpose("newsletter", enabled=False)

    grant = event_created(
        event(
            "grant-1",
            person(one, country="FR"),
            [
                news_yes,
                purpose("email_ads", enabled=True),
                purpose("profiling", enabled=True, values={"topics": ["sport", "culture"]}),
            ],
            created_at=at(1),
        )
    )
    withdrawal = event_created(event("no-2", person(two), [news_no], created_at=at(10)))
    older_grant = event_created(event("yes-2", person(two), [news_yes], created_at=at(5)))
    repeated = event_created(event("yes-3", person(three), [news_yes], created_at=at(12)))
    pending = event("double-4", person(four), [news_yes], created_at=at(15), status="pending_approval")
    laptop = event_created(event("no-5", person(five, didomi_user_id="laptop"), [news_no], created_at=at(20)))
    phone = person(five, didomi_user_id="phone")
    stale = user_updated(
        user_state(phone, [news_yes], version=3, updated_at=at(2)),
        user_state({**phone, "country": "BE"}, [news_yes], version=4, updated_at=at(25)),
    )
    unknown = event_created(event("yes-9", person(stranger), [news_yes], created_at=at(30)))
    throttled = event_created(
        event("no-6", person(six), [news_no, purpose("email_ads", enabled=False)], created_at=at(35))
    )
    busy = {
        "match": {"method": "POST", "path": "$batch"},
        "reply": {
            "status": 429,
            "headers": {"Retry-After": str(THROTTLE_SECONDS)},
            "body": {"error": {"code": "0x80072322", "message": "Number of requests exceeded the limit."}},
        },
        "times": 1,
    }

    expected = {
        one: {
            "new_newsletter": Expected(YES, f"said yes at {clock(1)}"),
            "donotbulkemail": Expected(
                NO, f"allowed e-mail ads at {clock(1)}; Dataverse's column says «do not»"
            ),
            "new_profiling": Expected(
                100000000, f"allowed profiling at {clock(1)}; the choice column's «granted»"
            ),
            "new_topics": Expected("100000000,100000001", f"picked sport and culture at {clock(1)}"),
            "address1_country": Expected("FR", "Didomi knows the country"),
        },
        two: {
            "new_newsletter": Expected(
                NO, f"said no at {clock(10)}; the yes of {clock(5)} arrived later and is older"
            )
        },
        three: {"new_newsletter": Expected(YES, f"said yes at {clock(12)}; told three times, written once")},
        four: {"new_newsletter": Expected(YES, f"said yes at {clock(15)}, confirmed at {clock(18)}")},
        five: {
            "new_newsletter": Expected(
                NO,
                f"said no on the laptop at {clock(20)}; the phone only repeats an old yes",
            ),
            "address1_country": Expected("BE", "the phone reported a new country"),
        },
        six: {
            "new_newsletter": Expected(NO, f"said no at {clock(35)}; Dataverse was busy, so it came later"),
            "donotbulkemail": Expected(YES, f"refused e-mail ads at {clock(35)}"),
        },
    }
    for key, last in (
        (one, "grant-1"),
        (two, "no-2"),
        (three, "yes-3"),
        (four, "double-4"),
        (five, "no-5"),
        (six, "no-6"),
    ):
        expected[key]["new_didomievent"] = Expected(last, "the Didomi event of the newest choice")
    for key, minute in ((one, 1), (two, 10), (three, 12), (four, 18), (five, 20), (six, 35)):
        instant = f"{at(minute):%Y-%m-%dT%H:%M:%SZ}"
        expected[key]["new_consentchangedon"] = Expected(instant, "the time of the newest choice")
    expected[one]["new_profilingon"] = Expected(
        f"{at(1):%Y-%m-%dT%H:%M:%SZ}", "the time of the choice on profiling"
    )

    return Story(
        rows=tuple(
            {"new_didomikey": key, "lastname": f"Customer {key[-4:]}", "emailaddress1": f"{key}@example.com"}
            for key in (one, two, three, four, five, six)
        ),
        scenes=(
            Scene(title=f"{one} says yes to the newsletter, e-mail ads and profiling.", bodies=(grant,)),
            Scene(
                title=f"{two} said yes at {clock(5)} and no at {clock(10)}; the no arrives first.",
                bodies=(withdrawal, older_grant),
            ),
            Scene(
                title=f"{three} says yes; Didomi delivers it three times.",
                bodies=(repeated, repeated, repeated),
            ),
            Scene(
                title=f"{four} says yes, to be confirmed by e-mail; nothing may be written yet.",
                bodies=(event_created(pending),),
            ),
            Scene(title=f"{four} confirms at {clock(18)}.", bodies=(event_confirmed(pending, at(18)),)),
            Scene(
                title=f"{five} says no on the laptop; the phone has not heard of it and repeats its yes.",
                bodies=(laptop, stale),
            ),
            Scene(title=f"{stranger} says yes, but is not in Dataverse.", bodies=(unknown,)),
            Scene(
                title=f"{six} says no while Dataverse answers «429, wait {THROTTLE_SECONDS} seconds».",
                bodies=(throttled,),
                faults=(busy,),
            ),
        ),
        expected=expected,
        writes={three: 1},
        unmatched=(stranger,),
    )

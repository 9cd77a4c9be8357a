"""What people do in the siege: seeded, endless, and told as Didomi tells it: twice, late, out of order."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from didomi_sandbox.bodies import (
    Body,
    Entity,
    channel_entries,
    event,
    event_confirmed,
    event_created,
    person,
    purpose,
    user_state,
    user_updated,
)

FIRST_CHOICE = datetime(2026, 1, 1, tzinfo=UTC)
DEVICES = ("phone", "laptop")
_WINDOW = 60  # notifications that may overtake each other
_AGAIN = 0.1  # of the notifications are sent a second time
_MISSED = 0.02  # are never sent: what they said is healed by a later snapshot, or not known


def person_key(number: int) -> str:
    """The organization user id of one of the people."""
    return f"person-{number:05d}"


@dataclass(slots=True)
class _Device:
    """A Didomi user: what was chosen on it so far, and how often it changed."""

    purposes: dict[str, Entity] = field(default_factory=dict)
    channels: dict[str, bool | None] = field(default_factory=dict)
    version: int = 0
    last: Entity | None = None


class Story:
    """An endless stream of notification bodies about `people` people."""

    def __init__(self, *, people: int, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - seeded, so that a siege can be repeated
        self._people = people
        self._devices: dict[tuple[int, str], _Device] = {}
        self._seconds: dict[int, int] = {}
        self._facts: dict[int, tuple[str, str]] = {}
        self._events = 0

    def bodies(self) -> Iterator[bytes]:
        """Each as the bytes to post."""
        while True:
            window: list[Body] = []
            while len(window) < _WINDOW:
                number = self._dice.randrange(self._people)
                told = self._action(number)
                # Where one may be missed, no two are made at the same second: which of two equals was missed
                # would not be defined.
                window += [body for body in told if number % 2 or self._dice.random() >= _MISSED]
            window += [body for body in window if self._dice.random() < _AGAIN]
            self._dice.shuffle(window)
            for body in window:
                yield json.dumps(body).encode()

    def _action(self, number: int) -> list[Body]:
        dice = self._dice
        name = dice.choice(DEVICES)
        device = self._devices.setdefault((number, name), _Device())
        chosen, channels = self._purposes(), self._channels()
        is_tie = number % 2 == 1 and set(chosen) <= {"newsletter"} and dice.random() < 0.1
        made_at = self._time(number, is_tie=is_tie and number in self._facts)
        who = person(
            person_key(number),
            didomi_user_id=f"{name}-{number}",
            country=self._facts[number][0],
            metadata={"loyalty_id": self._facts[number][1]},
        )
        self._events += 1
        said = event(
            f"event-{self._events}", who, list(chosen.values()), created_at=made_at, channels=channels
        )
        if dice.random() < 0.1:
            pending = {**said, "status": "pending_approval"}
            return [event_created(pending), event_confirmed(pending, made_at)]
        for purpose_id, entry in chosen.items():
            device.purposes[purpose_id] = _merged(device.purposes.get(purpose_id), entry)
        device.channels.update({name: value for name, value in channels.items() if value is not None})
        told = [event_created(said)]
        state = self._state(device, who, made_at)
        if device.last is not None and dice.random() < 0.6:
            told.append(user_updated(device.last, state, source=said))
        device.last = state
        return told

    def _state(self, device: _Device, who: Entity, made_at: datetime) -> Entity:
        device.version += 1
        return user_state(
            who,
            [dict(entry) for entry in device.purposes.values()],
            version=device.version,
            updated_at=made_at,
            channels=dict(device.channels),
        )

    def _time(self, number: int, *, is_tie: bool) -> datetime:
        """A second of its own for each choice of a person; now and then, where only Yes and No meet, the same
        as the last one's: of two equal ones the rules name the winner for choices only.
        """
        if not is_tie:
            dice = self._dice
            self._facts[number] = dice.choice(["DE", "FR", "IT"]), dice.choice(["gold", "silver"])
        self._seconds[number] = self._seconds.get(number, 0) + (0 if is_tie else 2)
        return FIRST_CHOICE + timedelta(seconds=self._seconds[number])

    def _purposes(self) -> dict[str, Entity]:
        dice = self._dice
        chosen: dict[str, Entity] = {}
        if dice.random() < 0.7:
            chosen["newsletter"] = purpose("newsletter", self._answer())
        if dice.random() < 0.4:
            chosen["email_ads"] = purpose("email_ads", self._answer())
        if dice.random() < 0.4:
            entry = purpose(
                "profiling", self._answer(), legitimate_interest=self._answer(), values=self._values()
            )
            entry["channels"] = channel_entries({"email": self._answer()})
            chosen["profiling"] = entry
        if dice.random() < 0.1:
            chosen["not_mapped"] = purpose("not_mapped", self._answer())
        return chosen

    def _values(self) -> Mapping[str, str | None]:
        dice = self._dice
        return {
            "topics": dice.choice([None, "", "culture", "sport", "culture,sport"]),
            "frequency": dice.choice([None, "daily", "weekly"]),
            "interests": dice.choice([None, "film", "music", "film,music"]),
            "remark": dice.choice([None, "in the evening", "never on Sundays; é, ü"]),
            "language": dice.choice([None, "de", "fr"]),
        }

    def _channels(self) -> dict[str, bool | None]:
        return {"sms": self._answer()} if self._dice.random() < 0.3 else {}

    def _answer(self) -> bool | None:
        return self._dice.choice([True, True, False, False, None])


def _merged(before: Entity | None, now: Entity) -> Entity:
    """Didomi's snapshot after an event: what the event left open stays as it was."""
    if before is None:
        return now
    merged = dict(before)
    for name, value in now.items():
        if name == "values" and isinstance(value, dict):
            earlier = merged.get("values")
            kept = dict(earlier) if isinstance(earlier, dict) else {}
            kept.update(
                {key: entry for key, entry in value.items() if entry["value"] is not None or key not in kept}
            )
            merged["values"] = kept
        elif name == "channels" and isinstance(value, list):
            if any(entry["enabled"] is not None for entry in value):
                merged["channels"] = value
        elif value is not None:
            merged[name] = value
    return merged

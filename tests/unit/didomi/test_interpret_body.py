"""Whatever a body holds, all of it is stored: interpreted, or parked for a person."""

import hashlib
from typing import cast

import pytest
from tests.unit.didomi.bodies import RECEIVED_AT, created, describe_disposition, encode, event

from didomi_dataverse.didomi.interpret import InterpretationPolicy
from didomi_dataverse.didomi.interpret_body import InterpretedBody, interpret_body


class BrokenPolicy:
    """A configuration that makes interpretation fail: any mistake of ours."""

    @property
    def normalize(self) -> str:
        raise RuntimeError("a mistake with a secret@example.com in it")


def interpret_all(body: bytes, policy: InterpretationPolicy | None = None) -> InterpretedBody:
    return interpret_body(
        body,
        received_at=RECEIVED_AT,
        caller="oauth",
        policy=policy or InterpretationPolicy(organization_id="acme"),
    )


@pytest.mark.parametrize(
    ("body", "dispositions"),
    [
        pytest.param(encode(created(event())), ["applied"], id="one notification"),
        pytest.param(b"[]", [], id="an empty list"),
        pytest.param(
            encode([created(event()), created(event(), kind="event.archived"), {}]),
            ["applied", "parked unknown_type", "parked malformed"],
            id="a list",
        ),
    ],
)
def test_every_notification_of_a_body_is_interpreted_in_order(body: bytes, dispositions: list[str]) -> None:
    interpreted = interpret_all(body)

    assert [describe_disposition(one) for one in interpreted.notifications] == dispositions
    assert (interpreted.not_json, interpreted.failures) == (None, ())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[{}, 1]", id="a list that holds something else as well"),
    ],
)
def test_a_body_that_is_not_json_is_parked_as_a_whole(body: bytes) -> None:
    interpreted = interpret_all(body)

    (parked,) = interpreted.notifications
    assert describe_disposition(parked) == "parked not_json"
    assert (parked.body, parked.digest) == (body, hashlib.sha256(body).hexdigest())
    assert (parked.received_at, parked.caller) == (RECEIVED_AT, "oauth")
    assert interpreted.not_json is not None


def test_a_notification_that_we_fail_on_is_parked_alone() -> None:
    good, bad = created(event(), kind="event.archived"), created(event())

    interpreted = interpret_all(encode([good, bad]), cast("InterpretationPolicy", BrokenPolicy()))

    assert [describe_disposition(one) for one in interpreted.notifications] == [
        "parked unknown_type",
        "parked internal_error",
    ]
    failed = interpreted.notifications[1]
    assert (failed.body, failed.type) == (encode(bad), "event.created")
    assert failed.digest == interpret_all(encode(bad)).notifications[0].digest
    assert interpreted.failures == ("RuntimeError",)
    assert "secret" not in repr(interpreted)

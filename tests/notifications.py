"""Notifications and choices for tests: builders that fill in what a test does not need, and strategies."""

import itertools
from datetime import datetime, timedelta

from hypothesis import strategies as st

from didomi_dataverse.consent.model import Basis, Choice, ChoiceKind, Fact, Item, Selection, Subject, Value
from didomi_dataverse.didomi.interpreted import Disposition, Identity, InterpretedNotification, Reason
from tests.clocks import START

NEWSLETTER = Item("gdpr", "newsletter")
PROFILING = Item("gdpr", "profiling")

_numbers = itertools.count(1)


def new_digest() -> str:
    """One that no other call returns."""
    return f"{next(_numbers):064x}"


def choice(
    value: Value = True,
    *,
    subject: Subject = NEWSLETTER,
    after: timedelta = timedelta(0),
    made_at: datetime | None = None,
    didomi_user: str = "device-1",
    kind: ChoiceKind = ChoiceKind.STATEMENT,
    source_id: str = "event-1",
    notification: str = "0" * 64,
) -> Choice:
    """A choice made `after` the start."""
    return Choice(
        subject=subject,
        value=value,
        made_at=START + after if made_at is None else made_at,
        didomi_user=didomi_user,
        kind=kind,
        source_id=source_id,
        notification=notification,
    )


def interpreted(
    *choices: Choice,
    key: str | None = "ada",
    digest: str | None = None,
    disposition: Disposition = Disposition.APPLIED,
    reason: Reason | None = None,
    body: bytes = b"{}",
    received_at: datetime = START,
    didomi_user: str = "device-1",
    source_id: str = "event-1",
    warnings: tuple[str, ...] = (),
) -> InterpretedNotification:
    """An interpreted notification about the person `key`; None for one that names no person."""
    return InterpretedNotification(
        digest=new_digest() if digest is None else digest,
        body=body,
        received_at=received_at,
        type="event.created",
        caller="oauth",
        regulation="gdpr",
        organization_id="acme",
        didomi_user=didomi_user,
        source_id=source_id,
        effective_at=START,
        identity=None if key is None else Identity(key=key, identifier=key.title()),
        choices=choices,
        disposition=disposition,
        reason=reason,
        warnings=warnings,
    )


_words = st.text(max_size=6)
_items = st.builds(
    Item,
    regulation=st.sampled_from(["gdpr", "cpra"]),
    purpose=_words,
    preference=_words,
    channel=_words,
    basis=st.sampled_from(Basis),
)
_facts = st.builds(Fact, regulation=st.sampled_from(["gdpr", "cpra"]), path=_words)
_selections = st.builds(
    Selection,
    ids=st.lists(_words, max_size=3, unique=True).map(lambda ids: tuple(sorted(ids))),
    text=_words,
)
_instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=START.tzinfo)
)

any_subject: st.SearchStrategy[Subject] = _items | _facts
any_value: st.SearchStrategy[Value] = (
    st.booleans() | _selections | _words | st.integers() | st.floats(allow_nan=False)
)

any_choice = st.builds(
    Choice,
    subject=any_subject,
    value=any_value,
    made_at=_instants,
    didomi_user=_words,
    kind=st.sampled_from(ChoiceKind),
    source_id=_words,
    notification=_words,
)
"""Any choice at all: two of them rarely concern each other."""

rival_choice = st.builds(
    choice,
    st.booleans(),
    subject=st.sampled_from([NEWSLETTER, PROFILING]),
    after=st.integers(0, 3).map(lambda seconds: timedelta(seconds=seconds)),
    didomi_user=st.sampled_from(["device-1", "device-2"]),
    kind=st.sampled_from(ChoiceKind),
    source_id=st.sampled_from(["event-1", "event-2"]),
)
"""Choices that concern the same few items, devices and moments."""

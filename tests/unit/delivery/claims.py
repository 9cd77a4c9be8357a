"""A claim of a contact, for tests of what becomes of it."""

from datetime import UTC, datetime, timedelta

from didomi_dataverse.ledger.delivery_state import Claim, Contact, DeliveryState, Written

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = Written("FR", NOW - timedelta(days=1))


def claim(*, attempts: int = 0, unmatched_since: datetime | None = None) -> Claim:
    contact = Contact(
        contact_id=7,
        key="u-42",
        identifier="u-42",
        registers={},
        revision=3,
        state=DeliveryState.DELIVERING,
        due_at=NOW,
        written={"address1_country": EARLIER},
        row_id="row",
        attempts=attempts,
        unmatched_since=unmatched_since,
    )
    return Claim(contact=contact, lease="lease")

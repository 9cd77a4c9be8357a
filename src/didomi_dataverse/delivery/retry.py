"""When a contact is tried again, and when it is given to a person instead."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from didomi_dataverse.delivery.outcome import Conclusion, Parked, ParkReason, Retried, Unmatched
from didomi_dataverse.ledger.delivery_state import Contact

FIRST_RETRY: Final = timedelta(seconds=2)
"""The pause after a row's first failure; doubles with each one. Too small: attempts are used up by a short
disturbance. Too large: the row is late."""

LONGEST_RETRY: Final = timedelta(minutes=15)
"""The longest pause after a row's failure. Too small: many attempts in a long disturbance. Too large: the row
is late."""

LOST_CALL_RETRY: Final = timedelta(seconds=15)
"""The pause of a row whose call failed as a whole. The sender's own pause spares a server in trouble. Too
small: an outage rewrites the rows of the ledger again and again. Too large: rows are late after it."""

ALERTED_RETRY: Final = timedelta(seconds=30)
"""The pause after a refusal that a person must end: as often as the sender asks whether it has ended. Too
small: useless work. Too large: rows are late after it."""

FIRST_RECHECK: Final = timedelta(minutes=1)
"""The shortest pause before a missing row is looked for again. Too small: useless look-ups. Too large: a row
that is created soon after the choice gets it late."""

LONGEST_RECHECK: Final = timedelta(hours=6)
"""The longest pause before a missing row is looked for again. Too small: useless look-ups. Too large: a row
that is created late gets its choices late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How long to go on before a contact is parked."""

    unmatched_for: timedelta
    """How long a missing row is looked for: `contact.unmatched.retry_for`."""


def apply_retry_limits(
    conclusion: Conclusion, contact: Contact, *, limits: RetryLimits, now: datetime
) -> Conclusion:
    """The same conclusion, or a parked one where a limit is reached."""
    match conclusion.outcome:
        case Unmatched() if now - (contact.unmatched_since or now) >= limits.unmatched_for:
            return replace(conclusion, outcome=Parked(ParkReason.UNMATCHED))
        case Retried(max_attempts) if max_attempts is not None and contact.attempts >= max_attempts:
            return replace(conclusion, outcome=Parked(ParkReason.REJECTED))
        case _:
            return conclusion


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """The pause after so many failures of a row: 2 s, 4 s, 8 s ... up to 15 min, each shortened by up to a
    half.

    >>> [retry_delay(attempts, 0.0).total_seconds() for attempts in (1, 2, 3, 20)]
    [2.0, 4.0, 8.0, 900.0]
    """
    doublings = min(attempts - 1, 20)
    return min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY) * (1 - jitter / 2)


def recheck_delay(missing_for: timedelta, jitter: float) -> timedelta:
    """As long again as the row has been missing, between 1 min and 6 h, shortened by up to a tenth."""
    return min(max(missing_for, FIRST_RECHECK), LONGEST_RECHECK) * (1 - jitter / 10)

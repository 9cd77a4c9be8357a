"""The delivery mode `batch`: every request is a part of a `$batch`."""

from collections.abc import Sequence
from typing import Final

from didomi_dataverse.dataverse.calls import BatchCall
from didomi_dataverse.dataverse.dispatch.base import CallPlan, plan_in_order
from didomi_dataverse.dataverse.requests import Request

MAX_BATCH_PARTS: Final = 100
"""The most requests in one `$batch` of ours (dataverse.md 3.1: up to 1,000 are taken, fewer are wise). Too
small: more calls, each of which counts. Too large: calls that take long, and repeat much when they break."""


class BatchDispatcher:
    """`$batch` with continue-on-error: many requests in one call, an answer of its own for each."""

    def plan(self, requests: Sequence[Request]) -> CallPlan:
        """As `Dispatcher.plan`."""
        starts = range(0, len(requests), MAX_BATCH_PARTS)
        calls = (BatchCall(requests[start : start + MAX_BATCH_PARTS]) for start in starts)
        return plan_in_order(calls, len(requests))

"""The delivery mode `single`: one call for each request."""

from collections.abc import Sequence

from didomi_dataverse.dataverse.calls import SingleCall
from didomi_dataverse.dataverse.dispatch.base import CallPlan, plan_in_order
from didomi_dataverse.dataverse.requests import Request


class SingleDispatcher:
    """For servers that know neither `$batch` nor bulk messages."""

    def plan(self, requests: Sequence[Request]) -> CallPlan:
        """As `Dispatcher.plan`."""
        return plan_in_order(map(SingleCall, requests), len(requests))

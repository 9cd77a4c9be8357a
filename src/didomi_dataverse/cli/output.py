"""What commands print."""

import json

import click

from didomi_dataverse.admin.notification_view import (
    ID_CHARACTERS,
)
from didomi_dataverse.admin.replay import Replayed
from didomi_dataverse.cli.options import Failure
from didomi_dataverse.didomi.interpreted import Disposition


def tell_replayed(replayed: list[Replayed], *, as_json: bool) -> None:
    """Print what became of each. Raises Failure when some are still parked."""
    views = [
        {
            "id": one.digest[:ID_CHARACTERS],
            "before": one.before.value,
            "disposition": one.disposition.value,
            "reason": None if one.reason is None else one.reason.value,
            "readable": one.is_read,
        }
        for one in replayed
    ]
    lines = [
        f"{view['id']}  {view['before']} -> {view['disposition']}"
        + (f" ({view['reason']})" if view["reason"] else "")
        + ("" if view["readable"] else ": the body still cannot be read")
        for view in views
    ]
    show(views, "\n".join(lines) or "Nothing to replay.", as_json=as_json)
    parked = sum(one.disposition is Disposition.PARKED for one in replayed)
    if parked:
        raise Failure(f"{parked} of {len(replayed)} are still parked.")


def show(view: object, text: str, *, as_json: bool) -> None:
    """Print one or the other."""
    click.echo(json.dumps(view, indent=2) if as_json else text)

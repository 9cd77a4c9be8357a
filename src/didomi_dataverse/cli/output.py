"""What every command prints: JSON for a program, or text for a terminal."""

import json

import click

from didomi_dataverse.admin.view import to_json


def print_view(view: object, text: str, *, as_json: bool) -> None:
    """Print a view, or a list of views: its JSON form, or its text."""
    click.echo(json.dumps(to_json(view), indent=2) if as_json else text)

"""`failpoints`: the places at which a process of a test can be made to fail."""

from __future__ import annotations

import click

from cordum.cli.output import print_json, say, table
from cordum.cli.remote import json_option


@click.command(short_help="List the places where a test can make a process fail.")
@json_option
def failpoints(as_json: bool) -> None:
    """List the places where a test can make a process fail, and what can happen there.

    Set them with CORDUM_FAILPOINTS="<place>=<action>[@<n>];…", for the n-th time a process comes by, or each time.
    Refused in production.
    """
    from cordum.failpoints import ACTIONS, places

    if as_json:
        print_json({"places": dict(places()), "actions": dict(ACTIONS)})
    else:
        table(("place", "what has happened there"), places().items())
        say()
        table(("action", "what it does"), ACTIONS.items())

"""`test`: scenario files, played on the real engine with a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cordum.cli.output import print_json, printable, say, tell
from cordum.cli.remote import json_option
from cordum.cli.telling import details

if TYPE_CHECKING:
    from cordum.testing.suite import Case, Played

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_EVENTS = 200


@click.command(short_help="Play scenario files; the clock is virtual.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=_FILE)
@click.option("-k", "words", metavar="TEXT", default="", help="Only scenarios with this in their name or group.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit's XML to this file.")
@json_option
@click.pass_context
def test(ctx: click.Context, files: tuple[Path, ...], words: str, junit: Path | None, as_json: bool) -> None:
    """Play scenario files: real engine, scripted workers, virtual clock. Exit code 1 when one fails.

    Needs no server: it starts a Redis of its own and ends it.
    """
    from cordum.testing import suite

    cases = suite.collect(files, words)
    if not cases:
        raise click.UsageError("no scenario has that in its name or group" if words else "there is no scenario")
    played = list(suite.play(cases)) if as_json else _played_aloud(cases)
    if junit:
        junit.write_bytes(suite.junit(played))
    if as_json:
        print_json({"scenarios": [one.document() for one in played]})
    ctx.exit(0 if all(one.result.passed for one in played) else 1)


def _played_aloud(cases: list[Case]) -> list[Played]:
    """A line for each as it ends, then what was wrong, then the sum."""
    from cordum.testing.suite import play

    played: list[Played] = []
    for number, one in enumerate(play(cases), 1):
        played.append(one)
        mark = click.style("passed", fg="green") if one.result.passed else click.style("FAILED", fg="red")
        say(f"{mark}  {printable(one.result.name)}  {one.seconds:.2f} s  [{number}/{len(cases)}]")
    failed = [one for one in played if not one.result.passed]
    for one in failed:
        _show_failure(one)
    seconds = sum(one.seconds for one in played)
    say(f"{len(played) - len(failed)} passed, {len(failed)} failed in {seconds:.1f} s")
    return played


def _show_failure(one: Played) -> None:
    say("")
    say(click.style(f"{one.case.file}: {printable(one.result.name)}", bold=True))
    for problem in one.result.problems:
        say(f"  {printable(problem)}")
    events = one.result.timeline
    if events:
        say("  timeline:")
    if len(events) > _MOST_EVENTS:
        tell(f"  ({len(events) - _MOST_EVENTS} events before these are left out)")
    for line in _timeline(events[-_MOST_EVENTS:]):
        say(f"    {line}")


def _timeline(events: Iterable[dict[str, Any]]) -> Iterable[str]:
    for event in events:
        step = event.get("step_id") or ""
        yield printable(f"{event['time'][11:-1]}  {event['type']:<20} {step:<16} {details(event)}").rstrip()

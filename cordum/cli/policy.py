"""`policy`: look at a policy file here, or at the active one through the API; publish, roll back."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from cordum.cli.output import Json, complain, fields, print_json, printable, say, table, tell
from cordum.cli.remote import json_option, remote
from cordum.client import Client
from cordum.errors import CordumError, Problem, Unprocessable

P = ParamSpec("P")
R = TypeVar("R")

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """Decide what may run: explain, test and change the policy."""


# --- files, with no API ---


@policy.command()
def schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    from cordum.domain.policy_schema import policy_schema

    print_json(policy_schema())


@policy.command("lint")
@click.argument("file", type=_FILE)
@click.pass_context
def lint_(ctx: click.Context, file: Path) -> None:
    """Look for mistakes, for what would not be enforced, and for rules that can never decide."""
    from cordum.domain.policy_document import read_policy
    from cordum.domain.policy_lint import lint

    found = lint(_of(file, lambda: read_policy(file.read_bytes())))
    for problem in found:
        say(printable(f"{file}:{problem}"))
    if not found:
        say(f"{file}: nothing to complain about")
    ctx.exit(1 if found else 0)


# --- requests ---


def _request(command: Callable[P, R]) -> Callable[P, R]:
    """Options that describe a job, gathered into `request`."""

    @click.option("--topic", metavar="TOPIC", required=True, help="What would be dispatched.")
    @click.option("--workflow", metavar="ID", help="As a step of this workflow.")
    @click.option("--capability", metavar="NAME")
    @click.option("--risk-tag", "risk_tags", metavar="TAG", multiple=True, help="May be given several times.")
    @click.option("--requires", metavar="NAME", multiple=True, help="May be given several times.")
    @click.option("--actor", metavar="ID", help="Who acts.")
    @click.option("--actor-type", metavar="TYPE", help="human or service.")
    @click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="May be given several times.")
    @click.option("--input", "input_", metavar="JSON", help="What the job would be given.")
    @wraps(command)
    def gathered(*args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = dict(kwargs)
        names = ("topic", "workflow", "capability", "risk_tags", "requires", "actor", "actor_type", "labels", "input_")
        kwargs = {**given, "request": _document({name: given.pop(name) for name in names})}  # type: ignore[assignment]
        for name in names:
            kwargs.pop(name, None)
        return command(*args, **kwargs)

    return gathered


def _document(given: dict[str, Any]) -> dict[str, Any]:
    found = {
        "topic": given["topic"],
        "workflow_id": given["workflow"],
        "capability": given["capability"],
        "risk_tags": list(given["risk_tags"]),
        "requires": list(given["requires"]),
        "actor_id": given["actor"],
        "actor_type": given["actor_type"],
        "labels": dict(_pair(text) for text in given["labels"]),
        "input": _json(given["input_"]),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter("must be NAME=VALUE", param_hint="--label")
    return name, value


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--input") from None


@policy.command()
@_request
@json_option
@remote
def explain(client: Client, request: dict[str, Any], as_json: bool) -> None:
    """Say what the active policy decides, and why each rule did or did not match."""
    _show_explained(client.policy("explain", request), as_json)


@policy.command()
@click.argument("file", type=_FILE)
@_request
@json_option
@remote
def simulate(client: Client, file: Path, request: dict[str, Any], as_json: bool) -> None:
    """Say what FILE would decide, beside what the active policy decides."""
    shown = _of(file, lambda: client.policy("simulate", {**request, "policy": _text(file)}))
    _show_explained(shown, as_json)
    if not as_json:
        active = shown["active"]["decision"] if shown["active"] else "nothing is dispatched"
        say(f"active policy: {active}{'' if shown['changes'] else ' (no change)'}")


def _show_explained(shown: Json, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    names = ("decision", "rule_id", "reason", "constraints", "velocity", "policy_snapshot")
    fields((name, shown[name]) for name in names)
    rows = [(one["line"], one["rule_id"], one["decision"], _why(one)) for one in shown["rules"]]
    if rows:
        say()
        table(("line", "rule", "decision", "match"), rows)


def _why(report: Json) -> str:
    if report["decided"]:
        return "decides"
    if report["matched"]:
        return "would match, a rule before it decides"
    unjudged = " (cannot be judged)" if report["failed_field"] in report["unjudged"] else ""
    return f"{report['failed_field']} is not {json.dumps(report['wanted'], ensure_ascii=False)}{unjudged}"


# --- cases ---


@policy.command()
@click.argument("file", metavar="CASES", type=_FILE)
@click.option("--policy", "policy_file", type=_FILE, help="Test this file, with no API. [default: the active policy]")
@json_option
@click.option("--url", metavar="URL", help="The API.")
@click.pass_context
def test(ctx: click.Context, file: Path, policy_file: Path | None, as_json: bool, url: str | None) -> None:
    """Run a catalogue of cases. Exit code 1 when one does not pass."""
    shown = _test_here(file, policy_file) if policy_file else _test_active(file, url)
    if as_json:
        print_json(shown)
    else:
        for one in shown["results"]:
            said = click.style("passed", fg="green") if one["passed"] else click.style("failed", fg="red")
            say(f"{said}  {printable(one['name'])}")
            for wrong in one["wrong"]:
                say(printable(f"        {file}:{one['line']}: {wrong}"))
        tell(f"{shown['total'] - shown['failed']} of {shown['total']} cases passed")
    ctx.exit(0 if shown["passed"] else 1)


def _test_active(file: Path, url: str | None) -> dict[str, Any]:
    from cordum.cli.remote import api_url

    return _of(file, lambda: Client(url or api_url()).policy("test", {"cases": _text(file)}))


def _test_here(file: Path, policy_file: Path) -> dict[str, Any]:
    from cordum.domain.policy_cases import load_cases, report_of, run_cases
    from cordum.domain.policy_document import read_policy

    active = _of(policy_file, lambda: read_policy(policy_file.read_bytes()))
    return report_of(run_cases(active, _of(file, lambda: load_cases(file.read_bytes()))))


# --- changing ---


key_option = click.option("--key", metavar="KEY", help="Idempotency key: to ask again when the answer was lost.")


@policy.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--draft", metavar="ID", help="Publish this draft instead of a file.")
@click.option("--cases", type=_FILE, help="A catalogue that has to pass first.")
@click.option("--note", metavar="TEXT", help="Why; it stays in the history.")
@key_option
@json_option
@remote
def publish(
    client: Client,
    file: Path | None,
    draft: str | None,
    cases: Path | None,
    note: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Make FILE, or a draft, the active policy, of every tenant, at once. One that is broken changes nothing."""
    body = {**policy_of(file, draft), "note": note, "cases": _text(cases) if cases else None}
    given = {name: value for name, value in body.items() if value is not None}
    try:
        answered = client.policy("publish", given, idempotency_key=key)
    except CordumError as error:
        # Places in the answer are in the policy's text, unless it is its cases that fail.
        _end(error, cases if cases and error.code == "policy_tests_failed" else file or Path(str(draft)))
    _show_published(answered, as_json, source=str(file or draft))


def policy_of(file: Path | None, draft: str | None) -> dict[str, Any]:
    """The policy that a command is about, as the body of a request."""
    if (file is None) == (draft is None):
        raise click.UsageError("Give a file, or a draft with --draft.")
    return {"bundle_id": draft} if file is None else {"policy": _text(file)}


@policy.command()
@click.option("--to", "epoch", type=click.IntRange(1), help="Epoch to go back to. [default: what was before]")
@click.option("--note", metavar="TEXT", help="Why; it stays in the history.")
@key_option
@json_option
@remote
def rollback(client: Client, epoch: int | None, note: str | None, key: str | None, as_json: bool) -> None:
    """Make an earlier policy the active one again."""
    given = {name: value for name, value in {"epoch": epoch, "note": note}.items() if value is not None}
    _show_published(client.policy("rollback", given, idempotency_key=key), as_json)


@policy.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--draft", metavar="ID", help="Try this draft instead of a file.")
@click.option("--workflow", metavar="ID", help="Only runs of this workflow.")
@click.option("--limit", type=click.IntRange(1, 200), help="At most so many of the newest runs. [default: 200]")
@json_option
@remote
def replay(
    client: Client, file: Path | None, draft: str | None, workflow: str | None, limit: int | None, as_json: bool
) -> None:
    """Make past decisions again by FILE, or by a draft, and say which would change. Exit code 1 when one would."""
    given = {**policy_of(file, draft), "workflow_id": workflow, "limit": limit}
    asked = {name: value for name, value in given.items() if value is not None}
    found = client.policy("replay", asked) if file is None else _of(file, lambda: client.policy("replay", asked))
    if as_json:
        print_json(found)
    else:
        _show_replayed(found)
    raise click.exceptions.Exit(1 if found["changed"] else 0)


def _show_replayed(found: Json) -> None:
    say(f"{found['changed']} of {found['decisions']} decisions in {found['runs']} runs would change")
    for one in found["changes"]:
        say(f"{one['count']:>6}  {one['from']} -> {one['to']}")
    rows = [
        (one["job_id"], one["topic"], one["was"]["decision"], one["would_be"]["decision"], one["would_be"]["rule_id"])
        for one in found["items"]
    ]
    if rows:
        say()
        table(("job", "topic", "was", "would be", "by rule"), rows)


# --- drafts ---


@policy.group()
def draft() -> None:
    """Keep policies that are being worked on where others can see them."""


@draft.command("save")
@click.argument("draft_id", metavar="ID")
@click.argument("file", type=_FILE)
@json_option
@remote
def save_draft(client: Client, draft_id: str, file: Path, as_json: bool) -> None:
    """Keep FILE as the draft ID, good or not. Exit code 1 when it could not be published as it is."""
    saved = client.save_policy_draft(draft_id, _text(file))
    _show_draft(saved, as_json)


@draft.command("show")
@click.argument("draft_id", metavar="ID")
@json_option
@remote
def show_draft(client: Client, draft_id: str, as_json: bool) -> None:
    """Print a draft's text, and what is wrong with it."""
    found = client.policy_draft(draft_id)
    if not as_json:
        for line in found["policy"].splitlines():
            say(printable(line) if line else "")
    _show_draft(found, as_json)


@draft.command("list")
@json_option
@remote
def list_drafts(client: Client, as_json: bool) -> None:
    """List the drafts."""
    found = client.policy_drafts()
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], "yes" if one["valid"] else "no", one["saved_by"], one["saved_at"]) for one in found]
    table(("draft", "valid", "by", "saved"), rows)


@draft.command("delete")
@click.argument("draft_id", metavar="ID")
@remote
def delete_draft(client: Client, draft_id: str) -> None:
    """Forget a draft."""
    client.delete_policy_draft(draft_id)


def _show_draft(shown: Json, as_json: bool) -> None:
    if as_json:
        print_json(shown)
    else:
        for one in (*shown["errors"], *shown["warnings"]):
            tell(printable(f"{shown['id']}:{one.get('line') or 1}: {one['message']} [{one['code']}]"))
        say(f"{shown['digest']} {'can be published' if shown['valid'] else 'cannot be published'}")
    raise click.exceptions.Exit(0 if shown["valid"] else 1)


@policy.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@json_option
@remote
def history(client: Client, limit: int, as_json: bool) -> None:
    """List what was the active policy, newest first."""
    found = client.policy_history(limit)
    if as_json:
        print_json(found)
        return
    names = ("epoch", "published_at", "how", "actor", "policy_snapshot", "note")
    table(("epoch", "published", "how", "by", "snapshot", "note"), [[one[name] for name in names] for one in found])


def _show_published(shown: Json, as_json: bool, source: str = "") -> None:
    if as_json:
        print_json(shown)
        return
    for one in shown["warnings"]:
        place = f"{source}:{one['line']}: " if one.get("line") and source else ""
        tell(printable(f"warning: {place}{one['message']} [{one['code']}]"))
    said = "is active" if shown["published"] else "was active already"
    say(f"{shown['digest']} {said}, epoch {shown['epoch']}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problem = Problem("", "text_invalid", "the file is not UTF-8")
        raise Unprocessable(f"{file} cannot be read", problems=[problem]) from None


def _of(file: Path, act: Callable[[], R]) -> R:
    """Do something with a file; what is wrong in it is told with its name, and the command ends."""
    try:
        return act()
    except CordumError as error:
        if not error.problems:
            raise
        _end(error, file)


def _end(error: CordumError, file: Path) -> NoReturn:
    complain(error, source=str(file))
    raise click.exceptions.Exit(1)

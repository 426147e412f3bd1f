"""`bench`: figures to repeat on one's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cordum.cli.output import print_json, say, table, tell

if TYPE_CHECKING:
    from cordum.bench import Comparison, Cost, Idle, Measured, Report, Taken, Work

_POOLS = click.Choice(["prefork", "threads", "solo"])


@click.group(invoke_without_command=True, short_help="Measure throughput, idle costs, the language.")
@click.option("--runs", type=click.IntRange(1), default=1_000, show_default=True, help="Runs started at once.")
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True, help="How often each side is measured.")
@click.option("--pool", type=_POOLS, default="threads", show_default=True, help="Celery's pool, for every side.")
@click.option("--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Slots of each worker.")
@click.option("--peers", is_flag=True, help="Measure nine works beside Celery, Dramatiq and BullMQ instead.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the raw times.")
@click.pass_context
def bench(ctx: click.Context, runs: int, pairs: int, pool: str, concurrency: int, peers: bool, as_json: bool) -> None:
    """Run a small graph of no-op jobs on cordum, as a Celery canvas and as plain tasks, on a Redis of its own.

    Exit code 1 when a run went wrong, whatever the time. `--peers` is `cordum bench peers` with its defaults.
    """
    if ctx.invoked_subcommand is not None:
        return
    if peers:
        ctx.invoke(beside_peers, as_json=as_json)
    from cordum.bench import Options, hold_contest

    show = _show_pair if not as_json else lambda report: None
    report = hold_contest(Options(runs, pairs, pool, concurrency), show)
    if as_json:
        print_json(report.document())
    else:
        say(f"median ratio cordum / canvas: {report.median_ratio:.2f}")
        if report.median_cpu_ratio is not None:
            say(f"median ratio of processor time canvas / cordum: {report.median_cpu_ratio:.2f}")
    for problem in report.problems():
        tell(f"void: {problem}")
    ctx.exit(1 if report.problems() else 0)


@bench.command("peers")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="How often each is measured.")
@click.option("--work", "works", multiple=True, help="Only the works of this name: W1a, W1b, 'W2 1,000' …")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Make works larger or smaller.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the ratios into this PNG; needs matplotlib.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the raw answers.")
@click.pass_context
def beside_peers(
    ctx: click.Context,
    repeats: int = 3,
    works: tuple[str, ...] = (),
    scale: float = 1.0,
    plot: str | None = None,
    as_json: bool = False,
) -> None:
    """Do the same works on cordum, Celery, Dramatiq and BullMQ, in turn. From a source checkout, with node for BullMQ.

    Exit code 1 when a result was wrong, or a median is below its floor.
    """
    from cordum.bench import WORKS, compare, draw

    unknown = set(works) - {work.name for work in WORKS}
    if unknown:
        known = ", ".join(work.name for work in WORKS)
        raise click.BadParameter(f"no work is named {', '.join(sorted(unknown))}; there are {known}")
    found = compare(works, repeats, lambda work, taken: None if as_json else _show_taken(work, taken), scale)
    if plot:
        draw(found, plot)
    if as_json:
        print_json(found.document())
    else:
        _show_comparison(found)
    for line in found.problems():
        tell(f"void: {line}")
    for line in found.below_floor():
        tell(f"below its floor: {line}")
    ctx.exit(1 if found.problems() or found.below_floor() else 0)


@bench.command()
@click.option("--runs", type=click.IntRange(100), default=2_000, show_default=True, help="Runs of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def memory(ctx: click.Context, runs: int, as_json: bool) -> None:
    """Say what a run keeps in Redis: finished, waiting, removed. Exit code 1 when that is over the budget."""
    from cordum.bench import measure_memory

    found = measure_memory(runs)
    if as_json:
        print_json(found.document())
    else:
        kept = (("finished", found.finished_kib), ("waiting", found.waiting_kib), ("removed", found.removed_kib))
        table(("run", "KiB"), [(name, f"{kib:.2f}") for name, kib in kept])
    ctx.exit(0 if found.within_budget else 1)


@bench.command()
@click.option("--in-flight", type=click.IntRange(1), default=10_000, show_default=True, help="Most runs in flight.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def growth(ctx: click.Context, in_flight: int, as_json: bool) -> None:
    """Say how the cost of a step grows with all there can be more of. Exit code 1 when it grows too much."""
    from cordum.bench import measure_growth

    found = measure_growth(in_flight, lambda cost: None if as_json else _show_cost(cost))
    if as_json:
        print_json(found.document())
    else:
        rows = [(name, *(f"{times:.2f}" for times in found.growth(name).values())) for name in found.names]
        table(("from the smallest to the largest", "commands", "processor time"), rows)
    for name in found.over():
        tell(f"grows too much: {name}")
    ctx.exit(1 if found.over() else 0)


@bench.command()
@click.option("--seconds", type=click.IntRange(1), default=60, show_default=True, help="For how long.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def idle(ctx: click.Context, seconds: int, as_json: bool) -> None:
    """Start `cordum dev`, leave it alone, and say what it cost. Exit code 1 when that is over the budget."""
    from cordum.bench import measure_idle

    found = measure_idle(seconds)
    if as_json:
        print_json(found.document())
    else:
        _show_idle(found)
    ctx.exit(0 if found.within_budget else 1)


@bench.command()
@click.option("--decisions", type=click.IntRange(100), default=2_000, show_default=True, help="How many of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def policy(ctx: click.Context, decisions: int, as_json: bool) -> None:
    """Say how long a decision takes with 10, 100 and 1,000 rules. Exit code 1 when that is over the budget."""
    from cordum.bench import measure_decisions

    found = list(measure_decisions(decisions))
    if as_json:
        print_json([one.document() for one in found])
    else:
        rows = [(one.rules, one.topics, f"{one.p50_us:.1f}", f"{one.p99_us:.1f}") for one in found]
        table(("rules", "topics", "p50 µs", "p99 µs"), rows)
    ctx.exit(0 if all(one.within_budget for one in found) else 1)


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the single measurements.")
@click.pass_context
def language(ctx: click.Context, as_json: bool) -> None:
    """Render templates, read a large definition, refuse monstrous ones. Exit code 1 when that is over the budget."""
    from cordum.bench import measure_language

    found = measure_language()
    if as_json:
        print_json(found.document())
    else:
        rows = [
            (f"{one.value:.4g}", f"{one.budget:g}", "" if one.within_budget else "over", one.name, one.unit)
            for one in found.figures
        ]
        table(("median", "budget", "", "of", "unit"), rows)
    ctx.exit(0 if found.within_budget else 1)


@bench.command("http")
@click.option("--requests", type=click.IntRange(100), default=2_000, show_default=True, help="How many of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def http_api(requests: int, as_json: bool) -> None:
    """Say how many submissions and looks at a run the HTTP API answers in a second."""
    from cordum.bench import measure_http

    found = measure_http(requests)
    if as_json:
        print_json([one.document() for one in found])
    else:
        rows = [
            (one.what, *(f"{figure:.1f}" for figure in (one.per_sec, one.p50_ms, one.p99_ms, one.api_cpu_ms)))
            for one in found
        ]
        table(("request", "per second", "p50 ms", "p99 ms", "processor ms"), rows)


@bench.command()
@click.option("--choices", type=click.IntRange(100), default=500, show_default=True, help="How many of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def routing(ctx: click.Context, choices: int, as_json: bool) -> None:
    """Say how long it takes to choose among 10, 100 and 1,000 workers. Exit code 1 when that is over the budget."""
    from cordum.bench import measure_choices

    found = list(measure_choices(choices))
    if as_json:
        print_json([one.document() for one in found])
    else:
        rows = [(one.workers, one.asked, f"{one.p50_us:.1f}", f"{one.p99_us:.1f}") for one in found]
        table(("workers", "asked for", "p50 µs", "p99 µs"), rows)
    ctx.exit(0 if all(one.within_budget for one in found) else 1)


def _show_pair(report: Report) -> None:
    """The settings before the first pair, then a line for each."""
    number, pair = len(report.pairs), report.pairs[-1]
    if number == 1:
        _show_settings(report)
    if pair.disturbed:
        tell(
            f"pair {number}: something else used {pair.busy_before:.0%} of this machine before it; trust no time, only"
        )
        tell("        the ratio of processor time, or measure again on a quiet machine")
    rates = "  ".join(
        f"{name} {report.rate(measured):6.1f}{_cpu_of(report, measured)}" for name, measured in pair.sides()
    )
    say(f"pair {number}: runs/s  {rates}   ratio cordum / canvas {pair.ratio:.2f}")


def _show_cost(cost: Cost) -> None:
    spent = f"{cost.commands:7.1f} commands {cost.redis_us:7.0f} µs of Redis {cost.own_us:7.0f} µs of our own"
    tell(f"{cost.range:16} {cost.size:7} {spent} a step")


def _show_taken(work: Work, taken: Taken) -> None:
    tell(f"{work.name:14} {taken.peer:10} {taken.figure:10.1f} {work.unit}")


def _show_comparison(found: Comparison) -> None:
    peers = list(dict.fromkeys(peer for work in found.works for peer in work.peers))
    rows = [(work.name, work.what, work.unit, *(_cell(found, work, peer) for peer in peers)) for work in found.works]
    table(("work", "what", "unit", *peers), rows)
    say("medians; in brackets how many times as good cordum is")


def _cell(found: Comparison, work: Work, peer: str) -> str:
    median, ratio = found.median(work, peer), found.ratio(work, peer)
    if median is None:
        return "-"
    return f"{median:.1f}" if peer == "cordum" or ratio is None else f"{median:.1f} ({ratio:.2f})"


def _cpu_of(report: Report, measured: Measured) -> str:
    return "" if measured.cpu_sec is None else f" ({measured.cpu_sec / report.options.runs * 1000:.1f} cpu ms/run)"


def _show_settings(report: Report) -> None:
    for name, value in {**report.setting, **report.document()["options"]}.items():
        shown = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else value
        say(f"{name.replace('_', ' '):16}  {shown}")


def _show_idle(found: Idle) -> None:
    rows = [(f"{one.cpu_sec:.2f}", f"{one.pss_mib:.1f}", one.command) for one in found.processes]
    table(("cpu s", "pss MiB", "process"), rows)
    say(f"{found.cpu_sec:.2f} processor seconds in {found.seconds:.0f} s, {found.pss_mib:.0f} MiB")
    say(f"budget: {found.budget}")

"""What the three diagnostic workers found, as blocks of text: short for the approval, in full for the report."""

from __future__ import annotations

from cordum.demo.run_view import Json, error_text, mapping, mappings, number, output, step, texts
from cordum.demo.text_blocks import paragraph, plain, table

CLASSIFY, LOGS, METRICS = "classify", "logs_scan", "metric_scan"

MAX_SUSPECTS = 5


def classify_lines(run: Json) -> list[str]:
    found = output(run, CLASSIFY)
    if not found:
        return _nothing(run, CLASSIFY)
    reasons = "; ".join(texts(found.get("severity_reasons")))
    heading = f"{CLASSIFY}: severity {plain(found.get('severity'))}" + (f", because: {reasons}" if reasons else "")
    return paragraph(heading) + suspect_table(found)


def suspect_table(found: Json) -> list[str]:
    rows = [
        (suspect.get("build"), suspect.get("service"), number(suspect.get("score"), "d"), _why(suspect))
        for suspect in mappings(found.get("suspects"))[:MAX_SUSPECTS]
    ]
    return table(("suspect", "service", "score", "why"), rows, right="  > ") if rows else []


def logs_lines(run: Json) -> list[str]:
    found = output(run, LOGS)
    if not found:
        return _nothing(run, LOGS)
    heading = f"{LOGS}: {number(found.get('lines'), ',d')} lines, suspect {plain(found.get('suspect'))}"
    rows = [
        (
            build.get("build"),
            number(build.get("requests"), ",d"),
            number(build.get("errors"), ",d"),
            number(build.get("error_rate"), ".2%"),
            number(build.get("p50_ms"), ",d"),
            number(build.get("p95_ms"), ",d"),
            number(build.get("p99_ms"), ",d"),
        )
        for build in mappings(found.get("builds"))
    ]
    header = ("build", "requests", "5xx", "error rate", "p50 ms", "p95 ms", "p99 ms")
    return paragraph(heading) + (table(header, rows, right=" >>>>>>") if rows else [])


def metrics_lines(run: Json) -> list[str]:
    found = output(run, METRICS)
    if not found:
        return _nothing(run, METRICS)
    factor = number(found.get("p95_factor"), ".1f")
    heading = (
        f"{METRICS}: suspect {plain(found.get('suspect'))}, deployed at {plain(found.get('deployed_at'))},"
        f" p95 times {factor}"
    )
    rows = [
        (when, *(number(mapping(found.get(when)).get(key), ",d") for key in ("samples", "p50_ms", "p95_ms", "p99_ms")))
        for when in ("before", "after")
    ]
    return paragraph(heading) + table(("", "samples", "p50 ms", "p95 ms", "p99 ms"), rows, right=" >>>>")


def severity_text(run: Json) -> str:
    found = output(run, CLASSIFY)
    suspects = ", ".join(
        f"{plain(suspect.get('build'))} ({number(suspect.get('score'), 'd')})"
        for suspect in mappings(found.get("suspects"))[:MAX_SUSPECTS]
    )
    return f"{plain(found.get('severity'))}; suspects (score): {suspects or 'none'}"


def error_rates_text(run: Json) -> str:
    builds = mappings(output(run, LOGS).get("builds"))
    return ", ".join(f"{plain(build.get('build'))} {number(build.get('error_rate'), '.2%')}" for build in builds)


def p95_text(run: Json) -> str:
    found = output(run, METRICS)
    if not found.get("suspect"):
        return ""
    before, after = (number(mapping(found.get(when)).get("p95_ms"), ",d") for when in ("before", "after"))
    factor = number(found.get("p95_factor"), ".1f")
    return f"{before} ms before {plain(found.get('suspect'))}, {after} ms after it (times {factor})"


def _why(suspect: Json) -> str:
    return "; ".join(texts(suspect.get("reasons")))


def _nothing(run: Json, step_id: str) -> list[str]:
    status, error = step(run, step_id).get("status"), error_text(step(run, step_id).get("error"))
    return paragraph(f"{step_id}: no result ({plain(status or 'not reached')})" + (f": {error}" if error else ""))

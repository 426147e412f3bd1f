"""The run of the reference workflow as plain text: the evidence for whoever approves, and the report at the end.

Reads the run document of the HTTP API and nothing else. Any part of it may be missing: a run can end at every step.
"""

from __future__ import annotations

from cordum.demo.findings import (
    classify_lines,
    error_rates_text,
    logs_lines,
    metrics_lines,
    p95_text,
    severity_text,
)
from cordum.demo.run_view import Json, error_text, mapping, number, output, step
from cordum.demo.text_blocks import field, paragraph, plain, seconds_between, table
from cordum.demo.workflow import variant_note

GATE, ROLLBACK = "approval_gate", "rollback"


def render_report(run: Json, *, fail: str | None = None) -> str:
    """The whole story in sections. `fail` is what `demo_workflow` was called with."""
    sections = (
        _incident(run, fail),
        ["FOUND", *classify_lines(run), "", *logs_lines(run), "", *metrics_lines(run)],
        ["APPROVAL", *_approval(run)],
        ["ACTION TAKEN", *_action(run)],
        ["STEPS", *_steps(run)],
    )
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def render_evidence(run: Json) -> str:
    """What somebody must know to say yes or no, in a few lines."""
    return "\n".join(
        [
            *_question(run),
            *field("severity", severity_text(run)),
            *field("5xx rate", error_rates_text(run)),
            *field("p95", p95_text(run)),
            "",
        ]
    )


def _incident(run: Json, fail: str | None) -> list[str]:
    told = mapping(run.get("input"))
    incident = told.get("incident_id") or output(run, "classify").get("incident_id")
    error = error_text(run.get("error"))
    return [
        f"INCIDENT {plain(incident)}",
        *field("summary", told.get("summary")),
        *field("run", f"{plain(run.get('id'))} of {plain(run.get('workflow_id'))}"),
        *field("ended", f"{plain(run.get('status'))} after {_took(run, 'created_at')}"),
        *(field("error", error) if error else []),
        *(paragraph(variant_note(fail)) if fail else []),
    ]


def _question(run: Json) -> list[str]:
    asked = mapping(step(run, GATE).get("input"))
    return [*field("reason", asked.get("approval_reason")), *field("effect", asked.get("next_effect"))]


def _approval(run: Json) -> list[str]:
    gate = step(run, GATE)
    decided = output(run, GATE)
    status = gate.get("status")
    if status not in ("succeeded", "denied"):
        return [*_question(run), *field("decision", f"none ({plain(status or 'not reached')})")]
    verdict = decided.get("decision") or ("approved" if status == "succeeded" else "rejected")
    when = decided.get("decided_at") or gate.get("completed_at")
    words = decided.get("reason") or error_text(gate.get("error"))
    return [
        *_question(run),
        *field("decision", f"{plain(verdict)} by {_people(decided.get('decided_by'))} at {plain(when)}"),
        *field("because", words or "no reason given"),
    ]


def _people(decided_by: object) -> str:
    return ", ".join(plain(person) for person in decided_by) if isinstance(decided_by, list) else plain(decided_by)


def _action(run: Json) -> list[str]:
    done = output(run, ROLLBACK)
    if not done:
        status, error = step(run, ROLLBACK).get("status"), error_text(step(run, ROLLBACK).get("error"))
        return paragraph(f"none: {ROLLBACK} {plain(status or 'not reached')}" + (f": {error}" if error else ""))
    again = " (was already rolled back; nothing changed this time)" if done.get("already_rolled_back") else ""
    checked = "yes, build and link agree" if done.get("verified") else "no"
    return [
        *field("service", done.get("service")),
        *field("current", f"{plain(done.get('from'))} -> {plain(done.get('to'))}{again}"),
        *field("verified", checked),
    ]


def _steps(run: Json) -> list[str]:
    steps = {step_id: mapping(shown) for step_id, shown in mapping(run.get("steps")).items()}
    if not steps:
        return ["  none"]
    rows = [
        (
            step_id,
            shown.get("status"),
            number(shown.get("attempts"), "d"),
            seconds_between(run.get("created_at"), shown.get("started_at")),
            _took(shown, "started_at"),
            shown.get("worker"),
        )
        for step_id, shown in steps.items()
    ]
    lines = table(("step", "status", "attempts", "began at", "took", "worker"), rows, right="  >>> ")
    for step_id, shown in steps.items():
        error = error_text(shown.get("error"))
        lines += field(step_id, error, label_width=max(map(len, steps))) if error else []
    return lines


def _took(document: Json, start: str) -> str:
    return seconds_between(document.get(start), document.get("completed_at"))

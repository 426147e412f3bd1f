from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from cordum.demo.report import render_evidence, render_report
from cordum.demo.text_blocks import WIDTH

T = "2026-04-01T14:{}Z"


def ended(output: Any, start: str, end: str, **more: Any) -> dict[str, Any]:
    times = {"started_at": T.format(start), "completed_at": T.format(end)}
    return {"status": "succeeded", "attempts": 1, "output": output, "error": None, "worker": "w1", **times, **more}


def build(name: str, requests: int, errors: int, p95: int) -> dict[str, Any]:
    rate = round(errors / requests, 4)
    return {"build": name, "requests": requests, "errors": errors, "error_rate": rate} | {
        "p50_ms": 80,
        "p95_ms": p95,
        "p99_ms": 2 * p95,
    }


RUN: dict[str, Any] = {
    "id": "01JQRUN",
    "workflow_id": "incident_triage_parallel",
    "status": "succeeded",
    "input": {"incident_id": "INC-4821", "summary": "p95 latency up 4x"},
    "created_at": T.format("31:00.000"),
    "completed_at": T.format("31:09.500"),
    "steps": {
        "classify": ended(
            {
                "severity": "high",
                "severity_reasons": ["latency named in the summary (+2)", "grew 4 times (+2)"],
                "suspects": [
                    {"build": "b3", "service": "api", "score": 7, "reasons": ["shipped 25 min before (+3)"]},
                    {"build": "b2", "service": "api", "score": 2, "reasons": []},
                ],
            },
            "31:00.100",
            "31:00.200",
        ),
        "fanout_diagnostics": ended({}, "31:00.250", "31:01.000", worker=None),
        "logs_scan": ended(
            {"lines": 21600, "suspect": "b3", "builds": [build("b2", 10000, 40, 168), build("b3", 5000, 260, 677)]},
            "31:00.300",
            "31:00.450",
        ),
        "metric_scan": ended(
            {
                "suspect": "b3",
                "deployed_at": "2026-04-01T14:05:00Z",
                "before": {"samples": 300, "p50_ms": 79, "p95_ms": 158, "p99_ms": 197},
                "after": {"samples": 500, "p50_ms": 124, "p95_ms": 666, "p99_ms": 1117},
                "p95_factor": 4.22,
            },
            "31:00.300",
            "31:01.000",
            attempts=3,
        ),
        "approval_gate": ended(
            {"decision": "approved", "decided_by": "alice", "decided_at": T.format("31:09.000"), "reason": "I agree"},
            "31:01.100",
            "31:09.000",
            input={"approval_reason": "Apply production rollback", "next_effect": "Traffic shifts to the good build"},
            worker=None,
        ),
        "rollback": ended(
            {"service": "api", "from": "b3", "to": "b2", "already_rolled_back": False, "verified": True},
            "31:09.100",
            "31:09.400",
        ),
    },
}

REPORT = """\
INCIDENT INC-4821
  summary    p95 latency up 4x
  run        01JQRUN of incident_triage_parallel
  ended      succeeded after 9.5 s

FOUND
  classify: severity high, because: latency named in the summary (+2); grew 4 times (+2)
  suspect  service  score  why
  b3       api          7  shipped 25 min before (+3)
  b2       api          2  -

  logs_scan: 21,600 lines, suspect b3
  build  requests  5xx  error rate  p50 ms  p95 ms  p99 ms
  b2       10,000   40       0.40%      80     168     336
  b3        5,000  260       5.20%      80     677   1,354

  metric_scan: suspect b3, deployed at 2026-04-01T14:05:00Z, p95 times 4.2
          samples  p50 ms  p95 ms  p99 ms
  before      300      79     158     197
  after       500     124     666   1,117

APPROVAL
  reason     Apply production rollback
  effect     Traffic shifts to the good build
  decision   approved by alice at 2026-04-01T14:31:09.000Z
  because    I agree

ACTION TAKEN
  service    api
  current    b3 -> b2
  verified   yes, build and link agree

STEPS
  step                status     attempts  began at   took  worker
  classify            succeeded         1     0.1 s  0.1 s  w1
  fanout_diagnostics  succeeded         1     0.2 s  0.8 s  -
  logs_scan           succeeded         1     0.3 s  0.1 s  w1
  metric_scan         succeeded         3     0.3 s  0.7 s  w1
  approval_gate       succeeded         1     1.1 s  7.9 s  -
  rollback            succeeded         1     9.1 s  0.3 s  w1
"""

EVIDENCE = """\
  reason     Apply production rollback
  effect     Traffic shifts to the good build
  severity   high; suspects (score): b3 (7), b2 (2)
  5xx rate   b2 0.40%, b3 5.20%
  p95        158 ms before b3, 666 ms after it (times 4.2)
"""


def without(*steps: str, **changed: Any) -> dict[str, Any]:
    run = deepcopy(RUN)
    for step in steps:
        del run["steps"][step]
    for step, more in changed.items():
        run["steps"][step].update(more)
    return run


def test_the_report_of_a_run_that_succeeded() -> None:
    assert render_report(RUN) == REPORT


def test_the_evidence_for_the_approval() -> None:
    assert render_evidence(RUN) == EVIDENCE


def test_the_report_of_a_variant_says_so() -> None:
    report = render_report(RUN, fail="metrics")
    assert "Variant of the example: the metrics worker was told to fail 2 times" in report
    assert "The example itself is unchanged." in report


def test_a_rejected_run_shows_who_said_no_and_that_nothing_was_done() -> None:
    run = without(
        approval_gate={
            "status": "denied",
            "output": None,
            "error": {"code": "approval_rejected", "message": "wait for the night"},
        },
        rollback={"status": "skipped", "output": None},
    )
    report = render_report(run)
    assert "decision   rejected by - at 2026-04-01T14:31:09.000Z" in report
    assert "because    wait for the night [approval_rejected]" in report
    assert "ACTION TAKEN\n  none: rollback skipped\n" in report


def test_an_open_approval_is_not_shown_as_a_decision() -> None:
    run = without("rollback", approval_gate={"status": "waiting", "output": None, "completed_at": None})
    assert "decision   none (waiting)" in render_report(run)


def test_a_failed_step_shows_its_error_in_place_and_among_the_steps() -> None:
    error = {"code": "max_retries_exceeded", "message": "backend answered 503"}
    report = render_report(without(metric_scan={"status": "failed", "output": None, "error": error}))
    shown = "backend answered 503 [max_retries_exceeded]"
    assert f"  metric_scan: no result (failed): {shown}\n" in report
    assert f"  metric_scan        {shown}\n" in report


def test_a_rollback_done_before_says_so() -> None:
    output = {**RUN["steps"]["rollback"]["output"], "already_rolled_back": True}
    assert "b3 -> b2 (was already rolled back; nothing changed this time)" in render_report(
        without(rollback={"output": output})
    )


@pytest.mark.parametrize("missing", RUN["steps"])
def test_both_survive_any_missing_step(missing: str) -> None:
    assert render_report(without(missing)).startswith("INCIDENT INC-4821\n")
    assert render_evidence(without(missing)).startswith("  reason")


OTHER_TYPES: list[Any] = [None, 7, "text", [], [3], {}, {"suspects": 1, "builds": {}, "before": [], "p95_factor": "x"}]


@pytest.mark.parametrize("wrong", OTHER_TYPES)
@pytest.mark.parametrize("place", ["run", "steps", "step", "output"])
def test_both_survive_any_wrong_type(place: str, wrong: Any) -> None:
    run = deepcopy(RUN)
    if place == "run":
        run = dict.fromkeys(run, wrong)
    elif place == "steps":
        run["steps"] = wrong
    else:
        for step_id in run["steps"]:
            if place == "step":
                run["steps"][step_id] = wrong
            else:
                run["steps"][step_id]["output"] = wrong
    assert "STEPS" in render_report(run)
    assert render_evidence(run).endswith("\n")


def test_an_empty_document_gives_an_empty_report() -> None:
    assert render_report({}).startswith("INCIDENT -\n")
    assert "ACTION TAKEN\n  none: rollback not reached\n" in render_report({})


def test_no_line_is_wider_than_promised_whatever_the_text() -> None:
    run = without(
        classify={"output": {"severity": "high", "suspects": [{"build": "b", "reasons": ["word " * 60]}]}},
        metric_scan={"error": {"message": "no spaces" * 40}},
    )
    run["input"]["summary"] = "very long " * 50
    assert max(map(len, (render_report(run) + render_evidence(run)).splitlines())) <= WIDTH


def test_control_characters_are_shown_not_obeyed() -> None:
    run = deepcopy(RUN)
    run["input"]["summary"] = "red \x1b[31malert\x07\nFAKE SECTION \u202e"
    report = render_report(run)
    assert "  summary    red \\x1b[31malert\\x07 FAKE SECTION \\u202e\n" in report
    assert all(character.isprintable() or character == "\n" for character in report)

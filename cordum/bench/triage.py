"""The graph both sides run: classify, then logs and metrics side by side, then rollback with what both found."""

from __future__ import annotations

STEPS = ("classify", "logs", "metrics", "rollback")
WORKFLOW_ID = "bench_triage"
TOPICS = tuple(f"job.bench.{step}" for step in STEPS)

DEFINITION = b"""\
id: bench_triage
steps:
  classify: {type: worker, topic: job.bench.classify, input: {incident: "${input.incident}"}}
  logs: {type: worker, topic: job.bench.logs, depends_on: [classify], input: {case: "${steps.classify.output}"}}
  metrics: {type: worker, topic: job.bench.metrics, depends_on: [classify], input: {case: "${steps.classify.output}"}}
  rollback:
    type: worker
    topic: job.bench.rollback
    depends_on: [logs, metrics]
    input: {found: ["${steps.logs.output}", "${steps.metrics.output}"]}
"""

POLICY = b"""\
version: "1"
default_decision: deny
rules:
  - id: bench
    match: {topics: ["job.bench.*"]}
    decision: allow
"""


def classify(incident: int) -> dict[str, int]:
    return {"incident": incident}


def logs(case: dict[str, int]) -> dict[str, int]:
    return case


def metrics(case: dict[str, int]) -> dict[str, int]:
    return case


def rollback(found: list[dict[str, int]]) -> list[int]:
    """Its result proves that all four steps of this very run were there."""
    return [case["incident"] for case in found]


def expected(incident: int) -> list[int]:
    return [incident, incident]

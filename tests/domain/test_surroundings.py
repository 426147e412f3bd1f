from __future__ import annotations

from cordum.domain.definition import load_workflow
from cordum.domain.surroundings import downstream, upstream

WORKFLOW = load_workflow(
    b"""
id: wf
steps:
  a: {topic: job.a}
  fan: {type: parallel, steps: [x, y], depends_on: [a]}
  x: {topic: job.x}
  y: {topic: job.y}
  gate: {type: approval, depends_on: [fan]}
  b: {topic: job.b, depends_on: [gate]}
  c: {topic: job.c, depends_on: [b]}
  other: {topic: job.o, depends_on: [a]}
""",
    "yaml",
)


def test_what_lies_before_and_after_a_step_goes_through_groups() -> None:
    assert upstream(WORKFLOW.steps, "gate") == ["a", "fan", "x", "y"]
    assert downstream(WORKFLOW.steps, "gate") == ["b", "c"]


def test_ends_have_nothing_beyond_them() -> None:
    assert upstream(WORKFLOW.steps, "a") == []
    assert downstream(WORKFLOW.steps, "other") == []
    assert downstream(WORKFLOW.steps, "x") == ["fan", "gate", "b", "c"]

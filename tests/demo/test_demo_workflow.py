from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cordum.demo.faults import FAIL_VARIABLE, fail_if_asked
from cordum.demo.workflow import FAILURES, demo_workflow, fail_setting, worker_names
from cordum.errors import Unprocessable

REFERENCE = Path(__file__).parents[2] / "config" / "workflows" / "incident_triage_parallel.yaml"
RETRY = {"max_retries": 2, "initial_backoff_sec": 1, "max_backoff_sec": 8, "multiplier": 2}


def test_the_packaged_example_is_the_reference_workflow() -> None:
    assert demo_workflow() == REFERENCE.read_bytes()


@pytest.mark.parametrize(
    ("fail", "step"), [("metrics", "metric_scan"), ("classify", "classify"), ("rollback", "rollback")]
)
def test_the_variant_adds_a_retry_to_the_failing_step_and_nothing_else(fail: str, step: str) -> None:
    example, variant = yaml.safe_load(demo_workflow()), yaml.safe_load(demo_workflow(fail))
    assert variant["steps"][step].pop("retry") == RETRY
    assert variant == example
    assert len(demo_workflow(fail).splitlines()) == len(demo_workflow().splitlines()) + 1


def test_a_step_with_its_own_retry_keeps_it() -> None:
    assert demo_workflow("logs") == demo_workflow()


@pytest.mark.parametrize("fail", ["nope", "", "metric", "m.trics", "sre.metrics|x"])
def test_a_worker_that_is_not_there_is_refused_with_those_that_are(fail: str) -> None:
    with pytest.raises(Unprocessable, match="classify, logs, metrics, rollback"):
        demo_workflow(fail)


def test_the_variant_allows_as_many_retries_as_there_are_failures() -> None:
    assert worker_names() == ["classify", "logs", "metrics", "rollback"]
    assert RETRY["max_retries"] == FAILURES
    environ = {FAIL_VARIABLE: fail_setting("metrics")}
    with pytest.raises(RuntimeError):
        fail_if_asked("metrics", FAILURES, environ)
    fail_if_asked("metrics", FAILURES + 1, environ)

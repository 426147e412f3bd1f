from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from cordum import Cancelled
from cordum.domain.policy import Constraints
from cordum.errors import Unavailable
from cordum.execution.context import JobContext
from cordum.execution.job_log import JobLog, JsonLines
from cordum.execution.stops import Stop


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def ctx(fake_port: Any, make_claim: Callable[..., Any], stop: Stop) -> JobContext:
    claim = make_claim(input={"a": 1})
    return JobContext(claim, "r1:s@1", "job.t", incarnation="w", port=fake_port, stop=stop)


def test_the_context_tells_what_the_claim_told(ctx: JobContext) -> None:
    assert (ctx.run_id, ctx.step_id, ctx.job_id, ctx.attempt) == ("r1", "s", "r1:s@1", 1)
    assert (ctx.topic, ctx.tenant, ctx.labels, ctx.input) == ("job.t", "acme", {"team": "sre"}, {"a": 1})
    assert (ctx.idempotency_key, ctx.constraints) == ("r1:s", {})
    assert ctx.deadline.tzinfo is not None


def test_constraints_of_the_policy_are_told(fake_port: Any, make_claim: Callable[..., Any], stop: Stop) -> None:
    claim = make_claim()._replace(constraints=Constraints(max_result_bytes=10))
    ctx = JobContext(claim, "r1:s@1", "job.t", incarnation="w", port=fake_port, stop=stop)
    assert ctx.constraints == {"budgets": {"max_result_bytes": 10}}


def test_a_context_that_is_not_asked_asks_nobody(ctx: JobContext, fake_port: Any) -> None:
    assert ctx.input == {"a": 1}
    assert fake_port.told == []


def test_progress_is_told(ctx: JobContext, fake_port: Any) -> None:
    ctx.progress(0.5, "half")
    assert fake_port.told == [("progress", 0.5, "half")]


def test_progress_in_a_tight_loop_is_told_once(ctx: JobContext, fake_port: Any) -> None:
    for _ in range(100):
        ctx.progress(0.5)
        assert not ctx.cancelled
    assert fake_port.names() == ["progress"]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_lies_between_nothing_and_all(ctx: JobContext, fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ctx.progress(fraction)


def test_once_cancelled_stays_cancelled(ctx: JobContext, fake_port: Any) -> None:
    fake_port.running = False
    assert ctx.cancelled
    fake_port.running = True
    assert ctx.cancelled
    with pytest.raises(Cancelled):
        ctx.progress(0.5)


def test_a_stop_from_the_lease_needs_no_question(ctx: JobContext, fake_port: Any, stop: Stop) -> None:
    stop.set()
    assert ctx.cancelled
    with pytest.raises(Cancelled, match="was cancelled"):
        ctx.progress(0.5)
    assert fake_port.told == []


def test_the_time_limit_needs_no_question(fake_port: Any, make_claim: Callable[..., Any], stop: Stop) -> None:
    late = JobContext(make_claim(timeout_ms=0), "r1:s@1", "job.t", incarnation="w", port=fake_port, stop=stop)
    assert late.cancelled
    with pytest.raises(Cancelled, match="time limit"):
        late.progress(0.5)
    assert fake_port.told == []


def test_while_redis_is_away_the_job_goes_on(ctx: JobContext, fake_port: Any) -> None:
    fake_port.away = [Unavailable("away")]
    ctx.progress(0.5)
    assert not ctx.cancelled


def test_once_is_never_guessed(ctx: JobContext, fake_port: Any) -> None:
    fake_port.away = [Unavailable("away")]
    with pytest.raises(Unavailable):
        ctx.once("mail")
    assert ctx.once("mail") is True


def test_a_log_line_is_json_with_the_ids_of_its_job(caplog: pytest.LogCaptureFixture) -> None:
    log = JobLog({"run_id": "r1", "job_id": "r1:s@1"})
    with caplog.at_level(logging.INFO, logger="cordum.job"):
        log.info("100%\n\x1b[31m", job_id="forged", n=1, thing=object)
    text = JsonLines().format(caplog.records[0])
    assert text.isprintable()
    line = json.loads(text)
    assert (line["message"], line["level"], line["n"]) == ("100%\n\x1b[31m", "info", 1)
    assert (line["run_id"], line["job_id"]) == ("r1", "r1:s@1")
    assert line["time"].endswith("Z")


def test_a_long_value_in_a_log_line_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="cordum.job"):
        JobLog({}).warning("x" * 100_000)
    assert len(JsonLines().format(caplog.records[0])) < 5_000

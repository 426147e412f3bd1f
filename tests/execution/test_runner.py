from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from cordum import Cancelled, Fatal, Retry
from cordum.domain.run import OutcomeClass
from cordum.engine import Outcome
from cordum.execution.context import JobContext
from cordum.execution.handlers import Registry
from cordum.execution.runner import run_job
from cordum.execution.stops import Stop

Run = Callable[..., Outcome]


@pytest.fixture
def run(fake_port: Any, make_claim: Callable[..., Any]) -> Run:
    def run_one(function: Any, given: Any = None, *, max_bytes: int = 1_000, **claimed: Any) -> Outcome:
        handlers = Registry()
        handlers.add("job.t", function)
        claim = make_claim(input=given, **claimed)
        ctx = JobContext(claim, "r1:s@1", "job.t", incarnation="w", port=fake_port, stop=Stop())
        return run_job("job.t", "r1:s@1", claim.input, ctx, max_result_bytes=max_bytes, handlers=handlers)

    return run_one


def raising(error: BaseException) -> Any:
    def work(ctx: Any) -> None:
        raise error

    return work


def test_a_result_is_the_output(run: Run) -> None:
    outcome = run(lambda ctx, a: {"a": a, "b": (1, 2)}, {"a": []})
    assert outcome == Outcome(OutcomeClass.SUCCESS, output={"a": [], "b": [1, 2]})


def test_an_async_handler_is_awaited(run: Run) -> None:
    async def work(ctx: Any, a: int) -> int:
        await asyncio.sleep(0)
        return a + 1

    assert run(work, {"a": 1}).output == 2


def test_input_that_is_no_object_is_in_the_context_only(run: Run) -> None:
    assert run(lambda ctx: ctx.input, [1, 2]).output == [1, 2]


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Fatal("no"), OutcomeClass.FATAL, "fatal"),
        (Retry("later"), OutcomeClass.RETRYABLE, "retryable"),
        (ValueError("bad"), OutcomeClass.RETRYABLE, "retryable"),
        (MemoryError(), OutcomeClass.RETRYABLE, "retryable"),
        (SystemExit(1), OutcomeClass.RETRYABLE, "retryable"),
        (Cancelled("out of the blue"), OutcomeClass.RETRYABLE, "retryable"),
        (asyncio.CancelledError(), OutcomeClass.RETRYABLE, "retryable"),
        (SoftTimeLimitExceeded(), OutcomeClass.TIMEOUT, "timeout"),
    ],
)
def test_an_exception_has_its_class(run: Run, error: BaseException, kind: OutcomeClass, code: str) -> None:
    outcome = run(raising(error))
    assert outcome.kind is kind
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.kind) == (code, type(error).__name__)


def test_retry_may_say_when(run: Run) -> None:
    assert run(raising(Retry("later", after=1.5))).retry_after_ms == 1500
    assert run(raising(Retry("later"))).retry_after_ms is None


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf")])
def test_retry_refuses_a_time_that_is_none(after: float) -> None:
    with pytest.raises(ValueError, match="after must be seconds"):
        Retry("later", after=after)


def test_missing_input_is_fatal_and_runs_nothing(run: Run) -> None:
    ran = []
    outcome = run(lambda ctx, summary: ran.append(1), {"text": "x"})
    assert (outcome.kind, ran) == (OutcomeClass.FATAL, [])
    assert outcome.failure is not None
    assert "summary" in outcome.failure.message


def test_a_type_error_of_the_handler_itself_is_retryable(run: Run) -> None:
    assert run(lambda ctx: int(None), {}).kind is OutcomeClass.RETRYABLE  # type: ignore[call-overload]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"a": {1}}, "type set"),
        (b"bytes", "type bytes"),
        (float("nan"), "not JSON"),
        ("\ud800", "surrogate"),
        (circular(), "Circular"),
        (nested(100), "deep"),
        (nested(sys.getrecursionlimit() * 2), "deep"),
        ((one for one in [1]), "type generator"),
    ],
)
def test_what_is_not_json_fails_for_good(run: Run, result: Any, told: str) -> None:
    outcome = run(lambda ctx: result)
    assert outcome.kind is OutcomeClass.FATAL
    assert outcome.failure is not None
    assert outcome.failure.code == "result_not_serializable"
    assert told in outcome.failure.message


def test_a_result_over_the_limit_fails_for_good(run: Run) -> None:
    assert run(lambda ctx: "é" * 49, max_bytes=100).kind is OutcomeClass.SUCCESS
    outcome = run(lambda ctx: "é" * 50, max_bytes=100)
    assert outcome.failure is not None
    assert (outcome.kind, outcome.failure.code) == (OutcomeClass.FATAL, "result_too_large")


async def failing_later(ctx: Any) -> None:
    await asyncio.sleep(0)
    raise ValueError("bad")


@pytest.mark.parametrize("handler", [raising(ValueError("bad")), failing_later])
def test_a_failure_shows_the_handler_and_not_its_caller(run: Run, handler: Any) -> None:
    failure = run(handler).failure
    assert failure is not None
    assert failure.traceback is not None
    assert "test_runner.py" in failure.traceback
    assert "runner.py" not in failure.traceback.replace("test_runner.py", "")


def test_a_failure_is_bounded_and_steers_no_terminal(run: Run) -> None:
    failure = run(raising(ValueError("\x1b[31m" + "x\n" * 100_000))).failure
    assert failure is not None
    assert failure.traceback is not None
    assert len(failure.message) < 2_100
    assert len(failure.traceback) < 16_100
    assert failure.message.replace("\N{REPLACEMENT CHARACTER}", "").isprintable()
    assert "\x1b" not in failure.traceback


def test_an_exception_without_a_text_does_not_hide_its_class(run: Run) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    failure = run(raising(Mute())).failure
    assert failure is not None
    assert "Mute" in failure.message


def test_progress_after_a_cancel_ends_the_handler(run: Run, fake_port: Any) -> None:
    fake_port.running = False
    outcome = run(lambda ctx: ctx.progress(0.5))
    assert outcome.failure is not None
    assert outcome.failure.kind == "Cancelled"


def test_a_handler_that_stops_at_its_time_limit_timed_out(run: Run) -> None:
    assert run(lambda ctx: ctx.progress(0.5), timeout_ms=0).kind is OutcomeClass.TIMEOUT


@pytest.mark.parametrize(("timeout_ms", "kind"), [(0, OutcomeClass.TIMEOUT), (60_000, OutcomeClass.RETRYABLE)])
def test_what_is_returned_because_of_a_stop_is_no_result(
    run: Run, fake_port: Any, timeout_ms: int, kind: OutcomeClass
) -> None:
    def work(ctx: Any) -> str:
        while not ctx.cancelled:
            pass
        return "half of it"

    fake_port.running = False
    assert run(work, timeout_ms=timeout_ms).kind is kind


def test_a_result_that_nobody_told_to_stop_counts_though_late(run: Run) -> None:
    assert run(lambda ctx: "all of it", timeout_ms=0).kind is OutcomeClass.SUCCESS


def test_an_async_handler_is_cancelled_where_it_waits(run: Run, fake_port: Any) -> None:
    seen = []

    async def work(ctx: Any) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    fake_port.running = False
    outcome = run(work)
    assert seen == ["cancelled"]
    assert outcome.failure is not None
    assert outcome.failure.kind == "Cancelled"

"""From a topic, its input and a context to an outcome: runs the handler and judges how it ended. Free of Redis."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable
from types import NoneType
from typing import Any

from billiard import current_process
from billiard.common import terminate_handler_fired
from billiard.exceptions import SoftTimeLimitExceeded

from cordum import failpoints
from cordum.domain.run import Failure, OutcomeClass
from cordum.domain.workflow import JSON
from cordum.engine import Outcome
from cordum.execution.context import JobContext
from cordum.execution.failures import failure_of
from cordum.execution.handlers import Handler, MissingInput, Registry, registry
from cordum.execution.result import ResultRefused, checked_result
from cordum.execution.verdicts import Cancelled, Fatal, Retry

__all__ = ["run_job"]

_LOOK_EVERY_SEC = 0.25
_NEVER_AWAITED = frozenset({dict, list, str, int, bool, NoneType})
_CHILD_ENDED = 71  # EX_OSERR of sysexits.h


def run_job(
    topic: str,
    job_id: str,
    input: JSON,
    ctx: JobContext,
    *,
    max_result_bytes: int,
    handlers: Registry = registry,
) -> Outcome:
    """Run the handler of `topic` once; whatever it does, the answer is an Outcome.

    Except in a pool child that is being ended: it says nothing, and its parent reports the attempt lost.
    """
    if failpoints.ACTIVE:
        failpoints.reach("worker.after_claim_before_user")
    outcome = _outcome(handlers[topic], input, ctx, max_result_bytes)
    if terminate_handler_fired():
        # What a handler made of the SystemExit it was interrupted by is no outcome.
        raise SystemExit(_CHILD_ENDED)
    if failpoints.ACTIVE:
        failpoints.reach("worker.after_user_before_record")
    return outcome


def _outcome(handler: Handler, input: JSON, ctx: JobContext, max_result_bytes: int) -> Outcome:
    try:
        result = _call(handler, handler.arguments(input), ctx)
        if ctx.told_to_stop:
            # What a handler returns because it was told to stop is no result.
            raise Cancelled(_why(ctx))
        output, text = checked_result(result, max_result_bytes)
        return Outcome(OutcomeClass.SUCCESS, output, text=text)
    except ResultRefused as error:
        return Outcome(OutcomeClass.FATAL, failure=Failure(error.code, str(error)))
    except MissingInput as error:
        return Outcome(OutcomeClass.FATAL, failure=Failure("fatal", str(error), kind="MissingInput"))
    except Fatal as error:
        return Outcome(OutcomeClass.FATAL, failure=_failure(error, "fatal"))
    except Retry as error:
        after_ms = None if error.after is None else round(error.after * 1000)
        return Outcome(OutcomeClass.RETRYABLE, failure=_failure(error, "retryable"), retry_after_ms=after_ms)
    except SoftTimeLimitExceeded as error:
        return Outcome(OutcomeClass.TIMEOUT, failure=_failure(error, "timeout"))
    except Cancelled as error:
        if ctx.timed_out:
            return Outcome(OutcomeClass.TIMEOUT, failure=_failure(error, "timeout"))
        return Outcome(OutcomeClass.RETRYABLE, failure=_failure(error, "retryable"))
    except MemoryError as error:
        _end_pool_child()
        return Outcome(OutcomeClass.RETRYABLE, failure=_failure(error, "retryable"))
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        # sys.exit() in a handler ends its job, not the worker.
        return Outcome(OutcomeClass.RETRYABLE, failure=_failure(error, "retryable"))


def _end_pool_child() -> None:
    """A process without memory cannot be trusted to record that, nor with the next job; threads have to go on."""
    if current_process().name != "MainProcess":
        os._exit(_CHILD_ENDED)


def _failure(error: BaseException, code: str) -> Failure:
    return failure_of(error, code, caller=__file__)


def _call(handler: Handler, arguments: dict[str, JSON], ctx: JobContext) -> object:
    result = handler.function(ctx, **arguments)
    if type(result) in _NEVER_AWAITED or not inspect.isawaitable(result):
        return result
    return asyncio.run(_watched(result, ctx))


async def _watched(handler: Awaitable[Any], ctx: JobContext) -> object:
    """Await an async handler; a job that should stop is cancelled at its next await."""
    task = asyncio.ensure_future(handler)
    while not task.done():
        await asyncio.wait({task}, timeout=_LOOK_EVERY_SEC)
        if not task.done() and ctx.cancelled:
            task.cancel()
    if task.cancelled() and ctx.cancelled:
        raise Cancelled(_why(ctx))
    return task.result()


def _why(ctx: JobContext) -> str:
    return "the time limit is over" if ctx.timed_out else "the job was cancelled"

"""Tell those who watch: an event on the timeline, never a reason to wait or to stop."""

from __future__ import annotations

from cordum.domain.attempts import Refusal, checked_input
from cordum.domain.instances import Instance
from cordum.domain.steps.ending import fail, finish
from cordum.domain.turn import Turn
from cordum.domain.workflow import Notify


def ready(turn: Turn, instance: Instance) -> None:
    assert isinstance(instance.step.own, Notify)
    try:
        said = checked_input(turn, instance) if instance.step.input is not None else {}
    except Refusal as refused:
        fail(turn, instance, refused.failure.code, refused.failure.message)
        return
    said = said if isinstance(said, dict) else {"message": said}
    said = {"level": "INFO", **said}
    attempt = turn.steps[instance.ref].attempt + 1
    data = {**said, "channel": instance.step.own.channel.value}
    turn.event("notify", instance.ref, attempt=attempt, data=data)
    finish(turn, instance, said)

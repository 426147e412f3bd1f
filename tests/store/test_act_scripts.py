"""Acts that are about no run: sent twice, because a reply was lost, each is done once and told the audit once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from cordum.domain.audit import Act
from cordum.domain.expressions import Template
from cordum.domain.hooks import Hook, StartRun
from cordum.store.workers import DrainReply
from tests.store.world import TOPIC, World

ACT = Act("ann", "t", "an update")
HOOK = Hook("h", "t", "ann", "n1", StartRun("wf", Template.compile("${body}")))
FACTS = {"filter": "{}", "left_out": "0"}


def told(world: World) -> list[tuple[str, str, str | None]]:
    """(type, subject, reason) of each record, oldest first; that each has the right number."""
    raw = world.client.lrange(world.store.keys.audit("t"), 0, -1)
    records = [text.split(" ", 3) for text in raw]
    assert [number for number, *_ in records] == [str(number) for number in range(1, len(raw) + 1)]
    events = [(json.loads(text), subject) for _, _, subject, text in records]
    assert {event["actor"] for event, _ in events} <= {"ann"}
    return [(event["type"], subject, event.get("data", {}).get("reason")) for event, subject in events]


def pause(world: World) -> None:
    world.store.queues.pause(TOPIC, ACT)


def resume(world: World) -> None:
    world.store.queues.resume(TOPIC, ACT)


def drain(world: World) -> None:
    world.store.workers.drain("w1", ACT)


def open_worker(world: World) -> None:
    world.store.workers.drain("w1", ACT, draining=False)


def drain_pool(world: World) -> None:
    world.store.workers.drain_pool("gpu", ACT)


def open_pool(world: World) -> None:
    world.store.workers.drain_pool("gpu", ACT, draining=False)


def save_hook(world: World) -> None:
    world.store.hooks.save(HOOK)


def rotate_hook(world: World) -> None:
    world.store.hooks.rotate("h", "n2", ACT)


def delete_hook(world: World) -> None:
    world.store.hooks.delete("h", ACT)


def begin(world: World) -> None:
    world.store.bulk_retries.begin("b", 1.0, ACT, FACTS, ["r1:a@1"])


def stop(world: World) -> None:
    world.store.bulk_retries.stop("b", ACT)


@pytest.mark.parametrize(
    ("acts", "types", "subject"),
    [
        ((pause, resume), ("queue.paused", "queue.resumed"), "queue:job.t"),
        ((drain, open_worker), ("worker.drained", "worker.opened"), "worker:w1"),
        ((drain_pool, open_pool), ("pool.drained", "pool.opened"), "pool:gpu"),
        ((save_hook, rotate_hook, delete_hook), ("hook.created", "hook.rotated", "hook.deleted"), "hook:h"),
        ((begin, stop), ("bulk_retry.begun", "bulk_retry.stopped"), "bulk_retry:b"),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_an_act_that_is_sent_again_is_told_once(
    world: World, acts: tuple[Callable[[World], None], ...], types: tuple[str, ...], subject: str
) -> None:
    for act in acts:
        act(world)
        act(world)
    reasons = [None if type_ == "hook.created" else "an update" for type_ in types]
    assert told(world) == [(type_, subject, reason) for type_, reason in zip(types, reasons, strict=True)]


def test_what_follows_from_a_drained_pool_is_not_told_again(world: World) -> None:
    drain_pool(world)
    assert world.store.workers.drain("w1", ACT, told=False) is DrainReply.CHANGED
    assert [type_ for type_, _, _ in told(world)] == ["pool.drained"]


def test_an_id_of_a_hook_is_taken_once(world: World) -> None:
    save_hook(world)
    world.store.hooks.save(replace(HOOK, nonce="n9"))
    kept = world.store.hooks.read("h").hook
    assert kept is not None
    assert kept.nonce == "n1"


def test_what_is_gone_is_not_rotated(world: World) -> None:
    assert not world.store.hooks.rotate("h", "n2", ACT)
    assert not world.store.hooks.delete("h", ACT)
    assert told(world) == []
    assert world.store.hooks.read("h").hook is None

"""save_workflow, delete_workflow: definitions are kept by version, and nobody's view of the others is out of date."""

from __future__ import annotations

from collections.abc import Callable

from cordum.store.workflows import DeleteReply, SaveReply
from tests.store.world import World


def save(world: World, name: str, text: str, expected: int | None = None) -> tuple[SaveReply, int]:
    return world.store.workflows.save("acme", name, f"sha256:{text}", text, [], expected)


def test_the_same_content_is_the_same_version_and_another_is_the_next(world: World) -> None:
    assert [save(world, "w", text) for text in ("one", "two", "one")] == [
        (SaveReply.SAVED, 1),
        (SaveReply.SAVED, 2),
        (SaveReply.UNCHANGED, 1),
    ]
    assert [one.version for one in world.store.workflows.versions("acme", "w")] == [2, 1]
    assert world.store.workflows.version_of("acme", "w", "sha256:one") == 1
    assert world.store.workflows.versions("acme", "other") == []


# -- what was seen -----------------------------------------------------------------------------------------------


def two_saves_that_saw_the_same(world: World) -> list[SaveReply]:
    seen = world.store.workflows.changes("acme")
    return [save(world, name, name, seen)[0] for name in ("a", "b")]


def test_of_two_saves_that_saw_the_same_definitions_one_is_stale(world: World) -> None:
    assert two_saves_that_saw_the_same(world) == [SaveReply.SAVED, SaveReply.STALE]
    assert world.store.workflows.ids("acme") == ["a"]


def test_without_the_guard_both_are_saved(world_without: Callable[..., World]) -> None:
    world = world_without(("save_workflow", "definitions_as_seen"))
    assert two_saves_that_saw_the_same(world) == [SaveReply.SAVED, SaveReply.SAVED]


def test_a_deletion_and_another_tenant_s_save_count_as_they_should(world: World) -> None:
    save(world, "a", "a")
    seen = world.store.workflows.changes("acme")
    world.store.workflows.save("other", "b", "sha256:b", "b", [])
    assert world.store.workflows.changes("acme") == seen
    world.store.workflows.delete("acme", "a")
    assert save(world, "c", "c", seen)[0] is SaveReply.STALE


# -- deleting ----------------------------------------------------------------------------------------------------


def with_open_run(world: World) -> tuple[DeleteReply, int]:
    save(world, "w", "one")
    world.client.zadd(world.store.keys.runs_of("acme", "w"), {"r1": 1})
    world.client.sadd(world.store.keys.open_runs_of("acme", "w"), "r1")
    return world.store.workflows.delete("acme", "w")


def test_a_workflow_with_an_open_run_is_not_deleted(world: World) -> None:
    assert with_open_run(world) == (DeleteReply.IN_USE, 1)
    assert world.store.workflows.latest("acme", "w") == (1, "sha256:one")


def test_without_the_guard_an_open_run_loses_its_workflow(world_without: Callable[..., World]) -> None:
    world = world_without(("delete_workflow", "no_open_runs"))
    assert with_open_run(world)[0] is DeleteReply.DELETED


def test_a_deleted_workflow_is_gone_for_those_who_ask_by_name(world: World) -> None:
    save(world, "w", "one")
    assert world.store.workflows.delete("acme", "w") == (DeleteReply.DELETED, 0)
    assert world.store.workflows.delete("acme", "w") == (DeleteReply.NOT_FOUND, 0)
    assert world.store.workflows.ids("acme") == []
    assert world.store.workflows.load("acme", "w") is None
    assert world.store.workflows.load("acme", "w", 1) is None
    assert world.store.workflows.document("acme", "w", "sha256:one") is None


def test_ended_runs_keep_the_text_they_were_started_with(world: World) -> None:
    save(world, "w", "one")
    world.client.zadd(world.store.keys.runs_of("acme", "w"), {"r1": 1})
    world.store.workflows.delete("acme", "w")
    assert world.store.workflows.document("acme", "w", "sha256:one") == "one"
    assert world.store.workflows.load("acme", "w", 1) is None


def test_numbers_go_on_after_a_deletion(world: World) -> None:
    for text in ("one", "two"):
        save(world, "w", text)
    world.store.workflows.delete("acme", "w")
    assert save(world, "w", "one") == (SaveReply.SAVED, 3)
    assert [one.version for one in world.store.workflows.versions("acme", "w")] == [3]
    assert save(world, "w", "two") == (SaveReply.SAVED, 4)

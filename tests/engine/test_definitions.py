"""Definitions beside one another: calls of other workflows, versions, deleting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from cordum.engine import Caller, Engine
from cordum.errors import DefinitionInvalid, NotFound, StateConflict


def calling(name: str, called: str) -> bytes:
    return f"id: {name}\nsteps:\n  run:\n    type: subworkflow\n    input: {{workflow_id: {called}}}\n".encode()


def test_a_workflow_that_is_not_stored_yet_is_a_warning_at_its_place(engine: Engine) -> None:
    (warning,) = engine.save_workflow("default", calling("a", "b"), "yaml").warnings
    assert (warning.code, warning.path, warning.line) == ("workflow_not_stored", "/steps/run/input/workflow_id", 5)
    assert engine.validate_workflow("default", calling("a", "b"), "yaml").warnings == (warning,)
    engine.save_workflow("default", b"id: b\nsteps: {}", "yaml")
    assert engine.save_workflow("default", calling("a", "b"), "yaml").warnings == ()


def test_the_save_that_closes_a_cycle_is_refused_at_its_place(engine: Engine) -> None:
    engine.save_workflow("default", calling("b", "c"), "yaml")
    engine.save_workflow("default", calling("c", "a"), "yaml")
    for refuse in (engine.save_workflow, engine.validate_workflow):
        with pytest.raises(DefinitionInvalid) as refused:
            refuse("default", calling("a", "b"), "yaml")
        (problem,) = refused.value.problems
        assert (problem.code, problem.path, problem.line) == ("subworkflow_cycle", "/steps/run/input/workflow_id", 5)
        assert "a -> b -> c -> a" in problem.message
    assert engine.save_workflow("other", calling("a", "b"), "yaml").created


def test_of_saves_at_the_same_time_that_close_a_cycle_one_is_refused(engine: Engine) -> None:
    for number in range(10):
        names = [f"x{number}", f"y{number}", f"z{number}"]
        together = Barrier(len(names))

        def save(name: str, called: str, together: Barrier = together) -> bool:
            together.wait()
            try:
                return engine.save_workflow("default", calling(name, called), "yaml").created
            except DefinitionInvalid:
                return False

        with ThreadPoolExecutor(len(names)) as pool:
            saved = list(pool.map(save, names, [*names[1:], names[0]]))
        assert sorted(saved) == [False, True, True]


def test_the_definitions_are_read_again_when_they_have_changed_meanwhile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody saves the other half of a cycle between our look and our save."""
    store = engine.store.workflows
    save = store.save

    def late(*arguments: object) -> object:
        monkeypatch.setattr(store, "save", save)
        engine.save_workflow("default", calling("b", "a"), "yaml")
        return save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "save", late)
    with pytest.raises(DefinitionInvalid):
        engine.save_workflow("default", calling("a", "b"), "yaml")


def test_content_that_is_stored_already_is_not_judged_again(engine: Engine) -> None:
    engine.save_workflow("default", calling("a", "b"), "yaml")
    engine.save_workflow("default", b"id: a\nsteps: {}", "yaml")
    engine.save_workflow("default", calling("b", "a"), "yaml")
    again = engine.save_workflow("default", calling("a", "b"), "yaml")
    assert (again.created, again.version) == (False, 1)


def test_versions_are_listed_newest_first(engine: Engine) -> None:
    for text in (b"id: w\nsteps: {}", b"id: w\nsteps: {}\nname: N"):
        engine.save_workflow("default", text, "yaml")
    found = engine.workflow_versions("default", "w")
    assert [(one["version"], one["latest"]) for one in found] == [(2, True), (1, False)]
    with pytest.raises(NotFound):
        engine.workflow_versions("other", "w")


def test_a_workflow_is_deleted_for_its_tenant_only(engine: Engine) -> None:
    for tenant in ("default", "other"):
        engine.save_workflow(tenant, b"id: w\nsteps: {}", "yaml")
    engine.delete_workflow("default", "w")
    with pytest.raises(NotFound):
        engine.workflow("default", "w")
    with pytest.raises(NotFound):
        engine.delete_workflow("default", "w")
    assert engine.workflow("other", "w")["version"] == 1


def test_a_workflow_in_use_is_a_conflict_until_its_last_run_has_ended(engine: Engine) -> None:
    engine.save_workflow("default", b"id: w\nsteps: {a: {topic: job.t}}", "yaml")
    runs = [engine.start_run(Caller("default"), "w", {}).run["id"] for _ in range(2)]
    for run_id in runs:
        with pytest.raises(StateConflict) as refused:
            engine.delete_workflow("default", "w")
        assert refused.value.code == "workflow_in_use"
        engine.cancel_run(Caller("default"), run_id)
    engine.delete_workflow("default", "w")
    with pytest.raises(NotFound):
        engine.start_run(Caller("default"), "w", {})


def test_an_ended_run_can_be_read_after_its_workflow_is_deleted(engine: Engine) -> None:
    engine.save_workflow("default", b"id: w\nsteps: {}", "yaml")
    run_id = engine.start_run(Caller("default"), "w", {}).run["id"]
    engine.delete_workflow("default", "w")
    assert engine.run("default", run_id)["status"] == "succeeded"

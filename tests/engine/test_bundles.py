"""The bundle of a run: all of it, however long, and not in one piece."""

from __future__ import annotations

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine.bundles import FORMAT
from cordum.errors import NotFound
from tests.engine.hands import ALICE, BOB, Hands

GATED = "{steps: {a: {topic: job.t, retry: {max_retries: 0}}, gate: {type: approval, depends_on: [a]}}}"


def test_it_tells_decisions_attempts_approvals_and_dead_letters(hands: Hands) -> None:
    run_id = hands.start(GATED, {"x": 1})
    hands.claim(run_id, "a")
    hands.finish(run_id, "a", kind=OutcomeClass.FATAL)
    hands.engine.retry_run(ALICE, run_id, "again")
    hands.claim(run_id, "a", 2)
    hands.finish(run_id, "a", {"y": 2}, attempt=2)
    hands.engine.approve(BOB, f"{run_id}:gate@1", "fine")
    hands.engine.coordinate()
    found = hands.engine.bundle("default", run_id)
    assert (found["format"], found["run"]["status"], found["run"]["input"]) == (FORMAT, "succeeded", {"x": 1})
    assert [one["id"] for one in found["definition"]["steps"]] == ["a", "gate"]
    assert [(one["job_id"], one["decision"]) for one in found["decisions"]] == [
        (f"{run_id}:a@1", "allow"),
        (f"{run_id}:a@2", "allow"),
    ]
    ends = {one["job_id"]: one["events"][-1]["type"] for one in found["attempts"]}
    assert ends.items() >= {f"{run_id}:a@1": "step.failed", f"{run_id}:a@2": "step.succeeded"}.items()
    assert [(one["decided_by"], one["comment"]) for one in found["approvals"]] == [("bob", "fine")]
    assert [(one["job_id"], one["state"]) for one in found["dead_letters"]] == [(f"{run_id}:a@1", "replayed")]
    assert hands.engine.bundle("default", run_id) == found


def test_thousands_of_events_are_read_page_by_page(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = hands.start("{steps: {a: {topic: job.t}}}")
    claim = hands.claim(run_id, "a")
    assert claim.word == "CLAIMED"
    for number in range(2500):
        hands.engine.jobs.progress(f"{run_id}:a@1", hands.worker.incarnation, number / 2500, None)
    hands.finish(run_id, "a")
    asked: list[int] = []
    read = hands.engine.store.runs.timeline

    def counted(run_id: str, first: int, count: int) -> list[dict[str, object]]:
        asked.append(count)
        return read(run_id, first, count)

    monkeypatch.setattr(hands.engine.store.runs, "timeline", counted)
    found = hands.engine.bundle("default", run_id)
    assert [event["seq"] for event in found["timeline"]] == list(range(1, len(found["timeline"]) + 1))
    assert len(found["timeline"]) > 2500
    assert max(asked) <= 1000


def test_another_tenant_s_run_has_none(hands: Hands) -> None:
    run_id = hands.start(GATED)
    with pytest.raises(NotFound):
        hands.engine.bundle("other", run_id)

"""Event texts from templates are those that would be written one by one."""

from __future__ import annotations

import json

from cordum.domain.ids import JobId
from cordum.domain.plan import Event
from cordum.store.commit import attempt_event_text, event_text


def test_a_template_gives_the_same_text_for_every_run() -> None:
    for run in ("c1-a", "c1-b"):
        event = Event(
            "step.ready", "scan[2]", 3, source="queued", target="pending", actor="w@h:1", data={"reason": "x"}
        )
        made = attempt_event_text(
            "step.ready", JobId(run, "scan[2]", 3), "queued", "pending", "w@h:1", (("reason", "x"),)
        )
        assert made == event_text(run, event)
        assert json.loads(made)["job_id"] == f"{run}:scan[2]@3"


def test_what_needs_escaping_is_escaped() -> None:
    made = attempt_event_text("step.started", JobId("c1-a", "a", 1), actor='w"\n@h')
    assert json.loads(made)["actor"] == 'w"\n@h'

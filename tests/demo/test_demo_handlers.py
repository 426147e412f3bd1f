from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cordum import Fatal
from cordum.demo import handlers
from cordum.demo.analysis.releases import current_build
from cordum.demo.faults import FAIL_VARIABLE
from cordum.demo.make_data import GOOD, SUSPECT
from cordum.demo.workspace import DIRECTORY_VARIABLE, Workspace
from cordum.errors import CordumError

INCIDENT = {"incident_id": "INC-4821", "summary": "p95 latency up 4x"}


class RecordedLog:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def info(self, msg: str, **fields: Any) -> None:
        self.messages.append(msg)


@dataclass
class RecordedContext:
    """A job's context that only remembers: the workers decide nothing by it but the attempt."""

    attempt: int = 1
    log: RecordedLog = field(default_factory=RecordedLog)
    fractions: list[float] = field(default_factory=list)

    def progress(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)


@pytest.fixture
def ctx() -> RecordedContext:
    return RecordedContext()


def test_all_three_diagnostics_name_the_suspect_build(ctx: RecordedContext, workspace: Workspace) -> None:
    found = [handlers.classify(ctx, **INCIDENT), handlers.scan_logs(ctx), handlers.scan_metrics(ctx)]
    assert [output["suspect"] for output in found] == [SUSPECT, SUSPECT, SUSPECT]


def test_diagnostics_read_the_shipped_data_without_a_workspace(ctx: RecordedContext) -> None:
    assert handlers.scan_metrics(ctx)["p95_factor"] == pytest.approx(4, abs=0.5)


def test_classify_tells_severity_and_why(ctx: RecordedContext) -> None:
    output = handlers.classify(ctx, **INCIDENT)
    assert (output["incident_id"], output["severity"], output["severity_score"]) == ("INC-4821", "high", 4)
    assert output["suspects"][0]["service"] == "checkout-api"


def test_reading_the_log_reports_progress(ctx: RecordedContext) -> None:
    handlers.scan_logs(ctx)
    assert len(ctx.fractions) == 5


def test_rollback_moves_the_link_to_the_last_known_good_build(ctx: RecordedContext, workspace: Workspace) -> None:
    output = handlers.rollback(ctx)
    assert (output["from"], output["to"]) == (SUSPECT, GOOD)
    assert (output["already_rolled_back"], output["verified"]) == (False, True)
    assert current_build(workspace.releases) == GOOD


def test_a_second_execution_of_rollback_says_that_it_was_done(ctx: RecordedContext, workspace: Workspace) -> None:
    first, second = handlers.rollback(ctx), handlers.rollback(RecordedContext(attempt=2))
    assert second == {**first, "already_rolled_back": True}
    assert current_build(workspace.releases) == GOOD


def test_rollback_without_a_workspace_is_fatal_and_names_the_variable(ctx: RecordedContext) -> None:
    with pytest.raises(Fatal, match=DIRECTORY_VARIABLE):
        handlers.rollback(ctx)


def test_rollback_to_a_build_that_is_not_there_is_fatal(ctx: RecordedContext, workspace: Workspace) -> None:
    (workspace.releases / GOOD).rename(workspace.root / "elsewhere")
    with pytest.raises(Fatal, match=GOOD):
        handlers.rollback(ctx)
    assert current_build(workspace.releases) == SUSPECT


def test_a_missing_file_is_fatal(ctx: RecordedContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    with pytest.raises(Fatal, match=r"latency\.csv|deploys\.jsonl"):
        handlers.scan_metrics(ctx)


def test_an_injected_failure_is_retryable_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAIL_VARIABLE, "metrics:2")
    for attempt in (1, 2):
        with pytest.raises(RuntimeError, match="injected"):
            handlers.scan_metrics(RecordedContext(attempt=attempt))
    assert handlers.scan_metrics(RecordedContext(attempt=3))["suspect"] == SUSPECT


def test_what_ctx_raises_is_not_turned_into_fatal(ctx: RecordedContext, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cancelled(CordumError):
        pass

    def cancelled(fraction: float, note: str = "") -> None:
        raise Cancelled("by an operator")

    monkeypatch.setattr(ctx, "progress", cancelled)
    with pytest.raises(Cancelled):
        handlers.scan_logs(ctx)


def test_every_output_is_plain_json(ctx: RecordedContext, workspace: Workspace) -> None:
    outputs = [handlers.classify(ctx, **INCIDENT), handlers.scan_logs(ctx), handlers.scan_metrics(ctx)]
    for output in [*outputs, handlers.rollback(ctx)]:
        assert len(json.dumps(output, allow_nan=False)) < 4096

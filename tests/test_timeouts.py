"""timeouts.yaml: what it may say, and which line wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordum.errors import ConfigurationRefused
from cordum.timeouts import Timeouts, load_timeouts


def test_first_line_that_matches_wins(tmp_path: Path) -> None:
    file = tmp_path / "timeouts.yaml"
    file.write_text("topics: {job.sre.rollback: 120, 'job.sre.*': 300}\nworkflows: {'nightly-*': 3600}\n")
    timeouts = load_timeouts(file)
    assert timeouts.for_topic("job.sre.rollback") == 120
    assert timeouts.for_topic("job.sre.logs.deep") == 300
    assert timeouts.for_topic("job.other") is None
    assert timeouts.for_workflow("nightly-report") == 3600
    assert timeouts.for_workflow("Nightly-report") is None


def test_empty_file_limits_nothing(tmp_path: Path) -> None:
    file = tmp_path / "timeouts.yaml"
    file.write_text("# nothing yet\nreconciler:\n")
    assert load_timeouts(file) == Timeouts()


def test_shipped_file_is_accepted() -> None:
    timeouts = load_timeouts(Path(__file__).parent.parent / "config" / "timeouts.yaml")
    assert timeouts.for_topic("job.sre.rollback") == 120
    assert timeouts.queue_timeout_sec is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("topic: {}", "unknown section 'topic'; did you mean 'topics'?"),
        ("topics: [job.a]", "topics must be a mapping"),
        ("topics: {job.a: '300'}", "topics.job.a must be seconds"),
        ("topics: {job.a: true}", "topics.job.a must be seconds"),
        ("topics: {job.a: 0}", "topics.job.a must be seconds"),
        ("topics: {job.a: .nan}", "topics.job.a must be seconds"),
        ("topics: {job.a: .inf}", "topics.job.a must be seconds"),
        ("workflows: {w: 604801}", "workflows.w must be seconds"),
        (
            "reconciler: {queue_timeout: 3}",
            "reconciler: unknown key 'queue_timeout'; did you mean 'queue_timeout_sec'?",
        ),
        ("reconciler: {queue_timeout_sec: -1}", "reconciler.queue_timeout_sec must be seconds"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "timeouts.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationRefused) as refusal:
        load_timeouts(file)
    assert f"{file}: {reason}" in refusal.value.detail

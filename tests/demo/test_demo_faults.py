from __future__ import annotations

import pytest

from cordum.demo.faults import FAIL_VARIABLE, fail_if_asked
from cordum.errors import ConfigurationRefused


@pytest.mark.parametrize("attempt", [1, 2])
def test_the_named_worker_fails_while_asked_to(attempt: int) -> None:
    with pytest.raises(RuntimeError, match=r"^metrics backend answered 503 \(injected\)$"):
        fail_if_asked("metrics", attempt, {FAIL_VARIABLE: "metrics:2"})


@pytest.mark.parametrize(
    ("worker", "attempt", "environ"),
    [
        ("metrics", 3, {FAIL_VARIABLE: "metrics:2"}),
        ("logs", 1, {FAIL_VARIABLE: "metrics:2"}),
        ("metrics", 1, {FAIL_VARIABLE: "metrics:0"}),
        ("metrics", 1, {FAIL_VARIABLE: ""}),
        ("metrics", 1, {}),
    ],
)
def test_any_other_attempt_raises_nothing(worker: str, attempt: int, environ: dict[str, str]) -> None:
    fail_if_asked(worker, attempt, environ)


@pytest.mark.parametrize("asked", ["metrics", "metrics:", ":2", "metrics:-1", "metrics:two", "metrics:²"])
def test_a_setting_that_cannot_be_read_is_refused(asked: str) -> None:
    with pytest.raises(ConfigurationRefused, match="metrics:2"):
        fail_if_asked("logs", 1, {FAIL_VARIABLE: asked})

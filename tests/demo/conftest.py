from __future__ import annotations

from pathlib import Path

import pytest

from cordum.demo.faults import FAIL_VARIABLE
from cordum.demo.workspace import DIRECTORY_VARIABLE, Workspace, prepare_workspace


@pytest.fixture(autouse=True)
def _no_demo_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    monkeypatch.delenv(FAIL_VARIABLE, raising=False)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    prepared = prepare_workspace(tmp_path / "demo")
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(prepared.root))
    return prepared

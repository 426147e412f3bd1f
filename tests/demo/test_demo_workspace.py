from __future__ import annotations

from pathlib import Path

import pytest

from cordum.demo.analysis.releases import current_build
from cordum.demo.make_data import GOOD, SUSPECT
from cordum.demo.workspace import (
    DATA_FILES,
    DIRECTORY_VARIABLE,
    SHIPPED,
    SHIPPED_DATA,
    prepare_workspace,
    readable_workspace,
    writable_workspace,
)
from cordum.errors import ConfigurationRefused


def test_a_prepared_directory_holds_the_data_and_serves_the_suspect_build(tmp_path: Path) -> None:
    workspace = prepare_workspace(tmp_path / "new" / "demo")
    for name in DATA_FILES:
        assert (workspace.root / name).read_bytes() == (SHIPPED_DATA / name).read_bytes()
    assert current_build(workspace.releases) == SUSPECT
    assert (workspace.releases / GOOD / "build.txt").read_text(encoding="utf-8") == f"{GOOD}\n"
    assert "2026.03.31-5" not in {path.name for path in workspace.releases.iterdir()}, "a build of another service"


def test_preparing_again_puts_the_incident_back_at_its_beginning(tmp_path: Path) -> None:
    workspace = prepare_workspace(tmp_path)
    (workspace.releases / "current").unlink()
    (workspace.releases / "current").symlink_to(GOOD)
    workspace.deploy_log.write_text("gone", encoding="utf-8")
    prepare_workspace(tmp_path)
    assert current_build(workspace.releases) == SUSPECT
    assert workspace.deploy_log.read_bytes() == SHIPPED.deploy_log.read_bytes()


@pytest.mark.parametrize("environ", [{}, {DIRECTORY_VARIABLE: ""}])
def test_without_the_variable_the_shipped_data_is_read_and_nothing_is_writable(environ: dict[str, str]) -> None:
    assert readable_workspace(environ) == SHIPPED
    with pytest.raises(ConfigurationRefused, match=DIRECTORY_VARIABLE):
        writable_workspace(environ)


def test_the_variable_names_the_directory(tmp_path: Path) -> None:
    environ = {DIRECTORY_VARIABLE: str(tmp_path)}
    assert readable_workspace(environ).root == writable_workspace(environ).root == tmp_path

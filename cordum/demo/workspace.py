"""Where the demo's files are: a prepared directory named by CORDUM_DEMO_DIR, else the data shipped for reading only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cordum.demo.analysis.deploys import read_deploy_log
from cordum.demo.analysis.latency import read_latency_series, shifts, suspect_shift
from cordum.demo.analysis.releases import CURRENT, MARKER
from cordum.errors import ConfigurationRefused

DIRECTORY_VARIABLE = "CORDUM_DEMO_DIR"

DEPLOY_LOG = "deploys.jsonl"
ACCESS_LOG = "access.log.gz"
LATENCY = "latency.csv"
INCIDENT = "incident.json"
README = "README.md"
DATA_FILES = (DEPLOY_LOG, ACCESS_LOG, LATENCY, INCIDENT, README)

SHIPPED_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Workspace:
    root: Path

    @property
    def deploy_log(self) -> Path:
        return self.root / DEPLOY_LOG

    @property
    def access_log(self) -> Path:
        return self.root / ACCESS_LOG

    @property
    def latency(self) -> Path:
        return self.root / LATENCY

    @property
    def incident(self) -> Path:
        return self.root / INCIDENT

    @property
    def releases(self) -> Path:
        return self.root / "releases"


SHIPPED = Workspace(SHIPPED_DATA)


def readable_workspace(environ: Mapping[str, str] = os.environ) -> Workspace:
    directory = environ.get(DIRECTORY_VARIABLE)
    return Workspace(Path(directory)) if directory else SHIPPED


def writable_workspace(environ: Mapping[str, str] = os.environ) -> Workspace:
    """Raises ConfigurationRefused when only the shipped data is at hand: a rollback must never write into a package."""
    directory = environ.get(DIRECTORY_VARIABLE)
    if not directory:
        raise ConfigurationRefused(f"{DIRECTORY_VARIABLE} is not set: there is no releases directory to act on")
    return Workspace(Path(directory))


def prepare_workspace(path: Path) -> Workspace:
    """Copies the data to `path` and lays out its releases as they were when the incident began.

    `current` points at the suspect build. A directory used before is put back to that beginning.
    """
    workspace = Workspace(path)
    path.mkdir(parents=True, exist_ok=True)
    for name in DATA_FILES:
        shutil.copyfile(SHIPPED_DATA / name, path / name)
    _lay_out_releases(workspace)
    return workspace


def _lay_out_releases(workspace: Workspace) -> None:
    log = read_deploy_log(workspace.deploy_log)
    shift = suspect_shift(shifts(read_latency_series(workspace.latency), log.deploys))
    if shift is None:
        raise ConfigurationRefused("the demo's data names no suspect build")
    for deploy in log.deploys:
        if deploy.service == shift.service:
            release = workspace.releases / deploy.build
            release.mkdir(parents=True, exist_ok=True)
            (release / MARKER).write_text(f"{deploy.build}\n", encoding="utf-8")
    current = workspace.releases / CURRENT
    current.unlink(missing_ok=True)
    current.symlink_to(shift.build, target_is_directory=True)

"""The releases directory: `<build>/build.txt` for each build, and `current`, a link to the one that serves.

Owns the switch of the link: atomic, repeatable, checked before and after. Which build it goes to is decided elsewhere.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cordum.errors import NotFound, StateConflict

CURRENT = "current"
MARKER = "build.txt"


@dataclass(frozen=True, slots=True)
class Switch:
    """`already` says that the link pointed at `to_build` before anything was done."""

    to_build: str
    already: bool


def current_build(releases: Path) -> str:
    """The build `current` points at. Raises NotFound without such a link."""
    try:
        return os.readlink(releases / CURRENT)
    except OSError as error:
        raise NotFound(f"{releases / CURRENT} is not a link to a build: {error.strerror}") from error


def switch_current(releases: Path, *, expected: str, to_build: str) -> Switch:
    """Points `current` at `to_build`, if it points at `expected`; once it does, doing it again changes nothing.

    Raises StateConflict when the link points at a third build (somebody acted in between), and NotFound or
    StateConflict when the target is not there or is not what it says it is; the link is then as it was.
    """
    check_release(releases, to_build)
    actual = current_build(releases)
    if actual not in (expected, to_build):
        raise StateConflict(f"{CURRENT} points at {actual}, neither at {expected} nor at {to_build}: not touched")
    if actual != to_build:
        _replace_link(releases, to_build)
    verify_current(releases, to_build)
    return Switch(to_build, already=actual == to_build)


def verify_current(releases: Path, build: str) -> None:
    """What a request would be served by, read through the link. Raises StateConflict when it is not `build`."""
    actual = current_build(releases)
    if actual != build:
        raise StateConflict(f"{CURRENT} points at {actual} after the switch, not at {build}")
    _check_marker(releases / CURRENT, build)


def check_release(releases: Path, build: str) -> None:
    directory = releases / build
    if not directory.is_dir() or directory.is_symlink():
        raise NotFound(f"the release {build} is not in {releases}")
    _check_marker(directory, build)


def _check_marker(directory: Path, build: str) -> None:
    try:
        found = (directory / MARKER).read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise NotFound(f"{directory / MARKER} is missing") from error
    if found != build:
        raise StateConflict(f"{directory / MARKER} names {found!r}, not {build!r}")


def _replace_link(releases: Path, build: str) -> None:
    # Unlinking and linking anew would leave a moment without `current`; rename over it has no such moment.
    # The name is fresh each time: two attempts at once, or one killed here, must not stand in each other's way.
    fresh = releases / f".{CURRENT}.{secrets.token_hex(8)}"
    os.symlink(build, fresh, target_is_directory=True)
    try:
        os.replace(fresh, releases / CURRENT)
    finally:
        fresh.unlink(missing_ok=True)
    _sync(releases)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cordum.demo.analysis.releases import current_build, switch_current
from cordum.errors import NotFound, StateConflict


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    for build in ("good", "bad", "third"):
        (tmp_path / build).mkdir()
        (tmp_path / build / "build.txt").write_text(f"{build}\n", encoding="utf-8")
    (tmp_path / "current").symlink_to("bad")
    return tmp_path


def roll_back(releases: Path) -> bool:
    return switch_current(releases, expected="bad", to_build="good").already


def test_the_link_is_switched_and_what_it_serves_is_the_target(releases: Path) -> None:
    assert roll_back(releases) is False
    assert current_build(releases) == "good"
    assert (releases / "current" / "build.txt").read_text(encoding="utf-8") == "good\n"


def test_switching_again_changes_nothing_and_says_so(releases: Path) -> None:
    roll_back(releases)
    before = os.lstat(releases / "current")
    assert roll_back(releases) is True
    assert os.lstat(releases / "current").st_ino == before.st_ino


def test_a_link_moved_by_somebody_else_is_not_touched(releases: Path) -> None:
    (releases / "current").unlink()
    (releases / "current").symlink_to("third")
    with pytest.raises(StateConflict, match="third"):
        roll_back(releases)
    assert current_build(releases) == "third"


def test_a_missing_target_is_refused_and_the_link_stays(releases: Path) -> None:
    (releases / "good" / "build.txt").unlink()
    (releases / "good").rmdir()
    with pytest.raises(NotFound, match="good"):
        roll_back(releases)
    assert current_build(releases) == "bad"


def test_a_target_without_its_marker_is_refused_and_the_link_stays(releases: Path) -> None:
    (releases / "good" / "build.txt").unlink()
    with pytest.raises(NotFound, match=r"build\.txt is missing"):
        roll_back(releases)
    assert current_build(releases) == "bad"


def test_a_target_that_holds_another_build_is_refused_and_the_link_stays(releases: Path) -> None:
    (releases / "good" / "build.txt").write_text("bad\n", encoding="utf-8")
    with pytest.raises(StateConflict, match="'bad', not 'good'"):
        roll_back(releases)
    assert current_build(releases) == "bad"


def test_a_directory_in_the_place_of_the_link_is_refused(releases: Path) -> None:
    (releases / "current").unlink()
    (releases / "current").mkdir()
    with pytest.raises(NotFound, match="not a link"):
        roll_back(releases)


def test_a_switch_that_fails_half_way_leaves_the_link_and_no_litter(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        assert Path(source).parent == Path(target).parent, "a rename is atomic within one directory only"
        assert Path(target).is_symlink(), "the old link must stand until it is replaced"
        raise OSError("the disk is full")

    before = sorted(os.listdir(releases))
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="disk is full"):
        roll_back(releases)
    assert current_build(releases) == "bad"
    assert sorted(os.listdir(releases)) == before


def test_the_directory_is_synced_once_the_link_is_switched(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, str]] = []

    def fsync(descriptor: int) -> None:
        is_the_directory = os.path.samestat(os.fstat(descriptor), os.stat(releases))
        synced.append((is_the_directory, current_build(releases)))

    monkeypatch.setattr("os.fsync", fsync)
    roll_back(releases)
    assert synced == [(True, "good")]


def test_a_link_that_was_not_switched_fails_the_check(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.replace", lambda *_: None)
    with pytest.raises(StateConflict, match="after the switch"):
        roll_back(releases)


def test_what_a_killed_attempt_left_behind_does_not_hinder_the_next(releases: Path) -> None:
    (releases / ".current.0123456789abcdef").symlink_to("good")
    assert roll_back(releases) is False
    assert current_build(releases) == "good"


def test_a_reader_never_finds_the_link_missing(releases: Path) -> None:
    missing: list[OSError] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                os.readlink(releases / "current")
            except OSError as error:
                missing.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(150):
            switch_current(releases, expected="bad", to_build="good")
            switch_current(releases, expected="good", to_build="bad")
    finally:
        done.set()
        reader.join()
    assert missing == []


def test_two_attempts_at_once_both_end_well(releases: Path) -> None:
    failures: list[BaseException] = []
    together = threading.Barrier(8)

    def attempt() -> None:
        together.wait()
        try:
            roll_back(releases)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert current_build(releases) == "good"
    assert [name for name in os.listdir(releases) if name.startswith(".current")] == []

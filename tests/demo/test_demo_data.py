"""The shipped files: made by the generator, small, and telling the story of data/README.md."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cordum.demo.analysis.access_log import read_access_log, summarise, unhealthy_builds
from cordum.demo.analysis.deploys import last_known_good, read_deploy_log
from cordum.demo.analysis.latency import read_latency_series, shifts, suspect_shift
from cordum.demo.analysis.severity import score_severity
from cordum.demo.analysis.suspects import rank_suspects
from cordum.demo.make_data import GOOD, SUSPECT, main, make_files
from cordum.demo.workspace import ACCESS_LOG, SHIPPED, SHIPPED_DATA


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return make_files()


def test_the_shipped_files_are_what_the_generator_makes(made: dict[str, bytes]) -> None:
    for name, content in made.items():
        shipped = (SHIPPED_DATA / name).read_bytes()
        if name == ACCESS_LOG:  # how well it is packed depends on the zlib at hand
            shipped, content = gzip.decompress(shipped), gzip.decompress(content)
        assert shipped == content, name


def test_the_generator_writes_the_same_bytes_each_time(tmp_path: Path, made: dict[str, bytes]) -> None:
    main([str(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made


def test_the_archive_carries_neither_time_nor_name(made: dict[str, bytes]) -> None:
    for archive in (made[ACCESS_LOG], (SHIPPED_DATA / ACCESS_LOG).read_bytes()):
        assert archive[3] == 0, "a flag announces an optional field such as a file name"
        assert archive[4:8] == bytes(4), "the time of packing"


def test_the_data_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED_DATA.iterdir()) < 250_000


def test_the_access_log_accuses_the_suspect_build() -> None:
    found = summarise(read_access_log(SHIPPED.access_log))
    assert found.lines >= 20_000 and found.skipped_lines == 0
    assert [build.build for build in unhealthy_builds(found.builds)] == [SUSPECT]
    rates = {build.build: build.error_rate for build in found.builds}
    assert 0.04 < rates[SUSPECT] < 0.07
    assert rates[GOOD] < 0.01


def test_the_time_series_accuses_the_suspect_build() -> None:
    log = read_deploy_log(SHIPPED.deploy_log)
    worst = suspect_shift(shifts(read_latency_series(SHIPPED.latency), log.deploys))
    assert worst is not None and worst.build == SUSPECT
    assert 3.5 < worst.p95_factor < 4.5


def test_the_deploy_log_accuses_the_suspect_build_and_knows_the_good_one() -> None:
    log = read_deploy_log(SHIPPED.deploy_log)
    severity = score_severity(json.loads(SHIPPED.incident.read_bytes())["summary"])
    first, second, *_ = rank_suspects(log, severity.areas)
    assert first.build == SUSPECT and first.score > second.score
    suspect = log.of(SUSPECT)
    assert suspect is not None
    good = last_known_good(log, suspect)
    assert good is not None and good.build == GOOD

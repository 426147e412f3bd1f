"""Many scenarios one after the other on one private Redis, and what to say of them: text, JSON, JUnit's XML."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cordum.ops.redis_server import RedisServer
from cordum.redis_address import RedisAddress
from cordum.testing.play import Result, run_scenario
from cordum.testing.reading import load_scenarios
from cordum.testing.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario and the file it stands in."""

    file: Path
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Played:
    """`seconds` are real ones."""

    case: Case
    result: Result
    seconds: float

    def document(self) -> dict[str, Any]:
        result = self.result
        return {"name": result.name, "passed": result.passed, "problems": result.problems}


@contextmanager
def private_redis() -> Iterator[RedisAddress]:
    """An empty Redis that nobody else knows, gone afterwards; ConfigurationRefused when none can be started."""
    with TemporaryDirectory(prefix="cordum-test-") as directory, RedisServer(Path(directory)) as server:
        yield server.address


def collect(files: Sequence[Path], words: str = "") -> list[Case]:
    """The scenarios of all files, in order, whose name or group contains `words`; Unprocessable for a wrong file."""
    cases = [Case(file, scenario) for file in files for scenario in load_scenarios(file)]
    return [case for case in cases if words in case.scenario.name or words in case.scenario.group]


def play(cases: Sequence[Case]) -> Iterator[Played]:
    """Play them all, each result as it comes. What cordum itself does wrong fails one case, not the rest of them."""
    with private_redis() as address:
        for case in cases:
            begun = time.perf_counter()
            try:
                result = run_scenario(case.scenario, address)
            except Exception as error:
                sentence = f"cordum broke: {type(error).__name__}: {error}"
                result = Result(case.scenario.name, False, [sentence], [])
            yield Played(case, result, time.perf_counter() - begun)


def junit(played: Sequence[Played]) -> bytes:
    """JUnit's XML, as continuous integration servers read it: a suite for each file."""
    root = ET.Element("testsuites")
    for file in dict.fromkeys(one.case.file for one in played):
        mine = [one for one in played if one.case.file == file]
        failed = sum(not one.result.passed for one in mine)
        suite = ET.SubElement(root, "testsuite", name=str(file), tests=str(len(mine)), failures=str(failed))
        for one in mine:
            case = ET.SubElement(suite, "testcase", classname=file.stem, name=_plain(one.result.name))
            case.set("time", f"{one.seconds:.3f}")
            if not one.result.passed:
                failure = ET.SubElement(case, "failure", message=_plain(one.result.problems[0]))
                failure.text = _plain("\n".join(one.result.problems))
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)

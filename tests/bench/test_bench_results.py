"""The kept results of real measurements, and what the README says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "tests" / "benchmarks" / "results").glob("20*.json"))


def test_there_are_some() -> None:
    assert RESULTS


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_kept_result_is_valid_and_the_readme_says_the_same(path: Path) -> None:
    document = json.loads(path.read_text())
    assert document["problems"] == []
    assert len(document["pairs"]) == document["options"]["pairs"] == 5
    told = f"{document['median_ratio']:.2f} | {document['median_cpu_ratio']:.2f} |"
    assert told in (ROOT / "README.md").read_text()

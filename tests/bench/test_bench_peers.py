"""The comparison with peers: that those which need nothing installed do their work, and what becomes of the figures."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.bench.peers import WORKS, Comparison, Taken, Work, measure

FASTER = Work("many", "…", "triage", 100, "runs/s", True, ("cordum", "bullmq"), floors=(("bullmq", 2.0),))
SOONER = Work("one", "…", "latency", 100, "ms", False, ("cordum", "bullmq"), floors=(("bullmq", 2.0),))


def compared(work: Work, **figures: list[float]) -> Comparison:
    taken = [Taken(work.name, peer, one, {"problems": []}) for peer, ones in figures.items() for one in ones]
    return Comparison((work,), {}, taken)


@pytest.mark.parametrize("peer", ["cordum", "canvas", "plain"])
@pytest.mark.parametrize("work", [WORKS[1]], ids=["W1b"])
def test_a_peer_does_its_work(work: Work, peer: str) -> None:
    answer = measure(work, peer, 8)
    assert answer["problems"] == []
    assert work.figure(answer, 8) == 8 / answer["seconds"] > 0


@pytest.mark.parametrize("play", ["latency", "waiting", "fan_out", "singles", "killed"])
def test_cordum_does_every_work(play: str) -> None:
    work = next(work for work in WORKS if work.play == play)
    answer = measure(work, "cordum", 8)
    assert (answer["problems"], answer.get("lost", 0), answer.get("twice", 0)) == ([], 0, 0)
    assert work.figure(answer, 8) > 0


@pytest.mark.parametrize(("work", "ours", "theirs"), [(FASTER, 300.0, 100.0), (SOONER, 1.0, 3.0)])
def test_three_times_as_good(work: Work, ours: float, theirs: float) -> None:
    comparison = compared(work, cordum=[ours, ours, 1e9], bullmq=[theirs, theirs, 1e-9])
    assert comparison.ratio(work, "bullmq") == 3.0
    assert comparison.below_floor() == []


@pytest.mark.parametrize(("work", "ours", "theirs"), [(FASTER, 100.0, 100.0), (SOONER, 3.0, 3.0)])
def test_below_its_floor(work: Work, ours: float, theirs: float) -> None:
    (line,) = compared(work, cordum=[ours], bullmq=[theirs]).below_floor()
    assert line == f"{work.name}: 1.00 times as good as bullmq, at least 2 is asked"


@pytest.mark.parametrize(
    ("peer", "answer", "problems"),
    [
        ("cordum", {"problems": [], "lost": 2}, ["many, cordum: 2 runs lost"]),
        ("cordum", {"problems": [], "twice": 1}, ["many, cordum: 1 steps twice"]),
        ("bullmq", {"problems": [], "lost": 2}, []),
        ("bullmq", {"problems": ["7 of 8 runs have their result"]}, ["many, bullmq: 7 of 8 runs have their result"]),
    ],
)
def test_what_makes_a_measurement_void(peer: str, answer: dict[str, Any], problems: list[str]) -> None:
    assert Comparison((FASTER,), {}, [Taken("many", peer, 1.0, answer)]).problems() == problems

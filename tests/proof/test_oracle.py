"""Random definitions, workers, people and order: the real engine ends every run as the model says it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordum.redis_address import RedisAddress
from cordum.store.scripts import Library
from tests.proof.definitions import POLICIES, TOPICS, definitions
from tests.proof.machine import differences
from tests.proof.oracle import START_MS, WORKER, Behaviour, expected_end, play
from tests.proof.rig import Rig
from tests.proof.test_model import LONG

pytestmark = pytest.mark.proof

EXAMPLES = 3000 if LONG else 300
NAMES = [*(f"s{number}" for number in range(6)), "h", "hh", "after"]
ATTEMPTS = st.lists(st.sampled_from(["retryable", "fatal", "lost", "hang", "timeout", "success"]), max_size=4)
DECISIONS = st.sampled_from(["approved", "rejected", "ignored"])
BEHAVIOURS = st.builds(
    Behaviour, st.dictionaries(st.sampled_from(NAMES), ATTEMPTS), st.dictionaries(st.sampled_from(NAMES), DECISIONS)
)


@pytest.fixture
def rig(redis_address: RedisAddress) -> Iterator[Rig]:
    rig = Rig(redis_address, Library(virtual_clock=True), POLICIES, TOPICS, [WORKER])
    yield rig
    rig.close()


@pytest.mark.timeout(3600 if LONG else 300)
def test_every_definition_ends_as_the_model_says(rig: Rig) -> None:
    ends: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        definitions(),
        BEHAVIOURS,
        st.lists(st.integers(0, 5), max_size=20),
        st.sampled_from(["open", "open", "asking", "closed"]),
    )
    def check(definition: dict[str, Any], behaviour: Behaviour, order: list[int], policy: str) -> None:
        expected = expected_end(definition, behaviour, order, policies=POLICIES, policy=policy)
        rig.reset(START_MS)
        seen = play(rig, definition, behaviour, order, policy)
        assert not differences(expected, seen)
        ends[expected["status"]] += 1

    check()
    print(f"\n{dict(ends)}")
    assert ends.keys() == {"succeeded", "failed", "denied", "timed_out"}


def test_a_handler_rescues_and_a_group_takes_what_it_needs() -> None:
    """The oracle by itself, on a definition whose end is known."""
    definition = {
        "steps": {
            "g": {"type": "parallel", "steps": ["a", "b"], "strategy": "any"},
            "a": {"topic": "job.a", "on_error": "h"},
            "b": {"topic": "job.b", "retry": {"max_retries": 1}},
            "h": {"topic": "job.a"},
        }
    }
    end = expected_end(definition, Behaviour({"a": ["fatal"], "b": ["hang"]}), policies=POLICIES)
    assert end["status"] == "succeeded"
    assert {name: step[0] for name, step in end["steps"].items()} == {
        "g": "succeeded",
        "a": "failed",
        "b": "cancelled",
        "h": "succeeded",
    }
    assert end["dead"] == {"r0:a@1": ("failed", "fatal", True)}

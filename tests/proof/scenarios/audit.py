"""The audit: sealed by several while it grows."""

from __future__ import annotations

from tests.proof.explorer.cast import approver, canceller, coordinator, sealer, worker
from tests.proof.explorer.scenario import Scenario, scenario


@scenario("seal.end_of_chain")
def two_coordinators_seal() -> Scenario:
    """Both have looked at the same end of the chain; meanwhile people and a worker go on."""
    return Scenario(
        "steps: {ok: {type: approval}, b: {topic: job.t, depends_on: [ok]}}",
        (
            sealer("s1", 2),
            sealer("s2", 2),
            approver("bob", "r1:ok@1"),
            coordinator("c1", 2),
            worker("w", "r1:b@1"),
            canceller("carol"),
        ),
    )

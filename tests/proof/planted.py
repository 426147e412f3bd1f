"""Bugs planted into the scripts on purpose: guards left out, and lines that somebody could have written instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cordum.store.scripts import Library

Guard = tuple[str, str]  # script, guard


@dataclass(frozen=True)
class Bug:
    """`instead`: (script, what stands there, what stands there now)."""

    what: str
    without: Sequence[Guard] = ()
    instead: Sequence[tuple[str, str, str]] = ()

    def library(self, *, virtual_clock: bool = True) -> Library:
        """All scripts, with this bug in them."""
        library = Library(virtual_clock=virtual_clock, without=self.without)
        changed = dict(library.scripts)
        for name, before, after in self.instead:
            source = changed[name].source
            if source.count(before) != 1:
                raise ValueError(f"{name} has {source.count(before)} places that read {before!r}")
            changed[name] = replace(changed[name], source=source.replace(before, after))
        library.scripts = changed
        return library


PLANTED: Mapping[str, Bug] = {
    "commit_without_version": Bug(
        "a plan is committed although the run has moved on since its snapshot",
        without=[("apply_plan", "run_version")],
    ),
    "claim_of_any_attempt": Bug(
        "a claim looks whether the step is queued, and not which of its attempts",
        instead=[
            (
                "claim",
                "if state.mark ~= 'queued:' .. attempt then",
                "if (state.mark or ''):sub(1, 7) ~= 'queued:' then",
            )
        ],
    ),
    "mark_cleared_unseen": Bug(
        "a commit takes the run's mark away without comparing signals",
        without=[("apply_plan", "no_newer_signal")],
    ),
    "mark_not_set_again": Bug(
        "a commit that has not seen a result leaves it to others to look again, who have looked before it",
        instead=[
            ("apply_plan", "else redis.call('ZADD', k_wakeups, string.format('%.0f', now), plan.run) end", "end"),
        ],
    ),
}

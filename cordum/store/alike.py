"""Runs that begin alike, as `create_alike.lua` takes them: what they have in common once, then what each adds to it.

A pattern is made of a commit of one of them, so that nothing is put into words twice. A commit that says more than a
pattern can hold has none, and such runs are stored one by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cordum.domain.plan import Plan
from cordum.domain.run import RunState
from cordum.store import keys
from cordum.store.codec import own_json
from cordum.store.commit import Commit, event_text
from cordum.store.scripts import Argument

# Parts of a commit's control document that a pattern takes over or implies.
_CONTROL = frozenset(
    {"run", "epoch", "moves", "hashes", "events", "jobs", "counts", "topics", "window", "tenant"}
    | {"changed", "opened", "spent", "wake_at", "audited"}
)
_FACTS = frozenset({"sent", "terms", "ready_at", "next"})
_OWN_FIELDS = frozenset({"input", "deadline"})  # of the run's hash: each run has its own
_SHARED_MS = 86_400_000  # after the last of them began; who comes later is looked at by a coordinator
_MOST_TEXTS = 600  # so many go into one command of the script


class Beginning(NamedTuple):
    """What one run has of its own.

    `jobs`: for each, in the pattern's order, its input (None: the run's) and hash. `foreseen`: of the steps that vary.
    """

    run_id: str
    input: str
    jobs: Sequence[tuple[str | None, str]]
    foreseen: Sequence[str] = ()


class Marks(NamedTuple):
    """Texts that stand nowhere else: in place of the id of a run, and of the hash of a job."""

    run: str
    hash: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """What runs that begin alike have in common. `holes`: the places of those texts in which the id of a run stands."""

    marks: Marks
    control: str
    keys: Sequence[str]
    texts: Sequence[str]
    holes: Sequence[int]
    decisions: Sequence[str]  # one for each job
    digest: str
    template: str  # names what is foreseen of all of them

    def arguments(
        self, beginnings: Sequence[Beginning], used: Sequence[tuple[str, str]]
    ) -> tuple[str, list[str], list[Argument]]:
        """The control document, further keys and arguments.

        `used`: for each the key and the fingerprint of its idempotency key, or nothing when none has one.
        """
        mark, hash_mark = self.marks
        names, values = [*self.keys], self._texts(beginnings)
        for number, (run_id, input_, jobs, foreseen) in enumerate(beginnings):
            own = keys.RunKeys.of(run_id)
            names += (own.run, own.steps, own.facts, own.inputs, own.timeline, own.prepared)
            values += (run_id, input_)
            if used:
                names.append(used[number][0])
                values.append(used[number][1])
            for decision, (payload, hash_) in zip(self.decisions, jobs, strict=True):
                text = decision.replace(mark, run_id).replace(hash_mark, hash_)
                values += ("" if payload is None else payload, text)
            values += foreseen
        said = {"runs": len(beginnings), **({"keyed": True} if used else {})}
        return f"{self.control[:-1]},{own_json(said)[1:]}", names, values

    def _texts(self, beginnings: Sequence[Beginning]) -> list[Argument]:
        texts: list[Argument] = [*self.texts]
        if len(beginnings) == 1:  # there is nobody to share them with: say them in full
            for place in self.holes:
                texts[place] = self.texts[place].replace(self.marks.run, beginnings[0].run_id)
        return texts


def pattern_of(
    run: RunState, plan: Plan, commit: Commit, first_key: int, marks: Marks, varying: Sequence[str]
) -> Pattern | None:
    """What other runs share with this one, whose id is a mark; its plan sends plain jobs and nothing else.

    `first_key`: the number of the first further key, in the commit and in what is made here. `varying`: the steps of
    which each run has foreseen something of its own.
    """
    control = json.loads(commit.control)
    hashes = _hashes(run, control, commit, first_key)
    if hashes is None or any(value for name, value in control.items() if name not in _CONTROL):
        return None
    fields, steps, facts, prepared = hashes
    prepared = {step: text for step, text in prepared.items() if step not in varying}
    template = hashlib.sha256(own_json([marks.run, *_flat(prepared)]).encode()).hexdigest()[:16]
    fields = {name: text for name, text in fields.items() if name not in _OWN_FIELDS} | {"version": "1"}
    if prepared:
        fields["template"] = f"+{template}" if varying else template
    steps |= {step: after for step, _, after in control["moves"]}
    facts = {name: text for name, text in facts.items() if not name.endswith("#ready_at")}
    if any(name.rpartition("#")[2] not in _FACTS for name in facts):
        return None
    asked = {e.step: number for number, e in enumerate(plan.events, 1) if e.type == "step.decision"}
    decisions = {
        step: event_text(run.id, replace(plan.events[n - 1], data={**plan.events[n - 1].data, "job_hash": marks.hash}))
        for step, n in asked.items()
    }
    events = [event_text(run.id, event) if asked.get(event.step) != n else "" for n, event in enumerate(plan.events, 1)]
    jobs = [_step_of(job["id"]) for job in control["jobs"]]
    records = [_text(value) for value in commit.values[-len(jobs) :]]
    texts = [*_flat(fields), *_flat(steps), *_flat(facts), *_flat(prepared), *events, *records]
    if len(texts) > _MOST_TEXTS or run.deadline is None:
        return None
    first = 2 * (len(fields) + len(steps) + len(facts))
    together = range(first, first + 2 * len(prepared))
    own_inputs = {job.step for job in plan.jobs if job.own_input}
    shared: dict[str, int] = {}

    def number(key: int) -> int:
        return shared.setdefault(commit.more_keys[key - first_key], first_key + len(shared))

    said = {
        "epoch": control["epoch"],
        "tenant": control["tenant"],
        "window": control["window"],
        "counts": control["counts"],
        "lasts_ms": run.deadline - run.created_at,
        "fields": 2 * len(fields),
        "steps": 2 * len(steps),
        "facts": 2 * len(facts),
        "prepared": 2 * len(prepared),
        "shared_ms": _SHARED_MS,
        "varying": list(varying),
        "events": len(events),
        "audited": [place + 1 for place in control["audited"]["events"]],
        "topics": [
            {"name": topic["name"], **{part: number(topic[part]) for part in ("window", "turns", "parked")}}
            for topic in control["topics"]
        ],
        "jobs": [
            {
                "id": job["id"].removeprefix(run.id),
                "step": step,
                "topic": job["topic"],
                "priority": job["priority"],
                "ready": number(job["ready"]),
                "decision": asked[step],
                "given": step in own_inputs,
            }
            for step, job in zip(jobs, control["jobs"], strict=True)
        ],
    }
    return Pattern(
        marks=marks,
        control=own_json({**said, "first_key": first_key + len(shared)}),
        keys=list(shared),
        texts=texts,
        holes=[place for place, text in enumerate(texts) if marks.run in text and place not in together],
        decisions=[decisions[step] for step in jobs],
        digest=run.digest,
        template=template,
    )


def _hashes(run: RunState, control: Mapping[str, Any], commit: Commit, first_key: int) -> list[dict[str, str]] | None:
    """What is written into the hashes of a run; None: something is written elsewhere. Inputs are each run's own."""
    own = keys.RunKeys.of(run.id)
    found: dict[str, dict[str, str]] = {key: {} for key in (own.run, own.steps, own.facts, own.prepared, own.inputs)}
    at = 0
    for number, count in control["hashes"]:
        key, part = commit.more_keys[number - first_key], [_text(value) for value in commit.values[at : at + 2 * count]]
        at += 2 * count
        if key not in found:
            return None
        found[key].update(zip(part[::2], part[1::2], strict=True))
    return [*found.values()][:4]


def _text(value: Argument) -> str:
    """As it comes to Redis."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _flat(pairs: Mapping[str, str]) -> list[str]:
    return [text for pair in pairs.items() for text in pair]


def _step_of(job_id: str) -> str:
    return job_id.partition(":")[2].rpartition("@")[0]

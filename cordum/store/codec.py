"""Between values and what Redis keeps.

Runs and steps as flat hashes, user data as JSON text that no script looks into.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

import orjson

from cordum.domain.context import Write
from cordum.domain.plan import Linked
from cordum.domain.quotas import Quota, QuotaKind
from cordum.domain.run import Failure, KnownAhead, OutcomeClass, Parent, RunState, Signal, StepState
from cordum.domain.states import RunStatus, SkipReason, StepStatus
from cordum.domain.workflow import JSON

# json.dumps would make one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder()


def to_json(value: JSON | Mapping[str, JSON]) -> str:
    """Compact JSON text; integers of any size and the order of keys stay as they are."""
    return _ENCODER.encode(value)


def own_json(document: JSON | Mapping[str, JSON]) -> str:
    """JSON text of what cordum itself says: events, plans. Not for user data, whose numbers must keep their form."""
    try:
        return orjson.dumps(document).decode()
    except TypeError:
        # Numbers over 64 bits, half a surrogate pair: what a person or a handler has put into an event.
        return to_json(document)


def from_json(text: str) -> JSON:
    value: JSON = _DECODER.decode(text)
    return value


# -- steps -------------------------------------------------------------------------------------------------------


def mark(state: StepState | None) -> str:
    """`<status>:<attempt>`: the part of a step's state that every commit is checked against. Empty: it is not there."""
    return "" if state is None else f"{state.status.value}:{state.attempt}"


def failure_text(failure: Failure | None) -> str:
    return "" if failure is None else to_json(failure.document())


def _failure(text: str) -> Failure:
    document = orjson.loads(text)
    return Failure(document["code"], document["message"], document.get("class"), document.get("traceback"))


def _plain(text: str) -> str:
    return text


def _sequence(text: str) -> tuple[Any, ...]:
    return tuple(orjson.loads(text))


def _flag(text: str) -> bool:
    return text == "1"


def _quotas(text: str) -> tuple[Quota, ...]:
    return tuple(Quota(QuotaKind(kind), *rest) for kind, *rest in orjson.loads(text))


# Every fact of a step that is known beside its mark: how it is read. Written by `_fact_text`; absent means the default.
FACTS: Mapping[str, Callable[[str], Any]] = {
    "retries": int,
    "losses": int,
    "outcome": OutcomeClass,
    "failure": _failure,
    "failure_number": int,
    "worker": _plain,
    "topic": _plain,
    "route": _plain,
    "direct": _plain,
    "priority": int,
    "epoch": int,
    "decision": orjson.loads,
    "quotas": _quotas,
    "ready_at": int,
    "started_at": int,
    "completed_at": int,
    "deadline": int,
    "queue_deadline": int,
    "retry_at": int,
    "retry_after_ms": int,
    "skip_reason": SkipReason,
    "approval": _plain,
    "approved_request": _plain,
    "total": int,
    "started": int,
    "settled": int,
    "due": int,
    "expires_at": int,
    "escalated": _flag,
    "child_run": _plain,
    "child_version": int,
    "child_generation": int,
    "correlation": _plain,
    "awaits": _plain,
    "written": _flag,
    "dead_letter": _plain,
    "rescued": _flag,
    "taken_over": _flag,
    "discarded": _flag,
    "replay_of": _plain,
    "edited": _plain,
    "past": _sequence,
}
# Facts that are written and read together are one text, with blanks between: a field costs more than its length.
TOGETHER: Mapping[str, tuple[str, ...]] = {
    "sent": ("topic", "priority", "epoch", "decision"),
    "begun": ("started_at", "deadline", "worker"),
}
_PART_OF = {name: field for field, names in TOGETHER.items() for name in names}
_DEFAULTS: Mapping[str, Any] = {name: getattr(StepState(), name) for name in FACTS}
_NO_FACTS: Mapping[str, Any] = {}
_STATUSES = {status.value: status for status in StepStatus}


def _fact_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int):  # nearly all; what follows takes longer to be found out
        return str(value)
    if isinstance(value, Failure):
        return failure_text(value)
    if isinstance(value, Mapping):
        return own_json(dict(value))
    if isinstance(value, tuple):
        parts: list[JSON] = [dict(part) if isinstance(part, Mapping) else list(astuple(part)) for part in value]
        return own_json(parts) if parts else ""
    return str(value)


def changed_facts(step: str, before: StepState | None, after: StepState) -> list[str]:
    """Alternating hash fields and values of the facts that differ."""
    known, facts = before.facts if before is not None else _NO_FACTS, after.facts
    found: list[str] = []
    together: dict[str, str] = {}
    for name in {**known, **facts} if known else facts:
        if name not in _DEFAULTS:
            continue
        default = _DEFAULTS[name]
        value, old = facts.get(name, default), known.get(name, default)
        if value is not old and value != old:
            if name in _PART_OF:
                together[_PART_OF[name]] = step
            else:
                found += (f"{step}#{name}", _fact_text(value))
    for field in together:
        found += (f"{step}#{field}", _text_of_all(TOGETHER[field], facts))
    return found


def _text_of_all(names: Sequence[str], facts: Mapping[str, Any]) -> str:
    """Of these only the last may hold blanks; nothing of one that is not there."""
    texts = [_fact_text(facts.get(name, _DEFAULTS[name])) for name in names]
    return " ".join(texts) if any(texts) else ""


def fields_of(facts: Iterable[str]) -> list[str]:
    """Where these facts of a step are kept, as far as they are facts that can be kept."""
    return list(dict.fromkeys(_PART_OF.get(name, name) for name in facts if name in _DEFAULTS))


def read_steps(marks: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, StepState]:
    """The steps of a run from its two hashes, in the order of `marks`."""
    grouped: dict[str, dict[str, Any]] = {}
    for step, text in marks.items():
        status, _, attempt = text.partition(":")
        grouped[step] = {"status": _STATUSES[status], "attempt": int(attempt)}
    for field, text in facts.items():
        step, _, name = field.rpartition("#")
        known = grouped.get(step)
        if known is None:
            continue
        # What has been emptied is there, too: it has to go when the step is put away.
        if name in TOGETHER:
            names = TOGETHER[name]
            for one, part in zip(names, text.split(" ", len(names) - 1) if text else [""] * len(names), strict=True):
                known[one] = FACTS[one](part) if part else _DEFAULTS[one]
        elif name in FACTS:
            known[name] = FACTS[name](text) if text else _DEFAULTS[name]
    return {step: StepState.made(found) for step, found in grouped.items()}


# What scripts keep of a step beside its facts.
SCRIPTS_OWN = ("places", "claim", "recorded", "terms", "next", "alike", "results", "wake_after", "ahead")


# Of these, what nobody needs once the run has ended; an operator's retry has them written anew.
SPENT_FACTS = ("claim", "terms", "next", "alike", "ahead")


def archived_text(state: StepState) -> str:
    """All of a step that is over, as one text."""
    facts = changed_facts("", None, state)
    return to_json(
        {"mark": mark(state), **{name[1:]: text for name, text in zip(facts[::2], facts[1::2], strict=True)}}
    )


def read_archived(texts: Mapping[str, str]) -> dict[str, StepState]:
    """The steps that were put away, by ref."""
    found: dict[str, StepState] = {}
    for ref, text in texts.items():
        facts = json.loads(text)
        found |= read_steps({ref: facts.pop("mark")}, {f"{ref}#{name}": value for name, value in facts.items()})
    return found


# -- the context, signals --------------------------------------------------------------------------------------


def writes_text(writes: Iterable[Write]) -> str:
    """What one step has written into the context."""
    return to_json([[w.number, list(w.path), w.value, w.deleted] for w in writes])


def read_writes(texts: Mapping[str, str]) -> dict[str, tuple[Write, ...]]:
    return {step: tuple(_write(*parts) for parts in json.loads(text)) for step, text in texts.items()}


def _write(number: int, path: list[str], value: JSON, deleted: bool) -> Write:
    return Write(number, tuple(path), value, deleted)


def read_inbox(texts: Mapping[str, str]) -> tuple[Signal, ...]:
    """Signals that no step has taken, in the order of arrival."""
    found = []
    for number, text in sorted(texts.items(), key=lambda pair: int(pair[0])):
        said = json.loads(text)
        found.append(Signal(int(number), said["name"], said["payload"], said.get("correlation")))
    return tuple(found)


# -- runs --------------------------------------------------------------------------------------------------------


def run_fields(run: RunState) -> dict[str, str]:
    """The fields of a run's hash that are written when it is created."""
    return {
        "id": run.id,
        "tenant": run.tenant,
        "workflow_id": run.workflow_id,
        "digest": run.digest,
        "workflow_version": str(run.workflow_version),
        "created_by": run.created_by,
        "input": to_json(run.input),
        "labels": to_json(dict(run.labels)),
        "status": run.status.value,
        "version": "0",
        "signals": "0",
        "generation": str(run.generation),
        "deadline": _fact_text(run.deadline),
        **_parent_fields(run),
        **({"definition": run.definition} if run.definition else {}),
        **({"rerun_of": run.rerun_of} if run.rerun_of else {}),
        **({"compensates": run.compensates} if run.compensates else {}),
        **({"triggered_by": run.triggered_by} if run.triggered_by else {}),
    }


def compensation_fields(run: RunState, linked: Linked) -> dict[str, str]:
    """The fields of the run that undoes this one; it is about the same version, in the name of the same person."""
    undoing = replace(
        run,
        id=linked.run_id,
        status=RunStatus.PENDING,
        version=0,
        signals=0,
        generation=1,
        deadline=linked.deadline,
        parent=None,
        rerun_of=None,
        compensates=run.id,
    )
    return run_fields(undoing)


def _parent_fields(run: RunState) -> dict[str, str]:
    if run.parent is None:
        return {}
    return {"parent_run": run.parent.run_id, "parent_step": run.parent.step, "depth": str(run.depth)}


def read_run(run: Mapping[str, str], steps: Mapping[str, StepState], outputs: Mapping[str, str]) -> RunState:
    return RunState(
        id=run["id"],
        tenant=run["tenant"],
        workflow_id=run["workflow_id"],
        digest=run["digest"],
        workflow_version=int(run["workflow_version"]),
        created_by=run["created_by"],
        created_at=int(run["created_at"]),
        input=from_json(run["input"]),
        steps=steps,
        outputs=JsonTexts(outputs),
        status=RunStatus(run["status"]),
        version=int(run["version"]),
        signals=int(run["signals"]),
        generation=int(run["generation"]),
        deadline=int(run["deadline"]) if run["deadline"] else None,
        labels=orjson.loads(run["labels"]),
        depth=int(run.get("depth", "0")),
        paused_at=int(run["paused_at"]) if run.get("paused_at") else None,
        paused_by=run.get("paused_by") or None,
        rerun_of=run.get("rerun_of"),
        parent=Parent(run["parent_run"], run["parent_step"]) if "parent_run" in run else None,
        undoable=run.get("undoable") == "1",
        held=run.get("held") == "1",
        definition=run.get("definition"),
        compensates=run.get("compensates"),
        compensation=run.get("compensation"),
        foreseen=(int(run["prepared"]), int(run["prepared_by"])) if "prepared" in run else None,
    )


def read_recorded(facts: Mapping[str, str]) -> dict[str, int]:
    """For each fan-out how many of its children's results have come; counted by `record_result`."""
    return {field.removesuffix("#results"): int(text) for field, text in facts.items() if field.endswith("#results")}


def read_ahead(facts: Mapping[str, str]) -> dict[str, KnownAhead]:
    """For each fan-out whose children go straight what is known of the next ones."""
    found = {field: text for field, text in facts.items() if field.endswith("#ahead") and text}
    return {field.removesuffix("#ahead"): KnownAhead(*map(int, text.split()[:3])) for field, text in found.items()}


class JsonTexts(Mapping[str, JSON]):
    """JSON texts by key, each parsed when it is first asked for: most plans look at few of a run's outputs."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._values: dict[str, JSON] = {}

    def __getitem__(self, key: str) -> JSON:
        if key not in self._values:
            self._values[key] = from_json(self._texts[key])
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def pairs(flat: list[str]) -> dict[str, str]:
    """A HGETALL reply from inside a script."""
    return dict(zip(flat[::2], flat[1::2], strict=True))

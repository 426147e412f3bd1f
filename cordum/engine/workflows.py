"""Definitions: saved as immutable versions, read back, forgotten."""

from __future__ import annotations

import builtins
import json
from typing import Any, NamedTuple

from cordum.domain.calls import check_calls
from cordum.domain.definition import (
    Checked,
    Document,
    Media,
    canonical,
    check_workflow,
    digest,
    parse_document,
    problem_of_step,
    refusal,
)
from cordum.domain.definition import Limits as DefinitionLimits
from cordum.domain.single_jobs import SINGLE_JOB
from cordum.domain.workflow import Workflow
from cordum.engine.core import Core
from cordum.engine.values import Saved
from cordum.engine.views import rfc3339
from cordum.errors import NotFound, Problem, StateConflict, Unavailable
from cordum.store.workflows import DeleteReply, SaveReply, Stored

_MOST_ATTEMPTS = 20


class _CallProblems(NamedTuple):
    """Problems of a definition beside others: those it cannot be saved with, and those it can."""

    fatal: tuple[Problem, ...] = ()
    harmless: tuple[Problem, ...] = ()

    def refuse(self) -> None:
        if self.fatal:
            raise refusal(self.fatal)


class Workflows:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store.workflows
        self._limits = DefinitionLimits(core.settings.max_definition_bytes, core.settings.max_steps)

    def validate(self, tenant: str, data: bytes, media: Media, default_id: str | None = None) -> Checked:
        """The workflow a text defines, with warnings; DefinitionInvalid with all its problems."""
        document = parse_document(data, media, limits=self._limits)
        checked = check_workflow(document, default_id=default_id, limits=self._limits)
        found = self._call_problems(tenant, document, checked.workflow)
        found.refuse()
        return checked._replace(warnings=checked.warnings + found.harmless)

    def save(
        self, tenant: str, data: bytes, media: Media, default_id: str | None = None, actor: str = "cordum"
    ) -> Saved:
        """Store a definition. The same content again is the same version.

        A definition that runs others is looked at together with them, and stored only if none of the tenant's
        definitions has changed since: of two that would close a cycle together, one is refused.
        """
        document = parse_document(data, media, limits=self._limits)
        workflow, warnings = check_workflow(document, default_id=default_id, limits=self._limits)
        if workflow.id == SINGLE_JOB:
            raise refusal([Problem("/id", "id_format", f"{SINGLE_JOB} is what runs of single jobs are called")])
        text = canonical(document, workflow.id).decode()
        content = digest(text.encode())
        known = self._store.version_of(tenant, workflow.id, content)
        if known is not None:
            found = self._call_problems(tenant, document, workflow)
            return Saved(workflow.id, known, content, False, warnings + found.harmless)
        for _ in range(_MOST_ATTEMPTS):
            seen = self._store.changes(tenant) if workflow.calls else None
            found = self._call_problems(tenant, document, workflow)
            found.refuse()
            word, version = self._store.save(tenant, workflow.id, content, text, workflow.topics, seen, actor)
            if word is not SaveReply.STALE:
                return Saved(workflow.id, version, content, word is SaveReply.SAVED, warnings + found.harmless)
        raise Unavailable("definitions are changing too fast, try again", code="conflict_repeated")

    def delete(self, tenant: str, workflow_id: str, actor: str = "cordum") -> None:
        """Forget a definition with all its versions; StateConflict while a run of it is open."""
        word, open_runs = self._store.delete(tenant, workflow_id, actor)
        if word is DeleteReply.NOT_FOUND:
            raise _no_workflow(workflow_id, None)
        if word is DeleteReply.IN_USE:
            message = f"runs of {workflow_id} that have not ended: {open_runs}; cancel them, or wait for their end"
            raise StateConflict(message, code="workflow_in_use")

    def versions(self, tenant: str, workflow_id: str) -> builtins.list[dict[str, Any]]:
        """The newest first."""
        found = self._store.versions(tenant, workflow_id)
        if not found:
            raise _no_workflow(workflow_id, None)
        return [
            {
                "id": workflow_id,
                "version": one.version,
                "digest": one.digest,
                "created_at": rfc3339(one.created_at),
                "latest": one is found[0],
            }
            for one in found
        ]

    def _call_problems(self, tenant: str, document: Document, workflow: Workflow) -> _CallProblems:
        """What is strange about the workflows that this one runs."""
        if not workflow.calls:
            return _CallProblems()

        def load(workflow_id: str, version: int | None) -> Workflow | None:
            stored = self._store.load(tenant, workflow_id, version)
            return self._core.workflow(tenant, workflow_id, stored.digest) if stored else None

        latest = self._store.latest(tenant, workflow.id)
        findings = list(check_calls(workflow, latest[0] + 1 if latest else 1, load))

        def problems(fatal: bool) -> tuple[Problem, ...]:
            chosen = (one for one in findings if one.fatal is fatal)
            return tuple(problem_of_step(document, one.step, "workflow_id", one.code, one.message) for one in chosen)

        return _CallProblems(problems(True), problems(False))

    def get(self, tenant: str, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        return _view(self.stored(tenant, workflow_id, version))

    def definition(self, tenant: str, workflow_id: str, version: int | None = None) -> Workflow:
        """The latest version as values, or the one asked for."""
        return self._core.workflow(tenant, workflow_id, self.stored(tenant, workflow_id, version).digest)

    def list(self, tenant: str) -> list[dict[str, Any]]:
        stored = (self._store.load(tenant, workflow_id) for workflow_id in self._store.ids(tenant))
        return [_view(one) for one in stored if one is not None]

    def required(self, workflow_id: str, found: tuple[int, str] | None) -> tuple[int, str]:
        """Number and digest of the version that a run started now is pinned to, if there is one."""
        if found is None:
            raise _no_workflow(workflow_id, None)
        return found

    def stored(self, tenant: str, workflow_id: str, version: int | None = None) -> Stored:
        found = self._store.load(tenant, workflow_id, version)
        if found is None:
            raise _no_workflow(workflow_id, version)
        return found


def _no_workflow(workflow_id: str, version: int | None) -> NotFound:
    wanted = workflow_id if version is None else f"{workflow_id} in version {version}"
    return NotFound(f"there is no workflow {wanted}")


def _view(stored: Stored) -> dict[str, Any]:
    definition = json.loads(stored.document)
    label = definition.pop("version", None)
    return {
        **definition,
        "version": stored.version,
        "version_label": label,
        "digest": stored.digest,
        "created_at": rfc3339(stored.created_at),
    }

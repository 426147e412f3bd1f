"""Definitions: saved as immutable versions, read back."""

from __future__ import annotations

import json
from typing import Any

from cordum.domain.definition import Limits as DefinitionLimits
from cordum.domain.definition import Media, build_workflow, canonical, digest, parse_document
from cordum.domain.workflow import Workflow
from cordum.engine.core import Core
from cordum.engine.values import Saved
from cordum.engine.views import rfc3339
from cordum.errors import NotFound
from cordum.store.workflows import Stored


class Workflows:
    def __init__(self, core: Core) -> None:
        self._store = core.store.workflows
        self._limits = DefinitionLimits(core.settings.max_definition_bytes, core.settings.max_steps)

    def validate(self, data: bytes, media: Media, default_id: str | None = None) -> Workflow:
        """The workflow a text defines; DefinitionInvalid with all its problems."""
        document = parse_document(data, media, limits=self._limits)
        return build_workflow(document, default_id=default_id, limits=self._limits)

    def save(self, tenant: str, data: bytes, media: Media, default_id: str | None = None) -> Saved:
        """Store a definition. The same content again is the same version."""
        document = parse_document(data, media, limits=self._limits)
        workflow = build_workflow(document, default_id=default_id, limits=self._limits)
        text = canonical(document, workflow.id)
        created, version = self._store.save(tenant, workflow.id, digest(text), text.decode(), workflow.topics)
        return Saved(workflow.id, version, digest(text), created)

    def get(self, tenant: str, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        return _view(self.stored(tenant, workflow_id, version))

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

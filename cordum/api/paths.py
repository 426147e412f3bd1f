"""Ids in paths. Text that cannot be an id names nothing, so the path is not found and the engine never sees it."""

from __future__ import annotations

import re
from typing import ClassVar

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from cordum.domain.api_keys import KEY_ID
from cordum.domain.hooks import HOOK_ID
from cordum.domain.ids import BULK_ID, POOL, RUN_ID, STEP_ID, STEP_REF, WORKFLOW_ID, JobId, is_topic
from cordum.domain.schedules import SCHEDULE_ID


class _Id(BaseConverter):
    pattern: ClassVar[re.Pattern[str]]

    def to_python(self, value: str) -> str:
        if not self.pattern.match(value):
            raise ValidationError
        return value


class _WorkflowId(_Id):
    pattern = WORKFLOW_ID


class _BundleId(_Id):
    pattern = WORKFLOW_ID


class _RunId(_Id):
    pattern = RUN_ID


class _StepId(_Id):
    pattern = STEP_ID


class _StepRef(_Id):
    """A step of a run, or a child of one: `fan[3]`."""

    pattern = STEP_REF


class _KeyId(_Id):
    pattern = KEY_ID


class _WorkerId(_Id):
    pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@%+-]{0,255}\Z")


class _Pool(_Id):
    pattern = POOL


class _Topic(BaseConverter):
    def to_python(self, value: str) -> str:
        if not is_topic(value):
            raise ValidationError
        return value


class _ScheduleId(_Id):
    pattern = SCHEDULE_ID


class _HookId(_Id):
    pattern = HOOK_ID


class _BulkId(_Id):
    pattern = BULK_ID


class _JobId(BaseConverter):
    def to_python(self, value: str) -> str:
        if JobId.parse(value) is None:
            raise ValidationError
        return value


def teach_ids(app: Flask) -> None:
    app.url_map.converters.update(
        workflow=_WorkflowId,
        run=_RunId,
        step=_StepId,
        ref=_StepRef,
        job=_JobId,
        key=_KeyId,
        bulk=_BulkId,
        bundle=_BundleId,
        worker=_WorkerId,
        pool=_Pool,
        topic=_Topic,
        schedule=_ScheduleId,
        hook=_HookId,
    )

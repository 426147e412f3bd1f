"""Answers as JSON. Owns the encoding: no NaN leaves, whole numbers of any size survive, text stays text.

The standard library's encoder on purpose: orjson refuses integers past 64 bits and turns NaN into null without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Response

from cordum.errors import Problem

JSON_TYPE = "application/json"


def encoded(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(value), status=status, headers=headers, content_type=JSON_TYPE)


def no_content() -> Response:
    return Response(status=204)


def done_or_told(told: Any) -> Response:
    """204 after an action that has nothing to show; of a dry run, what it tells."""
    return no_content() if told is None else answer(told)


def problem_item(problem: Problem) -> dict[str, Any]:
    """One entry of `errors[]` or `warnings[]`; a place that is unknown is left out."""
    item: dict[str, Any] = {"path": problem.path, "code": problem.code, "message": problem.message}
    if problem.line is not None:
        item["line"] = problem.line
    if problem.column is not None:
        item["column"] = problem.column
    return item

"""Reading a run document in which anything may be missing or of another type than expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cordum.demo.text_blocks import ABSENT

Json = Mapping[str, Any]

EMPTY: Json = {}


def mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else EMPTY


def mappings(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def step(run: Json, step_id: str) -> Json:
    return mapping(mapping(run.get("steps")).get(step_id))


def output(run: Json, step_id: str) -> Json:
    return mapping(step(run, step_id).get("output"))


def error_text(error: object) -> str:
    """The message of an error, with its code when it has one; "" when there is none."""
    if not isinstance(error, Mapping):
        return str(error) if error else ""
    message, code = error.get("message") or error.get("detail"), error.get("code")
    return f"{message} [{code}]" if message and code else str(message or code or "")


def number(value: object, form: str) -> str:
    """`value` in a format such as `,d` or `.2%`; ABSENT when it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ABSENT
    return format(float(value) if form[-1] in "f%" else round(value), form)

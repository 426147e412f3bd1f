"""JSON Schemas of inputs and outputs."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator


def violations(schema: Any, value: Any) -> tuple[str, ...]:
    """What is wrong with a value, in words."""
    return tuple(error.message for error in Draft202012Validator(schema).iter_errors(value))

"""Reading and validating workflow definitions, and strict JSON for every other document that comes from outside.

Owns what a definition may say (the tables in `build`, `steps` and `kinds`) and how its mistakes are reported.
Values in, values out: knows no store and no policy, and never evaluates an expression.
"""

from __future__ import annotations

from cordum.domain.definition.build import (
    Checked,
    Media,
    build_workflow,
    check_workflow,
    load_workflow,
    parse_document,
    problem_of_step,
    read_workflow,
    refusal,
)
from cordum.domain.definition.canonical import canonical, digest
from cordum.domain.definition.difference import Change, differences
from cordum.domain.definition.document import Document, Position, pointer
from cordum.domain.definition.json_reader import read_json
from cordum.domain.definition.places import Limits
from cordum.domain.definition.published import language_schema

__all__ = [
    # definitions
    "load_workflow",
    "read_workflow",
    "parse_document",
    "build_workflow",
    "check_workflow",
    "Checked",
    "problem_of_step",
    "refusal",
    "Document",
    "Position",
    "Media",
    "Limits",
    # the language as a JSON Schema
    "language_schema",
    # what changed from one to another
    "differences",
    "Change",
    # the stored form
    "canonical",
    "digest",
    # any JSON from outside
    "read_json",
    "pointer",
]

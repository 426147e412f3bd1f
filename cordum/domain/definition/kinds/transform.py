"""`transform`: the evaluated `input` is the output."""

from __future__ import annotations

from cordum.domain.definition.kinds.kind import Kind

TRANSFORM = Kind("Its output is its evaluated input.", input_required=True)

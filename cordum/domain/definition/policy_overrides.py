"""A workflow's `policy_override`: read by the policy's own tables, so that a rule means the same in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordum.domain.definition.places import Place, accepts
from cordum.domain.policy_schema import OVERRIDE

if TYPE_CHECKING:
    from cordum.domain.policy import Policy


@accepts(OVERRIDE)
def policy_override(place: Place) -> Policy | None:
    from cordum.domain.policy_override import read_override  # which is made of what this package reads with

    return read_override(place)

"""JSON Schema 2020-12 for users' own data: what a schema may be, and what a value violates.

Schemas come from tenants, so checking is bounded: nothing is ever fetched, patterns run in linear time (RE2), and one
check takes a bounded number of steps. What this leaves out of JSON Schema is refused when a definition is read:
references to other documents, embedded `$id`, other dialects, look-around in patterns.
"""

from __future__ import annotations

from cordum.domain.schemas.checking import MAX_VIOLATIONS, violations
from cordum.domain.schemas.form import Fault, faults

__all__ = ["MAX_VIOLATIONS", "Fault", "faults", "violations"]

"""The one tree of errors that cordum raises on purpose.

    CordumError
    ├── InvalidInput            400/413/415  cannot be read at all
    ├── Unauthenticated         401
    ├── Forbidden               403
    ├── NotFound                404          another tenant's object looks the same
    ├── StateConflict           409
    ├── Unprocessable           422          readable, but not allowed
    │   ├── DefinitionInvalid                carries every Problem found in one pass
    │   │   └── DefinitionUnreadable  400    not even parseable as what it claims to be
    │   └── IdempotencyKeyReused
    ├── Unavailable             503          try again later
    ├── ConfigurationRefused                 exit code 78
    └── ExpressionError                      an expression failed while it was evaluated

Each class knows its HTTP status, its machine-readable code, and whether trying the same thing again can help;
edges translate, they never decide (CONTRACT.md section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    # values
    "Problem",
    # the tree
    "CordumError",
    "InvalidInput",
    "Unauthenticated",
    "Forbidden",
    "NotFound",
    "StateConflict",
    "Unprocessable",
    "DefinitionInvalid",
    "DefinitionUnreadable",
    "IdempotencyKeyReused",
    "Unavailable",
    "ConfigurationRefused",
    "ExpressionError",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a document.

    `path` is a JSON pointer (`/steps/a/topic`); `line` and `column` count from 1 and are absent for input that has
    none; `code` is one of the codes of CONTRACT.md section 2; `message` names the mend where one is known.
    """

    path: str
    code: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line is not None else ""
        return f"{place}{self.path or '/'}: {self.message} [{self.code}]"


class CordumError(Exception):
    """Base of the tree. `detail` is one sentence for a person; `code` is for programs."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, code: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.problems = tuple(problems)


class InvalidInput(CordumError):
    """The bytes cannot be read as what they claim to be."""

    status = 400
    default_code = "invalid_input"


class Unauthenticated(CordumError):
    status = 401
    default_code = "unauthenticated"


class Forbidden(CordumError):
    status = 403
    default_code = "forbidden"


class NotFound(CordumError):
    status = 404
    default_code = "not_found"


class StateConflict(CordumError):
    """The object is not in a state that allows this."""

    status = 409
    default_code = "conflict"


class Unprocessable(CordumError):
    status = 422
    default_code = "invalid"


class DefinitionInvalid(Unprocessable):
    """A workflow definition was refused; `problems` lists everything that is wrong with it."""

    default_code = "definition_invalid"


class DefinitionUnreadable(DefinitionInvalid):
    status = 400


class IdempotencyKeyReused(Unprocessable):
    default_code = "idempotency_key_reused"


class Unavailable(CordumError):
    """Something cordum needs is away; the same request may succeed in `retry_after_sec`."""

    status = 503
    default_code = "unavailable"
    retryable = True
    retry_after_sec: ClassVar[int] = 1


class TooManyRequests(CordumError):
    """Slow down: the same request may succeed in `retry_after_sec`."""

    status = 429
    default_code = "too_many_requests"
    retryable = True

    def __init__(self, detail: str, *, retry_after_sec: int, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after_sec = retry_after_sec


class ConfigurationRefused(CordumError):
    """The process must not start like this."""

    default_code = "configuration_refused"


class ExpressionError(CordumError):
    """An expression could not be evaluated; `detail` names the sub-expression and its column."""

    status = 422
    default_code = "expression_error"

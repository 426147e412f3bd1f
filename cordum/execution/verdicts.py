"""What a handler may raise to say how its attempt ended. Any other exception is a retryable failure."""

from __future__ import annotations

import math

__all__ = ["Cancelled", "Fatal", "Retry"]


class Retry(Exception):
    """Try again later; `after` seconds instead of the step's own back-off."""

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        if after is not None and not (math.isfinite(after) and after >= 0):
            raise ValueError(f"after must be seconds, at least 0, not {after!r}")
        super().__init__(message)
        self.after = after


class Fatal(Exception):
    """Trying again is pointless: the step fails at once."""


class Cancelled(Exception):
    """The job must stop: its run was cancelled, or its time is up. Raised by `ctx.progress`; let it pass."""

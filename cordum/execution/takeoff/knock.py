"""A call into the event loop from any thread, and from the loop itself.

kombu's own `call_soon` is heard only after the next poll, up to a second later, when it is called from a callback of
the loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Knock"]


class Knock:
    """Any number of calls before the callback runs are one. `callback` must not raise."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._pending = False

    def attach(self, hub: Any) -> None:
        """Also after the hub has been reset."""
        hub.add_reader(self._reader, self._answer)

    def __call__(self) -> None:
        if not self._pending:
            self._pending = True
            os.write(self._writer, b"!")

    def _answer(self) -> None:
        # Drain, then clear, then look: in any other order a call in between would be lost.
        try:
            os.read(self._reader, 64)
        except BlockingIOError:
            return
        self._pending = False
        self._callback()

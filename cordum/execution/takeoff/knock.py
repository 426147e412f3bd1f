"""A call into the event loop, from any thread and from the loop itself.

kombu's own `call_soon` is heard only after the next poll, up to a second later, when it is called from a callback of
the loop.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Knock"]

_AT_ONCE_SEC = 0.01


class Knock:
    """Any number of calls before the callback runs are one. `callback` must not raise.

    What happens in the loop outside of the callback is answered before the loop waits again, without waking it.
    """

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._called = self._woken = self._answering = False
        self._loop = threading.get_ident()

    def attach(self, hub: Any) -> None:
        """From the loop's thread; also after the hub has been reset."""
        hub.add_reader(self._reader, self._on_wake)
        hub.on_tick.add(self._on_tick)

    def __call__(self) -> None:
        self._called = True
        # Who answers looks once more when it has.
        if not self._answering and threading.get_ident() != self._loop:
            self.wake()

    def wake(self) -> None:
        """Have the loop come round once more instead of waiting."""
        if not self._woken:
            self._woken = True
            os.write(self._writer, b"!")

    def _on_wake(self) -> None:
        # Drain, then clear, then look: in any other order a call in between would be lost.
        try:
            os.read(self._reader, 64)
        except BlockingIOError:
            return
        self._woken = False
        self._answer()

    def _on_tick(self) -> None:
        if not self._woken:
            self._answer()

    def _answer(self) -> None:
        """Again at once if called meanwhile: to come round costs as much as a small turn. The loop has others, too."""
        until = time.monotonic() + _AT_ONCE_SEC
        while self._called:
            self._called = False
            self._answering = True
            try:
                self._callback()
            finally:
                self._answering = False
            if time.monotonic() >= until:
                break
        if self._called:
            self.wake()

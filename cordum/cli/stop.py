"""Being told to stop: signals set a flag, and the main thread looks at it where stopping is safe.

No exception out of a signal handler: it could strike in the middle of starting a process, or of ending one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    def __init__(self) -> None:
        self._told = threading.Event()

    def tell(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self._told.set()

    def check(self) -> None:
        """Raise KeyboardInterrupt when told to stop."""
        if self._told.is_set():
            raise KeyboardInterrupt

    def wait(self) -> NoReturn:
        """Until told to stop."""
        self._told.wait()
        raise KeyboardInterrupt

    def pause(self, seconds: float) -> None:
        """Sleep; KeyboardInterrupt as soon as told to stop."""
        self._told.wait(seconds)
        self.check()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """While the block lasts, Ctrl-C, SIGTERM and a closed terminal tell the `Stop` instead of ending the process."""
    stop = Stop()
    before = {number: signal.signal(number, stop.tell) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

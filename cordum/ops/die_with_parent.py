"""Turn into another program that ends when its parent does, even when the parent is killed with SIGKILL.

Run as a script: `python -I -S die_with_parent.py PARENT_PID PROGRAM ARG…`. It asks the kernel (Linux: prctl
PR_SET_PDEATHSIG) for SIGTERM at the parent's death and execs the program, which keeps that wish and this pid.

Why a script between fork and exec and not `Popen(preexec_fn=…)`: Python code after a fork in a process with threads can
deadlock, and is on its way out of the language. SIGTERM and not SIGKILL: Redis then flushes its log before it ends.
Where there is no prctl (not Linux) the program is started without the wish.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel send this process SIGTERM when its parent dies; to be called in the child, by its main thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended before its child had started")


def main(arguments: list[str]) -> None:
    parent, program = int(arguments[0]), arguments[1:]
    die_with(parent)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])

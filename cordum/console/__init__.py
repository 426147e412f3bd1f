"""The pages for people at `/console`: runs, one run, and what waits for a decision.

Rendered here, without a line of JavaScript. An edge beside the API: it asks the engine and knows nothing of the API.
"""

from __future__ import annotations

from cordum.console.app import CONSOLE, create_console

__all__ = [
    # the application
    "create_console",
    # where it is mounted
    "CONSOLE",
]

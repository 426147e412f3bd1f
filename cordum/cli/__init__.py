"""The command line. Puts the layers together and decides nothing.

Commands import what they need when they run, so that `cordum --help` and the commands that only talk to an API load
neither Celery nor Redis nor Flask.
"""

from __future__ import annotations

from cordum.cli.root import main

__all__ = ["main"]

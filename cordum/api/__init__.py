"""The HTTP edge: Flask in front of the engine (CONTRACT.md sections 5 and 6). Translates, and decides nothing."""

from __future__ import annotations

from cordum.api.app import create_app
from cordum.api.server import ApiServer, serve

__all__ = [
    # the application
    "create_app",
    # serving it
    "ApiServer",
    "serve",
]

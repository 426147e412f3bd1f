"""Puts the HTTP application together; serving it is `cordum.api.server`'s."""

from __future__ import annotations

import os

from flask import Flask, Response

from cordum import failpoints
from cordum.api import routes
from cordum.api.context import equip
from cordum.api.guards import guard
from cordum.api.identity import refuse_undeclared
from cordum.api.pages import CURSOR_KEY
from cordum.api.paths import teach_ids
from cordum.api.problem_json import translate_errors
from cordum.engine import Engine
from cordum.settings import Settings


def create_app(engine: Engine, settings: Settings, *, cursor_key: bytes | None = None) -> Flask:
    """The application over one engine, which many threads will use at once.

    Cursors are signed with `cursor_key`; without one they live as long as this application.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(
        {
            "MAX_CONTENT_LENGTH": settings.max_body_bytes,
            "PROVIDE_AUTOMATIC_OPTIONS": False,
            CURSOR_KEY: cursor_key or os.urandom(32),
        }
    )
    # Doubled slashes would be answered by an HTML page that redirects.
    app.url_map.merge_slashes = False
    equip(app, engine, settings)
    teach_ids(app)
    guard(app)
    app.after_request(_before_answer)
    refuse_undeclared(app)
    translate_errors(app)
    routes.register(app)
    return app


def _before_answer(answer: Response) -> Response:
    if failpoints.ACTIVE:
        failpoints.reach("api.before_answer")
    return answer

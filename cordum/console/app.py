"""Puts the pages together: one WSGI application, mounted at `/console` by whoever serves it."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from jinja2 import StrictUndefined

from cordum.console import forms, pages, shown
from cordum.console.context import equip
from cordum.console.guards import guard
from cordum.console.refusals import translate_errors
from cordum.engine import Engine
from cordum.settings import Settings

CONSOLE = "/console"
SESSION_HOURS = 12


def create_console(engine: Engine, settings: Settings) -> Flask:
    """The pages over one engine. Sessions are signed with a secret that all processes on this Redis share."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=engine.api_keys.session_secret(),
        SESSION_COOKIE_NAME="cordum_console",
        SESSION_COOKIE_PATH=CONSOLE,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=settings.env == "production",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_FORM_PARTS=20,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    equip(app, engine)
    guard(app)
    translate_errors(app)
    shown.teach(app)
    app.register_blueprint(pages.routes)
    app.register_blueprint(forms.routes)
    return app

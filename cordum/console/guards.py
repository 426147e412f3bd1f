"""What is true of every page: nobody is answered who has not said who they are, no form comes from elsewhere, and the
browser is told to run, load and frame nothing that is not ours."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, g, redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from cordum.console.visitors import visitor
from cordum.errors import Forbidden

TOKEN = "form_token"  # noqa: S105 - the name of a field

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # Not `no-referrer`: with that a browser names `null` as the origin of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

# What strangers may see.
_OPEN = frozenset({"static", "forms.login", "forms.enter"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})


def guard(app: Flask) -> None:
    app.before_request(_refuse_foreign_form)
    app.before_request(_ask_who)
    app.after_request(_seal)


def form_token() -> str:
    """What a form of this session has to bring back."""
    if TOKEN not in session:
        session[TOKEN] = secrets.token_urlsafe(32)
    return str(session[TOKEN])


def _refuse_foreign_form() -> None:
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    known, brought = session.get(TOKEN), request.form.get(TOKEN)
    same_place = origin is None or _same_place(origin)
    if not same_place or not known or not brought or not hmac.compare_digest(known.encode(), brought.encode()):
        raise Forbidden("this form is too old, or comes from somewhere else: go back, load the page again, and repeat")


def _same_place(origin: str) -> bool:
    try:
        return urlsplit(origin).netloc == request.host
    except ValueError:
        return False


def _ask_who() -> AnyResponse | None:
    if request.endpoint in _OPEN:
        return None
    caller = visitor()
    if caller is None:
        return redirect(url_for("forms.login"), 303)
    g.caller = caller
    return None


def _seal(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "private, max-age=300"
    return response

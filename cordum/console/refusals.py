"""Every error as a page. What an unforeseen exception says goes to the log and never onto a page."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, g, render_template, request
from werkzeug.exceptions import HTTPException

from cordum.errors import CordumError

_log = logging.getLogger("cordum.console")

_SAID = {
    404: "There is nothing at this address.",
    405: "This address does not take that.",
    413: "What was sent is too large.",
}


def translate_errors(app: Flask) -> None:
    app.register_error_handler(CordumError, _cordum_error)
    app.register_error_handler(HTTPException, _framework_error)
    app.register_error_handler(Exception, _unforeseen)


def _cordum_error(error: CordumError) -> tuple[str, int]:
    return _unforeseen(error) if error.status == 500 else _page(error.status, error.detail)


def _framework_error(error: HTTPException) -> tuple[str, int]:
    status = error.code or 500
    return _unforeseen(error) if status >= 500 else _page(status, _SAID.get(status, "This could not be read."))


def _unforeseen(error: Exception) -> tuple[str, int]:
    _log.error("the page %s failed", request.endpoint, exc_info=error)
    return _page(500, "Something went wrong inside cordum; its log says what.")


def _page(status: int, said: str) -> tuple[str, int]:
    title = HTTPStatus(status).phrase
    return render_template("error.html", title=title, said=said, caller=g.get("caller")), status

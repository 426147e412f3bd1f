"""Every error as `application/problem+json` (CONTRACT.md section 6): cordum's own, the framework's, and the unforeseen.

Translates and never decides: status, code and retryability are on the error's class. What an unforeseen exception says
goes to the log, under the request's id, and never into an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from cordum.api.answers import encoded, problem_item
from cordum.api.request_id import request_id
from cordum.errors import CordumError, Problem, TooManyRequests, Unauthenticated, Unavailable

PROBLEM_TYPE = "application/problem+json"

_log = logging.getLogger("cordum.api")

_FRAMEWORK = {
    404: ("not_found", "there is nothing at this path"),
    405: ("method_not_allowed", "this path does not take that method"),
    413: ("body_too_large", "the request body is too large"),
    415: ("unsupported_media_type", "this path does not take that kind of body"),
}
_BAD_REQUEST = ("bad_request", "the request could not be read")
_INTERNAL = ("internal", "something went wrong inside cordum; the request id finds it in the log")


def problem_document(
    status: int, code: str, detail: str, request_id: str, errors: Sequence[Problem] = (), retryable: bool = False
) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "error": detail,
        "errors": [problem_item(problem) for problem in errors],
        "request_id": request_id,
        "retryable": retryable,
    }


def translate_errors(app: Flask) -> None:
    """The most specific handler wins, so that the last one sees only what nobody foresaw."""
    app.register_error_handler(CordumError, _cordum_error)
    app.register_error_handler(HTTPException, _framework_error)
    app.register_error_handler(Exception, _unforeseen)


def _cordum_error(error: CordumError) -> Response:
    if error.status == 500:
        return _unforeseen(error)
    headers = {}
    if isinstance(error, Unavailable | TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_sec)
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="cordum"'
    return _answer(error.status, error.code, error.detail, error.problems, error.retryable, headers)


def _framework_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _unforeseen(error)
    code, detail = _FRAMEWORK.get(status, _BAD_REQUEST)
    allowed = getattr(error, "valid_methods", None)
    return _answer(status, code, detail, headers={"Allow": ", ".join(sorted(allowed))} if allowed else {})


def _unforeseen(error: Exception) -> Response:
    _log.error("request %s to %s failed", request_id(), request.endpoint, exc_info=error)
    return _answer(500, *_INTERNAL)


def _answer(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[Problem] = (),
    retryable: bool = False,
    headers: dict[str, str] | None = None,
) -> Response:
    document = problem_document(status, code, detail, request_id(), errors, retryable)
    return Response(encoded(document), status=status, headers=headers, content_type=PROBLEM_TYPE)

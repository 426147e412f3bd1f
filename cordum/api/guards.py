"""What is true of every request and every answer, whichever route it is for.

Requests: no body over the limit, no compressed body, nothing that a foreign web page made a browser send. Answers: the
request's id and the headers that keep a browser from doing anything with them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from cordum.api.context import settings
from cordum.api.media import UnsupportedMedia
from cordum.api.request_id import HEADER, request_id
from cordum.errors import Forbidden

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_SAFE_METHODS = frozenset({"GET", "HEAD"})


def guard(app: Flask) -> None:
    # In this order: an oversized body is refused before anything else is looked at.
    app.before_request(_refuse_oversized_body)
    app.before_request(_refuse_encoded_body)
    app.before_request(_refuse_foreign_page)
    app.after_request(_seal)


def _refuse_oversized_body() -> None:
    # A body without a length is caught by MAX_CONTENT_LENGTH while it is read.
    if (request.content_length or 0) > settings().max_body_bytes:
        raise RequestEntityTooLarge


def _refuse_encoded_body() -> None:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMedia("send the body without a Content-Encoding", code="unsupported_content_encoding")


def _refuse_foreign_page() -> None:
    """A browser names the page behind a request; one without a body would otherwise need no permission."""
    origin = request.headers.get("Origin")
    if request.method in _SAFE_METHODS or origin is None:
        return
    if not _same_place(origin):
        raise Forbidden("requests from pages of another origin are not accepted", code="cross_origin")


def _same_place(origin: str) -> bool:
    try:
        return urlsplit(origin).netloc == request.host
    except ValueError:
        return False


def _seal(response: Response) -> Response:
    response.headers[HEADER] = request_id()
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response

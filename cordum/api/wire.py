"""What happens on the wire before a request is one: waitress' own parts, made to answer and wait the way cordum does.

Requests that waitress refuses itself (a broken request line, oversized headers) get problem+json like any other, and a
request has to arrive whole within `channel_timeout`, however busily it trickles.
"""

from __future__ import annotations

from http import HTTPStatus

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask

from cordum.api.answers import encoded
from cordum.api.guards import SECURITY_HEADERS
from cordum.api.problem_json import PROBLEM_TYPE, problem_document
from cordum.api.request_id import HEADER, new_request_id

_SAID = {
    400: ("bad_request", "the request is not HTTP"),
    413: ("body_too_large", "the request body is too large"),
    431: ("headers_too_large", "the request headers are too large"),
    500: ("internal", "something went wrong inside cordum"),
}


class _Parser(HTTPRequestParser):
    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:
            # `http://[::1` as target, a Content-Length of 5,000 digits: waitress lets these reach its main loop.
            raise ParsingError("not HTTP") from None


class _Refusal(ErrorTask):
    def execute(self) -> None:
        # waitress' 501 for an unknown Transfer-Encoding is the client's mistake, not ours.
        request = self.request
        status = request.error.code if request.error.code in _SAID else 400
        code, detail = _SAID[status]
        request_id = new_request_id()
        body = encoded(problem_document(status, code, detail, request_id))
        self.status = f"{status} {HTTPStatus(status).phrase}"
        self.response_headers = [("Content-Type", PROBLEM_TYPE), (HEADER, request_id), *SECURITY_HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):
    """One connection."""

    parser_class = _Parser
    error_task_class = _Refusal
    last_activity: float

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or an answer is still on its way."""
        return bool(self.requests or self.total_outbufs_len)

    def handle_read(self) -> None:
        before, began = self.request, self.last_activity
        super().handle_read()
        if before is not None and self.request is before:
            # More of the same request is no sign of life, or a slow sender could hold the connection for ever.
            self.last_activity = began

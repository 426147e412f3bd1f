"""Reading request bodies: which media type, UTF-8 only, and the one JSON reader. Schemas say what may be in them."""

from __future__ import annotations

from typing import ClassVar

from flask import request

from cordum.domain.definition import Media, read_json
from cordum.domain.workflow import JSON
from cordum.errors import InvalidInput

MAX_DEPTH = 64

_JSON_TYPES: dict[str, Media] = {"application/json": "json"}
_DEFINITION_TYPES: dict[str, Media] = {
    **_JSON_TYPES,
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/x-yaml": "yaml",
}


class UnsupportedMedia(InvalidInput):
    """The body may be fine, but it is not of a kind this path takes."""

    status: ClassVar[int] = 415
    default_code: ClassVar[str] = "unsupported_media_type"


def json_body(when_empty: JSON = None) -> JSON:
    """The body's JSON value; an empty body is `when_empty`, or refused when that is None."""
    data = request.get_data()
    if not data.strip():
        if when_empty is None:
            raise InvalidInput("the body is empty; send {} when there is nothing to say", code="json_syntax")
        return when_empty
    _kind(_JSON_TYPES)
    return read_json(data, max_depth=MAX_DEPTH)


def definition_body() -> tuple[bytes, Media]:
    """The bytes of a workflow definition, and `json` or `yaml`."""
    kind = _kind(_DEFINITION_TYPES)
    data = request.get_data()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("the body is not UTF-8", code="text_invalid") from None
    return data, kind


def _kind(types: dict[str, Media]) -> Media:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in types:
        raise UnsupportedMedia(f"send the body with Content-Type: {' or '.join(sorted(types))}")
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMedia("send the body as UTF-8")
    return types[request.mimetype]

"""An exception as the evidence that is kept of it: bounded, and free of what could steer a terminal or forge a line."""

from __future__ import annotations

import traceback
from types import TracebackType

from cordum.domain.run import Failure

__all__ = ["failure_of"]

MAX_MESSAGE = 2_000
MAX_TRACEBACK = 16_000


def failure_of(error: BaseException, code: str, *, caller: str) -> Failure:
    """The traceback begins in the handler: frames of the file `caller` and above it tell nothing."""
    frames = _below(caller, error.__traceback__)
    told = "".join(traceback.format_exception(type(error), error, frames, limit=-50))
    return Failure(
        code=code,
        message=_first(_plain(_text(error).replace("\n", " ")), MAX_MESSAGE),
        kind=type(error).__name__,
        traceback=_last(_plain(told), MAX_TRACEBACK),
    )


def _below(caller: str, frames: TracebackType | None) -> TracebackType | None:
    begin = frame = frames
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == caller and frame.tb_next is not None:
            begin = frame.tb_next
        frame = frame.tb_next
    return begin


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return f"{type(error).__name__} (its text cannot be had)"


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _first(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def _last(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"({len(text) - limit} characters before) …{text[-limit:]}"

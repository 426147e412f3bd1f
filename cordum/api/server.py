"""Serves the API with waitress: binds, answers from a few threads, stops without cutting off who is being answered."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from types import FrameType, TracebackType
from typing import Any, Self

from waitress import wasyncore
from waitress.server import create_server
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from cordum.api.app import create_app
from cordum.api.wire import Channel
from cordum.engine import Engine
from cordum.errors import ConfigurationRefused
from cordum.loopback import is_loopback
from cordum.settings import Settings

THREADS = 8
CONNECTIONS = 1_000
READ_TIMEOUT_SEC = 10
STOP_GRACE_SEC = 5.0

_BACKLOG = 1_024
_MAX_HEADER_BYTES = 16 * 1024
_PORTS_TRIED = 100
_LAST_PORT = 65_535
_LOOK_UP_SEC = 0.2
"""How long a thread that waits may take to see that it should stop."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("cordum.api")


class ApiServer:
    """A bound socket and the thread that answers on it. `stop()` may be called from anywhere, any number of times."""

    def __init__(self, app: Any, listener: socket.socket, max_body_bytes: int) -> None:
        self.host, self.port = listener.getsockname()[:2]
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._waitress: Any = create_server(
            app,
            map=self._map,
            sockets=[listener],
            threads=THREADS,
            ident=None,
            asyncore_use_poll=True,
            connection_limit=CONNECTIONS,
            channel_timeout=READ_TIMEOUT_SEC,
            cleanup_interval=1,
            max_request_header_size=_MAX_HEADER_BYTES,
            # Far above the application's own limit: closing on a client that is still sending loses it the answer.
            max_request_body_size=8 * max_body_bytes + 1,
        )
        self._waitress.channel_class = Channel
        self._thread = threading.Thread(target=self._answer, name="cordum-api", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a client on this machine finds the API."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def stop(self) -> None:
        """Take no more connections, finish the requests in hand (for at most `STOP_GRACE_SEC`), close everything."""
        self._stopping.set()
        self._thread.join()

    def wait(self) -> None:
        """Until `stop()` is called, or SIGTERM or SIGINT arrives; then everything is closed. Main thread only."""
        woken = threading.Event()
        before = {number: signal.signal(number, _waking(woken)) for number in _STOP_SIGNALS}
        try:
            while self._thread.is_alive() and not woken.wait(_LOOK_UP_SEC):
                pass
            self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _answer(self) -> None:
        while not self._stopping.is_set():
            self._turn()
        wasyncore.dispatcher.close(self._waitress)
        deadline = time.monotonic() + STOP_GRACE_SEC
        while self._busy() and time.monotonic() < deadline:
            self._turn()
        self._waitress.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map, ignore_all=True)

    def _turn(self) -> None:
        wasyncore.loop(timeout=_LOOK_UP_SEC, use_poll=True, map=self._map, count=1)

    def _busy(self) -> bool:
        return any(isinstance(one, Channel) and one.busy for one in self._map.values())


def serve(
    engine: Engine,
    settings: Settings,
    host: str,
    port: int,
    *,
    next_free: bool = False,
    cursor_key: bytes | None = None,
    pages: Mapping[str, Any] | None = None,
) -> ApiServer:
    """Start answering on `host:port` (0: any free port; `next_free`: the first free one from `port` on).

    `pages`: WSGI applications by the path they are mounted at, beside the API. The server runs in a thread of its own;
    the caller waits with `wait()` and ends it with `stop()`. Raises ConfigurationRefused when the address cannot be
    had, or others could reach it although there are no keys.
    """
    listener = _bound(host, port, _PORTS_TRIED if next_free and port else 1)
    _guard_public_address(listener, engine)
    app = create_app(engine, settings, cursor_key=cursor_key)
    mounted = DispatcherMiddleware(app, dict(pages)) if pages else app
    server = ApiServer(mounted, listener, settings.max_body_bytes)
    _log.info("listening on %s", server.url)
    return server


def _bound(host: str, port: int, tries: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = f"ports end at {_LAST_PORT}"
    for candidate in range(port, min(port + tries, _LAST_PORT + 1)):
        try:
            return socket.create_server((host, candidate), family=family, backlog=_BACKLOG)
        except OSError as error:
            reason = str(error)
            if error.errno != errno.EADDRINUSE:
                break
    raise ConfigurationRefused(f"cannot listen on {host} port {port}: {reason}")


def _guard_public_address(listener: socket.socket, engine: Engine) -> None:
    """Without keys whoever reaches the port may do anything: judged by the address that was bound, not its name."""
    address = ip_address(listener.getsockname()[0])
    if is_loopback(address):
        return
    try:
        keyed = engine.api_keys.required()
    except BaseException:
        listener.close()
        raise
    if not keyed:
        listener.close()
        raise ConfigurationRefused(
            f"there is no API key yet, so the API listens on this machine only: make one with `cordum keys create`, "
            f"or set api_host to 127.0.0.1 instead of {address}"
        )
    engine.api_keys.insist()


def _waking(event: threading.Event) -> Callable[[int, FrameType | None], None]:
    def handler(_number: int, _frame: FrameType | None) -> None:
        event.set()

    return handler

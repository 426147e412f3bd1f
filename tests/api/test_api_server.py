"""The server on a real socket: what waitress does on its own must look like the rest."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from cordum.api import serve
from cordum.api import server as server_module
from cordum.errors import ConfigurationRefused
from tests.api.keyring import headers


def connected(server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=20)


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def exchanged(server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with closing(connected(server)) as connection:
        connection.sendall(request)
        head, _, body = received(connection).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"get /healthz HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nbroken header\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nX: ".ljust(16 * 1024, b"x"), 431, "headers_too_large"),
        (b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
        (b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "bad_request"),
        (b"POST /api/v1/workflows HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413, "body_too_large"),
        (b"POST /api/v1/workflows HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
        (b"POST /api/v1/workflows HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
    ],
)
def test_request_that_waitress_refuses_gets_problem_json(server, request_bytes, status, code):
    answered, headers, body = exchanged(server, request_bytes)
    document = json.loads(body)
    assert (answered, document["status"], document["code"]) == (status, status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Request-Id"] == document["request_id"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers


def test_answer_names_no_server(server):
    status, headers, _ = exchanged(server, b"GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert status == 200
    assert "Server" not in headers
    assert "Via" not in headers


def test_oversized_body_gets_its_answer_although_it_is_still_being_sent(engine, settings):
    # Larger than what the sockets of both sides hold: a server that closed at once would break the sending.
    large = replace(settings, max_body_bytes=4 * 1024 * 1024)
    with (
        serve(engine, large, "127.0.0.1", 0) as server,
        closing(HTTPConnection(server.host, server.port, timeout=20)) as connection,
    ):
        connection.request("POST", "/api/v1/workflows", b"x" * (4 * large.max_body_bytes))
        answered = connection.getresponse()
        assert (answered.status, json.load(answered)["code"]) == (413, "body_too_large")


def test_oversized_chunked_body_is_refused(server, settings):
    chunk = b"%x\r\n%s\r\n" % (settings.max_body_bytes + 1, b"x" * (settings.max_body_bytes + 1))
    request = b"POST /api/v1/workflows HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
    status, _, body = exchanged(server, request + b"0\r\n\r\n")
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_request_that_only_trickles_is_cut_off(engine, settings, monkeypatch):
    monkeypatch.setattr(server_module, "READ_TIMEOUT_SEC", 1)
    with serve(engine, settings, "127.0.0.1", 0) as server, closing(connected(server)) as connection:
        connection.settimeout(0.1)
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert closed_while_sending(connection)


def closed_while_sending(connection: socket.socket) -> bool:
    """Send a byte whenever nothing comes back; the test's own time limit ends what the server does not."""
    while True:
        try:
            connection.sendall(b"X")
            return connection.recv(1) == b""
        except TimeoutError:
            continue
        except OSError:
            return True


def test_free_port_is_found_and_told(server):
    assert server.port > 0
    assert urlsplit(server.url).port == server.port


def test_taken_port_is_refused_or_the_next_one_taken(server, engine, settings):
    with pytest.raises(ConfigurationRefused, match=str(server.port)):
        serve(engine, settings, server.host, server.port)
    with serve(engine, settings, server.host, server.port, next_free=True) as second:
        assert second.port > server.port


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000), ("192.0.2.1", 0)])
def test_address_that_cannot_be_had_is_refused(engine, settings, host, port):
    with pytest.raises(ConfigurationRefused):
        serve(engine, settings, host, port)


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "::", "::ffff:0.0.0.0"])
def test_an_address_that_others_can_reach_is_refused_while_there_are_no_keys(engine, settings, host):
    with pytest.raises(ConfigurationRefused):
        serve(engine, settings, host, 0)


def test_with_a_key_it_may_listen_where_others_reach_it_and_asks_them_for_one(engine, settings):
    key = headers(engine, "acme", "ann")
    with serve(engine, settings, "0.0.0.0", 0) as server:
        codes = []
        for given in ({}, key):
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
                connection.request("GET", "/api/v1/workflows", headers=given)
                codes.append(connection.getresponse().status)
        assert codes == [401, 200]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_url_is_one_that_a_client_on_this_machine_can_use(engine, settings, host):
    with serve(engine, settings, host, 0) as server:
        address = urlsplit(server.url)
        with closing(HTTPConnection(address.hostname, address.port, timeout=20)) as connection:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200


def test_stop_finishes_the_request_in_hand_and_leaves_nothing_behind(engine, settings, monkeypatch):
    entered, leave = threading.Event(), threading.Event()

    def slow_ping() -> None:
        entered.set()
        leave.wait(20)

    monkeypatch.setattr(engine, "ping", slow_ping)
    before = set(threading.enumerate())
    server = serve(engine, settings, "127.0.0.1", 0)
    with closing(connected(server)) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert entered.wait(20)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        leave.set()
        stopping.join()
        assert received(connection).startswith(b"HTTP/1.1 200 OK")
    with pytest.raises(ConnectionRefusedError):
        connected(server)
    assert set(threading.enumerate()) == before
    server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_wait_ends_on_a_signal_and_restores_the_handlers(server, number):
    before = signal.getsignal(number)

    def kill_when_it_is_handled() -> None:
        while signal.getsignal(number) is before:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=kill_when_it_is_handled).start()
    server.wait()
    assert signal.getsignal(number) is before
    with pytest.raises(ConnectionRefusedError):
        connected(server)


def test_wait_ends_when_the_server_is_stopped_elsewhere(server):
    threading.Timer(0.05, server.stop).start()
    server.wait()
    with pytest.raises(ConnectionRefusedError):
        connected(server)

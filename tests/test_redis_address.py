"""RedisAddress: both dialects against a real server, and everything it refuses."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from redis import Redis

from cordum.errors import ConfigurationRefused
from cordum.ops.redis_server import RedisServer
from cordum.redis_address import MAX_SOCKET_PATH_BYTES, RedisAddress

AWKWARD = "p@ss:w/o?r#d%&;+ é"


def assert_both_dialects_work(address: RedisAddress) -> None:
    with Redis(**address.redis_py_kwargs()) as client:
        assert client.ping()
        client.delete("letters")
    with Connection(address.kombu_url()) as connection:
        queue = connection.SimpleQueue("letters")
        queue.put({"hello": "there"})
        with Redis(**address.redis_py_kwargs()) as client:
            assert client.llen("letters") == 1, "kombu and redis-py must mean the same database"
        message = queue.get(timeout=5)
        message.ack()
        queue.close()
        assert message.payload == {"hello": "there"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("db", [0, 3])
def test_unix_socket_works_in_both_dialects(redis_address: RedisAddress, db: int) -> None:
    assert_both_dialects_work(RedisAddress.unix(Path(redis_address.socket), db=db))


def test_unix_socket_with_password_works_in_both_dialects(fresh_redis: Callable[..., RedisServer]) -> None:
    server = fresh_redis()
    with Redis(**server.address.redis_py_kwargs()) as client:
        client.config_set("requirepass", AWKWARD)
    quoted = RedisAddress("unix", socket=server.address.socket, password=AWKWARD).url()
    assert_both_dialects_work(RedisAddress.parse(quoted))


def test_tcp_with_user_password_and_database_works_in_both_dialects(fresh_redis: Callable[..., RedisServer]) -> None:
    server, port = fresh_redis(), free_port()
    with Redis(**server.address.redis_py_kwargs()) as client:
        client.config_set("port", port)
        client.acl_setuser("w:orker", enabled=True, passwords=[f"+{AWKWARD}"], commands=["+@all"], keys=["*"])
        client.execute_command("ACL", "SETUSER", "w:orker", "allchannels")
    quoted = RedisAddress("redis", host="127.0.0.1", port=port, db=2, username="w:orker", password=AWKWARD).url()
    assert_both_dialects_work(RedisAddress.parse(quoted))


def test_tls_is_on_and_verified_in_both_dialects_unless_the_url_says_otherwise() -> None:
    address = RedisAddress.parse("rediss://:secret@redis.example:6380/1?ssl_ca_certs=/etc/ca.pem")
    assert address.redis_py_kwargs() == {
        "db": 1,
        "password": "secret",
        "host": "redis.example",
        "port": 6380,
        "ssl": True,
        "ssl_ca_certs": "/etc/ca.pem",
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
    ssl = Connection(address.kombu_url()).ssl
    assert ssl["ssl_ca_certs"] == "/etc/ca.pem"
    assert ssl["ssl_check_hostname"] is True
    assert ssl["ssl_cert_reqs"].name == "CERT_REQUIRED"


def test_tls_without_any_option_is_still_tls_for_kombu() -> None:
    assert Connection(RedisAddress.parse("rediss://redis.example").kombu_url()).ssl


def test_ipv6_host_survives_the_round_trip() -> None:
    address = RedisAddress.parse("redis://[::1]:7000/0")
    assert address.host == "::1"
    assert address.url() == "redis://[::1]:7000/0"


@given(
    username=st.text(max_size=12),
    password=st.text(max_size=12),
    db=st.integers(min_value=0, max_value=15),
    path=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
)
def test_every_url_we_write_reads_back_as_the_same_address(username: str, password: str, db: int, path: str) -> None:
    tcp = RedisAddress("redis", host="h.example", db=db, username=username, password=password)
    unix = RedisAddress("unix", socket=str(Path("/run") / path.strip("/")), db=db, username=username, password=password)
    assert RedisAddress.parse(tcp.url()) == tcp
    assert RedisAddress.parse(unix.url()) == unix


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must start with"),
        ("localhost:6379", "must start with"),
        ("http://localhost", "must start with"),
        ("amqp://localhost", "must start with"),
        ("redis://", "names no host"),
        ("redis://host:port/0", "cannot be read"),
        ("redis://host:70000/0", "cannot be read"),
        ("redis://[::1/0", "cannot be read"),
        ("redis://host/zero", "database must be a number"),
        ("redis://host/-1", "database must be a number"),
        ("redis://host/1?db=2", "names the database twice"),
        ("redis://host?db=1&db=2", "appears twice"),
        ("redis://host?ssl_cert_reqs=none", "unknown option 'ssl_cert_reqs'"),
        ("redis://host?timeout=3", "unknown option 'timeout'"),
        ("rediss://host?ssl_cert_reqs=never", "ssl_cert_reqs must be one of"),
        ("redis://:a@host/0#b", "percent-encoded"),
        ("unix://:12/34@/run/redis.sock", "three slashes"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix:", "absolute path"),
        ("unix:///run/r.sock?virtual_host=1", "unknown option 'virtual_host'"),
        (f"unix:///{'a' * MAX_SOCKET_PATH_BYTES}", "more than the 107"),
        (f"unix:///{'é' * 54}", "more than the 107"),
    ],
)
def test_what_is_not_our_kind_of_url_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationRefused) as refusal:
        RedisAddress.parse(url)
    assert reason in refusal.value.detail


def test_longest_possible_socket_path_is_accepted() -> None:
    path = Path("/" + "a" * (MAX_SOCKET_PATH_BYTES - 1))
    assert RedisAddress.unix(path).socket == str(path)


@pytest.mark.parametrize("url", ["redis://u:hunter2@h:6379/0", "unix://:hunter2@/run/r.sock", "rediss://:hunter2@h"])
def test_password_is_in_no_printable_form(url: str) -> None:
    address = RedisAddress.parse(url)
    assert "hunter2" not in address.masked() + repr(address) + str(address)
    assert "***" in address.masked()


@pytest.mark.parametrize("sign", ["#", "/", "?", "[", "@x/", "/?"])
def test_refusal_repeats_no_part_of_a_password_that_was_not_encoded(sign: str) -> None:
    with pytest.raises(ConfigurationRefused) as refusal:
        RedisAddress.parse(f"redis://u:hunter{sign}secret@host/0")
    assert "percent-encoded" in refusal.value.detail
    assert not {"hunter", "secret"} & set(re.findall(r"[a-z]+", refusal.value.detail))


def test_export_line_gives_a_shell_the_same_address() -> None:
    address = RedisAddress("redis", host="h", password="it's $HOME")
    name, _, value = address.export_line().removeprefix("export ").partition("=")
    assert name == "CORDUM_REDIS_URL"
    assert RedisAddress.parse(value.strip("'")) == address


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("unix:///run/r.sock", True),
        ("redis://localhost", True),
        ("redis://127.3.2.1", True),
        ("redis://[::1]", True),
        ("redis://redis", False),
        ("redis://127.example.com", False),
        ("redis://10.0.0.1", False),
    ],
)
def test_loopback_is_what_cannot_leave_the_machine(url: str, is_loopback: bool) -> None:
    assert RedisAddress.parse(url).is_loopback is is_loopback

"""Where Redis is, as one value that speaks every dialect.

redis-py wants keyword arguments, kombu its own kind of URL (a unix socket is `redis+socket://`, and TLS is silently
off unless the URL names an `ssl_` option), a shell an `export` line, a log a form without the password. All four are
rendered from here, so no other module builds or takes apart a Redis URL. This module does no I/O.

Accepted: `redis://[user[:password]@]host[:port][/db]`, `rediss://…` (TLS; `ssl_ca_certs`, `ssl_certfile`,
`ssl_keyfile`, `ssl_cert_reqs`, `ssl_check_hostname` as query), `unix://[user[:password]@]/path/to.sock[?db=n]`.
Names and passwords may be percent-encoded.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from cordum.errors import ConfigurationRefused

__all__ = ["MAX_SOCKET_PATH_BYTES", "RedisAddress"]

MAX_SOCKET_PATH_BYTES = 107
"""`sun_path` of sockaddr_un is 108 bytes on Linux, the last one a NUL."""

_DEFAULT_PORT = 6379
_MASK = "***"
_TLS_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_TLS_OPTIONS = _TLS_FILES | {"ssl_cert_reqs", "ssl_check_hostname"}
_TLS_DEFAULTS = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
_ENCODE = "; special characters in a password are written percent-encoded ('#' as %23, '/' as %2F, '?' as %3F)"
_LOOPBACK = re.compile(r"localhost\.?|127(\.\d{1,3}){3}|::1", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis database: `scheme` is redis, rediss or unix; `socket` is set for unix only, `host` otherwise.

    `tls` holds the `ssl_…` options of a rediss address, sorted, defaults included.
    """

    scheme: str
    host: str = ""
    port: int = _DEFAULT_PORT
    socket: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read a URL; ConfigurationRefused (which never repeats the password) when it is not one of ours."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The library's own message can hold a piece of the password.
            raise _refused(f"its host or port cannot be read{_ENCODE}") from None
        if parts.fragment or (parts.scheme != "unix" and "@" in parts.path + parts.query):
            raise _refused(f"a '#', '/' or '?' stands where none may be{_ENCODE}")
        options = _query(parts)
        if parts.scheme == "unix":
            return cls._parse_unix(parts, options)
        if parts.scheme in ("redis", "rediss"):
            return cls._parse_tcp(parts, port, options)
        raise _refused("it must start with redis://, rediss:// or unix://")

    @classmethod
    def unix(cls, socket: Path, *, db: int = 0) -> RedisAddress:
        """The address of a server on a unix socket; refused when the kernel could not bind such a path."""
        path = str(socket)
        if not path.startswith("/"):
            raise _refused("a unix socket needs an absolute path: unix:///path/to.sock")
        length = len(path.encode())
        if length > MAX_SOCKET_PATH_BYTES:
            raise _refused(
                f"the socket path has {length} bytes, more than the {MAX_SOCKET_PATH_BYTES} "
                "the operating system allows; use a shorter directory"
            )
        return cls(scheme="unix", socket=path, db=db)

    @classmethod
    def _parse_unix(cls, parts: SplitResult, options: dict[str, str]) -> RedisAddress:
        if parts.hostname or parts.port is not None:
            raise _refused("a unix socket has no host: write unix:///path/to.sock (three slashes)")
        place = cls.unix(Path(unquote(parts.path)), db=_database(options.pop("db", "")))
        _no_more(options)
        return _with_credentials(place, parts)

    @classmethod
    def _parse_tcp(cls, parts: SplitResult, port: int | None, options: dict[str, str]) -> RedisAddress:
        if not parts.hostname:
            raise _refused(f"it names no host: write {parts.scheme}://host:6379/0")
        in_path = parts.path.strip("/")
        in_query = options.pop("db", "")
        if in_path and in_query:
            raise _refused("it names the database twice, in the path and as ?db=")
        tls: tuple[tuple[str, str], ...] = ()
        if parts.scheme == "rediss":
            given = {key: options.pop(key) for key in sorted(options.keys() & _TLS_OPTIONS)}
            tls = tuple(sorted((_TLS_DEFAULTS | _checked_tls(given)).items()))
        _no_more(options)
        place = cls(
            scheme=parts.scheme,
            host=unquote(parts.hostname),
            port=_DEFAULT_PORT if port is None else port,
            db=_database(in_path or in_query),
            tls=tls,
        )
        return _with_credentials(place, parts)

    @property
    def is_unix(self) -> bool:
        return self.scheme == "unix"

    @property
    def is_tls(self) -> bool:
        return self.scheme == "rediss"

    @property
    def is_loopback(self) -> bool:
        """True when the bytes cannot leave this machine."""
        return self.is_unix or _LOOPBACK.fullmatch(self.host) is not None

    def url(self) -> str:
        """The canonical URL; `RedisAddress.parse(address.url()) == address`."""
        return self._render(self._credentials(self.password))

    def masked(self) -> str:
        """The URL as it may be printed or logged: the password is `***`."""
        return self._render(self._credentials(_MASK if self.password else ""))

    def export_line(self) -> str:
        """What a second terminal can paste; it contains the password."""
        return f"export CORDUM_REDIS_URL={shlex.quote(self.url())}"

    def redis_py_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of `redis.Redis`; time-outs are the store's decision and are not among them."""
        kwargs: dict[str, Any] = {"db": self.db}
        if self.username:
            kwargs["username"] = self.username
        if self.password:
            kwargs["password"] = self.password
        if self.is_unix:
            return kwargs | {"unix_socket_path": self.socket}
        kwargs |= {"host": self.host, "port": self.port}
        if self.is_tls:
            kwargs |= {"ssl": True} | {key: _tls_value(key, value) for key, value in self.tls}
        return kwargs

    def kombu_url(self) -> str:
        """The URL of this place for Celery's `broker_url`."""
        credentials = self._credentials(self.password)
        if self.is_unix:
            return f"redis+socket://{credentials}{quote(self.socket)}?virtual_host={self.db}"
        # kombu takes TLS from the presence of ssl_ options, not from the scheme: `tls` always holds the defaults.
        return self._render(credentials)

    def _credentials(self, password: str) -> str:
        if not self.username and not password:
            return ""
        secret = f":{password if password == _MASK else quote(password, safe='')}" if password else ""
        return f"{quote(self.username, safe='')}{secret}@"

    def _render(self, credentials: str) -> str:
        if self.is_unix:
            return f"unix://{credentials}{quote(self.socket)}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{urlencode(self.tls)}" if self.tls else ""
        return f"{self.scheme}://{credentials}{host}:{self.port}/{self.db}{query}"


def _refused(reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(f"the Redis URL is refused: {reason}")


def _query(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise _refused("an option appears twice in its query")
    return options


def _no_more(options: Mapping[str, str]) -> None:
    if options:
        raise _refused(f"unknown option {min(options)!r} in its query")


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise _refused("the database must be a number")
    return int(text)


def _checked_tls(given: dict[str, str]) -> dict[str, str]:
    choices = {"ssl_cert_reqs": ("required", "optional", "none"), "ssl_check_hostname": ("true", "false")}
    for key, allowed in choices.items():
        if key in given and given[key] not in allowed:
            raise _refused(f"{key} must be one of {', '.join(allowed)}, not {given[key]!r}")
    return given


def _tls_value(key: str, value: str) -> str | bool:
    return value == "true" if key == "ssl_check_hostname" else value


def _with_credentials(place: RedisAddress, parts: SplitResult) -> RedisAddress:
    return RedisAddress(
        scheme=place.scheme,
        host=place.host,
        port=place.port,
        socket=place.socket,
        db=place.db,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=place.tls,
    )

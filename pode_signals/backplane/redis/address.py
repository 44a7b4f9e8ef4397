"""Where a Redis is and how it lets in, read from a URL. It connects to nothing, and never shows a password."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

__all__ = ["RedisAddress", "read_url"]

_PORT = 6_379
_GOOD = (
    "redis://user:password@host:6379/0 is a good one, with user and password percent-encoded"
    " (urllib.parse.quote(password, safe=''))"
)


@frozen
class RedisAddress:
    """A Redis.

    Attributes:
        host: the host name or address; ``""`` for a UNIX socket.
        port: the TCP port.
        path: the path of the UNIX socket; ``""`` for TCP.
        is_tls: whether the connection is encrypted. Certificate and host name are verified.
        username: the ACL user; None is the default user.
        password: the password; None where none is needed. No ``repr`` shows it.
        database: the number of the database.
    """

    host: str = "localhost"
    port: int = _PORT
    path: str = ""
    is_tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0

    def __str__(self) -> str:
        """For log lines: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.is_tls else 'redis'}://{host}:{self.port}"


def read_url(url: str) -> RedisAddress:
    """Read a URL.

    Args:
        url: ``redis://[[user]:password@]host[:port][/database]``, ``rediss://`` for TLS, or
            ``unix://[[user]:password@]/path[?db=database]``. User and password are percent-encoded.

    Raises:
        ValueError: the URL is malformed; the message does not repeat it, since it may have a password.
        TypeError: it is no ``str``.
    """
    if not isinstance(url, str):
        raise TypeError(f"the URL of Redis has to be a str, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"the URL of Redis is malformed: {_GOOD}") from None
    user: dict[str, Any] = {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }
    if user["username"] is not None and user["password"] is None:
        # Redis would let the node in as the default user.
        raise ValueError(f"the URL of Redis has a user without a password: {_GOOD}")
    if parts.scheme == "unix":
        return _unix(parts, user)
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("the URL of Redis has to begin with redis://, rediss:// or unix://")
    if not parts.hostname:
        raise ValueError("the URL of Redis has no host")
    if parts.query or parts.fragment:
        raise ValueError(f"the URL of Redis has a query or a fragment, which mean nothing there: {_GOOD}")
    return RedisAddress(
        host=parts.hostname,
        port=_PORT if port is None else port,
        is_tls=parts.scheme == "rediss",
        database=_database(parts.path.removeprefix("/")),
        **user,
    )


def _unix(parts: SplitResult, user: dict[str, Any]) -> RedisAddress:
    key, _, database = parts.query.partition("=")
    if parts.hostname or not parts.path.startswith("/") or parts.fragment or key != ("db" if parts.query else ""):
        raise ValueError("the URL of Redis on a UNIX socket is unix:///path/to/redis.sock, with ?db=1 for a database")
    return RedisAddress(host="", path=unquote(parts.path), database=_database(database), **user)


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError("the database in the URL of Redis has to be a whole number")
    return int(text or 0)

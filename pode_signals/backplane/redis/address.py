"""Where a Redis is and how it lets in, read from a URL. It connects to nothing, and never shows a password."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import evolve, field, frozen

__all__ = ["RedisAddress", "read_url"]

_PORT = 6_379
_CLUSTERS = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_GOOD = (
    "redis://user:password@host:6379/0 is a good one, with user and password percent-encoded"
    " (urllib.parse.quote(password, safe=''))"
)


@frozen
class RedisAddress:
    """A Redis, or a cluster.

    Attributes:
        host: the host name or address; ``""`` for a UNIX socket and for a cluster.
        port: the TCP port.
        path: the path of the UNIX socket; ``""`` for TCP.
        is_tls: whether the connection is encrypted. Certificate and host name are verified.
        username: the ACL user; None is the default user.
        password: the password; None where none is needed. No ``repr`` shows it.
        database: the number of the database.
        seeds: of a cluster, hosts and ports of nodes that know the others; empty for a single Redis.
    """

    host: str = "localhost"
    port: int = _PORT
    path: str = ""
    is_tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    seeds: tuple[tuple[str, int], ...] = ()

    @property
    def is_cluster(self) -> bool:
        """Whether this is a cluster."""
        return bool(self.seeds)

    def at(self, host: str, port: int) -> RedisAddress:
        """The address of one node of this cluster."""
        return evolve(self, host=host, port=port, seeds=())

    def __str__(self) -> str:
        """For log lines: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        scheme = f"{'rediss' if self.is_tls else 'redis'}{'+cluster' if self.is_cluster else ''}"
        return f"{scheme}://{','.join(_place(*each) for each in self.seeds or ((self.host, self.port),))}"


def read_url(url: str) -> RedisAddress:
    """Read a URL.

    Args:
        url: ``redis://[[user]:password@]host[:port][/database]``, ``rediss://`` for TLS, or
            ``unix://[[user]:password@]/path[?db=database]``; or, for a cluster,
            ``redis+cluster://[[user]:password@]host[:port][,host[:port]…]`` with some of its nodes, and
            ``rediss+cluster://…``. User and password are percent-encoded.

    Raises:
        ValueError: the URL is malformed; the message does not repeat it, since it may have a password.
        TypeError: it is no ``str``.
    """
    if not isinstance(url, str):
        raise TypeError(f"the URL of Redis has to be a str, not {type(url).__name__}")
    scheme, _, rest = url.partition("://")
    if scheme.lower() in _CLUSTERS:
        return _cluster(_CLUSTERS[scheme.lower()], rest)
    return _single(url)


def _cluster(scheme: str, rest: str) -> RedisAddress:
    """The address of a cluster, each of whose nodes has an address as a single Redis has one."""
    end = re.search("[/?#]|$", rest)
    assert end is not None
    user, at, hosts = rest[: end.start()].rpartition("@")
    nodes = [_single(f"{scheme}://{user}{at}{host}{rest[end.start() :]}") for host in hosts.split(",")]
    if nodes[0].database:
        raise ValueError("the URL of Redis has a database, which a cluster does not have")
    return evolve(nodes[0], host="", port=_PORT, seeds=tuple((node.host, node.port) for node in nodes))


def _single(url: str) -> RedisAddress:
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
        raise ValueError(
            "the URL of Redis has to begin with redis://, rediss:// or unix://, or with redis+cluster:// or "
            "rediss+cluster://"
        )
    if not parts.hostname:
        raise ValueError("the URL of Redis has no host")
    if "," in parts.hostname:
        raise ValueError("the URL of Redis has several hosts, which only redis+cluster:// and rediss+cluster:// take")
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


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""What is kept of the request that became a connection. Never the request itself, which is many times as large."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from sys import intern
from urllib.parse import parse_qs, unquote_to_bytes

from werkzeug.sansio.http import parse_cookie

__all__ = ["HandshakeRecord", "header_text"]

# What belongs to the one hop and the one handshake (RFC 9110 section 7.6.1, RFC 6455 section 11.3), not to the client.
_NOT_KEPT = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_SCHEME_AND_AUTHORITY = re.compile(rb"[A-Za-z][0-9A-Za-z+.-]*://[^/?]*")


class HandshakeRecord:
    """The handshake of a connection, read-only. It is kept as bytes, and read anew each time that it is asked.

    Headers of the hop or of the handshake itself (Connection, Upgrade, Sec-WebSocket-Key, …) are not kept.
    Text is read as UTF-8, or as Latin-1 where it is none.

    Args:
        method: the method.
        uri: the target of the request, with its query.
        raw_headers: the headers in their order; one name may come several times.
        address: the client's address (:meth:`~.addresses.TrustedProxies.client_address`).
        is_secure: whether it came over TLS.
    """

    __slots__ = ("_address", "_head", "_is_secure", "_method", "_uri")

    def __init__(
        self, method: bytes, uri: bytes, raw_headers: Iterable[tuple[bytes, bytes]], address: str, is_secure: bool
    ) -> None:
        self._method = intern(header_text(method))  # nearly always the same one
        self._uri = uri
        # A line break can only be a folded line, and stands for a space (RFC 9112 section 5.2).
        self._head = b"\n".join(
            [name + b":" + value.replace(b"\n", b" ") for name, value in raw_headers if name.lower() not in _NOT_KEPT]
        )
        self._address = address
        self._is_secure = is_secure

    def __repr__(self) -> str:
        # Without the query, which may hold a token.
        return f"<HandshakeRecord {self._method} {self.path!r} from {self._address or '?'}>"

    @property
    def method(self) -> str:
        """The method, ``GET``."""
        return self._method

    @property
    def uri(self) -> str:
        """The target of the request as it was sent, with its query."""
        return header_text(self._uri)

    @property
    def path(self) -> str:
        """The path, percent-decoded as UTF-8; what is none becomes U+FFFD."""
        return unquote_to_bytes(self._split()[0]).decode("utf-8", "replace")

    @property
    def args(self) -> Mapping[str, list[str]]:
        """The arguments of the query, each with its values in their order, blank ones too."""
        return parse_qs(header_text(self._split()[1]), keep_blank_values=True)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names, in any case; repeated ones joined with ``", "`` (cookies with ``"; "``)."""
        found: dict[str, str] = {}
        for line in self._head.split(b"\n") if self._head else ():
            raw_name, _, raw_value = line.partition(b":")
            name, value = header_text(raw_name).lower(), header_text(raw_value).strip()
            if name in found:
                value = found[name] + ("; " if name == "cookie" else ", ") + value
            found[name] = value
        return _Headers(found)

    def header(self, name: str) -> str | None:
        """One header, its name in any case; None where there is none."""
        return self.headers.get(name)

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies (RFC 6265); of those with one name the first, which is the one with the longest path."""
        return parse_cookie(self.header("Cookie")).to_dict()

    @property
    def address(self) -> str:
        """The client's address, ``""`` where it has none (a UNIX socket)."""
        return self._address

    @property
    def is_secure(self) -> bool:
        """Whether it came over TLS."""
        return self._is_secure

    def _split(self) -> tuple[bytes, bytes]:
        target = self._uri
        absolute = _SCHEME_AND_AUTHORITY.match(target)  # RFC 9112 section 3.2.2
        if absolute is not None:
            target = target[absolute.end() :]
        path, _, query = target.partition(b"?")
        return path or b"/", query


class _Headers(Mapping[str, str]):
    """Headers whose names are found in any case, and listed in lower case."""

    __slots__ = ("_by_name",)

    def __init__(self, by_name: dict[str, str]) -> None:
        self._by_name = by_name

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<headers {', '.join(self._by_name)}>"


def header_text(raw: bytes) -> str:
    """Bytes of a request as text: UTF-8, or Latin-1 where they are none."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")

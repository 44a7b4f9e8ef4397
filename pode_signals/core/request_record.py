"""The record that a connection keeps of its request, and never the request itself, which is many times as large."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from sys import intern
from urllib.parse import unquote_to_bytes

from .resume import RESUME_HEADERS, RESUME_PREFIX, without_resume
from .routes import HttpRoute

__all__ = ["RequestRecord", "decoded_path", "header_text", "header_value_text", "path_text"]

# Headers that belong to one hop (RFC 9110 section 7.6.1) or to the handshake (RFC 6455 section 11.3), and tell nothing
# of the client; and those that may have a resume token, which is a secret of the client.
_NOT_KEPT = RESUME_HEADERS.union(
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
_SUBPROTOCOLS = re.compile(rb"^(sec-websocket-protocol:)(.*)(\n|\Z)", re.IGNORECASE | re.MULTILINE)

# The white space around the value of a header (RFC 9110 section 5.5). Without an argument, Python's strip() would take
# off more characters than Twisted does.
_SPACE = b" \t"
_KEPT_PATH_BYTES = 256


class RequestRecord:
    """The request of a connection, read-only. It is kept as bytes, which are parsed anew each time that they are asked.

    The record reads a request as HTTP routes read it: the path is the one that the HTTP side chose the route by, and
    arguments and cookies are read as Twisted reads them. So a signal route sees the same values that the HTTP route has
    checked. Headers of the hop or of the handshake itself (Connection, Upgrade, Sec-WebSocket-Key, …) are not kept, and
    no resume token is: neither X-PODE-SIGNAL-RESUME and Last-Event-ID nor a subprotocol that begins with
    ``pode.resume.``.
    Bytes are read as UTF-8, or as Latin-1 where they are not UTF-8.

    Args:
        method: the method.
        uri: the target of the request, with its query.
        raw_headers: the headers in their order; one name may come several times.
        address: the client's address (:meth:`~.addresses.TrustedProxies.client_address`).
        is_secure: whether it came over TLS.
        path: the path that the HTTP side chose a route by. None where no route was chosen; then the path is that of the
            target, percent-decoded.
        http_route: the route of an HTTP router; None where there was no router.
    """

    __slots__ = ("_address", "_head", "_http_route", "_is_secure", "_method", "_path", "_uri")

    def __init__(
        self,
        method: bytes,
        uri: bytes,
        raw_headers: Iterable[tuple[bytes, bytes]],
        address: str,
        is_secure: bool,
        path: str | None = None,
        http_route: HttpRoute | None = None,
    ) -> None:
        # Nearly all connections have the same method, and share one text.
        self._method = intern(header_text(method))
        self._uri = uri
        # A line break in a value can only come from a folded line, where it means a space (RFC 9112 section 5.2).
        self._head = b"\n".join(
            [name + b":" + value.replace(b"\n", b" ") for name, value in raw_headers if name.lower() not in _NOT_KEPT]
        )
        if RESUME_PREFIX in self._head:
            self._head = _SUBPROTOCOLS.sub(_without_resume, self._head).removesuffix(b"\n")
        self._address = address
        self._is_secure = is_secure
        self._path = decoded_path(uri.partition(b"?")[0] or b"/") if path is None else path
        self._http_route = http_route

    def __repr__(self) -> str:
        # Without the query, which may hold a token.
        return f"<RequestRecord {self._method} {self.path!r} from {self._address or '?'}>"

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
        """The path by which the HTTP side chose the route. Signal routes are chosen by the same path.

        After a route of Klein: percent-decoded, as its routes match it. In any other resource: ``request.path``, with
        its escapes as they were sent. With auto-upgrade, where no route is asked: percent-decoded.
        """
        return self._path

    @property
    def http_route(self) -> HttpRoute | None:
        """The route of an HTTP router that converted; None where there was no router."""
        return self._http_route

    @property
    def args(self) -> Mapping[str, list[str]]:
        """The arguments of the query as Twisted's ``request.args`` has them, each with its values in their order.

        ``&`` and ``;`` separate arguments, and a part without ``=`` is no argument. Bytes that are not UTF-8 become
        U+FFFD.
        """
        found: dict[str, list[str]] = {}
        for item in self._uri.partition(b"?")[2].replace(b";", b"&").split(b"&"):
            name, equals, value = item.partition(b"=")
            if equals:
                found.setdefault(_form_text(name), []).append(_form_text(value))
        return found

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names, in any case; repeated ones joined with ``", "`` (cookies with ``"; "``).

        Twisted's ``request.getHeader`` gives the last line of a repeated header alone.
        """
        found: dict[str, str] = {}
        for raw_name, raw_value in self._lines():
            name, value = header_text(raw_name).lower(), header_value_text(raw_value)
            if name in found:
                value = found[name] + ("; " if name == "cookie" else ", ") + value
            found[name] = value
        return _Headers(found)

    def header(self, name: str) -> str | None:
        """One header, its name in any case; None where there is none."""
        return self.headers.get(name)

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies as Twisted's ``request.getCookie`` has them, of equal names the last one, quotes included."""
        found: dict[str, str] = {}
        for header, line in self._lines():
            if header.lower() == b"cookie":
                for pair in line.strip(_SPACE).split(b";"):
                    name, equals, value = pair.lstrip().partition(b"=")
                    if equals:
                        found[header_text(name)] = header_text(value)
        return found

    @property
    def address(self) -> str:
        """The client's address; ``""`` where the client has none (a UNIX socket)."""
        return self._address

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS."""
        return self._is_secure

    def _lines(self) -> Iterator[tuple[bytes, bytes]]:
        for line in self._head.split(b"\n") if self._head else ():
            name, _, value = line.partition(b":")
            yield name, value


def _without_resume(line: re.Match[bytes]) -> bytes:
    kept = without_resume(line[2])
    # The offer of a resume alone offers no subprotocol at all.
    return line[1] + kept + line[3] if kept or not line[2] else b""


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
    """Bytes of a request as text: read as UTF-8, or as Latin-1 where they are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def header_value_text(raw: bytes) -> str:
    """The value of a header as text, without the space around it."""
    return header_text(raw.strip(_SPACE))


def decoded_path(raw: bytes) -> str:
    """A path, percent-decoded once, as UTF-8; bytes that are not UTF-8 become U+FFFD."""
    return path_text(unquote_to_bytes(raw) if b"%" in raw else raw)


def path_text(raw: bytes) -> str:
    """A path as text, without decoding its escapes; bytes that are not UTF-8 become U+FFFD."""
    return _known_path_text(raw) if len(raw) <= _KEPT_PATH_BYTES else _path_text(raw)


def _path_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


# Most handshakes have one of the same few paths, and their connections share one text.
_known_path_text = lru_cache(maxsize=256)(_path_text)


def _form_text(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")

"""The header lines of a 101: the connection's name, groups and id, and the route's own headers. It writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from .names import header_value
from .text import FORBIDDEN, TOKEN

__all__ = ["response_header_lines"]

# Headers that a route can't set on a 101: those of the hop (RFC 9110 section 7.6.1), of a body and of the handshake,
# and those that this module writes itself.
_NOT_FROM_THE_ROUTE = re.compile(
    rb"connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade"
    rb"|content-.*|sec-websocket-.*|x-pode-signal-(?:client-id|name|group)",
    re.IGNORECASE,
)


def response_header_lines(
    client_id: str,
    name: str,
    groups: Sequence[str],
    headers: Iterable[tuple[bytes, Sequence[bytes]]],
    cookies: Iterable[bytes],
) -> bytes:
    """The header lines of the 101, each with its line end.

    Args:
        client_id: the client id as it was issued.
        name: the name of the connection.
        groups: the connection's groups.
        headers: the headers that the route set, byte for byte: each header with its values.
        cookies: the values of Set-Cookie.

    Raises:
        ValueError: a header that the route set has CR, LF or NUL, or a name that is no token.
    """
    lines = [
        b"X-PODE-SIGNAL-CLIENT-ID: " + header_value(client_id).encode("ascii"),
        b"X-PODE-SIGNAL-NAME: " + _encoded(name),
    ]
    # One line with commas (RFC 9110 section 5.3). A comma within a group is percent-encoded.
    if groups:
        lines.append(b"X-PODE-SIGNAL-GROUP: " + b",".join(map(_encoded, groups)))
    theirs = [(header, value) for header, values in headers if _comes_from_the_route(header) for value in values]
    for header, value in (*theirs, *((b"Set-Cookie", cookie) for cookie in cookies)):
        # Twisted refuses line breaks in headers, but cookies are a list that a route can append to.
        if not _is_token(header) or FORBIDDEN.search(value):
            raise ValueError(f"the response header {header!r} can't be sent")
        lines.append(header + b": " + value)
    lines.append(b"")
    return b"\r\n".join(lines)


# Most answers have the same few names of connections and of headers.


@lru_cache(maxsize=256)
def _encoded(name: str) -> bytes:
    return header_value(name).encode("ascii")


@lru_cache(maxsize=256)
def _comes_from_the_route(header: bytes) -> bool:
    return not _NOT_FROM_THE_ROUTE.fullmatch(header)


@lru_cache(maxsize=256)
def _is_token(header: bytes) -> bool:
    return bool(TOKEN.fullmatch(header))

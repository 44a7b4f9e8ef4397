"""The header lines of a 101: who the connection is, and what its route had set. It writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from .names import header_value
from .text import FORBIDDEN, TOKEN

__all__ = ["response_header_lines"]

# Of the hop (RFC 9110 section 7.6.1), of the body, of the handshake, and our own.
_NOT_FROM_THE_ROUTE = re.compile(
    rb"connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade"
    rb"|content-.*|sec-websocket-.*|x-pode-signal-(?:client-id|name|group)",
    re.IGNORECASE,
)


def response_header_lines(
    client_id: str,
    name: str,
    group: str | None,
    headers: Iterable[tuple[bytes, Sequence[bytes]]],
    cookies: Iterable[bytes],
) -> bytes:
    """The header lines of the 101, each with its line end.

    Args:
        client_id: the id as issued.
        name: the name of the connection.
        group: its group, or None.
        headers: what the route set, byte for byte: each header with its values.
        cookies: the values of Set-Cookie.

    Raises:
        ValueError: a header that the route set has CR, LF or NUL, or a name that is no token.
    """
    lines = [
        b"X-PODE-SIGNAL-CLIENT-ID: " + header_value(client_id).encode("ascii"),
        _name_line(b"X-PODE-SIGNAL-NAME: ", name),
    ]
    if group is not None:
        lines.append(_name_line(b"X-PODE-SIGNAL-GROUP: ", group))
    theirs = [(header, value) for header, values in headers if _comes_from_the_route(header) for value in values]
    for header, value in (*theirs, *((b"Set-Cookie", cookie) for cookie in cookies)):
        # Twisted refuses line breaks in headers, but cookies are a list that a route can append to.
        if not _is_token(header) or FORBIDDEN.search(value):
            raise ValueError(f"the response header {header!r} can't be sent")
        lines.append(header + b": " + value)
    lines.append(b"")
    return b"\r\n".join(lines)


# Names of connections and of headers are the same few with each answer.


@lru_cache(maxsize=256)
def _name_line(head: bytes, name: str) -> bytes:
    return head + header_value(name).encode("ascii")


@lru_cache(maxsize=256)
def _comes_from_the_route(header: bytes) -> bool:
    return not _NOT_FROM_THE_ROUTE.fullmatch(header)


@lru_cache(maxsize=256)
def _is_token(header: bytes) -> bool:
    return bool(TOKEN.fullmatch(header))

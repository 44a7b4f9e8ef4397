"""The kinds of cases that the tables of bad input consist of, each with what has to come back. Nothing here acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from web_fakes import Frame

__all__ = [
    "ABORTS",
    "CANARY",
    "CLEAN",
    "CLOSES",
    "GOES_ON",
    "OPENS",
    "SECRET",
    "Call",
    "Handshake",
    "Message",
    "Reference",
    "Stream",
]

CANARY = "canary-4f1d9a"
"""Stands in payloads; no log line and no error may have it."""
SECRET = "the secret of the hubs whose ids are signed"

GOES_ON = "goes on"
"""The socket takes another request."""
CLOSES = "closes"
"""The socket is closed by the server, without a reset."""
OPENS = "opens"
"""The socket is a connection now, and answers a ping."""
CLEAN = "clean"
"""The close frame was answered, by either side, and the server closed the socket without a reset."""
ABORTS = "aborts"
"""The server resets the socket: it does not find our close frame in what it is sent, or has no use for it."""


class Handshake(NamedTuple):
    """A request and its answer.

    Attributes:
        name: what is bad about it.
        request: the bytes; several are sent with a pause after each.
        status: the status of the answer; None is none at all.
        headers: headers that the answer has to have; ``...`` is any value.
        then: what becomes of the socket.
        server: which hub gets it.
        unseen: the name of a header that must not come out of it, on either side of the upgrade.
    """

    name: str
    request: bytes | tuple[bytes, ...]
    status: int | None
    headers: tuple[tuple[str, Any], ...] = ()
    then: str = GOES_ON
    server: str = "main"
    unseen: str | None = None


class Stream(NamedTuple):
    """What a client sends on an open connection, and what it gets.

    Attributes:
        name: what is bad about it.
        data: the bytes; several are sent one by one.
        code: the code of the close frame that it gets: None is none in it, 0 is no close frame.
        then: how the socket ends; OPENS is that it does not.
        replies: the frames before the close frame.
        server: which hub gets it; ``compressing`` agrees on permessage-deflate.
    """

    name: str
    data: bytes | tuple[bytes, ...]
    code: int | None
    then: str = CLEAN
    replies: tuple[Frame, ...] = ()
    server: str = "main"


class Message(NamedTuple):
    """A text message, and whether it is dispatched.

    Attributes:
        name: what is bad about it.
        text: the payload of its text frame.
        echo: what the signal route got, in a tuple; empty where it got nothing.
        counted: ``bad`` or ``refused``; ``""`` is neither.
        server: which hub gets it.
    """

    name: str
    text: str | bytes
    echo: tuple[Any, ...] = ()
    counted: str = "bad"
    server: str = "main"


class Reference(NamedTuple):
    """A request with X-PODE-SIGNAL-* headers.

    Attributes:
        name: what is bad about it.
        headers: the headers.
        found: the name of the connection that the route sees; None is that the request gets 400.
        server: which hub gets it.
    """

    name: str
    headers: tuple[tuple[str, str | bytes], ...]
    found: str | None = None
    server: str = "main"


class Call(NamedTuple):
    """A call of the public API with a bad argument.

    Attributes:
        name: what is bad about it.
        call: makes the call.
        error: what it raises; ``None`` is that it raises nothing and does nothing.
        says: what the error's text has.
    """

    name: str
    call: Callable[[Any], Any]
    error: type[Exception] | None
    says: str = ""

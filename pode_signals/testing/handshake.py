"""The handshake of a client in memory (RFC 6455 section 4.1): the request, and what the server answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from hashlib import sha1
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import Any, cast

from attrs import frozen

__all__ = ["Answer", "Refused", "ResponseHeaders", "read_answer", "upgrade_request"]

_KEY = base64.b64encode(b"pode_signals key")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCEPT = base64.b64encode(sha1(_KEY + _GUID, usedforsecurity=False).digest()).decode()


class Refused(Exception):
    """A request of a test's client did not become a connection.

    Attributes:
        status: the status of the answer, such as 403; 200 where the route answered and did not convert.
        body: the body of the answer.
        headers: the headers of the answer; names in any case find them.
    """

    def __init__(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status}: {body.strip()}")
        self.status = status
        self.body = body
        self.headers = headers


class ResponseHeaders(Mapping[str, str]):
    """The headers of an answer. A name in any case finds its header; several lines of one header are joined.

    Args:
        message: the headers as they came.
    """

    def __init__(self, message: HTTPMessage) -> None:
        self._names = tuple(dict.fromkeys(message.keys()))
        self._values = {name.lower(): ", ".join(message.get_all(name, [])) for name in self._names}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"ResponseHeaders({dict(self)!r})"


@frozen
class Answer:
    """What a server has answered to a handshake.

    Attributes:
        status: 101 where a WebSocket is open, 200 where a stream of server-sent events is, or a page was sent.
        headers: the headers.
        body: the body; empty where the connection is open.
        rest: the bytes behind the head where the connection is open: frames or events.
        is_open: whether the connection is open.
    """

    status: int
    headers: ResponseHeaders
    body: str
    rest: bytes
    is_open: bool = False


def upgrade_request(path: str, headers: Mapping[str, str | None], offered: tuple[str, ...]) -> bytes:
    """The request of a browser whose page comes from the host that it connects to.

    Args:
        path: path and query.
        headers: further headers; one of the browser's own names takes its place, and None leaves it out.
        offered: the subprotocols to offer, behind those that ``headers`` offer.
    """
    given = {name.lower(): (name, value) for name, value in headers.items()}
    host = given.get("host", ("Host", None))[1] or "localhost"
    own: dict[str, str | None] = {
        "Host": host,
        "Origin": f"http://{host}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": _KEY.decode(),
        "Sec-WebSocket-Version": "13",
    }
    if offered:
        before = given.pop("sec-websocket-protocol", ("", None))[1]
        own["Sec-WebSocket-Protocol"] = ", ".join(([before] if before else []) + list(offered))
    lines = [(name, value) for name, value in own.items() if name.lower() not in given]
    head = [
        f"GET {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in [*lines, *given.values()] if value is not None),
    ]
    return "\r\n".join(head).encode("utf-8") + b"\r\n\r\n"


def read_answer(data: bytes) -> Answer | None:
    """Read the answer to a handshake; None where it is not complete.

    Raises:
        AssertionError: it is a 101 for another request (RFC 6455 section 4.1).
    """
    if b"\r\n\r\n" not in data:
        return None
    stream = io.BytesIO(data)
    response = HTTPResponse(cast(Any, _Readable(stream)))
    response.begin()
    headers = ResponseHeaders(response.headers)
    if response.status == 101:
        assert headers.get("Sec-WebSocket-Accept") == _ACCEPT, "the server has answered another key"
        return Answer(101, headers, "", stream.read(), is_open=True)
    if headers.get("Content-Type", "").startswith("text/event-stream"):
        return Answer(response.status, headers, "", data.partition(b"\r\n\r\n")[2], is_open=True)
    try:
        body = response.read()
    # The rest of the body is still to come.
    except HTTPException:
        return None
    return Answer(response.status, headers, body.decode("utf-8", "replace"), b"")


class _Readable:
    """What :class:`http.client.HTTPResponse` asks of a socket."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> io.BytesIO:
        return self._stream

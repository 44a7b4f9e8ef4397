"""A client's side of one stream of server-sent events in memory: events in, POSTs out, and the record of both.

It reads of frames no more than it needs: hello has the token with which the client posts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..core.model import ClosedBy, Closure
from ..wire.frames import CloseCode
from .handshake import read_answer
from .sockets import ClientEnd
from .wire import ClientWire, Record

__all__ = ["EventWire", "stream_request"]


def stream_request(path: str, headers: Mapping[str, str | None], *, is_signals: bool, resume: str | None) -> bytes:
    """The request of a browser whose page comes from the host that it connects to.

    Args:
        path: path and query.
        headers: further headers; one of the browser's own names takes its place, and None leaves it out.
        is_signals: whether the client speaks ``pode.signals.v1``.
        resume: the resume text; None offers nothing.
    """
    own: dict[str, str | None] = {"Host": "localhost", "Sec-Fetch-Site": "same-origin"}
    if is_signals:
        own |= {"Accept": "text/event-stream;protocol=pode.signals.v1", "X-PODE-SIGNAL-RESUME": resume or "-"}
    else:
        own |= {"Accept": "text/event-stream", "Last-Event-ID": resume}
    return _head("GET", path, own, headers) + b"\r\n"


def _head(method: str, path: str, own: dict[str, str | None], headers: Mapping[str, str | None]) -> bytes:
    given = {name.lower() for name in headers}
    lines = [(name, value) for name, value in own.items() if name.lower() not in given] + list(headers.items())
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines if value is not None)]
    return "".join(f"{line}\r\n" for line in head).encode("utf-8")


class EventWire(ClientWire):
    """One stream. Each text that the client sends is a POST of its own.

    Args:
        path: path and query of the stream.
        headers: further headers of its request.
        wire: as for :class:`ClientWire`.

    Attributes:
        last_event_id: the id of the last event that had one; None before.
    """

    def __init__(self, path: str, headers: Mapping[str, str | None], **wire: Any) -> None:
        self._path = path
        # What tells the server where a page is from, and which host it asks.
        self._site = {name: value for name, value in headers.items() if name.lower() in ("host", "origin")}
        self._token: str | None = None
        self._posted = 0
        # The client's requests, each with the status that it should be answered by.
        self._unanswered: list[tuple[ClientEnd, int]] = []
        self.last_event_id: str | None = None
        super().__init__(**wire)

    def write_text(self, data: bytes) -> None:
        """Post one text, which need not be UTF-8. An answer other than 202 is recorded with its status.

        Raises:
            TypeError: the client is a plain one, which has no token to post with.
        """
        if not self._is_json:
            raise TypeError(
                'a plain client of server-sent events only reads: connect(…, protocol="signals", transport="sse")'
                " makes one that sends"
            )
        self._record("->", data)
        self._posted += 1
        own = {"X-PODE-SIGNAL-POST": str(self._posted), "Content-Type": "application/json"}
        self._ask("POST", own, b"[" + data + b"]", expected=202)

    def write_binary(self, data: bytes) -> None:
        """A stream has no binary messages."""
        raise TypeError("a client of server-sent events sends no binary messages")

    def close(self, code: int, reason: str) -> None:
        """End the stream: with a DELETE for 1000, and without a word for any other code, which no DELETE can tell."""
        if code != CloseCode.NORMAL or self._token is None:
            self.cut()
            return
        self._ends(Closure(code, reason, ClosedBy.CLIENT))
        self._record_close("->", code, reason)
        self._ask("DELETE", {}, b"", expected=204)

    def _ask(self, method: str, own: dict[str, str], body: bytes, *, expected: int) -> None:
        """Send a request on a TCP connection of its own."""
        own = {"Host": "localhost", "X-PODE-SIGNAL-TOKEN": self._token or "", "Content-Length": str(len(body)), **own}
        asked = self._open_socket(self._look_at_answers)
        self._unanswered.append((asked, expected))
        asked.write(_head(method, self._path, dict(own), self._site) + b"\r\n" + body)

    def _look_at_answers(self) -> None:
        """Record the answers that have come and are not the usual ones."""
        waiting, self._unanswered = self._unanswered, []
        for asked, expected in waiting:
            answer = read_answer(bytes(asked.unread))
            if answer is None:
                self._unanswered.append((asked, expected))
            elif answer.status != expected:
                self.records.append({"direction": "<-", "status": answer.status, "body": answer.body.strip()})

    def _arrived(self) -> None:
        if not self._is_open:
            return
        while self.closure is None and (end := self.socket.unread.find(b"\n\n")) >= 0:
            event = bytes(self.socket.unread[:end]).decode("utf-8")
            del self.socket.unread[: end + 2]
            self._take_event(event)
        if self.socket.is_ended and self.closure is None:
            self._ends(Closure(CloseCode.ABNORMAL, "", ClosedBy.SERVER))

    def _take_event(self, event: str) -> None:
        fields: dict[str, list[str]] = {}
        for line in event.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        name, data = fields.get("event", ["message"])[0], "\n".join(fields.get("data", []))
        self.last_event_id = fields.get("id", [self.last_event_id])[0]
        if name == "close":
            closed = json.loads(data)
            self._record_close("<-", closed["code"], closed["reason"])
            self._ends(Closure(closed["code"], closed["reason"], ClosedBy.SERVER))
        elif "data" in fields:
            self._take_text(name, data)

    def _take_text(self, name: str, data: str) -> None:
        if name == "hello":
            record: Record = {"direction": "<-", "event": name, "frame": json.loads(data)}
            self.records.append(record)
        else:
            record = self._record("<-", data.encode("utf-8"))
        found: Any = record.get("frame")
        if isinstance(found, dict) and found.get("type") == "hello":
            self._token = found.get("resumeToken")
        self._took(record)
        if self.frames_until_cut is not None:
            self.frames_until_cut -= 1
            if self.frames_until_cut <= 0:
                self.cut()

"""A client's side of one WebSocket in memory: frames in, frames out, and the record of both. It reads no message.

It does what every client does by itself: it answers pings and close frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..core.model import ClosedBy, Closure
from ..wire.frames import CloseCode
from .frames import Frame, Opcode, client_frame, close_payload, take_frame
from .sockets import ClientEnd

__all__ = ["ClientWire", "Record"]

Record = dict[str, Any]
_MOST_LISTED = 12


class ClientWire:
    """One WebSocket of a client.

    Args:
        open_socket: opens the TCP connection, with a function that is told of what arrives.
        is_json: whether all texts are JSON, as those of ``pode.signals.v1`` are.
        took: is told of each text of the server, as it was recorded.
        ended: is told of the end, once.

    Attributes:
        socket: the client's end of the TCP connection.
        closure: how the WebSocket has ended, as the client sees that; None while it is open.
        records: what went over the wire, see :meth:`TestClient.frames`.
        frames_until_cut: how many texts of the server arrive until the connection is lost; None loses nothing.
    """

    def __init__(
        self,
        open_socket: Callable[[Callable[[], None]], ClientEnd],
        *,
        is_json: bool,
        took: Callable[[Record], None],
        ended: Callable[[Closure], None],
    ) -> None:
        self._open_socket = open_socket
        self._is_json = is_json
        self._took = took
        self._ended = ended
        self._is_open = False
        self.closure: Closure | None = None
        self.records: list[Record] = []
        self.frames_until_cut: int | None = None
        self.socket = open_socket(self._arrived)

    def opens(self, rest: bytes) -> None:
        """The server has answered with 101, and these bytes behind it."""
        self._is_open = True
        self.socket.unread[:] = rest
        self._arrived()

    def write_text(self, data: bytes) -> None:
        """Send a text, which need not be UTF-8."""
        self._record("->", data)
        self._write(Opcode.TEXT, data)

    def write_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self.records.append({"direction": "->", "binary": data})
        self._write(Opcode.BINARY, data)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        self._ends(Closure(code, reason, ClosedBy.CLIENT))
        self._record_close("->", code, reason)
        self._write(Opcode.CLOSE, close_payload(code, reason))

    def cut(self) -> None:
        """Lose the TCP connection; the server sees that at once."""
        self._ends(Closure(CloseCode.ABNORMAL, "", ClosedBy.CLIENT))
        self.socket.reset()

    def vanish(self) -> None:
        """Lose the TCP connection; the server does not see that."""
        self._ends(Closure(CloseCode.ABNORMAL, "", ClosedBy.CLIENT))
        self.socket.unplug()

    @property
    def state(self) -> str:
        """Whether it is open, or how it has ended, in words."""
        if self.closure is None:
            return "open"
        reason = f" {self.closure.reason!r}" if self.closure.reason else ""
        return f"closed with {self.closure.code:d}{reason} by the {self.closure.by.value}"

    def listed(self) -> str:
        """The last records, for the sentence of an error."""
        ended = "" if self.closure is None else f" It was {self.state}."
        if not self.records:
            return f"{ended} Nothing went over the wire."
        lines = [_line(each) for each in self.records[-_MOST_LISTED:]]
        return "\n".join([f"{ended} The last frames:", *lines])

    def _write(self, opcode: Opcode, payload: bytes) -> None:
        self.socket.write(client_frame(opcode, payload))

    def _arrived(self) -> None:
        if not self._is_open:
            return
        while (frame := take_frame(self.socket.unread)) is not None:
            self._take(frame)
        if self.socket.is_ended and self.closure is None:
            self._ends(Closure(CloseCode.ABNORMAL, "", ClosedBy.SERVER))

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._write(Opcode.PONG, frame.payload)
        elif frame.opcode is Opcode.CLOSE:
            self._record_close("<-", frame.close_code, frame.close_reason)
            if self.closure is None:
                self._ends(Closure(frame.close_code, frame.close_reason, ClosedBy.SERVER))
                self._write(Opcode.CLOSE, frame.payload)
        elif frame.opcode is Opcode.TEXT:
            self._took(self._record("<-", frame.payload))
            if self.frames_until_cut is not None:
                self.frames_until_cut -= 1
                if self.frames_until_cut <= 0:
                    self.cut()

    def _ends(self, closure: Closure) -> None:
        self.closure = closure
        self._ended(closure)

    def _record(self, direction: str, data: bytes) -> Record:
        text = data.decode("utf-8", "replace")
        record: Record = {"direction": direction, "text": text}
        if self._is_json:
            try:
                record = {"direction": direction, "frame": json.loads(text)}
            except ValueError:
                # A client may send anything; a server that sends no JSON is wrong.
                assert direction == "->", f"the server has sent a text that is no JSON: {text}"
        self.records.append(record)
        return record

    def _record_close(self, direction: str, code: int, reason: str) -> None:
        self.records.append({"direction": direction, "close": code, "reason": reason})


def _line(record: Record) -> str:
    said = {key: value for key, value in record.items() if key != "direction"}
    return f"  {record['direction']} {json.dumps(said, default=repr, ensure_ascii=False)}"

"""The client's end of a connection in memory, with a record of what went over it. It reads no message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from client_wires import Wire
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from web_fakes import Answer, answer_with

from pode_signals.testing.frames import Frame, Opcode, take_frame
from pode_signals.testing.sockets import ClientEnd

__all__ = ["RecordedSocket"]

_END_OF_HEAD = b"\r\n\r\n"


class RecordedSocket(Wire):
    """The client's end of a connection: what is written is with the server at once.

    Args:
        clock: the clock of the client.
        protocol: the client's protocol.
        open_end: opens the connection.
        records: where what goes over the wire is written down, but for pings, pongs and answers to close frames.
        cut_after: after how many texts of the server the connection is lost; None loses nothing.

    Attributes:
        end: the connection.
        request_head: the head of the client's request.
        answer: the head of the server's answer; None before.
    """

    def __init__(
        self,
        clock: Clock,
        protocol: Any,
        open_end: Callable[[Callable[[], None]], ClientEnd],
        records: list[dict[str, Any]],
        cut_after: int | None,
    ) -> None:
        super().__init__(clock)
        self.protocol = protocol
        self.request_head = b""
        self.answer: Answer | None = None
        self._records = records
        self._texts_until_cut = cut_after
        self._came = bytearray()
        self._went = bytearray()
        self._has_close_come = False
        self._is_unplugged = False
        self.end = open_end(self._arrived)

    @property
    def has_ended(self) -> bool:
        """Whether the client knows that the connection has ended."""
        return self._has_ended

    def write(self, data: bytes) -> None:
        if self.disconnecting:
            return
        self._went += data
        if not self.request_head and _END_OF_HEAD in self._went:
            self.request_head, _, rest = bytes(self._went).partition(_END_OF_HEAD)
            self._went[:] = rest
        if self.request_head:
            while (frame := _take_client_frame(self._went)) is not None:
                self._record_written(*frame)
        if not self._is_unplugged:
            self.end.write(data)

    def unplug(self) -> None:
        """Let nothing arrive any more at either end; nobody sees that."""
        self._is_unplugged = True
        self.end.unplug()

    def cut(self) -> None:
        """Lose the connection; the server sees that at once."""
        self.end.reset()
        self._break()

    def vanish(self) -> None:
        """Lose the connection; the server does not see that."""
        self.end.unplug()
        self._break()

    def _break(self) -> None:
        self.disconnecting = True
        self._unread.clear()
        self._clock.callLater(0, self._lost, ConnectionLost())

    def _end(self, here: Exception, there: Exception) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            if not self._is_unplugged:
                self.end.reset()
            self._clock.callLater(0, self._lost, here)

    def _arrived(self) -> None:
        data = bytes(self.end.unread)
        self.end.unread.clear()
        if data:
            self._comes(data)
        if self.end.is_ended:
            self._comes(ConnectionDone())

    def _read(self) -> None:
        while self._unread and self.is_reading and not self._has_ended:
            what = self._unread.pop(0)
            if isinstance(what, bytes):
                for piece in self._pieces(what):
                    self.protocol.dataReceived(piece)
            else:
                self.disconnecting = True
                self._lost(what)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """The bytes, each frame for itself, so that the connection can be lost between two of them."""
        self._came += data
        if self.answer is None:
            head, end, rest = bytes(self._came).partition(_END_OF_HEAD)
            if not end:
                return
            self.answer = answer_with(head)
            self._came[:] = rest
            yield head + end
        if self.answer.status != 101:
            rest = bytes(self._came)
            self._came.clear()
            if rest:
                yield rest
            return
        while True:
            before = bytes(self._came)
            frame = take_frame(self._came)
            if frame is None:
                return
            self._record_read(frame)
            yield before[: len(before) - len(self._came)]
            if frame.opcode is Opcode.TEXT and self._texts_until_cut is not None:
                self._texts_until_cut -= 1
                if self._texts_until_cut <= 0:
                    self.cut()
                    return

    def _record_read(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._records.append({"direction": "<-", "frame": json.loads(frame.payload)})
        elif frame.opcode is Opcode.CLOSE:
            self._has_close_come = True
            self._records.append({"direction": "<-", "close": frame.close_code})

    def _record_written(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.TEXT:
            self._records.append({"direction": "->", **_text_record(payload)})
        elif opcode is Opcode.BINARY:
            self._records.append({"direction": "->", "binary": payload})
        elif opcode is Opcode.CLOSE and not self._has_close_come:
            self._records.append({"direction": "->", "close": int.from_bytes(payload[:2], "big")})


def _text_record(payload: bytes) -> dict[str, Any]:
    text = payload.decode("utf-8", "replace")
    try:
        return {"frame": json.loads(text)}
    except ValueError:
        return {"text": text}


def _take_client_frame(went: bytearray) -> tuple[Opcode, bytes] | None:
    """Take the first frame of a client out of a buffer, which is masked (RFC 6455 section 5.3)."""
    if len(went) < 2:
        return None
    size, start = went[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(went[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(went[2:10], "big"), 10
    if len(went) < start + 4 + size:
        return None
    mask = bytes(went[start : start + 4])
    masked = bytes(went[start + 4 : start + 4 + size])
    opcode = Opcode(went[0] & 0x0F)
    del went[: start + 4 + size]
    return opcode, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))

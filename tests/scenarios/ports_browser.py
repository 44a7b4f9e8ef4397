"""The ports that the pages of a scenario connect to, one for each client, and what a network does to connections.

They count messages in both directions, so that the driver knows when everything has arrived. They read no message.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

__all__ = ["BrowserPort", "client_frame"]

_END_OF_HEAD = b"\r\n\r\n"
_END_OF_EVENT = b"\n\n"
_DATA_OPCODES = (0, 1, 2)
_CLOSE, _PING, _PONG = 8, 9, 10


class BrowserConnection(ProtocolWrapper):
    """The server's end of one TCP connection of a browser.

    Attributes:
        is_plugged: whether anything still goes from one end to the other.
        has_browser: whether the browser still has its end.
        way: ``websocket`` or ``stream`` once it is one; ``swallowed`` for an upgrade that nobody answers; else empty.
        came: how many messages have come by a WebSocket.
        went: how many messages and events were written.
        asked: the opcode of the control frame that the browser has to act on: a ping, or a close frame; else 0.
    """

    factory: BrowserPort

    def __init__(self, factory: BrowserPort, wrapped: Any) -> None:
        super().__init__(factory, wrapped)
        self.is_plugged = factory.is_plugged
        self.has_browser = True
        self.way = ""
        self.came = self.went = self.asked = 0
        self._is_upgrade = False
        self._came = bytearray()
        self._written = bytearray()
        self._held = bytearray()

    # What the browser does.

    def dataReceived(self, data: bytes) -> None:
        if not self.is_plugged:
            return
        if b"\r\nUpgrade: websocket\r\n" in data:
            self._is_upgrade = True
            if self.factory.upgrades == "swallowed":
                self.way, self.is_plugged = "swallowed", False
                # It has its place in the order of answers, and none ever comes.
                self.factory.answers.append((0, {}))
                return
            if self.factory.upgrades == "stripped":
                data = data.replace(b"\r\nUpgrade: websocket", b"").replace(b"\r\nConnection: Upgrade", b"")
        elif self.way == "websocket":
            self._came += data
            for frame in _take_frames(self._came):
                self.came += _is_message(frame)
                if _opcode(frame) == _PONG and self.asked == _PING:
                    self.asked = 0
        super().dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        self.has_browser = False
        if self.is_plugged:
            self._lose(reason)

    # What the server does.

    def write(self, data: bytes) -> None:
        if not self.is_plugged:
            return
        if self.factory.holds:
            self._held += data
        else:
            self._carry(data)

    def _carry(self, data: bytes) -> None:
        if not self.way:
            data = self._take_head(data)
        if self.way == "websocket":
            self._write_frames(data)
        elif self.way == "stream":
            self._write_events(data)
        else:
            super().write(data)

    def let_go(self) -> None:
        """Carry what was held while the turn of the server went on."""
        held = bytes(self._held)
        self._held.clear()
        if held and self.is_plugged:
            self._carry(held)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.let_go()
        if self.is_plugged:
            super().loseConnection()
        else:
            reactor.callLater(0, self._lose, Failure(ConnectionLost()))

    def abortConnection(self) -> None:
        if self.is_plugged:
            self.transport.abortConnection()
        else:
            self.loseConnection()

    # What the network does.

    def vanish(self) -> None:
        """Have the browser lose the connection; the server does not see that."""
        self.is_plugged = False
        self._end_browser()

    def cut(self) -> None:
        """Have both lose the connection, as soon as the browser has what was written."""
        self.is_plugged = False
        self._lose(Failure(ConnectionLost()))
        self._end_browser()

    def _end_browser(self) -> None:
        if self.has_browser:
            # A transport that has a producer does not close.
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _lose(self, reason: Failure) -> None:
        self.is_plugged = False
        if self.wrappedProtocol is not None:
            self.factory.unregisterProtocol(self)
            wrapped, self.wrappedProtocol = self.wrappedProtocol, None
            wrapped.connectionLost(reason)

    # Counting.

    def _take_head(self, data: bytes) -> bytes:
        """See what an answer makes of the connection; gives what follows its head."""
        head, end, rest = data.partition(_END_OF_HEAD)
        if end and head.startswith(b"HTTP/1.1 "):
            if self._is_upgrade:
                self.factory.answers.append(_read_head(head))
            if head.startswith(b"HTTP/1.1 101 "):
                self.way = "websocket"
            elif b"\r\ncontent-type: text/event-stream" in head.lower():
                self.way = "stream"
        if not self.way:
            return data
        super().write(head + end)
        return rest

    def _write_frames(self, data: bytes) -> None:
        self._written += data
        for frame in _take_frames(self._written):
            super().write(frame)
            if _opcode(frame) == _CLOSE or (_opcode(frame) == _PING and not self.asked):
                self.asked = _opcode(frame)
            if _is_message(frame) and self._has_to_be_cut():
                return

    def _write_events(self, data: bytes) -> None:
        self._written += data
        while (end := self._written.find(_END_OF_EVENT)) >= 0:
            event = bytes(self._written[: end + len(_END_OF_EVENT)])
            del self._written[: len(event)]
            super().write(event)
            # The first lines of a stream are no message.
            if event.startswith(b"retry:"):
                self.went += 1
            elif self._has_to_be_cut():
                return

    def _has_to_be_cut(self) -> bool:
        self.went += 1
        if self.factory.cut_after is None:
            return False
        self.factory.cut_after -= 1
        if self.factory.cut_after > 0:
            return False
        self.factory.cut_after = None
        # The server is in the middle of writing.
        self.is_plugged = False
        reactor.callLater(0, self.cut)
        return True


class BrowserPort(WrappingFactory):
    """The server as one client sees it.

    Args:
        site: the server.

    Attributes:
        number: the number of the port, once it is open.
        is_plugged: whether anything arrives by new connections.
        upgrades: what becomes of upgrades on their way: ``pass``, ``stripped`` or ``swallowed``.
        holds: whether what the server writes waits for the end of its turn.
        cut_after: after how many messages the connection is cut; None cuts none.
        answers: the status and the headers of the answer to each upgrade; 0 for one that was swallowed.
    """

    protocol = BrowserConnection
    noisy = False

    def __init__(self, site: IProtocolFactory) -> None:
        super().__init__(site)
        self.number = 0
        self.is_plugged = True
        self.upgrades = "pass"
        self.holds = False
        self.cut_after: int | None = None
        self.answers: list[tuple[int, dict[str, str]]] = []
        self._all: list[BrowserConnection] = []

    def buildProtocol(self, addr: Any) -> Any:
        built = super().buildProtocol(addr)
        self._all = [each for each in self._all if each.has_browser or each.wrappedProtocol is not None] + [built]
        return built

    def unplug(self) -> None:
        """Let nothing arrive any more by connections of now and later ones, until :meth:`plug`."""
        self.is_plugged = False
        for each in self._all:
            each.is_plugged = False

    def plug(self, cut_after: int | None) -> None:
        """Let later connections be as usual; the next one is cut after so many messages."""
        self.is_plugged, self.cut_after = True, cut_after

    def hold(self, holds: bool) -> None:
        """Hold what the server writes, or carry what was held, also by connections that have no answer yet."""
        self.holds = holds
        if not holds:
            for each in self._all:
                each.let_go()

    def begin(self) -> None:
        """Have a new page."""
        self.cut_all()
        # The scenario before may have ended in the middle of a turn.
        self.is_plugged, self.holds, self.cut_after = True, False, None
        self.answers, self._all = [], []

    def have_server(self, site: IProtocolFactory) -> None:
        """Have another server from now on."""
        self.cut_all()
        self.wrappedFactory = site

    def open_connections(self) -> list[BrowserConnection]:
        """Those that are WebSockets or streams, and plugged."""
        return [each for each in self._all if each.is_plugged and each.way]

    def counts(self) -> dict[str, int]:
        """Count what the page has to agree on when everything has arrived, of connections that are there."""
        swallowed = [each for each in self._all if each.has_browser and each.way == "swallowed"]
        there = self.open_connections()
        return {
            "went": sum(each.went for each in there),
            "came": sum(each.came for each in there),
            "open": len(there) + len(swallowed),
            "pending": sum(each.asked > 0 for each in there),
        }

    def cut_all(self) -> None:
        """Cut whatever is there."""
        for each in self._all:
            each.cut()


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A short frame as a client sends it (RFC 6455 section 5.2), with a mask that changes nothing."""
    assert len(payload) < 126
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


def _is_message(frame: bytes) -> bool:
    """Whether a frame is the last one of a message."""
    return bool(frame[0] & 0x80) and _opcode(frame) in _DATA_OPCODES


def _opcode(frame: bytes) -> int:
    return frame[0] & 0x0F


def _take_frames(buffer: bytearray) -> list[bytes]:
    """Take the whole frames out of a buffer, of either end."""
    frames = []
    while len(buffer) >= 2:
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                break
            size = int.from_bytes(buffer[2:start], "big")
        end = start + (4 if buffer[1] & 0x80 else 0) + size
        if len(buffer) < end:
            break
        frames.append(bytes(buffer[:end]))
        del buffer[:end]
    return frames


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    status, *lines = head.decode("latin-1").split("\r\n")
    return int(status.split(" ")[1]), {
        name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)
    }

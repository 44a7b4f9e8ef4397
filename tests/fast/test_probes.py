"""Whether the shorter ways past Twisted and Autobahn can be taken: not where either is not as it is known."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.twisted import websocket
from autobahn.twisted.websocket import WebSocketServerProtocol
from fast.imported_anew import imported_anew
from twisted.internet import abstract, tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.tcp import Connection

from pode_signals.core.environment import FAST

pytestmark = pytest.mark.skipif(not FAST, reason="PODE_SIGNALS_FAST is off: nothing is tried")

PROBES = "pode_signals.fast.probes"


def missing(base: type[Any], name: str) -> type[Any]:
    """A class without an attribute."""

    def gone(_self: object, *_args: object) -> Any:
        raise AttributeError(name)

    return type(base.__name__, (base,), {name: property(gone, lambda _self, _value: None)})


@pytest.mark.parametrize("name", ["dataBuffer", "_tempDataLen", "disconnecting"])
def test_where_twisted_is_not_as_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """S4.6: without an attribute of the transport that they need, direct writes are off."""
    assert imported_anew(PROBES).DIRECT_WRITES
    monkeypatch.setattr(abstract, "FileDescriptor", missing(FileDescriptor, name))
    assert not imported_anew(PROBES).DIRECT_WRITES


def test_where_twisted_buffers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.6: buffers that stay empty though something is unsent are none that can be trusted."""
    monkeypatch.setattr(FileDescriptor, "write", lambda _self, _data: None)
    assert not imported_anew(PROBES).DIRECT_WRITES


@pytest.mark.parametrize("name", ["data", "current_frame", "inside_message", "state"])
def test_where_autobahn_is_not_as_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """S5.1: without an attribute of the protocol that they need, small frames are left to Autobahn."""
    assert imported_anew(PROBES).SMALL_FRAMES
    monkeypatch.setattr(websocket, "WebSocketServerProtocol", missing(WebSocketServerProtocol, name))
    assert not imported_anew(PROBES).SMALL_FRAMES


class ReadsTwice(Connection):
    """A connection of a Twisted that reads until nothing is left."""

    def doRead(self) -> Any:
        return super().doRead() or super().doRead()


class ReadsLess(Connection):
    """A connection of a Twisted that reads in other sizes."""

    def doRead(self) -> Any:
        return self._dataReceived(self.socket.recv(1_024))  # type: ignore[func-returns-value]


class TellsMore(Connection):
    """A connection of a Twisted that does something with data."""

    def _dataReceived(self, data: bytes | None) -> Any:
        return super()._dataReceived(data and b"[" + data + b"]")


class EndsOtherwise(Connection):
    """A connection of a Twisted that ends by itself."""

    def doRead(self) -> None:
        super().doRead()


class StartsOtherwise(Connection):
    """A connection of a Twisted that is told to read in another way."""

    def startReading(self) -> None:
        self.reactor.addReader(self.socket)


class NoSocket:
    """Another socket than the one that the connection was given; there is nothing in it."""

    def recv(self, _size_bytes: int) -> bytes:
        return b""

    def setblocking(self, _flag: bool) -> None:
        """It is never waited for."""

    def fileno(self) -> int:
        return -1


class KeepsElsewhere(Connection):
    """A connection of a Twisted that has its socket elsewhere."""

    socket = property(lambda _self: NoSocket(), lambda self, skt: setattr(self, "_kept", skt))  # type: ignore[assignment]

    def doRead(self) -> Any:
        return self._dataReceived(self._kept.recv(self.bufferSize))  # type: ignore[attr-defined,func-returns-value]


class Closes(Connection):
    """A connection of a Twisted that means something else by this."""

    disconnecting = 1


class TakesMore(Connection):
    """A connection of a Twisted that is made otherwise."""

    def __init__(self, skt: Any, protocol: Any, reactor: Any, more: Any) -> None:
        super().__init__(skt, protocol, reactor)


def test_where_twisted_reads_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Twisted's connections read otherwise than known, or lack something, shared reads are off."""
    assert imported_anew(PROBES).SHARED_READS
    names = ("bufferSize", "disconnecting", "socket", "startReading", "stopReading", "doRead", "_dataReceived")
    otherwise = [ReadsTwice, ReadsLess, TellsMore, EndsOtherwise, StartsOtherwise, KeepsElsewhere, Closes, TakesMore]
    for kind in (*otherwise, *(missing(Connection, name) for name in names)):
        monkeypatch.setattr(tcp, "Connection", kind)
        assert not imported_anew(PROBES).SHARED_READS, kind


def test_a_probe_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: whatever a library raises while it is tried, that way is off, and nothing raises at import."""

    class Strange(Connection):
        def doRead(self) -> None:
            raise SystemError

    monkeypatch.setattr(tcp, "Connection", Strange)
    assert not imported_anew(PROBES).SHARED_READS

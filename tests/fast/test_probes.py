"""Whether the shorter ways past Twisted and Autobahn can be taken: not where either is not as it is known."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.tcp import Connection

from pode_signals.fast import shortcuts

# Whether they can be taken.


def missing(base: type[Any], name: str) -> type[Any]:
    """A class without an attribute."""

    def gone(_self: object, *_args: object) -> Any:
        raise AttributeError(name)

    return type(base.__name__, (base,), {name: property(gone, lambda _self, _value: None)})


@pytest.mark.parametrize("name", ["dataBuffer", "_tempDataLen", "disconnecting"])
def test_where_twisted_is_not_as_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """S4.6: without an attribute of the transport that they need, direct writes are off."""
    assert shortcuts._direct_writes_work()
    monkeypatch.setattr(shortcuts, "FileDescriptor", missing(FileDescriptor, name))
    assert not shortcuts._direct_writes_work()


def test_where_twisted_buffers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.6: buffers that stay empty though something is unsent are none that can be trusted."""
    monkeypatch.setattr(FileDescriptor, "write", lambda _self, _data: None)
    assert not shortcuts._direct_writes_work()


@pytest.mark.parametrize("name", ["data", "current_frame", "inside_message", "state"])
def test_where_autobahn_is_not_as_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """S5.1: without an attribute of the protocol that they need, quick frames are off."""
    assert shortcuts._quick_frames_work()
    monkeypatch.setattr(shortcuts, "WebSocketServerProtocol", missing(shortcuts.WebSocketServerProtocol, name))
    assert not shortcuts._quick_frames_work()


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


class KeepsElsewhere(Connection):
    """A connection of a Twisted that has its socket elsewhere."""

    socket = property(lambda _self: shortcuts._NoSocket(), lambda self, skt: setattr(self, "_kept", skt))  # type: ignore[assignment]

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
    assert shortcuts._shared_reads_work()
    names = ("bufferSize", "disconnecting", "socket", "startReading", "stopReading", "doRead", "_dataReceived")
    otherwise = [ReadsTwice, ReadsLess, TellsMore, EndsOtherwise, StartsOtherwise, KeepsElsewhere, Closes, TakesMore]
    for kind in (*otherwise, *(missing(Connection, name) for name in names)):
        monkeypatch.setattr(shortcuts, "Connection", kind)
        assert not shortcuts._shared_reads_work(), kind


@pytest.mark.parametrize("wanted", [True, False])
def test_the_environment(wanted: bool) -> None:
    """S16.8: PODE_SIGNALS_SHORTCUTS=off turns all off; with the versions that are installed all work."""
    program = (
        "from pode_signals.fast.shortcuts import *; from pode_signals.fast.lean import *;"
        "print(DIRECT_WRITES, QUICK_FRAMES, QUIET, QUICK_OPENS, QUICK_ENDS, SHARED_READS)"
    )
    expected = f"{wanted} {wanted} {wanted} {wanted} {wanted} {wanted and hasattr(select, 'epoll')}"
    environment = {**os.environ, "PODE_SIGNALS_SHORTCUTS": "on" if wanted else "off"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == expected

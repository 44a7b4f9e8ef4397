"""A reactor that nobody runs, and connections that a shared reader reads for. Nothing in here is a test."""

from __future__ import annotations

import gc
import os
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from pode_signals.core.counters import Counters
from pode_signals.fast.reading import Reading, SharedReader
from pode_signals.hub.reports import Reports

EPOLL = getattr(select, "epoll", None)
"""The system's, also where a test puts a double in its place."""
BOTH_WAYS = pytest.mark.parametrize("shared", [True, False], ids=["shared", "twisted"])
TURNS = 50


class Recorder(Protocol):
    """A protocol that keeps what it gets and how it ended, as ours stops reading when it ends.

    Attributes:
        on_data: called with what came, before it is kept.
        reading: what reads in its transport's place.
    """

    transport: Any

    def __init__(
        self, on_data: Callable[[bytes], None] | None = None, lost_raises: BaseException | None = None
    ) -> None:
        self.on_data, self._lost_raises = on_data, lost_raises
        self.got = b""
        self.ends: list[BaseException] = []
        self.reading: Reading | None = None

    def dataReceived(self, data: bytes) -> None:
        if self.on_data is not None:
            self.on_data(data)
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.reading is not None:
            self.reading.stopProducing()
        self.ends.append(reason.value)
        if self._lost_raises is not None:
            raise self._lost_raises


class Counted(SharedReader):
    """Notes how often the reactor calls it, and whom it was asked to read for."""

    def __init__(self, reports: Reports, seconds: Callable[[], float]) -> None:
        super().__init__(reports, seconds)
        self.reads = 0
        self.asked: list[Any] = []

    def doRead(self) -> None:
        self.reads += 1
        super().doRead()

    def adopt(
        self, transport: Any, receive: Callable[[bytes], None], took_long: Callable[[float], None] = print
    ) -> Reading | None:
        self.asked.append(transport)
        return super().adopt(transport, receive, took_long)


class Room:
    """A reactor that nobody runs, a shared reader, and both ends of connections.

    Attributes:
        reader: the shared reader.
        now_seconds: the time by which the reader measures its turns; tests let it pass.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.now_seconds = 0.0
        self.reader = Counted(Reports(Clock, Counters()), lambda: self.now_seconds)
        self._internal_readers = tuple(reactor.getReaders())
        self._sockets: list[socket.socket] = []

    def transport(self, protocol: Any, kind: type[Connection] = Connection) -> tuple[Any, socket.socket]:
        """A connection that reads itself, and the client's end."""
        server, client = socket.socketpair()
        client.settimeout(5)
        self._sockets += [server, client]
        made: Any = kind(server, protocol, self.reactor)
        made.connected = 1
        protocol.makeConnection(made)
        made.startReading()
        return made, client

    def connect(self, protocol: Recorder, *, shared: bool = True) -> socket.socket:
        """A connection that the shared reader reads for, and the client's end."""
        transport, client = self.transport(protocol)
        if shared:
            protocol.reading = self.reader.adopt(transport, protocol.dataReceived)
            assert protocol.reading is not None
        return client

    def turn(self, times: int = 1) -> None:
        """Let turns of the reactor pass."""
        for _ in range(times):
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0)

    @property
    def readers(self) -> list[Any]:
        """Whom the reactor knows, but for its own."""
        return [each for each in self.reactor.getReaders() if each not in self._internal_readers]

    def clean(self) -> None:
        """Leave no descriptor behind."""
        self.reactor.disconnectAll()
        for each in self._internal_readers:
            self.reactor.removeReader(each)
            each.connectionLost(None)
        for each in self._sockets:
            each.close()


def descriptors() -> int:
    """How many this process has; what tests before have left to the collector has gone."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def logged_in(events: list[Any]) -> list[BaseException]:
    """The errors that were logged, by Twisted's older logger or by ours."""
    failures = (each.get("failure") or each.get("log_failure") for each in events)
    return [each.value for each in failures if each is not None]

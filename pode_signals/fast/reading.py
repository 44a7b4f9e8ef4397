"""Reads from many sockets for one event of the reactor: plain connections wait in an epoll of their own.

For each event a reactor makes a log context, a lookup and a few calls, which takes longer than to read a small message.
Here that is done once for all sockets that are ready. This module ends no connection in a way of its own: an end or an
error goes to the transport, which ends as it would elsewhere in Twisted.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from ..hub.reports import Reports
from ..hub.stalls import STALL_SECONDS
from ..hub.turns import TURN_SECONDS
from .probes import SHARED_READS

__all__ = ["Reading", "SharedReader"]

# How many sockets are read in one turn. The epoll reports the others in the next turn.
_MOST_AT_ONCE = 1_000
# How many bytes one read takes, as in Twisted's transports.
_MOST_BYTES = 65_536
# The event of a socket that is readable and nothing else. A system without epoll imports this module too, and never
# uses this number.
_READABLE = getattr(select, "EPOLLIN", 1)
# One object for all orderly ends, as in Twisted's reactor.
_DONE = Failure(ConnectionDone())


class Reading:
    """One transport's part in a :class:`SharedReader`, in place of the transport's own reading.

    Args:
        reader: the reader in which the socket waits.
        transport: the transport that has the socket.
        receive: called with the data that was read.
        took_long: called with the time when ``receive`` began, where that call took so long that others had to wait.
    """

    __slots__ = ("_reader", "fileno", "receive", "receive_into", "took_long", "transport")

    def __init__(
        self,
        reader: SharedReader,
        transport: Any,
        receive: Callable[[bytes], None],
        took_long: Callable[[float], None],
    ) -> None:
        self._reader = reader
        self.transport = transport
        self.receive = receive
        self.took_long = took_long
        self.fileno: int = transport.fileno()
        self.receive_into = transport.socket.recv_into

    def pauseProducing(self) -> None:
        """Read no further."""
        self._reader.leave(self)
        # The transport reads by itself where the reader could not take the socket.
        self.transport.stopReading()

    def resumeProducing(self) -> None:
        """Read on, unless the transport is about to end."""
        if self.transport.connected and not self.transport.disconnecting:
            self._reader.join(self)

    def stopProducing(self) -> None:
        """Read no more. The transport is about to end, and reads by itself until then."""
        self._reader.leave(self)


@implementer(IReadDescriptor)
class SharedReader:
    """Reads for all sockets that have joined. The reactor has it as one descriptor, and only while a socket is there.

    Args:
        reports: logs the exceptions of connections.
        seconds: the clock that measures how long the reading in a turn takes.
    """

    def __init__(self, reports: Reports, seconds: Callable[[], float] = monotonic) -> None:
        self._reports = reports
        self._seconds = seconds
        # Sockets that were ready in the last turn, when its time was over: they are read first in the next turn.
        self._left: list[tuple[Reading, int]] = []
        self._reactor: Any = None
        # A select.epoll while a socket is there, and None otherwise.
        self._epoll: Any = None
        self._readings: dict[int, Reading] = {}
        # Each read goes into the same buffer, of which the bytes that came are copied. Otherwise each read would
        # allocate 64 KiB.
        self._buffer = memoryview(bytearray(_MOST_BYTES))

    def adopt(
        self, transport: Any, receive: Callable[[bytes], None], took_long: Callable[[float], None]
    ) -> Reading | None:
        """Read in place of a transport from now on.

        Args:
            transport: the transport.
            receive: called with the data that was read.
            took_long: called with the time when ``receive`` began, where that call took so long that others had to
                wait.

        Returns:
            The object that pauses and resumes the reading; None where the transport has to read itself.
        """
        if not can_read_together(transport):
            return None
        reading = Reading(self, transport, receive, took_long)
        if not self.join(reading):
            return None
        transport.stopReading()
        return reading

    def join(self, reading: Reading) -> bool:
        """Have a socket wait for data.

        Returns:
            False where the epoll can't take the socket; then the transport reads itself.
        """
        if self._readings.get(reading.fileno) is reading:
            return True
        try:
            if self._epoll is None:
                self._open(reading.transport.reactor)
            self._epoll.register(reading.fileno, _READABLE)
        # No descriptor is left for the epoll, or there is no room in it.
        except OSError:
            if self._epoll is not None and not self._readings:
                self._close()
            reading.transport.startReading()
            return False
        self._readings[reading.fileno] = reading
        return True

    def leave(self, reading: Reading) -> None:
        """Have a socket wait no longer."""
        if self._readings.get(reading.fileno) is not reading:
            return
        del self._readings[reading.fileno]
        # A socket that is closed is not in the epoll any more.
        with suppress(OSError):
            self._epoll.unregister(reading.fileno)
        if not self._readings:
            self._close()

    # What the reactor calls.

    def fileno(self) -> int:
        """The descriptor of the epoll, which the reactor watches; -1 where there is no epoll."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """The ``system`` of log lines that are written while sockets are read."""
        return "signals"

    def doRead(self) -> None:
        """Read once from each socket that is ready, until the time of this turn is over.

        This method never raises: for an exception the reactor would end all connections of this reader.
        """
        # Local names, which Python finds faster than attributes.
        readings, buffer, only_data, seconds = self._readings, self._buffer, _READABLE, self._seconds
        ready, self._left = self._left or self._poll(), []
        began = seconds()
        end = began + TURN_SECONDS
        for at, (reading, event) in enumerate(ready, 1):
            # Data that was read before, in this turn, may have ended this connection or paused its reading.
            if readings.get(reading.fileno) is not reading:
                continue
            size = -1
            if event == only_data and not reading.transport.disconnecting:
                try:
                    size = reading.receive_into(buffer)
                except BlockingIOError:
                    continue
                except OSError:
                    # A socket reports an error once. The transport, asked next, would see an orderly end.
                    self._end(reading, Failure(ConnectionLost()))
                    continue
            # 0 bytes are an orderly end. -1 means that the event was another one than readable, or that the transport
            # is about to end.
            try:
                if size > 0:
                    reading.receive(buffer[:size].tobytes())
                else:
                    self._no_data(reading, size)
            except BaseException:
                # BaseException, as in the reactor. Here an exception ends this one connection.
                failure = Failure()
                self._reports.failure("reading", "reading from a connection raised: the connection ends", failure)
                self._end(reading, failure)
            now = seconds()
            if now - began >= STALL_SECONDS and size > 0:
                reading.took_long(began)
            if now >= end:
                self._left = ready[at:]
                break
            began = now

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops all descriptors that it knows, at its end: the sockets that wait here end as well."""
        for reading in tuple(self._readings.values()):
            self._end(reading, reason)

    def _poll(self) -> list[tuple[Reading, int]]:
        readings = self._readings
        found = self._epoll.poll(0, _MOST_AT_ONCE)
        return [(readings[number], event) for number, event in found if number in readings]

    def _no_data(self, reading: Reading, size: int) -> None:
        """The client has closed its end (0), or the transport has to see for itself what the event means (-1)."""
        self.leave(reading)
        if size == 0:
            reading.transport.readConnectionLost(_DONE)
        else:
            reading.transport.resumeProducing()

    def _end(self, reading: Reading, reason: Failure) -> None:
        """End a transport, as the reactor does. An exception that it raises then is logged, and concerns no other."""
        self.leave(reading)
        try:
            reading.transport.connectionLost(reason)
        except BaseException:
            self._reports.failure("the end", "the end of a connection raised")

    def _open(self, reactor: Any) -> None:
        # can_read_together has looked at SHARED_READS before, so this system has epoll.
        self._epoll = select.epoll()
        self._reactor = reactor
        reactor.addReader(self)

    def _close(self) -> None:
        self._reactor.removeReader(self)
        self._epoll.close()
        self._epoll = self._reactor = None
        self._left = []


def can_read_together(transport: Any) -> bool:
    """Whether a transport's socket can be read without it: plain TCP on a reactor that watches descriptors."""
    return (
        SHARED_READS
        and isinstance(transport, Connection)
        # These two methods must be Twisted's own: an abort replaces them on the transport, which then must not be read.
        and _is_twisted_s(transport.doRead, Connection.doRead)
        and _is_twisted_s(transport._dataReceived, Connection._dataReceived)
        and not getattr(transport, "TLS", False)
        and bool(transport.connected)
        and not transport.disconnecting
        and IReactorFDSet.providedBy(transport.reactor)
    )


def _is_twisted_s(method: Any, original: Any) -> bool:
    return getattr(method, "__func__", None) is original

"""Reads from many sockets for one event of the reactor: plain connections wait in an epoll of their own.

What a reactor does for each event (a log context, a lookup, a few calls) costs more than to read a small message; here
it is done once for all that is ready. Whatever is not data goes back to the transport, which ends itself as always.
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

# Sockets in one turn. The rest are ready in the next one.
_MOST_AT_ONCE = 1_000
# Bytes of one read, as Twisted's transports read.
_MOST_BYTES = 65_536
# Readable and nothing else. Systems without epoll never come to use it, but they import this module as well.
_READABLE = getattr(select, "EPOLLIN", 1)
# One for all, as the reactor has it.
_DONE = Failure(ConnectionDone())


class Reading:
    """One transport's part in a :class:`SharedReader`, in place of the transport's own reading.

    Args:
        reader: where it waits.
        transport: whose socket it is.
        receive: gets the data.
        took_long: is called where that took so long that others had to wait, with the time when it began.
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
        # It reads by itself where the reader could not.
        self.transport.stopReading()

    def resumeProducing(self) -> None:
        """Read on, unless the transport is about to end."""
        if self.transport.connected and not self.transport.disconnecting:
            self._reader.join(self)

    def stopProducing(self) -> None:
        """Read no more: the transport ends, and what is to be read of it until then is its own affair."""
        self._reader.leave(self)


@implementer(IReadDescriptor)
class SharedReader:
    """Reads for all that joined. The reactor knows it as one descriptor, and only while somebody is there.

    Args:
        reports: where is told what a connection raises.
        seconds: what measures how long the reading of a turn takes.
    """

    def __init__(self, reports: Reports, seconds: Callable[[], float] = monotonic) -> None:
        self._reports = reports
        self._seconds = seconds
        # Who was ready in a turn that took too long: they come first in the next one.
        self._left: list[tuple[Reading, int]] = []
        self._reactor: Any = None
        # A select.epoll while somebody is there.
        self._epoll: Any = None
        self._readings: dict[int, Reading] = {}
        # One buffer is cheaper than as many bytes that are made for each read.
        self._buffer = memoryview(bytearray(_MOST_BYTES))

    def adopt(
        self, transport: Any, receive: Callable[[bytes], None], took_long: Callable[[float], None]
    ) -> Reading | None:
        """Read for a transport from now on, in its place.

        Args:
            transport: the transport.
            receive: gets what the transport was sent.
            took_long: is called where that took so long that others had to wait, with the time when it began.

        Returns:
            What pauses and resumes the reading; None where the transport has to go on reading itself.
        """
        if not can_read_together(transport):
            return None
        reading = Reading(self, transport, receive, took_long)
        if not self.join(reading):
            return None
        transport.stopReading()
        return reading

    def join(self, reading: Reading) -> bool:
        """Wait for data; False where that is not possible, and the transport reads itself."""
        if self._readings.get(reading.fileno) is reading:
            return True
        try:
            if self._epoll is None:
                self._open(reading.transport.reactor)
            self._epoll.register(reading.fileno, _READABLE)
        except OSError:  # no descriptor is left for the epoll, or no room in it
            if self._epoll is not None and not self._readings:
                self._close()
            reading.transport.startReading()
            return False
        self._readings[reading.fileno] = reading
        return True

    def leave(self, reading: Reading) -> None:
        """Wait no more."""
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
        """The epoll's."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """The ``system`` of log lines about what is read."""
        return "signals"

    def doRead(self) -> None:
        """Read from each that is ready, once, for a short time. Who is left is read first in the next turn.

        It never raises: the reactor would end all for what one has done.
        """
        readings, buffer, only_data, seconds = self._readings, self._buffer, _READABLE, self._seconds
        ready, self._left = self._left or self._poll(), []
        began = seconds()
        end = began + TURN_SECONDS
        for at, (reading, event) in enumerate(ready, 1):
            # It may be gone by what was read before.
            if readings.get(reading.fileno) is not reading:
                continue
            size = -1
            if event == only_data and not reading.transport.disconnecting:
                try:
                    size = reading.receive_into(buffer)
                except BlockingIOError:
                    continue
                except OSError:
                    # A socket tells an error once: the transport would take the connection for ended in good order.
                    self._end(reading, Failure(ConnectionLost()))
                    continue
            try:
                if size > 0:
                    reading.receive(buffer[:size].tobytes())
                else:
                    self._no_data(reading, size)
            except BaseException:
                # The reactor would catch as much; here it is for this one alone.
                failure = Failure()
                self._reports.failure("reading", "reading from a connection raised: it ends", failure)
                self._end(reading, failure)
            now = seconds()
            if now - began >= STALL_SECONDS:
                reading.took_long(began)
            if now >= end:
                self._left = ready[at:]
                break
            began = now

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops every descriptor that it knows: those that wait here are meant as well."""
        for reading in tuple(self._readings.values()):
            self._end(reading, reason)

    def _poll(self) -> list[tuple[Reading, int]]:
        readings = self._readings
        found = self._epoll.poll(0, _MOST_AT_ONCE)
        return [(readings[number], event) for number, event in found if number in readings]

    def _no_data(self, reading: Reading, size: int) -> None:
        """The client has closed its end (0), or something else is the matter: the transport finds that by itself."""
        self.leave(reading)
        if size == 0:
            reading.transport.readConnectionLost(_DONE)
        else:
            reading.transport.resumeProducing()

    def _end(self, reading: Reading, reason: Failure) -> None:
        """End a transport, as the reactor does; what it raises then is no other's problem."""
        self.leave(reading)
        try:
            reading.transport.connectionLost(reason)
        except BaseException:
            self._reports.failure("the end", "the end of a connection raised")

    def _open(self, reactor: Any) -> None:
        # There is one: SHARED_READS says so.
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
        # An abort replaces it.
        and _is_twisted_s(transport.doRead, Connection.doRead)
        and _is_twisted_s(transport._dataReceived, Connection._dataReceived)
        and not getattr(transport, "TLS", False)
        and bool(transport.connected)
        and not transport.disconnecting
        and IReactorFDSet.providedBy(transport.reactor)
    )


def _is_twisted_s(method: Any, original: Any) -> bool:
    return getattr(method, "__func__", None) is original

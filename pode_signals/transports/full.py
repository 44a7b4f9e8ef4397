"""When the transport of a connection is full, which tells of a client that reads slowly. It writes no bytes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IWriteDescriptor

if TYPE_CHECKING:
    from ..hub.link import Link

__all__ = ["Producer"]


class Producer:
    """What a transport tells of its buffer: the part of a protocol that is an ``IPushProducer``.

    Attributes:
        connection: the link whose wire the protocol is.
        transport: an ITCPTransport, or TLS around one.
    """

    connection: Link
    transport: Any
    # Whether the transport's buffer is full, as the transport says; and whether the connection was told so. The two
    # differ while the system takes what the transport holds.
    _full = False
    _congested = False

    def pauseProducing(self) -> None:
        """IPushProducer: the transport's buffer is full.

        That alone does not show a slow client: the transport may not have asked the system yet to take the data. Where
        the system does not take it now, the client reads more slowly than the hub sends.
        """
        self._full = True
        if IWriteDescriptor.providedBy(self.transport):
            self._write_now()
        if self._full and not self._congested:
            self._congested = True
            self.connection.congested()

    def resumeProducing(self) -> None:
        """IPushProducer: the transport is empty."""
        self._full = False
        if self._congested:
            self._congested = False
            self.connection.drained()

    def stopProducing(self) -> None:
        """IPushProducer: the transport is about to end; its socket is still open. connectionLost reports the end."""

    def _write_now(self) -> None:
        """Have the system take as much of the transport's buffer as it can now, rather than in the next turns."""
        transport, before = self.transport, None
        # The loop ends when the buffer is empty, since the transport calls resumeProducing then; or when the system has
        # taken nothing more. dataBuffer and offset are Twisted's: the bytes, and how many of them were written.
        while self._full and before != (held := (transport.offset, len(transport.dataBuffer))):
            before = held
            # The system has an error for this socket. The reactor gets the same error in its turn, and ends the
            # transport.
            if transport.doWrite() is not None:
                return

"""The contract between the hub and the transports of its connections. No code runs here."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ClientTransport"]


class ClientTransport(Protocol):
    """The wire of one connection, as a :class:`~pode_signals.hub.link.Link` uses it.

    The transport calls methods of its link when something happens: ``message_begins`` and ``message_ended``;
    ``message_grows`` while a message is incomplete; ``congested`` when its buffer is full and ``drained`` when the
    buffer is empty again; ``pong``; ``left`` before any close frame is sent; and ``lost``, once, when the transport is
    gone. A text message goes to the hub's ``received``.
    """

    def write(self, data: bytes) -> bool:
        """Send whole frames, after everything written before; False where they were not sent."""

    def write_close(self, code: int, reason: bytes) -> None:
        """Send a close frame (RFC 6455 section 5.5.1), after everything written before; reason is at most 123 bytes."""

    def write_ping(self, payload: bytes) -> None:
        """Send a ping. The client's pong has the same payload, which the transport gives to ``pong``."""

    def abort(self) -> None:
        """Drop the transport now; data that is not sent yet is lost."""

    def pause_reading(self) -> None:
        """Read no further from the socket. Messages that were read already may still be reported."""

    def resume_reading(self) -> None:
        """Read on."""

"""The contracts between the hub and what it is plugged into. No code runs here."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ClientTransport"]


class ClientTransport(Protocol):
    """The wire of one connection, as :class:`~pode_signals.SignalConnection` uses it.

    It tells its connection what happens: ``message_begins`` and ``message_ended``, ``received`` for a text message,
    ``congested`` and ``drained`` for what it can't or can take, ``pong``, ``left`` before any close frame goes out,
    ``lost`` once when it is gone.
    """

    def write(self, data: bytes) -> bool:
        """Send whole frames, after everything written before; False where it did not."""

    def write_close(self, code: int, reason: bytes) -> None:
        """Send a close frame (RFC 6455 section 5.5.1), after everything written before; reason is at most 123 bytes."""

    def write_ping(self, payload: bytes) -> None:
        """Send a ping; its pong comes back as ``pong`` with the same payload."""

    def abort(self) -> None:
        """Drop the transport now; what is unsent is lost."""

    def pause_reading(self) -> None:
        """Read no further from the socket; what was read already may still be reported."""

    def resume_reading(self) -> None:
        """Read on."""

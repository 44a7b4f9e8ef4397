"""Where a client of ``pode.signals.v1`` is in the history of its name, and what it offers when it comes back.

The frames of the server move it. It sends nothing.
"""

from __future__ import annotations

from typing import Any

from ..core.history import Position
from ..core.resume import RESUME_PREFIX
from ..core.upgrade import SIGNALS_PROTOCOL
from ..wire.v1 import Hello

__all__ = ["ClientPlace", "hello_of"]


class ClientPlace:
    """The position and the token of one client, over all its connections.

    Args:
        since: the position that the first connection offers, ``<epoch>.<offset>``; None offers none.
    """

    def __init__(self, since: str | None = None) -> None:
        self._since = since
        self._hello: Hello | None = None
        self._position: Position | None = None

    def greeted(self, hello: Hello) -> None:
        """Hello says anew where the client is, in each of its fields."""
        self._hello = hello
        self._position = hello.position

    def moved(self, offset: str | None) -> None:
        """A signal was handed on, or a beat has come."""
        if offset is not None and self._position is not None:
            self._position = Position(self._position.epoch, offset)

    def offered(self) -> tuple[str, ...]:
        """The subprotocols that the next connection offers."""
        text = self._since
        if self._hello is not None:
            token = self._hello.resume_token
            # A position without an identity says nothing of the groups and of the client id that it was seen with.
            if token is None:
                text = None
            elif self._position is None:
                text = f"-.-.{token}"
            else:
                text = f"{self._position.epoch}.{self._position.offset}.{token}"
        return (SIGNALS_PROTOCOL,) if text is None else (SIGNALS_PROTOCOL, RESUME_PREFIX.decode() + text)


def hello_of(frame: dict[str, Any]) -> Hello:
    """Read a hello."""
    epoch, offset = frame.get("epoch"), frame.get("offset")
    return Hello(
        client_id=frame["clientId"],
        name=frame["name"],
        groups=tuple(frame["groups"]),
        recovered=frame["recovered"],
        heartbeat_seconds=frame["heartbeatSeconds"],
        max_message_bytes=frame["maxMessageBytes"],
        user=frame.get("user"),
        position=None if epoch is None or offset is None else Position(epoch, offset),
        resume_token=frame.get("resumeToken"),
        expires_in_seconds=frame.get("expiresInSeconds"),
        presence=frame.get("presence"),
    )

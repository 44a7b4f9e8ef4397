"""Where in the log a client is and who it was, for its next connection. It connects nothing."""

from __future__ import annotations

from ..core.history import Position
from ..core.resume import RESUME_PREFIX, read_resume
from ..core.upgrade import SIGNALS_PROTOCOL
from ..wire.v1 import Hello

__all__ = ["Place"]

_RESUME_PREFIX = RESUME_PREFIX.decode()


class Place:
    """The place of one client, which outlives its connections.

    Args:
        since: a position to begin with, ``<epoch>.<offset>``; None is the present.

    Raises:
        ValueError: ``since`` has another form.
    """

    def __init__(self, since: str | None) -> None:
        found = None if since is None else read_resume(since)
        if since is not None and (found is None or found.position is None or found.token is not None):
            raise ValueError(f"since has to be a position, <epoch>.<offset>, not {since!r}")
        self.position: Position | None = None if found is None else found.position
        self._token: str | None = None
        self._is_greeted = False

    @property
    def is_offered(self) -> bool:
        """Whether the next connection is to go on somewhere, after ``since`` or after the connection before."""
        return self._is_greeted or self.position is not None

    def subprotocols(self) -> tuple[str, ...]:
        """What the next handshake offers."""
        if self._token is None:
            # A client that had a hello without a token has no identity that could be resumed. A position alone is for
            # the first connection.
            if self.position is None or self._is_greeted:
                return (SIGNALS_PROTOCOL,)
            return (SIGNALS_PROTOCOL, f"{_RESUME_PREFIX}{self.position.epoch}.{self.position.offset}")
        where = "-.-" if self.position is None else f"{self.position.epoch}.{self.position.offset}"
        return (SIGNALS_PROTOCOL, f"{_RESUME_PREFIX}{where}.{self._token}")

    @property
    def resume(self) -> str | None:
        """What the next stream of server-sent events offers; None for nothing."""
        offered = self.subprotocols()[1:]
        return offered[0].removeprefix(_RESUME_PREFIX) if offered else None

    @property
    def last_event_id(self) -> str | None:
        """What the next stream of an ``EventSource`` offers; None for nothing."""
        return None if self.position is None else f"{self.position.epoch}.{self.position.offset}"

    def greeted(self, hello: Hello) -> None:
        """A hello has come. It replaces all that was known."""
        self.position, self._token, self._is_greeted = hello.position, hello.resume_token, True

    def moved(self, offset: str | None) -> None:
        """The client has everything up to a place in the log.

        Args:
            offset: the place; None says nothing.
        """
        if offset is not None and self.position is not None:
            self.position = Position(self.position.epoch, offset)

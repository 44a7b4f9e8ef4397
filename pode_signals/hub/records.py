"""What parts of the hub keep with each connection: its pulse, its intake, its inbox. Nothing here acts."""

from __future__ import annotations

from collections import deque

from ..core.limits import TokenBucket, WindowCounter
from ..core.routes import RouteMatch

__all__ = ["Inbox", "Intake", "Pulse", "Replacements"]


class Pulse:
    """When the heartbeat has to look at a connection.

    Attributes:
        ping_due: when the client is to be pinged, by the hub's clock.
        ping: what the pong that is due has to say; None where none is due.
        pong_due: when the pong has to be there; None where none is due.
        message_due: when the last frame of a message that has begun has to be there; None where none has.
    """

    __slots__ = ("message_due", "ping", "ping_due", "pong_due")

    def __init__(self, ping_due: float) -> None:
        self.ping_due = ping_due
        self.ping: bytes | None = None
        self.pong_due: float | None = None
        self.message_due: float | None = None

    def pinged(self, ping: bytes, pong_due: float) -> None:
        """A ping goes out, whose pong has to come by a time."""
        self.ping = ping
        self.pong_due = pong_due

    def pong(self, payload: bytes, next_ping_due: float) -> float | None:
        """A pong came in: until when it was due; None for one that no ping of ours asked for, which says nothing."""
        due = self.pong_due
        if due is None or payload != self.ping:
            return None
        self.pong_due = self.ping = None
        self.ping_due = next_ping_due
        return due

    def message_begins(self, due: float) -> None:
        """The first frame of a message has begun: its last one has to be there by a time."""
        self.message_due = due

    def message_ended(self) -> None:
        """A message is complete."""
        self.message_due = None


class Intake:
    """What is known of a client that has sent something; dispatch writes it.

    Args:
        bucket: how many messages may come.
        busy: a function goes on for it: its Connect functions, or that of a message.

    Attributes:
        bad_messages: how many of its messages were bad; None while none was.
        route: its signal route; None is none.
        route_version: the version of the routes that ``route`` is of.
    """

    __slots__ = ("bad_messages", "bucket", "busy", "route", "route_version")

    def __init__(self, bucket: TokenBucket, *, busy: bool) -> None:
        self.bucket = bucket
        self.busy = busy
        self.bad_messages: WindowCounter | None = None
        self.route: RouteMatch | None = None
        self.route_version = -1


class Replacements:
    """How often connections with one name and client id took each other's place; the hub writes it.

    The newest connection has it from the one that it replaced, so nothing is kept of clients that are gone.

    Attributes:
        window: tells when that was too often.
        told: it was told of.
    """

    __slots__ = ("told", "window")

    def __init__(self, limit: int, seconds: float) -> None:
        self.window = WindowCounter(limit, seconds)
        self.told = False


class Inbox(deque[bytes]):
    """The messages of one connection that wait, undecoded; ``inboxes.py`` writes it.

    Attributes:
        size_bytes: how much they are.
    """

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0

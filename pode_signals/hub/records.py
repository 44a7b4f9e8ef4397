"""The records that parts of the hub keep with each connection: its pulse, its intake, its inbox. Nothing here acts."""

from __future__ import annotations

from collections import deque

from ..core.limits import TokenBucket, WindowCounter
from ..core.routes import RouteMatch

__all__ = ["Inbox", "Intake", "Pulse", "Replacements"]


class Pulse:
    """When the heartbeat has to look at a connection.

    Attributes:
        ping_due: when the client is to be pinged, by the hub's clock.
        ping: the payload that the next pong must have; None where no pong is due.
        pong_due: when the pong has to be there; None where no pong is due.
        message_due: when the last frame of the incomplete message has to be there; None where no message is incomplete.
    """

    __slots__ = ("message_due", "ping", "ping_due", "pong_due")

    def __init__(self, ping_due: float) -> None:
        self.ping_due = ping_due
        self.ping: bytes | None = None
        self.pong_due: float | None = None
        self.message_due: float | None = None

    def pinged(self, ping: bytes, pong_due: float) -> None:
        """A ping goes out; its pong has to be there at ``pong_due``."""
        self.ping = ping
        self.pong_due = pong_due

    def pong(self, payload: bytes, next_ping_due: float) -> float | None:
        """A pong came in: the next ping is due later.

        Returns:
            Until when this pong was due; None where no ping of ours asked for it.
        """
        due = self.pong_due
        # A pong without our ping is allowed (RFC 6455 section 5.5.3) and shows nothing: a client that reads nothing can
        # send it as well.
        if due is None or payload != self.ping:
            return None
        self.pong_due = self.ping = None
        self.ping_due = next_ping_due
        return due

    def message_begins(self, due: float) -> None:
        """The first frame of a message has begun: the last frame has to be there at ``due``."""
        self.message_due = due

    def message_ended(self) -> None:
        """A message is complete."""
        self.message_due = None


class Intake:
    """What dispatch knows of a client that has sent a message. Only dispatch writes it.

    Args:
        bucket: how many messages may come.
        busy: whether new messages of the client have to wait: for its Connect functions, for the function of a message,
            for its rate, or for its next share of a turn.

    Attributes:
        bad_messages: how many of its messages were bad; None while there was no bad message.
        route: the signal route of the connection's path; None where there is no route for it.
        route_version: the version of the signal routes in which ``route`` was looked up.
    """

    __slots__ = ("bad_messages", "bucket", "busy", "route", "route_version")

    def __init__(self, bucket: TokenBucket, *, busy: bool) -> None:
        self.bucket = bucket
        self.busy = busy
        self.bad_messages: WindowCounter | None = None
        self.route: RouteMatch | None = None
        self.route_version = -1


class Replacements:
    """How often connections with one name and client id took each other's place. Only the hub writes it.

    The newest connection takes this record over from the connection that it replaced. So the record ends with the last
    of them, and nothing is kept of clients that are gone.

    Attributes:
        window: counts the replacements, and says when they were too many.
        told: whether the log has told of them.
    """

    __slots__ = ("told", "window")

    def __init__(self, limit: int, seconds: float) -> None:
        self.window = WindowCounter(limit, seconds)
        self.told = False


class Inbox(deque[bytes]):
    """The messages of one connection that wait, as bytes that are not decoded. Only ``inboxes.py`` writes it.

    Attributes:
        size_bytes: the size of all messages in it.
    """

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0

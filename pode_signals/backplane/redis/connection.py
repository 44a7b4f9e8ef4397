"""One connection to Redis: commands go out, answers come in their order, within a deadline. It never reconnects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, cast

try:
    import hiredis
except ImportError:
    raise ImportError("nodes that share a Redis need hiredis, which the extra redis brings") from None
from OpenSSL.SSL import Error as SSLError
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ...core.contracts import ClockLike

__all__ = ["Argument", "RedisConnection", "RedisLost", "RedisRefused"]

Argument: TypeAlias = bytes | str | int
"""One word of a command; texts are sent as UTF-8, numbers in decimal."""

_MESSAGE = b"message"
_MOST_TOLD = 120
"""How many characters of an error a log line has."""


class RedisRefused(Exception):
    """Redis answered a command with an error.

    Attributes:
        code: the first word of the error: ``READONLY``, ``OOM``, ``NOPERM``.
        text: the rest.
    """

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.code, _, self.text = error.partition(" ")

    @property
    def told(self) -> str:
        """What a log line has of it, which is the code, and the text where the code says nothing.

        The text of a command that Redis does not know is left out: it repeats the arguments, such as a password.
        """
        says_enough = self.code != "ERR" or self.text.startswith("unknown")
        return self.code if says_enough else f"{self.code} {self.text[:_MOST_TOLD]}"


class RedisLost(Exception):
    """There is no connection, or it ended before the answer: the command may have been carried out, or not.

    Attributes:
        why: the reason in a few words.
        was_sent: whether the command was written to a connection.
    """

    def __init__(self, why: str, *, was_sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.was_sent = was_sent


class RedisConnection(Protocol):
    """A connection, of RESP 2.

    Args:
        clock: measures the deadlines.
        deadline_seconds: how long an answer may take. Afterwards the connection is dropped. It can be set.
        lost: called once, with the reason, when the connection is gone.

    Attributes:
        received: called with the channel and the content of each message that was published; None on a connection that
            subscribes to nothing.
        pending_bytes: the size of the commands without an answer.
    """

    def __init__(self, clock: ClockLike, deadline_seconds: float, lost: Callable[[str], None]) -> None:
        self._clock = clock
        self.deadline_seconds = deadline_seconds
        self._lost = lost
        self._reader = hiredis.Reader(replyError=RedisRefused)
        # The Deferreds of the commands without an answer, each with its deadline and the size of its command.
        self._waiting: deque[tuple[Deferred[Any], float, int]] = deque()
        self._timer: IDelayedCall | None = None
        # Why it ended; None while it is there.
        self._end: str | None = None
        self.pending_bytes = 0
        self.received: Callable[[bytes, bytes], None] | None = None

    def connectionMade(self) -> None:
        """Send small packets at once, and find out about a peer that is gone."""
        # A UNIX socket has neither.
        for name in ("setTcpNoDelay", "setTcpKeepAlive"):
            set_option = getattr(self.transport, name, None)
            if set_option is not None:
                set_option(True)

    def call(self, *words: Argument) -> Deferred[Any]:
        """Send a command.

        Returns:
            Fires with the answer. Fails with :class:`RedisRefused` where the answer is an error, and with
            :class:`RedisLost` where none came. Cancelling only ends the wait.
        """
        if self._end is not None:
            return fail(RedisLost(self._end, was_sent=False))
        assert self.transport is not None
        command = hiredis.pack_command(cast(Any, words))
        answer: Deferred[Any] = Deferred()
        deadline = self._clock.seconds() + self.deadline_seconds
        self._waiting.append((answer, deadline, len(command)))
        self.pending_bytes += len(command)
        if self._timer is None:
            self._timer = self._clock.callLater(self.deadline_seconds, self._check)
        self.transport.write(command)
        return answer

    def drop(self, why: str) -> None:
        """End the connection at once; what was sent may still be carried out."""
        if self._end is None:
            self._ended(why)
            cast(ITCPTransport, self.transport).abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Answers and messages, whole or in part."""
        reader, received = self._reader, self.received
        try:
            reader.feed(data)
            while (found := reader.gets()) is not False:
                if received is not None and type(found) is list and found[0] == _MESSAGE:
                    received(found[1], found[2])
                else:
                    self._answered(found)
                if self._end is not None:
                    return
        except hiredis.ProtocolError:
            self.drop("the answer is not that of a Redis")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        if self._end is None:
            self._ended(_why(reason))

    def _answered(self, found: Any) -> None:
        if not self._waiting:
            self.drop("an answer came that nobody asked for")
            return
        answer, _, size_bytes = self._waiting.popleft()
        self.pending_bytes -= size_bytes
        if answer.called:
            return
        if isinstance(found, RedisRefused):
            answer.errback(found)
        else:
            answer.callback(found)

    def _check(self) -> None:
        """Drop the connection where the oldest command has no answer in time."""
        self._timer = None
        if not self._waiting:
            return
        left_seconds = self._waiting[0][1] - self._clock.seconds()
        if left_seconds > 0:
            self._timer = self._clock.callLater(left_seconds, self._check)
        else:
            self.drop("no answer in time")

    def _ended(self, why: str) -> None:
        self._end = why
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, deque()
        self.pending_bytes = 0
        # First the state, then those who wait: they may send again.
        self._lost(why)
        for answer, _, _ in waiting:
            if not answer.called:
                answer.errback(RedisLost(why, was_sent=True))


def _why(reason: Failure) -> str:
    if reason.check(ConnectionDone):
        return "it closed the connection"
    if reason.check(SSLError):
        return "TLS failed: this node does not trust the certificate, or the port speaks no TLS"
    return reason.getErrorMessage()

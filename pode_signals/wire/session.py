"""What one client of ``pode.signals.v1`` may say when. It sends nothing, keeps no frame, and raises for no bytes.

A session answers each text of its client with a value, and whoever holds the connection acts on that value. Each text
is in one of three situations:

1. Before hello everything waits. The texts stay with the holder, as bytes and within its bounds. When hello is written,
   the holder says so by :meth:`Session.greeted`, and gives the session one text after the other.
2. When its turn has come (nothing waits before it, and no function of the connection runs), a text is read.
3. Out of turn, an ``ack``, ``beat`` or ``refresh`` is read at once, and everything else waits for its turn.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from .client_frames import Ack, Beat, FrameInvalid, Refresh, Send, Watch, read_frame
from .json import encode_value
from .v1 import ErrorCode, beat, error, reply

__all__ = [
    "WAIT",
    "Answer",
    "Answered",
    "BadFrame",
    "Deliver",
    "Refreshing",
    "SendFrame",
    "Session",
    "Wait",
    "Watching",
    "may_overtake",
]


@frozen
class Deliver:
    """Bring a message to the signal route.

    Attributes:
        send: the message. Where it has an id, the client gets one reply or one error with this id.
    """

    send: Send


@frozen
class Answered:
    """Count the client as one that took a signal.

    Attributes:
        ack: the ``ack`` of that signal. It may be unknown, or come late or twice.
    """

    ack: str


@frozen
class Refreshing:
    """Ask the application whether credentials are good.

    The holder gives the outcome to :meth:`Session.refreshed` or :meth:`Session.refresh_failed`.

    Attributes:
        refresh: the credentials. Until the outcome is there, the session refuses others.
    """

    refresh: Refresh


@frozen
class Watching:
    """Begin or end to tell the client who is connected.

    Attributes:
        watch: whether to begin. A client that is told already wants all members once more.
    """

    watch: bool


@frozen
class SendFrame:
    """Send a frame to this client alone.

    Attributes:
        frame: the frame as UTF-8.
    """

    frame: bytes


@frozen
class BadFrame:
    """Send an error to this client, and count its text as a bad message.

    Attributes:
        frame: the error as UTF-8.
        reason: why the text is bad, for the log. It has nothing of the text.
        limit: the setting that the text has passed; None where it has passed none.
    """

    frame: bytes
    reason: str
    limit: str | None


@frozen
class Wait:
    """Keep the text, and give it to the session again when its turn has come."""


WAIT: Final = Wait()

Answer = Deliver | Answered | Refreshing | Watching | SendFrame | BadFrame | Wait

_BEAT: Final = SendFrame(beat())

# A look at the beginning of a text: only such a text may be read out of turn. Reading each text that waits would mean
# to read it twice. Clients write "type" first, without white space or as Python's json does, or their frames wait like
# all others.
_OVERTAKING = tuple(
    b'{"type":%s"%s"' % (space, kind) for kind in (b"ack", b"beat", b"refresh") for space in (b"", b" ")
)


def may_overtake(payload: bytes) -> bool:
    """Whether a text may be read out of turn. Most texts that begin so are an ``ack``, ``beat`` or ``refresh``."""
    return payload.startswith(_OVERTAKING)


class Session:
    """What one client may say.

    Args:
        max_depth: how deep a text may be nested.
        max_keys: how many keys all objects in a text may have together.
    """

    __slots__ = ("_is_greeted", "_max_depth", "_max_keys", "_refresh")

    def __init__(self, max_depth: int, max_keys: int) -> None:
        self._max_depth = max_depth
        self._max_keys = max_keys
        self._is_greeted = False
        # The credentials that the application is asked about; None where it is asked about none.
        self._refresh: Refresh | None = None

    def greeted(self) -> None:
        """Hello is written. From now on the client is heard; another hello changes nothing here."""
        self._is_greeted = True

    def received(self, payload: bytes, *, is_turn: bool) -> Answer:
        """Take a text of the client.

        Args:
            payload: the text as bytes; its size has been checked before.
            is_turn: whether the turn of the text has come: nothing waits before it, and no function of the connection
                runs.
        """
        if not self._is_greeted or not (is_turn or may_overtake(payload)):
            return WAIT
        try:
            frame = read_frame(payload, max_depth=self._max_depth, max_keys=self._max_keys)
        except FrameInvalid as invalid:
            answer = error(invalid.code, invalid.id)
            return BadFrame(answer, invalid.reason, invalid.limit) if invalid.code.is_bad_message else SendFrame(answer)
        match frame:
            # Of two keys "type" the last one counts, so a text can begin like an ack and be a message all the same. A
            # message never overtakes, since a connection has one function running at a time.
            case Send() | Watch() if not is_turn:
                return WAIT
            case Send():
                return Deliver(frame)
            case Watch():
                return Watching(frame.watch)
            case Ack():
                return Answered(frame.id)
            case Beat():
                return _BEAT
            case Refresh():
                return self._begin_refresh(frame)

    def refreshed(self, refresh: Refresh, expires_in_seconds: float) -> SendFrame | None:
        """The application has taken credentials.

        Args:
            refresh: the credentials, as :class:`Refreshing` had them.
            expires_in_seconds: in how many seconds the connection expires now.

        Returns:
            The reply; None where these credentials have had their answer already, as after a timeout.
        """
        return self._end_refresh(refresh, reply(refresh.id, encode_value({"expiresInSeconds": expires_in_seconds})))

    def refresh_failed(self, refresh: Refresh, code: ErrorCode) -> SendFrame | None:
        """The application has not taken credentials.

        Args:
            refresh: the credentials, as :class:`Refreshing` had them.
            code: ``REFUSED``; ``NOT_AVAILABLE`` where nobody can be asked; ``FAILED`` or ``TIMED_OUT``.

        Returns:
            The error; None where these credentials have had their answer already.
        """
        return self._end_refresh(refresh, error(code, refresh.id))

    def _begin_refresh(self, refresh: Refresh) -> Answer:
        if self._refresh is not None:
            return SendFrame(error(ErrorCode.REFUSED, refresh.id))
        self._refresh = refresh
        return Refreshing(refresh)

    def _end_refresh(self, refresh: Refresh, frame: bytes) -> SendFrame | None:
        # By identity: a client may use an id and a token twice.
        if self._refresh is not refresh:
            return None
        self._refresh = None
        return SendFrame(frame)

"""What clients of ``pode.signals.v1`` are answered: reads their frames, and replies. It runs no signal route itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..core.model import ConnectionState
from ..errors import MessageInvalid, ReplyRefused
from ..wire.client_frames import Refresh, Send
from ..wire.json import encode_value
from ..wire.session import Answer, Answered, BadFrame, Deliver, Refreshing, SendFrame, Wait, Watching, may_overtake
from ..wire.v1 import ErrorCode, error, refusal, reply
from .acknowledgements import Acknowledgements
from .connection import view_of
from .delivery import Delivery
from .expiry import Expiry
from .fanout import FanOut
from .fence import RAISED, TIMED_OUT, Failed, Fence, Place
from .link import Link
from .profile import checked_expiry
from .runtime import Runtime
from .signal_event import SignalEvent

__all__ = ["Answers"]

_NOT_SHARED = error(ErrorCode.NOT_AVAILABLE)
_NULL = b"null"


class Answers:
    """The frames of signals clients, and the answers to them, of one hub.

    Args:
        runtime: the surroundings.
        fan_out: writes the answers.
        fence: runs ``refresh_check``.
        acknowledgements: the acknowledged sends.
        expiry: when connections expire.

    Attributes:
        refresh_check: ``signals.refresh_check``; None refuses every refresh.
        is_bad: is told of each text that is no frame.
        watch: has a client be told who is there, or no more; False where nobody shares that.
    """

    def __init__(
        self,
        runtime: Runtime,
        fan_out: FanOut,
        fence: Fence,
        acknowledgements: Acknowledgements,
        expiry: Expiry,
    ) -> None:
        self._runtime = runtime
        self._fan_out = fan_out
        self._fence = fence
        self._acknowledgements = acknowledgements
        self._expiry = expiry
        self.refresh_check: Callable[[Any, str], Any] | None = None
        self.watch: Callable[[Link, bool], bool] = lambda _link, _watch: False
        self.is_bad: Callable[[Link, MessageInvalid], None] = lambda _link, _invalid: None

    def take(self, link: Link, payload: bytes) -> Send | None:
        """Read the text of a client whose turn has come, and do what it asks for.

        Returns:
            The message, for the signal route; None where the text is none, or no frame.
        """
        dialogue = link.dialogue
        assert dialogue is not None
        answer = dialogue.session.received(payload, is_turn=True)
        if isinstance(answer, Deliver):
            return answer.send
        self._do(link, answer)
        return None

    def take_out_of_turn(self, link: Link, payload: bytes, *, is_allowed: Callable[[], bool]) -> bool:
        """Read a text that came while another one keeps the connection busy.

        Args:
            link: the connection.
            payload: the text.
            is_allowed: takes a token of the client's rate.

        Returns:
            Whether the text was read; False where it has to wait.
        """
        dialogue = link.dialogue
        if dialogue is None or not may_overtake(payload) or dialogue.recovered is None or not is_allowed():
            return False
        answer = dialogue.session.received(payload, is_turn=False)
        if isinstance(answer, Wait):
            return False
        self._do(link, answer)
        return True

    def reply(self, link: Link, id: str, outcome: Any, event: SignalEvent) -> None:
        """Answer a message with an id.

        Args:
            link: the connection.
            id: the id.
            outcome: what its signal route has returned, or how it ended otherwise.
            event: the event of the message, for the log.
        """
        if isinstance(outcome, Failed):
            self.refuse(link, id, _code_of(outcome))
            return
        where = "-" if event.route is None else event.route.path
        frame = None
        try:
            frame = refusal(outcome, id) if isinstance(outcome, ReplyRefused) else self._reply(id, outcome, where)
        # A fence: what a route returns or raises may have methods of the program, which raise anything.
        except RAISED:
            self._runtime.counters.functions_failed += 1
            self._runtime.reports.failure(
                f"reply of {where}",
                "signal route {where} has returned what can't be sent as a reply",
                event="function.raised",
                where=where,
            )
        if frame is None:
            self.refuse(link, id, ErrorCode.FAILED)
            return
        self._count_reply(failed=isinstance(outcome, ReplyRefused))
        self._send(link, frame)

    def done(self, link: Link, id: str) -> None:
        """Answer a message with an id for which there is nothing to say."""
        self._count_reply(failed=False)
        self._send(link, reply(id, _NULL))

    def refuse(self, link: Link, id: str, code: ErrorCode) -> None:
        """Answer a message with an id with an error."""
        self._count_reply(failed=True)
        self._send(link, error(code, id))

    def _count_reply(self, *, failed: bool) -> None:
        if failed:
            self._runtime.counters.replies_failed += 1
        else:
            self._runtime.counters.replies_given += 1

    def _reply(self, id: str, outcome: Any, where: str) -> bytes | None:
        """The frame for what a signal route has returned; None where that is too large, which is logged."""
        # A route often ends with a send. The numbers of the delivery are no business of the client.
        if outcome is None or isinstance(outcome, Delivery):
            return reply(id, _NULL)
        data = encode_value(outcome)
        if len(data) > self._runtime.settings.max_outgoing_bytes:
            self._runtime.reports.limit(
                "max_outgoing_bytes",
                "a reply of {size_bytes} bytes of signal route {where} was not sent",
                size_bytes=len(data),
                where=where,
            )
            return None
        return reply(id, data)

    def _do(self, link: Link, answer: Answer) -> None:
        match answer:
            case SendFrame(frame):
                self._send(link, frame)
            case BadFrame(frame, reason, limit):
                self._send(link, frame)
                self.is_bad(link, MessageInvalid(reason, limit))
            case Answered(ack):
                self._acknowledgements.answered(link, ack)
            case Watching(watch):
                if not self.watch(link, watch):
                    self._send(link, _NOT_SHARED)
            case Refreshing(refresh):
                self._refresh(link, refresh)
            case Deliver() | Wait():
                raise AssertionError("a message is not answered here")

    def _send(self, link: Link, frame: bytes) -> None:
        if link.state is ConnectionState.OPEN:
            self._fan_out.send_one(link, link.encoding.notice("answer", frame, None), must_stay=True)

    def _refresh(self, link: Link, refresh: Refresh) -> None:
        check = self.refresh_check
        if check is None:
            self._refresh_failed(link, refresh, ErrorCode.NOT_AVAILABLE)
            return
        ended = self._fence.run(
            Place("refresh_check", link.client_id, "check"),
            check,
            (view_of(link), refresh.token),
            later=lambda outcome: self._refreshed(link, refresh, outcome),
            context=self._runtime.fresh_context(),
        )
        if ended is not None:
            self._refreshed(link, refresh, ended[0])

    def _refreshed(self, link: Link, refresh: Refresh, outcome: Any) -> None:
        if link.state is not ConnectionState.OPEN or link.dialogue is None:
            return
        if outcome is None:
            self._refresh_failed(link, refresh, ErrorCode.REFUSED)
            return
        if isinstance(outcome, Failed):
            self._refresh_failed(link, refresh, _code_of(outcome))
            return
        try:
            expires: datetime = checked_expiry(outcome)
        except RAISED:
            self._runtime.counters.functions_failed += 1
            self._runtime.reports.failure(
                "refresh_check",
                "refresh_check has to return the new expiry, an aware datetime, or None",
                event="function.raised",
            )
            self._refresh_failed(link, refresh, ErrorCode.FAILED)
            return
        self._runtime.counters.refreshes["accepted"] += 1
        view_of(link).expires = expires
        answer = link.dialogue.session.refreshed(refresh, self._expiry.seconds_left(expires))
        if answer is not None:
            self._send(link, answer.frame)

    def _refresh_failed(self, link: Link, refresh: Refresh, code: ErrorCode) -> None:
        assert link.dialogue is not None
        self._runtime.counters.refreshes["refused"] += 1
        answer = link.dialogue.session.refresh_failed(refresh, code)
        if answer is not None:
            self._send(link, answer.frame)


def _code_of(outcome: Failed) -> ErrorCode:
    return ErrorCode.TIMED_OUT if outcome is TIMED_OUT else ErrorCode.FAILED

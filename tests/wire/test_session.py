"""What a client of ``pode.signals.v1`` may say when."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from v1_schema import SERVER_FRAME

from pode_signals.core.model import ClientMessage
from pode_signals.wire.client_frames import Refresh, Send
from pode_signals.wire.session import (
    WAIT,
    Answered,
    BadFrame,
    Deliver,
    Refreshing,
    SendFrame,
    Session,
    Watching,
)
from pode_signals.wire.v1 import ErrorCode, beat, error

SEND = b'{"type":"send","message":1}'
ACK = b'{"type":"ack","id":"n7.12"}'
BEAT = b'{"type":"beat"}'
REFRESH = b'{"type":"refresh","id":"r1","token":"t"}'
WATCH = b'{"type":"presence","watch":true}'
EACH = {"send": SEND, "ack": ACK, "beat": BEAT, "refresh": REFRESH, "watch": WATCH}


@pytest.fixture
def session() -> Session:
    """A session after hello."""
    return greeted()


def greeted(max_depth: int = 32, max_keys: int = 1_000) -> Session:
    """A session after hello."""
    session = Session(max_depth, max_keys)
    session.greeted()
    return session


class TestBeforeHello:
    @pytest.mark.parametrize("payload", [*EACH.values(), b"no frame", b""])
    @pytest.mark.parametrize("is_turn", [True, False])
    def test_everything_waits(self, payload: bytes, is_turn: bool) -> None:
        """P2, P18: before hello each text waits, read by nobody: good frames, bad ones and those that overtake."""
        assert Session(32, 1_000).received(payload, is_turn=is_turn) is WAIT

    def test_what_waited_is_taken_after_it(self) -> None:
        """P18: a text that waited for hello is taken when it is given again, and another hello changes nothing."""
        session = Session(32, 1_000)
        assert session.received(SEND, is_turn=True) is WAIT
        for _ in range(2):
            session.greeted()
            assert session.received(SEND, is_turn=True) == Deliver(Send(ClientMessage(1)))


def test_each_frame_in_its_turn(session: Session) -> None:
    """P12, P23: each frame is answered with what is to be done about it."""
    assert session.received(SEND, is_turn=True) == Deliver(Send(ClientMessage(1)))
    assert session.received(b'{"type":"send","id":"7","message":1}', is_turn=True) == Deliver(
        Send(ClientMessage(1), "7")
    )
    assert session.received(ACK, is_turn=True) == Answered("n7.12")
    assert session.received(BEAT, is_turn=True) == SendFrame(beat())
    assert session.received(REFRESH, is_turn=True) == Refreshing(Refresh("r1", "t"))
    assert session.received(WATCH, is_turn=True) == Watching(True)
    assert session.received(b'{"type":"presence","watch":false}', is_turn=True) == Watching(False)


class TestOutOfTurn:
    def test_three_types_overtake(self, session: Session) -> None:
        """P35: an ack, a beat and a refresh do not wait behind functions; messages and watches do."""
        answers = {name: session.received(payload, is_turn=False) for name, payload in EACH.items()}
        assert answers == {
            "send": WAIT,
            "ack": Answered("n7.12"),
            "beat": SendFrame(beat()),
            "refresh": Refreshing(Refresh("r1", "t")),
            "watch": WAIT,
        }

    @pytest.mark.parametrize(
        "payload",
        [
            b' {"type":"ack","id":"1"}',
            b'{ "type":"ack","id":"1"}',
            b'{"type":  "ack","id":"1"}',
            b'{"id":"1","type":"ack"}',
            b'{"typ\\u0065":"ack","id":"1"}',
            b"no frame at all",
            b"",
            b'{"type":"acknowledge"}',
            b'{"type":"newer"}',
        ],
    )
    def test_what_does_not_begin_like_one_waits(
        self, session: Session, payload: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """P35: a text that does not begin with the type of these three waits, and is not read meanwhile."""
        with monkeypatch.context() as patched:
            patched.setattr("pode_signals.wire.session.read_frame", None)
            assert session.received(payload, is_turn=False) is WAIT
        assert session.received(payload, is_turn=True) is not WAIT

    @pytest.mark.parametrize("kind", ["ack", "beat", "refresh"])
    @pytest.mark.parametrize("other", ['"send","message":1', '"presence","watch":true'])
    def test_a_second_type_does_not_overtake(self, session: Session, kind: str, other: str) -> None:
        """P35: a message or a watch that begins like an ack waits all the same."""
        payload = f'{{"type":"{kind}","type":{other}}}'.encode()
        assert session.received(payload, is_turn=False) is WAIT
        assert isinstance(session.received(payload, is_turn=True), Deliver | Watching)

    @pytest.mark.parametrize(
        ("payload", "code"),
        [
            (b'{"type":"ack"', "bad_frame"),
            (b'{"type":"ack","id":7}', "bad_frame"),
            (b'{"type":"refresh","id":"7"}', "bad_frame"),
            (b'{"type":"ack","type":"newer"}', "unknown_type"),
        ],
    )
    def test_bad_ones_are_answered_at_once(self, session: Session, payload: bytes, code: str) -> None:
        """P9, P35: an ack, beat or refresh that is wrong is answered at once, and is not read a second time."""
        answer = session.received(payload, is_turn=False)
        assert isinstance(answer, BadFrame if code == "bad_frame" else SendFrame)
        assert json.loads(answer.frame)["code"] == code


class TestErrors:
    def test_a_bad_frame_counts(self, session: Session) -> None:
        """P9: a bad frame is answered with bad_frame and its id, counts as a bad message, and the next one is taken."""
        answer = session.received(b'{"type":"send","id":"7"}', is_turn=True)
        assert answer == BadFrame(error(ErrorCode.BAD_FRAME, "7"), "there is no message", None)
        assert session.received(SEND, is_turn=True) == Deliver(Send(ClientMessage(1)))

    def test_a_limit_is_told(self) -> None:
        """P9: a frame past a limit is bad, and the limit is named; the frame's own object is level 1."""
        payload = b'{"type":"send","id":"7","message":[1]}'
        assert isinstance(greeted(max_depth=2, max_keys=3).received(payload, is_turn=True), Deliver)
        for session, limit in ((greeted(max_depth=1), "max_json_depth"), (greeted(max_keys=2), "max_json_keys")):
            answer = session.received(payload, is_turn=True)
            assert isinstance(answer, BadFrame)
            assert (answer.frame, answer.limit) == (error(ErrorCode.BAD_FRAME, "7"), limit)

    def test_an_unknown_type_does_not_count(self, session: Session) -> None:
        """P8: a frame of an unknown type is answered with unknown_type, and is no bad message."""
        answer = session.received(b'{"type":"newer","id":"7"}', is_turn=True)
        assert answer == SendFrame(error(ErrorCode.UNKNOWN_TYPE, "7"))
        assert session.received(b'{"type":"newer"}', is_turn=True) == SendFrame(error(ErrorCode.UNKNOWN_TYPE))

    def test_a_plain_message(self, session: Session) -> None:
        """P12: a plain message on a signals connection is a bad frame."""
        answer = session.received(b'{"message":1}', is_turn=True)
        assert answer == BadFrame(error(ErrorCode.BAD_FRAME), "the frame has no type", None)


class TestRefresh:
    def refresh(self, session: Session, id: str = "r1", *, is_turn: bool = True) -> object:
        """What a refresh is answered with."""
        return session.received(b'{"type":"refresh","id":"%s","token":"t"}' % id.encode(), is_turn=is_turn)

    def test_the_reply(self, session: Session) -> None:
        """P23, P85: the reply to a refresh has its id, once."""
        asked = self.refresh(session)
        assert isinstance(asked, Refreshing)
        answer = session.refreshed(asked.refresh, 3_600)
        assert answer == SendFrame(b'{"type":"reply","id":"r1","data":{"expiresInSeconds":3600}}')
        assert session.refreshed(asked.refresh, 3_600) is None
        assert session.refresh_failed(asked.refresh, ErrorCode.TIMED_OUT) is None

    @pytest.mark.parametrize("is_turn", [True, False])
    def test_one_at_a_time(self, session: Session, is_turn: bool) -> None:
        """P23, P85: a refresh while another is under way is refused with its own id, and the first one is answered."""
        asked = self.refresh(session)
        assert isinstance(asked, Refreshing)
        for _ in range(2):
            assert self.refresh(session, "r2", is_turn=is_turn) == SendFrame(error(ErrorCode.REFUSED, "r2"))
        assert session.refresh_failed(asked.refresh, ErrorCode.REFUSED) == SendFrame(error(ErrorCode.REFUSED, "r1"))
        assert isinstance(self.refresh(session, "r3"), Refreshing)

    @pytest.mark.parametrize(
        "code", [ErrorCode.REFUSED, ErrorCode.NOT_AVAILABLE, ErrorCode.FAILED, ErrorCode.TIMED_OUT]
    )
    def test_it_fails(self, session: Session, code: ErrorCode) -> None:
        """P85: credentials that are not taken are answered with an error, and others may come."""
        asked = self.refresh(session)
        assert isinstance(asked, Refreshing)
        assert session.refresh_failed(asked.refresh, code) == SendFrame(error(code, "r1"))
        assert isinstance(self.refresh(session), Refreshing)

    def test_a_late_outcome(self, session: Session) -> None:
        """P28: the late outcome of a refresh that timed out is dropped, also where the client uses its id again."""
        first = self.refresh(session)
        assert isinstance(first, Refreshing)
        session.refresh_failed(first.refresh, ErrorCode.TIMED_OUT)
        second = self.refresh(session)
        assert isinstance(second, Refreshing)
        assert session.refreshed(first.refresh, 3_600) is None
        assert session.refreshed(second.refresh, 60) is not None


PIECES = st.sampled_from(
    [
        *(b'{"type":"send"', b'{"type":"ack"', b'{"type":"beat"', b'{"type":"refresh"', b'{"type":"presence"'),
        *(b',"id":"7"', b',"id":7', b',"message":1', b',"token":"t"', b',"watch":true', b',"type":"send"', b"[", b"]"),
        *(b"}", b'"', b"\xff", b"1e999", b'\\ud800"', b',"group":["a",7]', b"null", b" "),
    ]
)


@given(st.lists(st.tuples(st.lists(PIECES, max_size=6).map(b"".join) | st.binary(max_size=40), st.booleans())))
def test_whatever_a_client_sends(texts: list[tuple[bytes, bool]]) -> None:
    """P9, P13, P85: whatever comes, in turn or out of turn, has an answer, and what the server sends then is valid."""
    session = greeted(4, 8)
    under_way = None
    for payload, is_turn in texts:
        answer = session.received(payload, is_turn=is_turn)
        assert answer is not WAIT or not is_turn
        assert is_turn or not isinstance(answer, Deliver | Watching)
        if isinstance(answer, SendFrame | BadFrame):
            SERVER_FRAME.validate(json.loads(answer.frame))
        if isinstance(answer, Refreshing):
            assert under_way is None
            under_way = answer.refresh
        elif under_way is not None:
            assert session.refresh_failed(under_way, ErrorCode.REFUSED) is not None
            under_way = None

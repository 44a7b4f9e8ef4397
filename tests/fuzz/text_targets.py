"""Targets that are texts: a client's message, a frame of ``pode.signals.v1``, and a signed client id."""

from __future__ import annotations

import json

from fuzz.target import CLIENT_ID, SECRET

from pode_signals.core.names import from_header_value
from pode_signals.core.request_record import header_text
from pode_signals.core.signing import Caller, Signer, bare_client_id, is_signed
from pode_signals.errors import MessageInvalid, NameInvalid
from pode_signals.wire.client_frames import Send
from pode_signals.wire.json import encode
from pode_signals.wire.plain import decode_client_message
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
from pode_signals.wire.v1 import ErrorCode

__all__ = ["ClientMessages", "SignalsFrames", "SignedIds"]


class ClientMessages:
    """A client's text message."""

    name = "client message"
    seeds = (
        b'{"message": "hi", "path": "Msg", "group": ["a", 7], "clientId": "b", "direct": true}',
        b'{"MESSAGE": {"a": [1, -2.5e3, null, true, "\\ud83d\\ude00"]}, "x": {}}',
        b'{"message": "\\ud800", "path": "%c3%bc", "direct": null, "group": "", "clientId": []}',
        b'{"message": [[[[1]]]], "a": {"b": {"c": 1}}, "message": false}',
        '{"message": "\u00fc\u2028\U0001f600"}'.encode(),
        b'{"message":1,"group":12345,"clientId":["a","b","c"]}',
        b'{"message":[[],{},"",0,-0,1.5E-3],"PATH":"/a/%2f","Direct":false}',
        b'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"message":11}',
        b'{"message":{"":{"":{"":{"":1}}}}}',
        b'{"message":"\\\\\\"[{\\u005b"}',
        b"[NaN, 1e999, Infinity]",
    )
    tokens = (
        *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e999"),
        *(b'"message":', b'"path":', b'"group":', b'"clientId":', b'"direct":', b'"PATH":', b'"a":1,', b"[]", b"{}"),
        *(
            b"\\ud83d",
            b"\\ude00",
            b"\\uD800",
            b"\\u0000",
            b'\\"',
            b"%ff",
            b"%",
            b"\xff",
            b"\xed\xa0\x80",
            b"\xef\xbb\xbf",
        ),
        *(
            b'"a":1,"b":[2],',
            b'{"message":',
            b'["x",',
            b',"group":[1.5]',
            b',"path":"%e2%82"',
            b',"direct":"no"',
            b"1e400",
        ),
        *(b"1" * 30, b"9" * 5_000, b"[" * 200, b'{"":' * 100, b"0.1", b"-", b"1E5", b" ", b"\n", b"\0"),
    )
    DEPTH, KEYS = 4, 12

    def run(self, data: bytes, at: int) -> str:
        """Whether it is a message."""
        try:
            got = decode_client_message(data, max_depth=self.DEPTH, max_keys=self.KEYS)
        except MessageInvalid as invalid:
            return invalid.reason
        document = json.loads(data)
        if "message" in document:
            assert got.message == document["message"]
        assert got.path is None or isinstance(got.path, str)
        assert isinstance(got.direct, bool)
        assert all(isinstance(each, str) and each for each in (*got.group, *got.client_id))
        encode(got.message)  # without a route it is sent again
        return "a message"


class SignalsFrames:
    """A text of a client of ``pode.signals.v1``, in its turn or out of turn. All texts come to one session."""

    name = "signals frame"
    seeds = (
        b'{"type":"send","id":"7","message":{"seat":"4A"},"path":"a%20b","group":["g",7],"clientId":"c","direct":true}',
        b'{"type":"send","message":[[1,-2.5e3,null]],"traceparent":"00-1-2-03","tracestate":null}',
        b'{"type":"ack","id":"n7.12"}',
        b'{"type":"beat"}',
        b'{"type":"refresh","id":"r1","token":"eyJhbGciOi"}',
        b'{"type":"presence","watch":true}',
        b'{"type":"newer","id":"a.B_c:d-9"}',
        b'{"type":"ack","id":"1","type":"send","message":1}',
        b'{"type":"beat","a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11}',
        b'{"message":"hi"}',
    )
    tokens = (
        *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"false", b"NaN", b"1e999", b"7", b"{}"),
        *(
            b'"type":',
            b'"send"',
            b'"ack"',
            b'"beat"',
            b'"refresh"',
            b'"presence"',
            b'"hello"',
            b'"Type":',
            b'"typ\\u0065":',
        ),
        *(b'"id":"8",', b'"id":8,', b'"token":"t",', b'"watch":', b'"message":1,', b'"group":[', b'"path":"%ff",'),
        *(
            b'{"type":"ack"',
            b'{"type":"beat"',
            b'{"type":"refresh"',
            b'{"type":"send"',
            b'{"type":"presence"',
            b"a" * 65,
        ),
        *(
            b"\\ud800",
            b"\\u0000",
            b"\xff",
            b"\xef\xbb\xbf",
            b"[" * 200,
            b'{"":' * 100,
            b"9" * 5_000,
            b" ",
            b"\n",
            b"\0",
        ),
    )
    DEPTH, KEYS = 4, 12

    def __init__(self) -> None:
        self._session = Session(self.DEPTH, self.KEYS)
        self._session.greeted()
        self._asked: Refreshing | None = None

    def run(self, data: bytes, at: int) -> str:
        """What the text is answered with."""
        is_turn = at % 4 > 0
        # A refresh ends before the next text, or meets another one.
        if self._asked is not None and at % 5 == 0:
            assert self._session.refresh_failed(self._asked.refresh, ErrorCode.REFUSED) is not None
            self._asked = None
        answer = self._session.received(data, is_turn=is_turn)
        if answer is WAIT:
            assert not is_turn
            return "waits"
        if isinstance(answer, SendFrame | BadFrame):
            return self._said(answer)
        document = json.loads(data)
        expected = {
            "send": Deliver,
            "ack": Answered,
            "refresh": Refreshing,
            "presence": Watching,
        }[document["type"]]
        assert isinstance(answer, expected)
        if isinstance(answer, Deliver):
            assert is_turn
            assert answer.send == Send(
                answer.send.said, document.get("id"), *map(document.get, ("traceparent", "tracestate"))
            )
            assert answer.send.said.message == document["message"]
        if isinstance(answer, Watching):
            assert is_turn
            assert answer.watch is document["watch"]
        if isinstance(answer, Answered):
            assert answer.ack == document["id"]
        if isinstance(answer, Refreshing):
            assert self._asked is None
            self._asked = answer
        return document["type"]

    def _said(self, answer: SendFrame | BadFrame) -> str:
        frame = json.loads(answer.frame)
        if frame["type"] == "beat":
            return "beat"
        assert frame["type"] == "error"
        assert isinstance(answer, BadFrame) is (frame["code"] == "bad_frame")
        return frame["code"]


class SignedIds:
    """A client id as it comes, where ids are signed."""

    name = "signed id"
    _signer = Signer((SECRET, SECRET * 2))
    _strict = Signer((SECRET,), strict=True)
    _caller = Caller(user_agent="tests", address="192.0.2.1")
    GOOD = frozenset(
        {
            _signer.sign(CLIENT_ID, None),
            _signer.sign("a.b", None),
            _signer.sign("\u00fc", None),
            Signer((SECRET * 2,)).sign(CLIENT_ID, None),
        }
    )
    GOOD_STRICT = frozenset({_strict.sign(CLIENT_ID, _caller)})
    seeds = tuple(each.encode() for each in sorted(GOOD | GOOD_STRICT))
    tokens = (
        *(
            b"s:",
            b".",
            b"=",
            b"==",
            b"%2e",
            b"%3d",
            b"%",
            b",",
            b" ",
            b"\t",
            b"\0",
            b"\xff",
            b"\xc2\x85",
            b"\xed\xa0\x80",
        ),
        *(b"A", b"-", b"_", b"+", b"/", b"S:", CLIENT_ID.encode(), CLIENT_ID.upper().encode(), b"x" * 200),
    )

    def run(self, data: bytes, at: int) -> str:
        """Whether it is accepted: only what was signed is."""
        text = header_text(data)
        accepted = self._signer.verify(text, None), self._strict.verify(text, self._caller)
        assert accepted == (text in self.GOOD, text in self.GOOD_STRICT)
        assert not any(accepted) or (is_signed(text) and text == f"s:{bare_client_id(text)}.{text.rpartition('.')[2]}")
        try:
            decoded = from_header_value(text)
        except NameInvalid:
            return "no UTF-8"
        assert self._signer.verify(decoded, None) is (decoded in self.GOOD)
        return "accepted" if any(accepted) else "refused"

"""Targets that are texts: a client's message, and a signed client id."""

from __future__ import annotations

import json

from fuzz.target import CLIENT_ID, SECRET

from pode_signals.core.names import from_header_value
from pode_signals.core.request_record import header_text
from pode_signals.core.signing import Caller, Signer, bare_client_id, is_signed
from pode_signals.errors import MessageInvalid, NameInvalid
from pode_signals.wire.json import encode
from pode_signals.wire.plain import decode_client_message

__all__ = ["ClientMessages", "SignedIds"]


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

"""What is fuzzed: five entry points for bytes of a client, in memory, each with what has to hold whatever comes.

A target's ``run`` returns what became of an input, in a word. What it raises is a finding.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from web_fakes import CLOSE, KEY, close_frame, frames_in, head, message

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.connection import ConnectionState, SignalConnection
from pode_signals.core.codec import decode_client_message, encode
from pode_signals.core.handshake import HandshakeRecord, header_text
from pode_signals.core.model import Scope
from pode_signals.core.names import from_header_value
from pode_signals.core.signing import Caller, Signer, bare_client_id, is_signed
from pode_signals.errors import ClientIdInvalid, MessageInvalid, NameInvalid
from pode_signals.web.protocol import SignalFactory

__all__ = ["TARGETS", "Target"]

PEER = IPv4Address("TCP", "192.0.2.1", 50_000)
SECRET = "a secret of more than thirty-two bytes, for sure"
CLIENT_ID = "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"
HANDSHAKE_SECONDS = 10
CLOSE_CODES = {None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, *range(3000, 5000)}


class Target(Protocol):
    """An entry point.

    Attributes:
        name: its name.
        seeds: inputs that get far.
        tokens: pieces that mean something to it.
    """

    name: str
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]

    def run(self, data: bytes, at: int) -> str:
        """Feed an input, cut in two at a place, and say what became of it."""


@contextmanager
def no_logged_failure() -> Iterator[None]:
    """A failure that is logged meanwhile is raised in the end."""
    found: list[Failure] = []

    def observe(event: Any) -> None:
        if event.get("log_failure") is not None:
            found.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
    for failure in found:
        failure.raiseException()


class Wire(StringTransport):
    """The server's end of a socket. As with real ones, a producer that is not there any more can be taken away."""

    def __init__(self) -> None:
        super().__init__(peerAddress=PEER, lenient=True)

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self.producer = None


class HandshakeHead:
    """The bytes of requests on a port with http and ws, up to a route that converts what it can."""

    name = "handshake head"
    seeds = (
        head(),
        head("/msg?a=b#c", ("Origin", "http://example.com"), ("Cookie", "a=b; c=d")),
        head("/%c3%bc", ("Sec-WebSocket-Protocol", "a, b"), ("Sec-WebSocket-Extensions", "permessage-deflate; x=1")),
        head("/msg", ("X-Forwarded-For", "192.0.2.7"), ("X-PODE-SIGNAL-CLIENT-ID", CLIENT_ID)) + message("pipelined"),
        head("/msg", ("X-Folded", "a\r\n b: c"), ("User-Agent", "\u00fc")),
        head("/msg", ("Content-Length", "5"), method=b"POST") + b"hello" + head(),
        head("/msg", ("Transfer-Encoding", "chunked")) + b"5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n" + head(),
        head("/", ("Content-Type", "multipart/form-data; boundary=b"), ("Content-Length", "61"), method=b"POST")
        + b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n' * 2,
        head("/msg", ("Expect", "100-continue"), version=b"HTTP/1.0"),
    )
    tokens = (
        *(bytes((each,)) for each in (0, 9, 10, 11, 12, 13, 28, 29, 30, 32, 127, 133, 255)),
        *(b"\r\n", b"\r\n\r\n", b"\r\n ", b": ", b":", b",", b";", b"=", b'"', b"%", b"%00", b"%ff", b"#", b"?", b"//"),
        *(
            b"HTTP/1.0",
            b"HTTP/1.1",
            b"HTTP/2.0",
            b"GET ",
            b"POST ",
            b"websocket",
            b"Upgrade",
            b"keep-alive",
            b"13",
            KEY,
        ),
        *(b"Host: a\r\n", b"Origin: null\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"1" * 500),
        *(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Version: 13\r\n", b"[::1]", b"http://", b"example.com:80"),
        *(b"multipart/form-data; boundary=b\r\n", b"\xc2\x85", b"\xe2\x80\xa8", b"A: b\r\n" * 101, b"x" * 400),
    )

    def __init__(self) -> None:
        self._clock = Clock()
        self._signals = Signals(
            clock=self._clock, handshake_head_bytes=1_024, handshake_timeout_seconds=HANDSHAKE_SECONDS
        )
        self._signals.add_route("/<path:any>", lambda event: event.send(event.data.message) and None)
        self._door = _Door(self._signals)
        ports = [Endpoint("http", hostname="*"), Endpoint("ws", port=8080, hostname="*")]
        service = SignalsService(self._signals, self._door, ports, reactor=self._clock)
        self._site: Any = service._factory(service._listeners[0])
        self._site.is_open = True

    @no_logged_failure()
    def run(self, data: bytes, at: int) -> str:
        """Which status the first answer has."""
        transport = Wire()
        channel = self._site.buildProtocol(PEER)
        channel.makeConnection(transport)
        self._door.opened = None
        for piece in (data[:at], data[at:]):
            channel.dataReceived(piece)
        self._clock.advance(0)
        if self._door.opened is not None:
            self._check_opened(data, self._door.opened)
        elif at % 8 == 0:
            self._clock.advance(HANDSHAKE_SECONDS + 1)
            assert transport.disconnecting
        channel.connectionLost(Failure(ConnectionDone()))
        self._clock.advance(0)
        assert not self._signals.open_connections()
        assert not self._signals.counters.callbacks_failed
        answer = transport.value()
        assert not answer or answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
        return answer[9:12].decode("ascii") or "no answer"

    def _check_opened(self, data: bytes, opened: tuple[Any, SignalConnection]) -> None:
        """A request that became a connection is a good one, and has no header that its bytes do not have."""
        request, connection = opened
        names = {line.partition(b":")[0].lower() for line in data.split(b"\r\n")}
        assert {name.encode("latin-1") for name in connection.request.headers} <= names
        assert (request.method, request.clientproto) == (b"GET", b"HTTP/1.1")
        headers = request.requestHeaders
        (host,), (key,), (version,) = (
            headers.getRawHeaders(name) for name in (b"host", b"sec-websocket-key", b"sec-websocket-version")
        )
        assert version == b"13"
        assert len(b64decode(key, validate=True)) == 16
        assert b64encode(b64decode(key)) == key
        for name, values in headers.getAllRawHeaders():
            if name.lower() in (b"host", b"origin", b"upgrade", b"connection") or name.startswith(b"Sec-Websocket-"):
                assert all(32 <= byte < 127 or byte == 9 for value in values for byte in value)
        for origin in headers.getRawHeaders(b"origin", []):
            assert origin.decode().lower().partition("://")[2].split(":")[0].rstrip(".") == _bare(host)


def _bare(host: bytes) -> str:
    return host.decode().lower().split(":")[0].rstrip(".")


class _Door(Resource):
    """Converts every request that it can."""

    isLeaf = True

    def __init__(self, signals: Signals) -> None:
        super().__init__()
        self._signals = signals
        self.opened: tuple[Any, SignalConnection] | None = None

    def render(self, request: Any) -> bytes:
        self.opened = request, self._signals.convert(request, "Msg")
        return b""


def _frame(payload: bytes, first: int = 0x81) -> bytes:
    """A frame whose mask changes nothing, so that a change of its bytes means what it says."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + length + b"\0\0\0\0" + payload


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def _told(output: bytes) -> list[object]:
    """The frames that a client got; of compressed data that is both bad and too much, either may be found first."""
    return ["bad data" if each.opcode == CLOSE and each.code in (1007, 1009) else each for each in frames_in(output)]


DEFLATED = _deflated(b'{"message": "compressed"}')
OPENING = head("/msg", ("Sec-WebSocket-Extensions", "permessage-deflate"))


class FrameStream:
    """The bytes on an open connection whose limits are tiny."""

    name = "frame stream"
    seeds = (
        _frame(b'{"message": "hi"}'),
        _frame(b'{"message": {"a": [1, "\xc3\xbc"]}}') + _frame(b'{"message": 1, "direct": true}'),
        _frame(b'{"mess', 0x01) + _frame(b"p", 0x89) + _frame(b"", 0x00) + _frame(b'age": 1}', 0x80),
        _frame(b"{", 0x01) + _frame(b"}", 0x80) + _frame(b"[1]") + _frame(b"[2]") + _frame(b'{"message": 2}'),
        _frame(b'{"message": "\xe2\x82\xac\xf0\x9f\x98\x80"}') + _frame(b"\x03\xe8bye \xe2\x82\xac", 0x88),
        _frame(b"", 0x88) + _frame(b'{"message": "late"}'),
        _frame(b"", 0x8A) * 3 + _frame(b"x" * 125, 0x89) + _frame(b'{"message": 3}'),
        _frame(b" " * 64) + _frame(b" " * 126) + _frame(b" " * 300),
        _frame(b"binary", 0x82),
        _frame(DEFLATED, 0xC1) + _frame(DEFLATED[:9], 0x41) + _frame(DEFLATED[9:], 0x80) + _frame(b'{"message": 4}'),
        _frame(_deflated(b'{"message": ' + b" " * 5_000), 0xC1),
        message("with another mask") + close_frame(1001, "bye"),
    )
    tokens = (
        *(b"\x81", b"\x01", b"\x00", b"\x80", b"\x82", b"\x88", b"\x89", b"\x8a", b"\xc1", b"\x8b", b"\xfe", b"\xff"),
        *(b"\x80\x11\x22\x33\x44", b"\x81\x80\0\0\0\0", b"\x89\x80\0\0\0\0", b"\x00\x80\0\0\0\0", b"\x80\x80\0\0\0\0"),
        *(b"\x81\xfe\x00\x7e", b"\x81\xff" + b"\0" * 8, b"\x81\xff\x7f" + b"\xff" * 7, b"\x81\xff" + b"\xff" * 8),
        *(_frame(b"1"), _frame(b"x", 0x89), _frame(b"\xe2\x82", 0x01), _frame(b"\xac", 0x80), _frame(b'{"message":1}')),
        *(_frame(b"\x03\xe8", 0x88), b"\xe2\x82\xac", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b'"', b"[", b"{"),
    )

    def __init__(self) -> None:
        self._clock = Clock()
        self._hubs = [self._hub(compression) for compression in (False, True)]
        self._record = HandshakeRecord(b"GET", b"/msg", (), "192.0.2.1", False)

    @no_logged_failure()
    def run(self, data: bytes, at: int) -> str:
        """How the connection is closed, and the same whatever pieces the bytes come in."""
        signals, factory = self._hubs[at % 2]
        output = self._output(signals, factory, (data[:at], data[at:]))
        if at % 16 < 2:
            one_by_one = self._output(signals, factory, [data[each : each + 1] for each in range(len(data))])
            assert _told(output) == _told(one_by_one)
        frames = frames_in(output)
        closing = [each for each in frames if each.opcode == CLOSE]
        if not closing:
            return "stays open"
        assert closing == frames[-1:]
        assert closing[0].code in CLOSE_CODES
        return f"closed with {closing[0].code}"

    def _hub(self, compression: bool) -> tuple[Signals, SignalFactory]:
        signals = Signals(
            clock=self._clock,
            compression=compression,
            max_message_bytes=64,
            max_outgoing_bytes=128,
            max_json_depth=4,
            max_json_keys=4,
            max_fragments=4,
            max_pending_messages=2,
            control_frame_burst=4,
            bad_messages_limit=3,
        )
        signals.add_route("/msg", lambda event: event.send(event.data.message, name="Msg") and None)
        return signals, SignalFactory(signals)

    def _output(self, signals: Signals, factory: SignalFactory, pieces: Any) -> bytes:
        transport = Wire()
        connection = SignalConnection(
            signals, name="Msg", group=None, client_id=CLIENT_ID, scope=Scope.GLOBAL, request=self._record
        )
        protocol = factory.protocol_for(connection, transport, b"")
        connection.attach(protocol)
        protocol.dataReceived(OPENING)
        signals.admit(connection)
        self._clock.advance(0)
        transport.clear()
        for piece in pieces:
            protocol.dataReceived(piece)
        self._clock.advance(0)
        assert (connection.state is ConnectionState.OPEN) is signals.has_name("Msg")
        protocol.connectionLost(Failure(ConnectionDone()))
        self._clock.advance(0)
        assert not signals.open_connections()
        counters = signals.counters
        assert (counters.callbacks_failed, counters.functions_failed) == (0, 0)
        return transport.value()


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


class _Request:
    """As much of a request as a reference needs."""

    def __init__(self, headers: Headers) -> None:
        self.requestHeaders = headers

    def getClientAddress(self) -> Any:
        """The client's address."""
        return PEER


class ReferenceHeaders:
    """The X-PODE-SIGNAL-* headers of a request; each line of the input is one, its first letter says which."""

    name = "reference headers"
    _names: ClassVar = {
        b"i": b"X-PODE-SIGNAL-CLIENT-ID",
        b"n": b"X-PODE-SIGNAL-NAME",
        b"g": b"X-PODE-SIGNAL-GROUP",
        b"f": b"X-Forwarded-For",
    }
    _ids: ClassVar = {each: Signer((SECRET,)).sign(each, None) for each in ("known", "twice", "\u00fc,%")}
    seeds = (
        b"i" + _ids["known"].encode(),
        b"i" + _ids["known"].encode() + b"\nnMsg, Other\ngred, blue",
        b"i" + _ids["twice"].encode() + b"\nnOther",
        b"i" + _ids["twice"].encode(),
        b"i" + _ids["\u00fc,%"].encode().replace(b"%", b"%25").replace(b",", b"%2C") + b"\nnMsg",
        b"is:unknown.AAAA\nnMsg\nnOther\nf192.0.2.7",
        b"nMsg\ngred",
    )
    tokens = (
        *(
            b"\n",
            b"\ni",
            b"\nn",
            b"\ng",
            b",",
            b", ",
            b"%",
            b"%2c",
            b"%ff",
            b"%00",
            b" ",
            b"\t",
            b"\x0b",
            b"\x85",
            b"\xa0",
        ),
        *(b"Msg", b"Other", b"red", b"s:", b".", b"=", b"\xff", *(each.encode() for each in _ids.values())),
    )

    def __init__(self) -> None:
        self._clock = Clock()
        self._signals = Signals(clock=self._clock)
        self._signals.enable_signing(SECRET)
        record = HandshakeRecord(b"GET", b"/", (), "192.0.2.1", False)
        for name, group, client_id in (
            ("Msg", "red", "known"),
            ("Msg", None, "twice"),
            ("Other", "red", "twice"),
            ("Msg", None, "\u00fc,%"),
        ):
            connection = SignalConnection(
                self._signals,
                name=name,
                group=group,
                client_id=self._ids[client_id],
                scope=Scope.GLOBAL,
                request=record,
            )
            self._signals.admit(connection)

    def run(self, data: bytes, at: int) -> str:
        """Whether a connection is found: the one whose id was given."""
        headers = Headers()
        given = []
        for line in data.split(b"\n"):
            name, value = self._names.get(line[:1]), line[1:].translate(None, b"\r\0").strip(b" \t")
            if name is not None:
                headers.addRawHeader(name, value)
                if line[:1] == b"i":
                    given.append(value)
        try:
            found = self._signals.checked_reference(_Request(headers))
        except ClientIdInvalid:
            assert given
            return "refused"
        if found is None:
            assert not given
            return "no reference"
        (value,) = given
        assert from_header_value(header_text(value)) == found.client_id
        return "found"


TARGETS: tuple[type[Target], ...] = (HandshakeHead, FrameStream, ClientMessages, SignedIds, ReferenceHeaders)

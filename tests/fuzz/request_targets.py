"""Targets that are requests: the head of a handshake, and the headers that refer to a connection."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, ClassVar

from fakes import FakeTransport
from fuzz.target import CLIENT_ID, PEER, SECRET, Wire, no_logged_failure
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from web_fakes import KEY, head, message

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.core.model import Identity
from pode_signals.core.names import from_header_value
from pode_signals.core.request_record import RequestRecord, header_text
from pode_signals.core.signing import Signer
from pode_signals.errors import ClientIdInvalid
from pode_signals.hub.connection import SignalConnection
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of
from pode_signals.web.requests import read_request

__all__ = ["HandshakeHead", "ReferenceHeaders"]

HANDSHAKE_SECONDS = 10


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
        self._site: Any = service._ports.factory(
            service._ports.listeners[0], self._clock, service._resource_of(service._ports.listeners[0])
        )
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


class _Request:
    """As much of a request as is read."""

    method, uri, clientproto = b"GET", b"/", b"HTTP/1.1"

    def __init__(self, headers: Headers) -> None:
        self.requestHeaders = headers

    def getClientAddress(self) -> Any:
        """The client's address."""
        return PEER

    getHost = getClientAddress

    def isSecure(self) -> bool:
        """It is not."""
        return False


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
        record = RequestRecord(b"GET", b"/", (), "192.0.2.1", False)
        for name, groups, client_id in (
            ("Msg", ("red", "blue"), "known"),
            ("Msg", (), "twice"),
            ("Other", ("red",), "twice"),
            ("Msg", (), "\u00fc,%"),
        ):
            hub_of(self._signals).open(Identity(name, groups, self._ids[client_id]), record, _nowhere)

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
            request, converter = _Request(headers), self._signals._converter
            found = converter.checked_reference(request, read_request(request, converter.proxies))
        except ClientIdInvalid:
            assert given
            return "refused"
        if found is None:
            assert not given
            return "no reference"
        (value,) = given
        assert from_header_value(header_text(value)) == found.client_id
        return "found"


def _nowhere(_link: Link) -> FakeTransport:
    return FakeTransport(Clock(), lambda _link, _payload: None)

"""Autobahn's protocol, light: nothing that Autobahn reads is missing, little is kept, and HTTP goes when it is over."""

from __future__ import annotations

import ast
import gc
import inspect
import weakref
import zlib
from contextlib import suppress
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket import protocol as autobahn_protocol
from autobahn.websocket.protocol import WebSocketProtocol
from certificate_files import issue
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.http import HTTPChannel
from web_fakes import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Client,
    Frame,
    Wire,
    World,
    close_frame,
    frame,
    head,
    message,
)

from pode_signals.fast import lean
from pode_signals.fast.lean import LeanServerProtocol
from pode_signals.hub.connection import view_of
from pode_signals.transports.websocket import SignalProtocol
from pode_signals.web.converted import ConvertedChannel

MOST_KEPT = 16
"""How many attributes of its own a protocol may have between two messages."""


def stock() -> Any:
    """A fresh protocol of Autobahn's own, with a transport and no handshake."""
    factory: Any = WebSocketServerFactory(reactor=Clock())
    factory.setProtocolOptions(openHandshakeTimeout=0)
    protocol: Any = WebSocketServerProtocol()
    protocol.factory = factory
    protocol.makeConnection(StringTransport())
    return protocol


def fresh() -> Any:
    """The same of ours, without a connection."""
    factory: Any = WebSocketServerFactory(reactor=Clock())
    protocol: Any = LeanServerProtocol()
    protocol.factory = factory
    protocol.makeConnection(StringTransport())
    return protocol


def wire_of(world: World) -> SignalProtocol:
    """The protocol of the world's one connection."""
    protocol = world.converted[0]._link._transport
    assert isinstance(protocol, SignalProtocol)
    return protocol


def opened(*more: tuple[str, str], **options: Any) -> tuple[World, Client]:
    """A world with one open connection, whose messages are kept."""
    world = World(**options).converting().listening()
    return world, world.client().open("/msg", *more)


# What stands on the class.


def test_every_option_stands_on_the_class() -> None:
    """S16.8: each option that Autobahn copies from its factory is an attribute of the class."""
    assert [name for name in WebSocketServerProtocol.CONFIG_ATTRS if not hasattr(LeanServerProtocol, name)] == []
    assert not LeanServerProtocol.CONFIG_ATTRS


DIFFERENT_OPTIONS = {
    "perMessageCompressionAccept": "the hub's setting",
    "closeHandshakeTimeout": "the connection's own timer",
    "openHandshakeTimeout": "the handshake is fed in one piece",
    "autoPingSize": "never used, as pings are the hub's",
    "webStatus": "a page that Autobahn would serve",
    "failByDrop": "a failure sends its close frame",
    "echoCloseCodeReason": "a close frame's code is answered with the same",
    "tcpNoDelay": "HTTP has set it",
    "allowNullOrigin": "checked before",
    "allowedOrigins": "checked before",
    "allowedOriginsPatterns": "checked before",
    "versions": "a tuple or a list",
    "flashSocketPolicy": "never served",
    "autoPingRestartOnAnyTraffic": "never used, as pings are the hub's",
}


def test_options_are_those_of_autobahn() -> None:
    """S16.8: each option has Autobahn's default, but for those that are meant to differ."""
    theirs, ours = stock(), fresh()
    differ = {name for name in WebSocketServerProtocol.CONFIG_ATTRS if getattr(theirs, name) != getattr(ours, name)}
    assert differ <= DIFFERENT_OPTIONS.keys(), differ - DIFFERENT_OPTIONS.keys()


@pytest.mark.parametrize("settled", [False, True])
def test_defaults_are_those_of_autobahn(settled: bool) -> None:
    """S16.8: whatever Autobahn sets when a connection is made has the same value in ours, before and after settling."""
    theirs, ours = stock(), fresh()
    if settled:
        ours.settle()
    options = {*WebSocketServerProtocol.CONFIG_ATTRS, "peer", "factory", "transport", "_transport_details"}
    for name, value in vars(theirs).items():
        if name in options:
            continue
        found = getattr(ours, name)
        if value is None or isinstance(value, (bool, int, str, bytes)):
            assert found == value, name
        elif name in ("_valid_events", "_results"):
            assert found is None  # for those who observe a protocol, which nobody does
        elif name == "send_queue":
            assert len(found) == len(value) == 0
        else:
            assert type(found) is type(value), name


HANDSHAKE_METHODS = {
    "processHandshake",
    "processProxyConnect",
    "succeedHandshake",
    "failHandshake",
    "sendServerStatus",
    "sendHttpErrorResponse",
    "sendHtml",
    "sendRedirect",
    "onConnect",
    "_connectionMade",
    "onOpenHandshakeTimeout",
    "onServerConnectionDropTimeout",
    "__init__",
}


def reads_of_autobahn() -> dict[str, set[str]]:
    """The attributes that Autobahn reads of a protocol, by the methods that do; those of the handshake left out."""
    found: dict[str, set[str]] = {}
    for owner in (WebSocketProtocol, WebSocketServerProtocol, autobahn_protocol.WebSocketServerProtocol):
        for function in ast.parse(inspect.getsource(owner)).body[0].body:  # type: ignore[attr-defined]
            if isinstance(function, ast.FunctionDef) and function.name not in HANDSHAKE_METHODS:
                for node in ast.walk(function):
                    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                        if isinstance(node.value, ast.Name) and node.value.id == "self":
                            found.setdefault(node.attr, set()).add(function.name)
    return found


SET_BEFORE_READ = {
    # Set when a frame or a message begins, and read until it ends.
    "_isMessageCompressed",
    "control_frame_data",
    "frame_data",
    "message_data",
    "message_data_total_length",
    "message_is_binary",
    "utf8validateIncomingCurrentMessage",
    "utf8validateLast",
    # Set by beginMessage and what follows it: the ways of sending that nobody takes.
    "send_compressed",
    "send_message_frame_length",
    "send_message_frame_mask",
    "send_message_frame_masker",
    "send_message_opcode",
    "current_frame_masker",
    # Of a client.
    "acceptMaskedServerFrames",
    "maskClientFrames",
    "serverConnectionDropTimeout",
    "serverConnectionDropTimeoutCall",
    # By those who ask for logs of octets and frames.
    "logRxOctets",
    "logTxOctets",
    "logRxFrame",
    "logTxFrame",
}


def test_nothing_that_autobahn_reads_is_missing() -> None:
    """S16.8: after settling there is each attribute that Autobahn reads, but for those that it sets before."""
    world, client = opened()
    protocol = wire_of(world)
    reads = reads_of_autobahn()
    assert len(reads) > 80
    lost = {name: where for name, where in reads.items() if not hasattr(protocol, name) and name not in SET_BEFORE_READ}
    assert lost == {}
    client.leave()


def test_what_is_made_when_used() -> None:
    """S16.8: what each protocol has for itself is made once for each, and is no other's."""
    first, second = fresh(), fresh()
    for name in ("is_open", "is_closed", "utf8validator"):
        assert getattr(first, name) is getattr(first, name)
        assert getattr(first, name) is not getattr(second, name)
    assert isinstance(LeanServerProtocol.utf8validator, lean._WhenUsed)


# What is kept.


def test_little_is_kept() -> None:
    """S16.5: a protocol keeps few attributes of its own, also when messages came and went."""
    world, client = opened()
    protocol = wire_of(world)
    assert len(vars(protocol)) <= MOST_KEPT, sorted(vars(protocol))
    assert not vars(protocol).keys() & lean._HANDSHAKE_ONLY
    client.send(message(1), frame('{"message":', fin=False) + frame("2}", CONTINUATION), frame(b"", PING))
    view_of(protocol.connection).send("x")
    assert world.messages == [1, 2]
    assert len(vars(protocol)) <= MOST_KEPT + 16, sorted(vars(protocol))


def test_settling_keeps_what_differs() -> None:
    """S16.8: what a protocol has that its class has not stays, and what is the class's goes."""
    protocol = fresh()
    protocol.wasClean = False
    protocol.closedByMe = True
    protocol.anything = marker = object()
    protocol.state = protocol.STATE_OPEN
    protocol.http_headers = {"a": "b"}
    protocol.settle()
    kept = vars(protocol)
    assert (kept["closedByMe"], kept["anything"], kept["state"]) == (True, marker, protocol.STATE_OPEN)
    assert kept["transport"] is protocol.transport
    assert kept["factory"] is protocol.factory
    assert not {"wasClean", "http_headers"} & kept.keys()


# What works all the same.


def test_fragments_of_text_with_a_character_between() -> None:
    """S6.1: the validator that is made when used goes on over fragments, and begins anew with each message."""
    world, client = opened()
    text = '{"message":"ä"}'.encode()
    at = text.index(b"\xa4")
    for _ in range(2):
        client.send(frame(text[:at], fin=False) + frame(text[at:], CONTINUATION))
    assert world.messages == ["ä", "ä"]
    client.send(frame(text[:at], fin=False) + frame(b'"}', CONTINUATION))
    assert client.closed is not None
    assert client.closed[0] == 1007


def test_two_clients_and_their_fragments() -> None:
    """S6.1: fragments of two clients at a time don't meet."""
    world = World().converting().listening()
    clients = [world.client().open() for _ in range(2)]
    text = '{"message":"ä"}'.encode()
    at = text.index(b"\xa4")
    for client in clients:
        client.send(frame(text[:at], fin=False))
    for client in clients:
        client.send(frame(text[at:], CONTINUATION))
    assert world.messages == ["ä", "ä"]
    assert [client.closed for client in clients] == [None, None]


def test_compressed_messages() -> None:
    """S16.8: compression that was agreed upon is there after settling, in both directions."""
    world, client = opened(("Sec-WebSocket-Extensions", "permessage-deflate"), compression=True)
    deflate = zlib.compressobj(wbits=-15)
    for number in range(3):
        text = b'{"message":%d}' % number
        data = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)
        client.send(frame(data[:-4], rsv=4))
    client.send(message(3))
    assert world.messages == [0, 1, 2, 3]


def test_pings_and_pongs() -> None:
    """S16.1: pings are answered and ours are sent, after settling."""
    world, client = opened()
    client.send(frame(b"well?", PING), frame(b"unasked", PONG))
    assert client.frames == [Frame(PONG, b"well?")]
    world.turn(26)
    world.turn(26)
    assert client.frames[-1].opcode == PING
    client.send(frame(client.frames[-1].payload, PONG))
    assert world.converted[0]._link.pulse.pong_due is None


@pytest.mark.parametrize("by", ["client", "server", "abort", "leaves", "fails"])
def test_every_end(by: str) -> None:
    """S10.2: each way in which a connection ends works after settling, and leaves no timer."""
    world, client = opened()
    connection = world.converted[0]
    if by == "client":
        client.send(close_frame(1000))
    elif by == "server":
        connection.close(4000)
        client.send(close_frame(4000))
    elif by == "abort":
        connection._link.abort()
    elif by == "leaves":
        client.leave()
    else:
        client.send(frame(b"x", masked=False))
        assert client.frames[-1] == Frame(CLOSE, client.frames[-1].payload)
        assert client.frames[-1].code == 1002
        client.send(close_frame(1002))
    world.turn()
    assert connection.state.value == "closed"
    assert world.signals.open_connections() == ()


def test_nobody_waits_for_what_was_left_out() -> None:
    """S16.8: Autobahn's Deferreds of the opening and the end fire as its own do."""
    world, client = opened()
    protocol: Any = wire_of(world)
    fired: list[object] = []
    protocol.is_closed.addCallback(fired.append)
    client.leave()
    assert fired
    assert isinstance(protocol.is_closed, Deferred)


# What of HTTP is garbage.


class Tracker:
    """Knows the channels and requests of HTTP that there are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, request_class: Any) -> None:
        self.found: list[weakref.ref[Any]] = []
        for kind in (HTTPChannel, request_class, ConvertedChannel):
            monkeypatch.setattr(kind, "__init__", self._remembering(kind.__init__))

    def _remembering(self, original: Any) -> Any:
        def remembering(made: Any, *args: Any, **kwargs: Any) -> None:
            self.found.append(weakref.ref(made))
            original(made, *args, **kwargs)

        return remembering

    def left(self) -> list[str]:
        """The names of what is still there."""
        gc.collect()
        return sorted(type(each()).__name__ for each in self.found if each() is not None)


class TlsClient:
    """A client over TLS in memory: its bytes go through TLS on both sides of a wire."""

    def __init__(self, world: World, server_context: CertificateOptions, monkeypatch: pytest.MonkeyPatch) -> None:
        around: Any = TLSMemoryBIOFactory(server_context, False, world.site, clock=world.clock)
        world._site = around
        monkeypatch.setattr(Wire, "setTcpNoDelay", lambda _wire, _enabled: None, raising=False)
        self.world, self.client = world, world.client()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self.received = b""
        self._read = 0
        for _ in range(5):
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until there are none."""
        for _ in range(20):
            with suppress(SSL.WantReadError):
                self.client.send(self._tls.bio_read(65_536))
            self.world.turn()
            data = self.client.wire.value()
            if len(data) > self._read:
                self._tls.bio_write(data[self._read :])
                self._read = len(data)
            with suppress(SSL.WantReadError, SSL.ZeroReturnError):
                self.received += self._tls.recv(65_536)

    def send(self, data: bytes) -> None:
        """Send bytes and let the answers come."""
        self._tls.send(data)
        self.exchange()


@pytest.fixture(scope="module")
def server_context() -> CertificateOptions:
    """A server's TLS."""
    issued = issue()
    return CertificateOptions(privateKey=issued.key, certificate=issued.certificate)


def request_class_of(world: World) -> Any:
    """The class of the requests of the world's site."""
    return world.site.requestFactory


@pytest.mark.parametrize("tls", [False, True])
def test_http_is_garbage(tls: bool, monkeypatch: pytest.MonkeyPatch, server_context: CertificateOptions) -> None:
    """S16.5: channel, request and their stand-in are gone with the route, while the connection goes on."""
    world = World().converting().listening()
    tracker = Tracker(monkeypatch, request_class_of(world))
    client: Any = TlsClient(world, server_context, monkeypatch) if tls else world.client()
    client.send(head())
    world.turn()
    assert b" 101 " in client.received
    assert ISSLTransport.providedBy(wire_of(world).transport) is tls
    left = tracker.left()
    assert [name for name in left if "Connect" in name or "Request" in name or "Converted" in name] == []
    assert left == []
    client.send(message("on"))
    assert world.messages == ["on"]
    world.converted[0].send("and out")
    if tls:
        client.exchange()
    assert client.received.endswith(b"\x81\x07and out")


@pytest.mark.parametrize("tls", [False, True])
def test_a_route_that_runs_on(tls: bool, monkeypatch: pytest.MonkeyPatch, server_context: CertificateOptions) -> None:
    """S2.5: a route that runs on learns that its client left; when it has ended HTTP is garbage."""
    world = World()
    told: list[object] = []
    going_on: list[Deferred[None]] = []

    @world.app.route("/msg")
    def convert(request: Any) -> Deferred[None]:
        world.converted.append(world.signals.convert(request, "Msg"))
        request.notifyFinish().addBoth(lambda _: told.append("left"))
        going_on.append(Deferred(lambda _: told.append("cancelled")))
        return going_on[-1]

    tracker = Tracker(monkeypatch, request_class_of(world))
    client: Any = TlsClient(world, server_context, monkeypatch) if tls else world.client()
    client.send(head())
    world.turn()
    assert b" 101 " in client.received
    assert [name for name in tracker.left() if name == "ConvertedChannel"]
    assert told == []
    (client.client if tls else client).leave()
    world.turn()
    assert "left" in told
    assert world.converted[0].state.value == "closed"
    going_on.clear()
    del client
    assert "ConvertedChannel" not in tracker.left()


def test_a_text_on_its_way_while_the_route_ends() -> None:
    """S2.6: what was pipelined comes in front of what the client sends when the route has ended."""
    world = World().converting().listening()
    client = world.client()
    client.send(head() + message(1), message(2))
    world.turn()
    client.send(message(3))
    assert world.messages == [1, 2, 3]
    assert [each.opcode for each in client.frames if each.opcode == TEXT] == []


# The handshake, answered with Autobahn and without.


def handshake(quick: bool, offered: tuple[tuple[str, str], ...] = (), **options: Any) -> tuple[Any, ...]:
    """What a client gets that upgrades and talks a little, and what the protocol has; which way is checked."""
    taken: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lean, "QUIET", True)
        patched.setattr(lean, "QUICK_OPENS", quick)
        for name in ("_open_at_once", "_open_by_autobahn"):
            patched.setattr(LeanServerProtocol, name, noting(taken, name))
        world = World(**options).listening()

        @world.app.route("/msg")
        def convert(request: Any) -> None:
            request.setHeader("X-Of-The-Route", "yes")
            request.setHeader("Date", "Mon, 23 Nov 2026 00:00:00 GMT")  # or the two might fall into two seconds
            request.addCookie("seen", "1")
            subprotocols = ("chat", "graph")
            world.converted.append(
                world.signals.convert(request, "Msg", group="G", client_id="me", subprotocols=subprotocols)
            )

        client = world.client().open("/msg", *offered)
    assert taken == ["_open_at_once" if quick else "_open_by_autobahn"]
    protocol = wire_of(world)
    own = ("factory", "transport", "connection")
    state = {name: value for name, value in vars(protocol).items() if name not in own}
    client.send(message(1), frame(b"well?", PING))
    world.converted[0].send("text")
    counted: Any = protocol.factory
    return client.received, state, counted.countConnections, world.messages, world.converted[0].subprotocol


def noting(taken: list[str], name: str) -> Any:
    """A method that notes that it was called."""
    original = getattr(LeanServerProtocol, name)

    def method(protocol: Any, *args: Any) -> Any:
        taken.append(name)
        return original(protocol, *args)

    return method


@pytest.mark.parametrize(
    ("subprotocols", "agreed"), [(None, None), ("graph", "graph"), ("none, chat", "chat"), ("none", None)]
)
def test_both_handshakes_are_the_same(subprotocols: str | None, agreed: str | None) -> None:
    """S2.3: whether Autobahn answers or not, a client gets the same bytes, and the protocol has the same attributes."""
    offered = () if subprotocols is None else (("Sec-WebSocket-Protocol", subprotocols),)
    theirs, ours = handshake(False, offered), handshake(True, offered)
    assert ours == theirs
    received, state, open_connections, messages, chosen = ours
    answer, _, frames = received.partition(b"\r\n\r\n")
    assert b"\r\nX-Of-The-Route: yes\r\n" in answer
    assert b"\r\nSet-Cookie: seen=1\r\n" in answer
    assert b"\r\nX-PODE-SIGNAL-GROUP: G\r\n" in answer
    assert (b"\r\nSec-WebSocket-Protocol: " in answer) is (agreed is not None)
    assert frames == b"\x8a\x05well?\x81\x04text"
    assert (open_connections, messages, chosen) == (1, [1], agreed)
    assert state["state"] == LeanServerProtocol.STATE_OPEN


def test_the_key_of_the_rfc() -> None:
    """S2.1: the example of RFC 6455 section 1.3 gets the answer that stands there, whoever gives it."""
    ways: list[Any] = [
        lambda protocol: protocol._open_at_once(lean._KEY, None),
        lambda protocol: protocol._open_by_autobahn(lean._KEY, None, b""),
    ]
    for way in ways:
        _, written, _ = lean._seen_after(way, None)
        assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in written
        assert written.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


@pytest.mark.parametrize(
    ("compression", "offer", "by_autobahn"),
    [
        (True, "permessage-deflate", True),
        (True, None, False),
        (True, "x-unknown", False),
        (False, "permessage-deflate", False),
    ],
)
def test_who_answers_offers(
    compression: bool, offer: str | None, by_autobahn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S16.8: where compression is on and offered, Autobahn agrees on it; elsewhere it is not asked."""
    taken: list[str] = []
    monkeypatch.setattr(lean, "QUICK_OPENS", True)
    monkeypatch.setattr(LeanServerProtocol, "_open_by_autobahn", noting(taken, "_open_by_autobahn"))
    more = [] if offer is None else [("Sec-WebSocket-Extensions", offer)]
    _, client = opened(*more, compression=compression)
    assert taken == ["_open_by_autobahn"] * by_autobahn
    agreed = client.answers[0].value("Sec-WebSocket-Extensions")
    assert (agreed is not None and agreed.startswith("permessage-deflate")) is by_autobahn


def test_a_count_that_comes_back() -> None:
    """S10.3: connections that are answered without Autobahn are not counted any more when they have ended."""
    world, client = opened()
    factory: Any = wire_of(world).factory
    assert factory.countConnections == 1
    client.leave()
    assert factory.countConnections == 0


# Autobahn as it might be one day.


def sets_more(protocol: Any) -> None:
    protocol.something_new = 1


def sets_another(protocol: Any) -> None:
    protocol.inside_message = True


def counts_otherwise(protocol: Any) -> None:
    protocol.factory.countConnections += 1


def writes_more(protocol: Any) -> None:
    protocol.sendData(b"X-More: 1\r\n")


def writes_more_of_subprotocols(protocol: Any) -> None:
    if protocol.websocket_protocol_in_use is not None:
        protocol.sendData(b"X-More: 1\r\n")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autobahn's quiet methods are called, as both ways of a comparison do, also where shortcuts are off."""
    monkeypatch.setattr(lean, "QUIET", True)


QUIETLY = pytest.mark.usefixtures("quiet")
DIFFERENCES = [sets_more, sets_another, counts_otherwise, writes_more, writes_more_of_subprotocols]


@QUIETLY
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_an_autobahn_that_answers_otherwise(difference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Autobahn leaves or writes anything else, or lacks something, it answers handshakes by itself."""
    assert lean._opens_alike()
    assert lean.QUICK_OPENS is lean.WANTED
    original: Any = autobahn_protocol.WebSocketServerProtocol.succeedHandshake

    def succeeds(protocol: Any, *args: Any) -> None:
        original(protocol, *args)
        difference(protocol)

    monkeypatch.setattr(autobahn_protocol.WebSocketServerProtocol, "succeedHandshake", succeeds)
    assert not lean._opens_alike()


@QUIETLY
@pytest.mark.parametrize("name", ["_connectionMade", "_dataReceived"])
def test_an_autobahn_without_a_method(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: without a method that feeds Autobahn the shortcut is off, and nothing raises at import."""
    monkeypatch.delattr(WebSocketProtocol, name)
    assert not lean._opens_alike()


@QUIETLY
def test_an_autobahn_that_wants_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where a method of Autobahn has other arguments the shortcut is off, and nothing raises at import."""
    monkeypatch.setattr(WebSocketProtocol, "_connectionMade", lambda _protocol, _more: None)
    assert not lean._opens_alike()


@QUIETLY
def test_a_factory_that_counts_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where a factory counts its connections elsewhere the shortcut is off."""
    monkeypatch.setattr(WebSocketServerFactory, "countConnections", property(lambda _: missing()), raising=False)

    def missing() -> None:
        raise AttributeError

    assert not lean._opens_alike()


@QUIETLY
@pytest.mark.parametrize("difference", [sets_more, counts_otherwise])
def test_an_autobahn_that_ends_otherwise(difference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Autobahn does anything else when a transport is gone, it is told by its own way."""
    assert lean._ends_alike()
    end = WebSocketServerProtocol.connectionLost

    def otherwise(self: Any, reason: Any) -> None:
        end(self, reason)
        difference(self)

    monkeypatch.setattr(WebSocketServerProtocol, "connectionLost", otherwise)
    assert not lean._ends_alike()


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("clean", [True, False])
def test_the_end_both_ways(quick: bool, clean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.3: a connection ends with the same code and is counted the same, whichever way Autobahn is told."""
    for name in ("QUIET", "QUICK_OPENS", "QUICK_ENDS"):
        monkeypatch.setattr(lean, name, quick)
    world, client = opened()
    protocol = wire_of(world)
    client.send(message(1), message(2))
    assert world.messages == [1, 2]
    if clean:
        client.send(close_frame(1000))
    else:
        client.leave()
    world.turn()
    closure = world.converted[0].closure
    assert closure is not None
    assert closure.code == (1000 if clean else 1006)
    assert protocol.state == protocol.STATE_CLOSED
    assert protocol.factory.countConnections == 0


@pytest.mark.parametrize("name", ["_connectionMade", "_dataReceived", "_connectionLost"])
def test_an_autobahn_without_its_quiet_methods(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where a method behind Autobahn's own is not there, its own is called."""
    assert lean._has_quiet_methods()
    monkeypatch.setattr(WebSocketServerProtocol, name, None)
    assert not lean._has_quiet_methods()

"""Light protocols: nothing that Autobahn reads is missing, little is kept, and a newer Autobahn's attributes count."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket import protocol as autobahn_protocol
from autobahn.websocket.protocol import WebSocketProtocol
from fast.imported_anew import imported_anew
from web_fakes import CONTINUATION, PING, Client, World, frame, message

from pode_signals.core.environment import FAST
from pode_signals.fast import comparison
from pode_signals.fast import websocket as fast_module
from pode_signals.fast.attributes import LEFT_OUT, WhenUsed
from pode_signals.fast.websocket import FastProtocol
from pode_signals.hub.connection import view_of
from pode_signals.transports.websocket import SignalProtocol

pytestmark = pytest.mark.skipif(not FAST, reason="PODE_SIGNALS_FAST is off: no protocol is light")

MOST_KEPT = 17
"""How many attributes of its own a protocol may have between two messages."""


def opened(*more: tuple[str, str], **options: Any) -> tuple[World, Client]:
    """A world with one open connection, whose messages are kept."""
    world = World(**options).converting().listening()
    return world, world.client().open("/msg", *more)


def light_protocol(client: Client) -> Any:
    """The protocol that serves a client."""
    protocol = client.wire.protocol
    assert isinstance(protocol, FastProtocol)
    assert protocol.is_light
    return protocol


def plain_protocol(client: Client) -> Any:
    """The protocol that serves a client, which is the plain one."""
    protocol = client.wire.protocol
    assert type(protocol) is SignalProtocol
    return protocol


# What stands on the class.


def test_no_option_is_copied() -> None:
    """S16.8: each option that Autobahn copies from its factory is the same, and an attribute of the class."""
    plain, light = plain_protocol(opened(fast=False)[1]), light_protocol(opened()[1])
    assert not vars(light).keys() & set(WebSocketServerProtocol.CONFIG_ATTRS)
    differ = {
        name
        for name in WebSocketServerProtocol.CONFIG_ATTRS
        if getattr(plain, name) != getattr(light, name)
        and name not in ("perMessageCompressionAccept", "allowedOriginsPatterns")
    }
    assert differ == set()


@pytest.mark.parametrize("offer", [(), (("Sec-WebSocket-Extensions", "permessage-deflate"),)])
def test_values_are_those_of_autobahn(offer: tuple[tuple[str, str], ...]) -> None:
    """S16.8: what Autobahn gives a protocol has the same value in ours, also where Autobahn has opened it."""
    plain = plain_protocol(opened(*offer, fast=False, compression=bool(offer))[1])
    light = light_protocol(opened(*offer, compression=bool(offer))[1])
    own = {"connection", "deliver", "factory", "peer", "send_queue", "transport", "allowedOriginsPatterns"}
    for name, value in vars(plain).items():
        if name in own or name in LEFT_OUT or callable(value):
            continue
        found = getattr(light, name)
        if value is None or isinstance(value, (bool, int, str, bytes, list)):
            assert found == value, name
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
    _world, client = opened()
    protocol = light_protocol(client)
    reads = reads_of_autobahn()
    assert len(reads) > 80
    lost = {name: where for name, where in reads.items() if not hasattr(protocol, name) and name not in SET_BEFORE_READ}
    assert lost == {}
    client.leave()


def test_what_is_made_when_used() -> None:
    """S16.8: what each protocol has for itself is made once for each, and is no other's."""
    first, second = light_protocol(opened()[1]), light_protocol(opened()[1])
    for name in ("is_open", "is_closed", "utf8validator"):
        assert isinstance(getattr(type(first), name), WhenUsed)
        assert getattr(first, name) is getattr(first, name)
        assert getattr(first, name) is not getattr(second, name)


def test_nobody_waits_for_what_was_left_out() -> None:
    """S16.8: Autobahn's Deferred of the end fires as its own does."""
    _world, client = opened()
    fired: list[object] = []
    light_protocol(client).is_closed.addCallback(fired.append)
    client.leave()
    assert fired


# What is kept.


@pytest.mark.parametrize("offer", [(), (("Sec-WebSocket-Extensions", "permessage-deflate"),)])
def test_little_is_kept(offer: tuple[tuple[str, str], ...]) -> None:
    """S16.5: a protocol keeps few attributes of its own, also when messages came and went."""
    world, client = opened(*offer, compression=bool(offer))
    protocol = light_protocol(client)
    assert len(vars(protocol)) <= MOST_KEPT, sorted(vars(protocol))
    assert not vars(protocol).keys() & LEFT_OUT
    client.send(message(1), frame('{"message":', fin=False) + frame("2}", CONTINUATION), frame(b"", PING))
    view_of(protocol.connection).send("x")
    assert world.messages == [1, 2]
    assert len(vars(protocol)) <= MOST_KEPT + 16, sorted(vars(protocol))


# Who answers the handshake.


def noting(taken: list[str], name: str, original: Any) -> Any:
    """A method that notes that it was called."""

    def method(protocol: Any, *args: Any) -> Any:
        taken.append(name)
        return original(protocol, *args)

    return method


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
    # It only looks on: who answers is not to be seen in an answer that is the same.
    monkeypatch.setattr(SignalProtocol, "shake_hands", noting(taken, "autobahn", SignalProtocol.shake_hands))
    more = [] if offer is None else [("Sec-WebSocket-Extensions", offer)]
    _, client = opened(*more, compression=compression)
    assert taken == ["autobahn"] * by_autobahn
    agreed = client.answers[0].value("Sec-WebSocket-Extensions")
    assert (agreed is not None and agreed.startswith("permessage-deflate")) is by_autobahn


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


DIFFERENCES = [sets_more, sets_another, counts_otherwise, writes_more, writes_more_of_subprotocols]


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_an_autobahn_that_answers_otherwise(difference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Autobahn leaves or writes anything else it answers handshakes by itself."""
    assert comparison.opens_alike(FastProtocol)
    assert fast_module.IS_LIGHT
    original: Any = autobahn_protocol.WebSocketServerProtocol.succeedHandshake

    def succeeds(protocol: Any, *args: Any) -> None:
        original(protocol, *args)
        difference(protocol)

    monkeypatch.setattr(autobahn_protocol.WebSocketServerProtocol, "succeedHandshake", succeeds)
    assert not comparison.opens_alike(FastProtocol)


NEW_VALUES = {
    "the same for each": (lambda: 7, True),
    "none yet": (lambda: None, True),
    "one of its own": (list, False),
    "another for each": (iter(range(100)).__next__, False),
    "some object": (object, False),
}


@pytest.mark.parametrize(("value", "is_light"), NEW_VALUES.values(), ids=NEW_VALUES)
def test_an_autobahn_that_gives_more(value: Any, is_light: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: a new attribute is taken over where it is the same for each; where not, protocols are not light."""
    original = WebSocketProtocol.__init__

    def gives(protocol: Any) -> None:
        original(protocol)
        protocol.something_new = value()

    monkeypatch.setattr(WebSocketProtocol, "__init__", gives)
    found = imported_anew(comparison.__name__).LIGHT_ATTRIBUTES
    assert (found is not None) is is_light
    if found is not None:
        assert found["something_new"] == value()


def test_an_autobahn_that_reads_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Autobahn reads of a handshake that is over, protocols are not light."""
    assert comparison.behaves_alike(FastProtocol)
    original: Any = WebSocketProtocol.onMessageFrameBegin

    def reads(protocol: Any, length: int) -> None:
        assert protocol.http_headers
        original(protocol, length)

    monkeypatch.setattr(WebSocketProtocol, "onMessageFrameBegin", reads)
    assert not comparison.behaves_alike(FastProtocol)


@pytest.mark.parametrize("difference", [sets_more, counts_otherwise])
def test_an_autobahn_that_ends_otherwise(difference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Autobahn does anything else when a transport is gone, it is told by its own way."""
    assert comparison.ends_alike(FastProtocol)
    end = WebSocketServerProtocol.connectionLost

    def otherwise(self: Any, reason: Any) -> None:
        end(self, reason)
        difference(self)

    monkeypatch.setattr(WebSocketServerProtocol, "connectionLost", otherwise)
    assert not comparison.ends_alike(FastProtocol)


QUIET = {
    "dataReceived": "QUIET_READS",
    "sendData": "QUIET_WRITES",
}


@pytest.mark.parametrize("name", QUIET)
def test_an_autobahn_that_does_more_than_to_tell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where Autobahn does anything with what comes or goes, it comes and goes by Autobahn's own way."""
    assert getattr(comparison, QUIET[name])
    original = getattr(WebSocketServerProtocol, name)

    def more(protocol: Any, data: bytes, *args: Any) -> None:
        original(protocol, data, *args)
        protocol.last_data = data

    monkeypatch.setattr(WebSocketServerProtocol, name, more)
    assert not getattr(imported_anew(comparison.__name__), QUIET[name])


@pytest.mark.parametrize(
    ("name", "probe"),
    [
        ("_connectionMade", comparison.opens_alike),
        ("_dataReceived", comparison.behaves_alike),
        ("_connectionLost", comparison.ends_alike),
    ],
)
def test_an_autobahn_without_a_method(name: str, probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: a probe that finds a method missing says no, and nothing raises at import."""
    monkeypatch.setattr(WebSocketServerProtocol, name, None)
    assert not probe(FastProtocol)


FLAGS = ["IS_LIGHT", "QUICK_ENDS", "QUIET_READS", "QUIET_WRITES", "SMALL_FRAMES"]


@pytest.mark.parametrize("off", FLAGS)
def test_each_way_can_be_off_by_itself(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: with any one of the shorter ways off, a client that says some of everything is served as ever."""
    assert getattr(fast_module, off)
    expected = conversation()
    # As where a library is not as the probe of this way takes it to be.
    monkeypatch.setattr(fast_module, off, False)
    assert conversation() == expected


def conversation() -> Any:
    """What a client gets that says some of everything, and how it ends."""
    world, client = opened()
    client.send(message(1), message(2) + frame(b"well?", PING), frame('{"message":', fin=False), frame("3}", 0))
    world.converted[0].send("text")
    client.leave()
    world.turn()
    return world.messages, client.frames, world.converted[0].closure, world.signals.open_connections()

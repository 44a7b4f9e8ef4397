"""The plain protocol and a shorter way beside it: do they come to the same? Nothing here touches a network.

Each comparison is made once, when this package is imported. Where it finds a difference, that way alone is off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock

from ..core.environment import FAST
from ..core.settings import Settings
from ..hub.turns import Turns
from ..transports.websocket import SignalFactory, SignalProtocol
from .attributes import LEFT_OUT, ONE_FOR_ALL, light_attributes, light_class
from .probes import KEY, Wire, probe

__all__ = ["LIGHT_ATTRIBUTES", "QUIET_READS", "QUIET_WRITES", "behaves_alike", "ends_alike", "opens_alike"]


@probe
def opens_alike(protocol_class: type[Any]) -> bool:
    """Whether a light protocol that answers by itself writes and has what Autobahn would write and give it."""
    for subprotocol in (None, "agreed"):
        theirs, ours = _opened(SignalProtocol, subprotocol), _opened(_light(protocol_class), subprotocol)
        names = vars(theirs).keys() - LEFT_OUT - _NOT_COMPARED
        if _state(theirs, names) != _state(ours, names) or _effects(theirs) != _effects(ours):
            return False
    return True


@probe
def behaves_alike(protocol_class: type[Any]) -> bool:
    """Whether a client that talks to a light protocol cannot tell it from a plain one, and nor can the connection."""
    return bool(_talked(SignalProtocol) == _talked(_light(protocol_class)))


@probe
def ends_alike(protocol_class: type[Any]) -> bool:
    """Whether Autobahn leaves a protocol whose transport is gone as ``end_quietly`` does."""
    theirs, ours = _opened(protocol_class), _opened(protocol_class)
    WebSocketServerProtocol.connectionLost(theirs, connectionDone)
    ours.end_quietly(connectionDone)
    names = vars(theirs).keys() - _NOT_COMPARED
    return bool(
        vars(theirs).keys() == vars(ours).keys()
        and _state(theirs, names) == _state(ours, names)
        and _effects(theirs) == _effects(ours)
    )


@probe
def _light_attributes() -> dict[str, Any] | None:
    """What Autobahn gives to each protocol alike; None where not all of that is known."""
    return light_attributes(_opened(SignalProtocol), _opened(SignalProtocol, "agreed", b"AQIDBAUGBwgJCgsMDQ4PEA=="))


@probe
def _reads_quietly() -> bool:
    """Whether Autobahn's adapter does no more with what has come than to describe it and to hand it on."""
    got: list[bytes] = []
    protocol = _opened(SignalProtocol)
    protocol._dataReceived = got.append
    before = dict(vars(protocol))
    WebSocketServerProtocol.dataReceived(protocol, b"data")
    return got == [b"data"] and vars(protocol) == before


@probe
def _writes_quietly() -> bool:
    """Whether Autobahn does no more with what goes out than to write, to describe and to count it."""
    protocol = _opened(SignalProtocol)
    before, written = dict(vars(protocol)), protocol.transport.written
    WebSocketServerProtocol.sendData(protocol, b"data")
    return bool(protocol.transport.written == written + b"data" and vars(protocol) == before)


class _Told:
    """A connection, and its hub, that note what they are told."""

    dialogue = None
    reading_paused = False

    def __init__(self, subprotocol: str | None) -> None:
        clock = Clock()
        self.subprotocol = subprotocol
        self.client_id = "probe"
        self.told: list[Any] = []
        self.runtime = SimpleNamespace(
            clock=clock,
            settings=Settings(),
            turns=Turns(lambda: clock),
            reports=self,
            counters=SimpleNamespace(callbacks_failed=0),
            received=lambda _connection, payload: self.told.append(payload),
        )

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **fields: self.told.append((name, args, fields))


def _opened(
    protocol_class: type[Any] | Callable[[Any], type[Any]], subprotocol: str | None = None, key: bytes = KEY
) -> Any:
    """A protocol that has answered a handshake."""
    connection: Any = _Told(subprotocol)
    factory: Any = SignalFactory(connection.runtime)
    factory.protocol = protocol_class if isinstance(protocol_class, type) else protocol_class(factory)
    protocol = factory.protocol_for(connection, Wire(), b"X-Of-The-Route: 1\r\n")
    protocol.shake_hands(key, subprotocol, b"")
    return protocol


def _light(protocol_class: type[Any]) -> Callable[[Any], type[Any]]:
    if LIGHT_ATTRIBUTES is None:
        raise ValueError("there are no light attributes")
    return partial(light_class, protocol_class, LIGHT_ATTRIBUTES)


def _talked(protocol_class: Any) -> Any:
    """What a connection is told and a client gets, that says some of everything by Autobahn's parser, and leaves."""
    protocol = _opened(protocol_class)
    for data in _TALK:
        protocol.parse(data)
    protocol.connectionLost(connectionDone)
    return protocol.connection.told, _effects(protocol)


def _effects(protocol: Any) -> Any:
    return protocol.transport.written, protocol.factory.countConnections


def _state(protocol: Any, names: Iterable[str]) -> Any:
    """Some attributes: plain values as they are, and the types of all others."""
    values = ((name, getattr(protocol, name)) for name in names)
    return {name: value if isinstance(value, _PLAIN) else type(value) for name, value in values}


def _frame(first: int, payload: bytes) -> bytes:
    """A client's frame, whose mask changes nothing (RFC 6455 section 5.2)."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + length + bytes(4) + payload


_PLAIN = (bool, int, str, bytes, type(None))
# Set by us and never by Autobahn; or shared by all light protocols, since nobody reads them.
_NOT_COMPARED = frozenset({"connection", "deliver", "response_headers", "transport", "factory"}) | ONE_FOR_ALL

_TALK = (
    _frame(0x81, b"one"),
    _frame(0x81, b"two") + _frame(0x81, b"three") + _frame(0x89, b"ping"),
    # A character in two frames, one of which comes in two parts, with a pong between them.
    _frame(0x01, b"\xc3") + _frame(0x8A, b"pong") + _frame(0x80, b"\xa4")[:3],
    _frame(0x80, b"\xa4")[3:],
    _frame(0x81, b"x" * 200)[:100],
    _frame(0x81, b"x" * 200)[100:],
    _frame(0x82, b"binary"),
    _frame(0x88, b"\x03\xe8bye"),
    _frame(0x81, b"too late"),
)

QUIET_READS = FAST and bool(_reads_quietly())
"""Whether Autobahn gets what has come without its log line about that."""

QUIET_WRITES = FAST and bool(_writes_quietly())
"""Whether what Autobahn sends is written without its log line about that."""

LIGHT_ATTRIBUTES = _light_attributes() if FAST else None
"""What Autobahn gives to each protocol alike; None where each has to get all of that from Autobahn."""

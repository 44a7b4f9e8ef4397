"""Ways in for the search for slow inputs: messages and frames of clients, in memory, but all the way.

They go through the protocol of an open connection to a hub where several names, groups and ids are connected.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bounded import BoundedWorld
from fuzz.recipes import NUMBER, Context, Recipe
from fuzz.slow_bytes import MESSAGE_BYTES, STREAM_BYTES, WAIT_SECONDS, WAITS, connect_reader, known_recipes, let_pass
from fuzz.target import CLIENT_ID, PEER
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from web_fakes import CONTINUATION, KEY, PING, PONG, TEXT, Wire, close_frame, frame, message

from pode_signals.core.model import Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.fast.websocket import FastFactory
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of

_NAMES = 6
_GROUPS = 3
_EACH = 2


class _Connected:
    """Open connections of a hub with others, on routes that answer at once or later, or on none."""

    name = ""
    contexts: tuple[Context, ...] = ()
    known: tuple[Recipe, ...] = ()

    def __init__(self) -> None:
        world = self._world = BoundedWorld(compression=True)
        self._last: Wire | None = None
        signals = world.signals
        self._factory = FastFactory(hub_of(signals))
        for number in range(_NAMES * _GROUPS * _EACH):
            connect_reader(world, f"n{number % _NAMES}", f"g{number // _NAMES % _GROUPS}", f"c{number}")
        signals.add_route("/echo", lambda event: event.send(event.data.message) and None)
        signals.add_route("/later", lambda event: deferLater(world.clock, 0.01, lambda: None))

    def prepare(self, context: Context, pieces: list[bytes]) -> Callable[[], object]:
        """A new connection."""
        last, clock, signals = self._last, self._world.clock, self._world.signals
        if last is not None and last.ended is None:
            last.client_ends("left", ConnectionDone())
        clock.advance(WAIT_SECONDS)
        path, _, extension = context.opening.partition(" ")
        record = RequestRecord(b"GET", path.encode(), (), PEER.host, False)
        wire = self._last = Wire(clock, PEER)

        def connect(link: Link) -> Any:
            wire.protocol = self._factory.protocol_for(link, wire, b"")
            link.attach(wire.protocol)
            wire.protocol.shake_hands(KEY, None, b"permessage-deflate" if extension else b"")
            return wire.protocol

        hub_of(signals).open(Identity("Mine", (), CLIENT_ID), record, connect)
        clock.advance(0)
        assert b" 101 " in wire.value(), context
        wire.clear()
        return partial(self._take, wire, pieces)

    def _take(self, wire: Wire, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            wire.deliver(piece)
        for _ in range(WAITS):
            let_pass(self._world.clock, WAIT_SECONDS)


_JSON = (
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b",",
        b":",
        b"\\",
        b'"a":',
        b'"a":1,',
        b'"k' + NUMBER + b'":1,',
        b"[],",
        b"{},",
        b"1,",
    ),
    *(
        b"\\u00fc",
        b"\\ud83d\\ude00",
        b"\\ud83d",
        b"\\n",
        b'\\"',
        b"\\\\",
        b"\xc3\xbc",
        b"\xf0\x9f\x98\x80",
        b"\xff",
        b" ",
    ),
    *(
        b"1",
        b"9",
        b"0.",
        b"1e9",
        b"-",
        b"E+",
        b"null,",
        b"true",
        b"NaN,",
        b"\n",
        b'"",',
        b'"g' + NUMBER + b'",',
        b'"PATH":"a",',
    ),
    *(
        b'"message":1,',
        b'"group":[],',
        b'"n1",',
        b'"g1",',
        b'"c<i>",',
        b"%2f",
        b"%",
        b"/",
        b"x" * 50,
        b"\t",
        b"\0",
        b"<",
        b"\x7f",
    ),
)
_BETWEEN = (
    *((b"", b""), (b'{"message":', b"}"), (b'{"message":"', b'"}'), (b'{"message":[', b"1]}"), (b"{", b'"message":1}')),
    *(
        (b'{"message":1,"group":[', b'"g1"]}'),
        (b'{"message":1,"clientId":[', b'"c1"]}'),
        (b'{"message":1,"path":"', b'"}'),
    ),
    *((b'{"message":1,"group":"', b'"}'), (b'{"message":1,"clientId":', b"}"), (b'{"message":1,"direct":', b"}")),
)


class Messages(_Connected):
    """Messages of clients, each in one frame: decoded, matched, sent on."""

    name = "messages"
    contexts = tuple(
        Context(
            f"{before.decode()}…{after.decode()} on {path}",
            lambda payload, before=before, after=after: frame(before + payload + after),
            _JSON,
            MESSAGE_BYTES,
            path,
        )
        for before, after in _BETWEEN
        for path in ("/echo", "/none")
    )
    known = known_recipes(contexts, "", b"[", b"9", b'"a":1,')


def _deflated(data: bytes, end: int = zlib.Z_SYNC_FLUSH) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return (packer.compress(data) + packer.flush(end)).removesuffix(b"\0\0\xff\xff")


def _fragments(data: bytes, size: int, rsv: int = 0) -> bytes:
    """A message cut into frames."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(each, CONTINUATION if at else TEXT, fin=at == last, rsv=0 if at else rsv)
        for at, each in enumerate(pieces)
    )


_FRAMES = (
    *(
        message(1),
        message("x" * 200),
        message("\u00fc"),
        message([1, {"a": 2}]),
        message(1, group="g1"),
        message(1, path="n1"),
    ),
    *(
        frame(b"x", PING),
        frame(b"", PONG),
        frame(b"x" * 125, PING),
        close_frame(),
        frame(b""),
        frame(b"{"),
        frame(b"\xff"),
    ),
    *(
        frame(b"", TEXT, fin=False),
        frame(b"", CONTINUATION, fin=False),
        frame(b"", CONTINUATION),
        frame(b"{", TEXT, fin=False),
    ),
    *(
        frame(b" ", CONTINUATION, fin=False),
        frame(b" " * 100, CONTINUATION, fin=False),
        frame(b'"message":1}', CONTINUATION),
    ),
    *(frame(_deflated(b'{"message":1}'), rsv=4), frame(_deflated(b'{"message":"%s"}' % (b"x" * 60_000)), rsv=4)),
    *(
        frame(_deflated(b'{"message":'), TEXT, fin=False, rsv=4),
        frame(b"\0", rsv=4),
        frame(b"x", opcode=2),
        message(1)[:-1],
    ),
    *(
        b"\x81\xfe\x01\x00\0\0\0\0",
        b"\x81",
        b"\x01\x80\0\0\0\0",
        b"\x00\x80\0\0\0\0",
        b" ",
        b"x" * 50,
        b"\x89\x80\0\0\0\0",
    ),
)
_DEFLATE = (  # empty blocks, stored, fixed and final ones; and some that mean something
    *(
        b"\0\0\0\xff\xff",
        b"\x02\0",
        b"\x01\0\0\xff\xff",
        b"\x03\0",
        b"\0",
        b"\xff\xff",
        b"\x00\x01\x00\xfe\xff ",
        b"\xaa",
    ),
    *(
        _deflated(b'{"message":1}'),
        _deflated(b" " * 5_000),
        _deflated(b'"'),
        _deflated(b"x", zlib.Z_FINISH),
        b"\x04",
        b"\xed",
    ),
)


class Frames(_Connected):
    """Frames of clients: streams of them, messages in fragments, compressed ones."""

    name = "frames"
    contexts = (
        *(
            Context(f"frames on {opening}", bytes, _FRAMES, STREAM_BYTES, opening)
            for opening in ("/echo", "/none", "/later", "/echo deflate")
        ),
        *(
            Context(
                f"fragments of {size} bytes",
                lambda payload, size=size: _fragments(b'{"message":"' + payload + b'"}', size),
                _JSON,
                min(MESSAGE_BYTES, 1_000 * size),
                "/echo",
            )
            for size in (1, 10, 200)
        ),
        Context("compressed data", lambda payload: frame(payload, rsv=4), _DEFLATE, MESSAGE_BYTES, "/echo deflate"),
        Context(
            "compressed data in fragments",
            lambda payload: _fragments(payload, max(1, len(payload) // 500), rsv=4),
            _DEFLATE,
            MESSAGE_BYTES,
            "/echo deflate",
        ),
        Context(
            "a compressed message",
            lambda payload: frame(_deflated(b'{"message":"' + payload + b'"}'), rsv=4),
            _JSON,
            MESSAGE_BYTES,
            "/echo deflate",
        ),
        Context(
            "behind half a message",
            lambda payload: frame(b'{"message":', TEXT, fin=False) + payload,
            _FRAMES,
            STREAM_BYTES,
            "/echo",
        ),
    )
    known = (
        *known_recipes(contexts, "frames on", message(1), frame(b"", CONTINUATION, fin=False)),
        *known_recipes(contexts, "compressed data", b"\0\0\0\xff\xff", b"\x02\0"),
        *known_recipes(contexts, "a compressed message", b"x"),
    )

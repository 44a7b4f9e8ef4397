"""The target that is a stream of frames on an open connection."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from fuzz.target import CLIENT_ID, Wire, no_logged_failure
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from web_fakes import CLOSE, KEY, Frame, close_frame, frames_in, message

from pode_signals import Signals
from pode_signals.core.model import Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.fast.websocket import FastFactory
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.link import Link
from pode_signals.hub.signal_event import SignalEvent
from pode_signals.signals import hub_of
from pode_signals.transports.websocket import SignalFactory

__all__ = ["FrameStream"]

CLOSE_CODES = {None, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, *range(3000, 5000)}


def _frame(payload: bytes, first: int = 0x81) -> bytes:
    """A frame whose mask changes nothing, so that a change of its bytes means what it says."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + length + b"\0\0\0\0" + payload


def _deflated(data: bytes, level: int = -1, end: int = zlib.Z_SYNC_FLUSH) -> bytes:
    packer = zlib.compressobj(level, wbits=-15)
    return (packer.compress(data) + packer.flush(end)).removesuffix(b"\0\0\xff\xff")


def _told(output: bytes) -> list[object]:
    """The frames that a client got, alike where nothing but these two stands for the same message.

    Data of a compressed message that is too much may be bad as well, behind the limit or as UTF-8 before it. How far it
    is looked at depends on what came at once, so either may be found first; that one of them is, and where, does not.
    """
    return ["closed for what a message inflates to" if each in INFLATED_BADLY else each for each in frames_in(output)]


INFLATED_BADLY = (
    Frame(CLOSE, b"\x03\xefinvalid UTF-8 or compressed data"),
    Frame(CLOSE, b"\x03\xf1received WebSocket message exceeds payload limit of 64 octets after decompression"),
)
DEFLATED = _deflated(b'{"message": "compressed"}')
DEFLATE = b"permessage-deflate"


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
        _frame(_deflated(b'{"message":' + b" " * 46) + b"\0\0\xff\xff" + _deflated(b'"full"}', 0), 0xC1),
        _frame(_deflated(b'{"message": "final"}', end=zlib.Z_FINISH) + b"\0", 0xC1) * 2,
        _frame(b'{"message": {"a": 1}}') * 4 + _frame(b"p", 0x89) + _frame(b'{"message": 5}') + _frame(b"", 0x88),
        _frame(b'{"message": {}}') * 2
        + _frame(b'{"message": {', 0x01)
        + _frame(b'"a": 2}}', 0x80)
        + _frame(b"x", 0x82),
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
        self._waited = False
        self._hubs = [self._hub(compression) for compression in (False, True)]
        self._record = RequestRecord(b"GET", b"/msg", (), "192.0.2.1", False)

    @no_logged_failure()
    def run(self, data: bytes, at: int) -> str:
        """How the connection is closed: the same whatever pieces the bytes come in, and whichever protocol serves."""
        signals, factory, other = self._hubs[at % 2]
        self._waited = False
        output = self._output(signals, factory, (data[:at], data[at:]))
        if not self._waited:
            assert output == self._output(signals, other, (data[:at], data[at:]))
        if at % 16 < 2 and not self._waited:  # else how much is parsed before it is paused depends on the pieces
            one_by_one = self._output(signals, factory, [data[each : each + 1] for each in range(len(data))])
            assert _told(output) == _told(one_by_one)
        frames = frames_in(output)
        closing = [each for each in frames if each.opcode == CLOSE]
        if not closing:
            return "stays open"
        assert closing == frames[-1:]
        assert closing[0].code in CLOSE_CODES
        return f"closed with {closing[0].code}"

    def _hub(self, compression: bool) -> tuple[Signals, SignalFactory, SignalFactory]:
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
        signals.add_route("/msg", self._answer)
        return signals, FastFactory(hub_of(signals)), SignalFactory(hub_of(signals))

    def _answer(self, event: SignalEvent) -> Deferred[None] | None:
        """Answer at once; and be done with an object later, so that what follows it has to wait."""
        event.send(event.data.message, name="Msg")
        if not isinstance(event.data.message, dict):
            return None
        self._waited = True
        return deferLater(self._clock, 0)

    def _turns(self) -> None:
        """Let turns of the reactor pass until nothing is left for now."""
        while any(call.getTime() <= self._clock.seconds() for call in self._clock.getDelayedCalls()):
            self._clock.advance(0)

    def _output(self, signals: Signals, factory: SignalFactory, pieces: Iterable[bytes]) -> bytes:
        transport = Wire()

        protocols: list[Any] = []

        def connect(link: Link) -> Any:
            protocol = factory.protocol_for(link, transport, b"")
            protocols.append(protocol)
            link.attach(protocol)
            protocol.shake_hands(KEY, None, DEFLATE if signals.settings.compression else b"")
            return protocol

        connection = hub_of(signals).open(Identity("Msg", (), CLIENT_ID), self._record, connect)
        (protocol,) = protocols
        self._clock.advance(0)
        transport.clear()
        for piece in pieces:
            protocol.take(piece)
        self._turns()
        assert (connection.state is ConnectionState.OPEN) is signals.has_name("Msg")
        protocol.connectionLost(Failure(ConnectionDone()))
        self._turns()
        assert not signals.open_connections()
        counters = signals.counters
        assert (counters.callbacks_failed, counters.functions_failed) == (0, 0)
        return transport.value()

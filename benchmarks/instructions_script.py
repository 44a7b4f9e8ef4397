"""What ``instructions.py`` counts instructions of: the hub with clients in memory. No sockets, no reactor, no clock.

usage: instructions_script.py MODE COUNT, with one of MODES, such as fan-out, echo or allocations
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.task import Clock

from pode_signals import SignalEvent, Signals
from pode_signals.core.model import Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.fast.frames import unmasked_text
from pode_signals.hub.dialogue import Dialogue
from pode_signals.hub.link import Link
from pode_signals.hub.transport import ClientTransport
from pode_signals.operations.metrics import Metrics
from pode_signals.signals import hub_of
from pode_signals.wire.message import PLAIN_WEBSOCKET
from pode_signals.wire.session import Session
from pode_signals.wire.v1 import SIGNALS_WEBSOCKET

CLIENTS = 200
ECHO = b'{"message":{"op":"echo","t":1234567890,"pad":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}'
TEXT = "x" * 128


class Wire(ClientTransport):
    """A client who takes everything and keeps nothing."""

    message_began = None

    def write(self, data: bytes) -> bool:
        return True

    def write_close(self, code: int, reason: bytes) -> None: ...
    def write_ping(self, payload: bytes) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def new_signals(*, has_metrics: bool = False) -> Signals:
    signals = Signals(clock=Clock(), messages_per_second=1e9, message_burst=1_000_000_000)
    if has_metrics:
        Metrics(signals.insight)
    return signals


def connect(signals: Signals, number: int, *, is_signals: bool = False) -> Link:
    """A client of the plain protocol, or of ``pode.signals.v1``."""
    record = RequestRecord(b"GET", b"/ws", [(b"Host", b"example.com")], "192.0.2.1", False)
    return hub_of(signals).open(
        Identity("Bench", (), str(number)),
        record,
        lambda _link: Wire(),
        encoding=SIGNALS_WEBSOCKET if is_signals else PLAIN_WEBSOCKET,
        dialogue=Dialogue(Session(32, 1_000), ()) if is_signals else None,
    )


def fan_out(count: int, *, is_signals: bool = False, has_history: bool = False, has_metrics: bool = False) -> None:
    """One message a turn to all: count × CLIENTS deliveries."""
    signals = new_signals(has_metrics=has_metrics)
    if has_history:
        signals.keep_history("Bench")
    for number in range(CLIENTS):
        connect(signals, number, is_signals=is_signals)
    turn(signals)
    for _ in range(count):
        signals.send(TEXT, name="Bench")
        turn(signals)


def echo(count: int, *, has_metrics: bool = False) -> None:
    """A client's message, its signal route, the answer: count deliveries."""
    signals = new_signals(has_metrics=has_metrics)

    @signals.route("/ws")
    def answer(event: SignalEvent) -> None:
        event.connection.send(event.data.message)

    connection = connect(signals, 0)
    received = hub_of(signals).received
    turn(signals)
    for _ in range(count):
        received(connection, ECHO)


def frames(count: int) -> None:
    """The frame of a client's message to its text: count messages."""
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[at & 3] for at, byte in enumerate(ECHO))
    frame = bytes([0x81, 0x80 | len(ECHO)]) + mask + masked
    for _ in range(count):
        unmasked_text(frame, 65_536)


def allocations(count: int) -> None:
    """Print blocks and bytes as JSON: of a connection, of a delivery at most, and what is left of count messages."""
    signals = new_signals()
    connect(signals, -1)
    turn(signals)
    tracemalloc.start()
    blocks, before = sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0]
    for number in range(CLIENTS):
        connect(signals, number)
    turn(signals)
    connected = tracemalloc.get_traced_memory()[0]
    found = {
        "blocks_per_connection": (sys.getallocatedblocks() - blocks) / CLIENTS,
        "bytes_per_connection": (connected - before) / CLIENTS,
    }
    others = new_signals()
    connect(others, -1, is_signals=True)
    turn(others)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(CLIENTS):
        connect(others, number, is_signals=True)
    turn(others)
    found["bytes_per_signals_connection"] = (tracemalloc.get_traced_memory()[0] - before) / CLIENTS
    signals.send(TEXT, name="Bench")  # the audience is made once
    turn(signals)
    blocks, before = sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for _ in range(count):
        signals.send(TEXT, name="Bench")
        turn(signals)
    found["peak_bytes_per_delivery"] = (tracemalloc.get_traced_memory()[1] - before) / CLIENTS
    found["blocks_left_per_delivery"] = (sys.getallocatedblocks() - blocks) / (CLIENTS * count)
    print(json.dumps(found))


def turn(signals: Signals) -> None:
    """End the turn of the reactor."""
    clock: Any = signals.clock
    clock.advance(0)


MODES: dict[str, Callable[[int], None]] = {
    "fan-out": fan_out,
    "signals": partial(fan_out, is_signals=True),
    "history": partial(fan_out, is_signals=True, has_history=True),
    "echo": echo,
    "fan-out with metrics": partial(fan_out, has_metrics=True),
    "echo with metrics": partial(echo, has_metrics=True),
    "frames": frames,
    "allocations": allocations,
}

if __name__ == "__main__":
    # A full collection would fall into one run or into the other by chance, and count for more than a change does.
    gc.disable()
    MODES[sys.argv[1]](int(sys.argv[2]))

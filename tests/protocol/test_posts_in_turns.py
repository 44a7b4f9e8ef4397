"""Frames of one POST: they have their share of a turn of the reactor, as the frames of one packet do."""

from __future__ import annotations

import json
from typing import Any

from event_clients import FIRST, SIGNALS, posted
from transports.test_one_function_in_a_turn import Busy
from web_fakes import plain

from pode_signals.hub.connection import SignalConnection
from pode_signals.hub.observing import Observer

OWN = ("Sec-Fetch-Site", "same-origin")


def stream(found: Busy) -> tuple[str, Any]:
    """The token and the client of a stream whose Connect functions have run."""
    found.world.converting()
    client = found.world.client().send(plain("/msg", SIGNALS, FIRST, OWN))
    found.turns()
    return json.loads(client.received.partition(b"data: ")[2].partition(b"\n")[0])["resumeToken"], client


def sends(*numbers: int) -> list[dict[str, Any]]:
    """Frames with a message each."""
    return [{"type": "send", "message": each} for each in numbers]


def test_one_function_in_a_turn() -> None:
    """S5.6: of the frames of a POST one is handled in a turn where each takes 5 ms; all are taken, and in order."""
    found = Busy(allow_sse=True)
    token, _ = stream(found)
    found.turn += 1
    poster = found.world.client().send(posted(token, 1, json.dumps(sends(*range(30))), "/msg"))
    assert poster.received.startswith(b"HTTP/1.1 202")
    assert len(found.heard) == 1
    found.world.client().send(posted(token, 2, json.dumps(sends(30, 31)), "/msg"))
    assert len(found.heard) == 1
    found.turns()
    found.check(32)


def test_what_overtakes() -> None:
    """P35: a beat among the frames of a POST does not wait behind functions."""
    found = Busy(allow_sse=True)
    token, client = stream(found)
    frames = [*sends(0, 1, 2), {"type": "beat"}]
    found.world.client().send(posted(token, 1, json.dumps(frames), "/msg"))
    assert client.received.count(b'"type":"beat"') == 1
    assert len(found.heard) == 1
    found.turns()
    found.check(3)


def test_a_stream_that_ends_meanwhile() -> None:
    """P91: frames that wait for a turn when their stream ends are handled as those of a WebSocket are, each once."""
    found = Busy(allow_sse=True)
    token, client = stream(found)
    found.world.client().send(posted(token, 1, json.dumps(sends(*range(5))), "/msg"))
    client.leave()
    found.turns()
    found.check(5)
    assert found.world.signals.open_connections() == ()


def test_observers() -> None:
    """O1.3: an observer is told of each message that comes by POST."""
    heard: list[bytes] = []

    class Hears(Observer):
        def received(self, connection: SignalConnection, payload: bytes) -> None:
            heard.append(payload)

    found = Busy(allow_sse=True)
    found.world.signals.insight.attach(Hears())
    token, _ = stream(found)
    found.world.client().send(posted(token, 1, '[{"type":"beat"},{"type":"send","message":1}]', "/msg"))
    found.turns()
    assert heard == [b'{"type":"beat"}', b'{"type":"send","message":1}']

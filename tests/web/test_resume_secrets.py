"""A resume token through every door of a server: no log, report, answer, record or repr has it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import astuple
from bounded import BoundedWorld
from refused_requests import ROWS, Row
from twisted.logger import capturedLogs, eventAsText
from web_fakes import Client, World, head, message

from pode_signals import TriggeredEvent
from pode_signals.core.resume import ResumeRequest
from pode_signals.core.upgrade import UpgradeOffer
from pode_signals.signals import hub_of
from pode_signals.web import converter

SECRET = "WzEsMTc5MDAwMDAwMF0.c2VjcmV0LXRva2Vu"
RESUME = f"pode.resume.k3v9q2.41-7.{SECRET}"
LINES = (
    ("Sec-WebSocket-Protocol", f"pode.signals.v1, {RESUME}"),
    ("X-PODE-SIGNAL-RESUME", f"k3v9q2.41-7.{SECRET}"),
    ("Last-Event-ID", f"k3v9q2.41-7.{SECRET}"),
)
BLOCK = b"".join(f"{name}: {value}\r\n".encode() for name, value in LINES)


@contextmanager
def nothing_tells(world: World) -> Iterator[None]:
    """Fail if the token is in anything that the server logs or keeps."""
    with capturedLogs() as logs:
        yield
    recent = hub_of(world.signals).reports.recent
    texts = [eventAsText(event, includeTraceback=True) for event in logs]
    texts += [repr(event) for event in logs]
    texts += [repr(astuple(each)) for each in (*recent.lines, *recent.refusals)]
    texts += [*world.access_lines, repr(world.signals.counters)]
    texts += [repr([each, each.request, dict(each.request.headers)]) for each in world.converted]
    texts += [repr(row) for row in world.signals.insight.connections().items]
    assert len(logs) > 0
    assert [text for text in texts if SECRET in text] == []


def with_token(request: bytes) -> bytes:
    """A request with the token in each place where it may be."""
    first, _, rest = request.partition(b"\r\n")
    return first + b"\r\n" + BLOCK + rest


@pytest.fixture(params=[World, BoundedWorld])
def world(request: pytest.FixtureRequest) -> World:
    """A Site of Twisted's and one of a service."""
    return request.param() if request.param is BoundedWorld else World().converting()  # type: ignore[no-any-return]


def is_told_nothing(client: Client) -> bool:
    return SECRET.encode() not in client.received


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_refusals(row: Row, world: World) -> None:
    """P53: whatever a handshake is refused for, neither the line in the log nor the answer has its token."""
    client = world.client()
    with nothing_tells(world):
        answer = client.ask(with_token(row.request))
    assert answer.status == row.status
    assert is_told_nothing(client)


@pytest.mark.parametrize(
    "line",
    [
        *(f"{name}: {value}\0".encode() for name, value in LINES),
        *(f"{name}: {value}\x0b\xff".encode("latin-1") for name, value in LINES[:1]),
        *(f"{name}: \x85{value}".encode("latin-1") for name, value in LINES[:1]),
        f"Sec-WebSocket-Protocol: a b, {RESUME}".encode(),
        f"Sec-WebSocket-Protocol: {RESUME}, a, a".encode(),
        f"Sec-WebSocket-Protocol: a b,\r\n {RESUME}".encode(),
        *(f"{name} : {value}".encode() for name, value in LINES),
        *(f" {name}: {value}".encode() for name, value in LINES),
        *(f"{name} {value}".encode() for name, value in LINES),
        f"X-PODE-SIGNAL-RESUME: {SECRET * 1_000}".encode(),
        f"Sec-WebSocket-Protocol: pode.resume.-.-.{SECRET * 1_000}, a b".encode(),
    ],
    ids=range(19),
)
def test_lines_that_are_refused(line: bytes, world: World) -> None:
    """P53: where the very line is refused that has the token, the log has the rest of it at most."""
    first, rest = head("/msg").split(b"\r\n", 1)
    client = world.client()
    with nothing_tells(world):
        client.send(b"\r\n".join((first, line, rest)))
        world.turn()
        # Twisted writes nothing of some of these, and this is a line for sure.
        world.client().ask(head("/msg", ("Host", "a b")))
    assert is_told_nothing(client)
    assert client.answers == [] or client.answers[-1].status == 400


def fails(event: Any) -> None:
    raise LookupError(repr([event, event.connection, event.connection.request]))


def test_a_connection(world: World) -> None:
    """P53: a connection keeps no token: none of its functions, its record, its rows or its access line has it."""
    events: list[TriggeredEvent] = []
    world.signals.on_connect("Msg")(lambda event: events.append(event) or fails(event))
    world.signals.on_disconnect("Msg")(fails)
    world.signals.add_route("/msg", fails)
    client = world.client()
    with nothing_tells(world):
        client.open("/msg", *LINES).send(message("hello"), b"\x81\x80 bad")
        world.turn()
        client.leave()
        world.turn(1)
    assert events[0].connection.request.header("Sec-WebSocket-Protocol") == "pode.signals.v1"
    assert is_told_nothing(client)


@pytest.mark.parametrize(
    ("accepted", "agreed"),
    [((), None), (("chat", RESUME), None), ((RESUME, "pode.signals.v1"), "pode.signals.v1")],
)
def test_an_offer_is_never_agreed_on(accepted: tuple[str, ...], agreed: str | None) -> None:
    """P4: the 101 has no resume text, not even where a route accepts that very text."""
    client = World(signals_protocol=False).converting(subprotocols=accepted).client()
    answer = client.ask(head("/msg", LINES[0]))
    assert (answer.status, answer.value("Sec-WebSocket-Protocol")) == (101, agreed)
    assert b"pode.resume" not in client.received


@pytest.mark.parametrize("text", ["pode.resume.", "pode.resume.nonsense", "pode.resume.a.b.c.d", "pode.resume.a b/c"])
def test_malformed_texts(text: str, world: World) -> None:
    """P52: a handshake with a resume text that can't be read is a handshake without one, and no 400."""
    world.client().open("/msg", ("Sec-WebSocket-Protocol", f"pode.signals.v1, {text}"))
    assert world.converted[0].request.header("Sec-WebSocket-Protocol") == "pode.signals.v1"


def test_a_route_that_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """P53: where all that is known of a request gets into a traceback, the token is not in it."""
    seen: list[ResumeRequest | None] = []

    def checked(request_head: Any, rules: Any) -> UpgradeOffer:
        offer = real(request_head, rules)
        seen.append(offer.resume)
        raise LookupError(repr([request_head, rules, offer, request_head.record()]))

    real = converter.check
    monkeypatch.setattr(converter, "check", checked)
    client = world.client()
    with nothing_tells(world):
        assert client.ask(head("/msg", *LINES)).status == 500
    assert [request is not None and request.token for request in seen] == [SECRET]
    assert is_told_nothing(client)

"""Clients of several encodings under one name: what each gets, and in which order."""

from __future__ import annotations

import json
from enum import StrEnum
from random import Random
from typing import Any

import pytest
from encodings_of_tests import EVENTS, MADE, NEWER
from fakes import FakeTransport, clock_of, connect, new_signals, turn
from steps import steps

from pode_signals import Signals
from pode_signals.wire.message import PLAIN_WEBSOCKET, Encoding, Message
from pode_signals.wire.v1 import SIGNALS_WEBSOCKET

ENCODINGS = (PLAIN_WEBSOCKET, NEWER, EVENTS)


@pytest.fixture
def signals() -> Signals:
    """A hub."""
    MADE.clear()
    return new_signals()


def wanted(encoding: Encoding, *texts: str) -> bytes:
    """What a client of an encoding gets of some texts."""
    return b"".join(Message(text.encode()).encoded(encoding) for text in texts)


def got(client: FakeTransport) -> bytes:
    """All bytes that came."""
    return b"".join(each for each in client.written if isinstance(each, bytes))


def test_an_audience_of_several_encodings(signals: Signals) -> None:
    """S4.5: one send reaches plain clients and others alike, each in its encoding, and each form is made once."""
    clients = [connect(signals, encoding=each) for each in ENCODINGS for _ in range(3)]
    turn(signals)
    delivery = signals.send("hi", name="Msg")
    assert (delivery.recipients, delivery.sent) == (9, 9)
    turn(signals)
    assert MADE == [b"hi"]
    for client in clients:
        assert got(client) == wanted(client.link.encoding, "hi")


def test_a_turn_is_joined_for_each_encoding(signals: Signals) -> None:
    """S4.6: the messages of one turn go out as one string of bytes to each client, whatever its encoding."""
    clients = [connect(signals, encoding=each) for each in ENCODINGS]
    turn(signals)
    for text in ("one", "two", "three"):
        signals.send(text, name="Msg")
    turn(signals)
    for client in clients:
        assert client.written == [wanted(client.link.encoding, "one", "two", "three")]


def test_one_client(signals: Signals) -> None:
    """S4.5: what goes to one client alone has the client's encoding, too."""
    for encoding in ENCODINGS:
        client = connect(signals, encoding=encoding)
        turn(signals)
        client.connection.send("one")
        signals.send("two", name="Msg", client_id=client.client_id)
        assert got(client) == wanted(encoding, "one", "two")


def test_a_slow_client_of_another_encoding(signals: Signals) -> None:
    """S4.5: what waits for a slow client is in its encoding."""
    slow, quick = connect(signals, encoding=NEWER), connect(signals)
    turn(signals)
    slow.link.congested()
    assert signals.send("hi", name="Msg").queued == 1
    turn(signals)
    assert (got(slow), got(quick)) == (b"", wanted(PLAIN_WEBSOCKET, "hi"))
    slow.link.drained()
    assert got(slow) == wanted(NEWER, "hi")


@pytest.mark.parametrize("how", ["closes", "vanishes"])
def test_the_last_of_another_encoding_leaves(signals: Signals, how: str) -> None:
    """S4.5: with the last client of another encoding, the look at how each client is encoded ends."""
    # What goes to one client alone is written at once.
    plain, _plain_too = connect(signals), connect(signals)
    turn(signals)

    def cost() -> int:
        """How many steps a send takes whose audience is known from the last one."""
        signals.send("before", name="Msg")
        turn(signals)
        plain.written.clear()
        return steps(lambda: (signals.send("hi", name="Msg"), turn(signals)))

    alone = cost()
    other = connect(signals, encoding=NEWER)
    turn(signals)
    assert cost() > alone + 5
    getattr(other, how)()
    other.written.clear()
    turn(signals)
    assert cost() == alone
    assert (got(plain), got(other)) == (wanted(PLAIN_WEBSOCKET, "hi"), b"")


class Word(StrEnum):
    """A text with a type of its own."""

    HI = "hi"


@pytest.mark.parametrize("data", ["hi", Word.HI, '"hi"', '{"a":1}', "null", {"a": 1}, ["hi"], 7, 0, False, {}])
def test_plain_and_signals_clients(signals: Signals, data: Any) -> None:
    """P6: plain clients and signals clients of a name get one send, each in its form; a text is a text for both."""
    plain, other = connect(signals), connect(signals, encoding=SIGNALS_WEBSOCKET)
    turn(signals)
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    expected = {"type": "signal", "data": data}
    for send in (
        lambda: signals.send(data, name="Msg"),
        lambda: [each.connection.send(data) for each in (plain, other)],
    ):
        send()
        turn(signals)
        assert got(plain) == wanted(PLAIN_WEBSOCKET, text)
        assert json.loads(got(other)[2:]) == expected
        plain.written.clear()
        other.written.clear()


@pytest.mark.parametrize(
    ("group", "told"),
    [("kitchen", "kitchen"), (["bar", "kitchen", "bar"], ["bar", "kitchen"]), (["", "kitchen"], "kitchen")],
)
def test_signals_clients_are_told_the_groups(signals: Signals, group: Any, told: Any) -> None:
    """P6: a signal has the groups that its send named, and a plain client is told nothing of them."""
    clients = [connect(signals, group="kitchen", encoding=each) for each in (PLAIN_WEBSOCKET, SIGNALS_WEBSOCKET)]
    turn(signals)
    signals.send("hi", name="Msg", group=group)
    turn(signals)
    assert got(clients[0]) == wanted(PLAIN_WEBSOCKET, "hi")
    assert json.loads(got(clients[1])[2:]) == {"type": "signal", "data": "hi", "group": told}


def test_a_client_names_groups_that_cannot_be(signals: Signals) -> None:
    """P13: groups that a client made up, of any length, are told to nobody and stop nothing."""
    asker = connect(signals)
    clients = [connect(signals, group="kitchen", encoding=each) for each in (PLAIN_WEBSOCKET, SIGNALS_WEBSOCKET)]
    turn(signals)
    asker.says("hi", group=["kitchen", "x" * 1_000, "\n"])
    turn(signals)
    assert got(clients[0]) == wanted(PLAIN_WEBSOCKET, "hi")
    assert json.loads(got(clients[1])[2:]) == {"type": "signal", "data": "hi", "group": "kitchen"}


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture(signals: Signals, seed: int) -> None:
    """S4.6: whoever comes and goes, each client gets what was sent while it was there, once and in order."""
    random = Random(seed)
    here: list[tuple[FakeTransport, list[str]]] = []
    gone: list[tuple[FakeTransport, list[str]]] = []
    for number in range(120):
        step = random.random()
        if step < 0.2 or not here:
            here.append((connect(signals, encoding=random.choice(ENCODINGS)), []))
        elif step < 0.3:
            client, texts = here.pop(random.randrange(len(here)))
            client.connection.close()
            gone.append((client, texts))
        elif step < 0.8:
            signals.send(str(number), name="Msg")
            for _, texts in here:
                texts.append(str(number))
        elif step < 0.9:
            client, texts = random.choice(here)
            client.connection.send(f"to one {number}")
            texts.append(f"to one {number}")
        else:
            clock_of(signals).advance(0)
    turn(signals)
    for client, texts in here + gone:
        assert got(client) == wanted(client.link.encoding, *texts)

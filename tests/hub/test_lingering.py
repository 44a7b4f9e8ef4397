"""Connections that are gone while functions for them go on: each keeps its place until these have ended."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from fakes import WaitingRoute, connected, new_signals, turn
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from pode_signals import Signals
from pode_signals.errors import TooManyConnections
from pode_signals.signals import hub_of


def lingering(signals: Signals) -> int | float:
    """How many connections keep their place."""
    found = signals.insight.number("pode_signals_connections_lingering")
    assert isinstance(found, int)
    return found


def waits(signals: Signals, type: str) -> Deferred[None]:
    """What the functions of an event wait for."""
    deferred: Deferred[None] = Deferred()
    signals.register_event("Msg", type, "waits", lambda _event: deferred)
    return deferred


def waits_in(pending: list[Deferred[None]], _event: Any) -> Deferred[None]:
    """A signal route that waits."""
    pending.append(Deferred())
    return pending[-1]


def fails(_event: Any) -> None:
    """A signal route with a mistake."""
    raise LookupError


MESSAGES = {"nothing": 0, "messages": 2, "its rate": 2}
"""How many messages a client has sent when it goes, where not one."""


def test_clients_that_come_and_go() -> None:
    """S16.5: clients that send and leave, one after the other, have no more functions run than may be connected."""
    signals = new_signals(max_connections=3)
    waiting = WaitingRoute(signals)
    for number in range(3):
        client = connected(signals)
        turn(signals)
        client.says(number)
        client.vanishes()
    assert (lingering(signals), waiting.messages) == (3, [0, 1, 2])
    with pytest.raises(TooManyConnections) as refused:
        connected(signals)
    assert refused.value.code == 503
    waiting.end(1)
    assert lingering(signals) == 2
    connected(signals)
    with pytest.raises(TooManyConnections):
        connected(signals)


def test_of_one_address() -> None:
    """S16.5: so it is for the connections of one address, and others come in."""
    signals = new_signals(max_connections_per_address=1)
    waiting = WaitingRoute(signals)
    client = connected(signals, address="192.0.2.1")
    turn(signals)
    client.says("x")
    client.vanishes()
    with pytest.raises(TooManyConnections) as refused:
        connected(signals, address="192.0.2.1")
    assert refused.value.code == 429
    connected(signals, address="192.0.2.2")
    waiting.end(0)
    connected(signals, address="192.0.2.1")
    assert lingering(signals) == 0


@pytest.mark.parametrize("what", ["nothing", "Connect", "Disconnect", "a message", "messages", "its rate", "raises"])
def test_until_its_functions_have_ended(what: str) -> None:
    """S9.3, S10.3: whatever goes on for a connection that is gone, its place is free when that has ended."""
    signals = new_signals(messages_per_second=1, message_burst=1 if what == "its rate" else 100)
    pending = [waits(signals, each.lower()) for each in ("Connect", "Disconnect") if each == what]
    routes = {"raises": fails, "a message": partial(waits_in, pending), "messages": partial(waits_in, pending)}
    signals.add_route("/ws", routes.get(what, lambda _event: None))
    client = connected(signals)
    turn(signals)
    with capturedLogs():
        for number in range(MESSAGES.get(what, 1)):
            client.says(number)
        client.vanishes()
        turn(signals)
        assert lingering(signals) == (what not in ("nothing", "raises"))
        # The end of one function may be the begin of another.
        for _ in range(2):
            for each in [each for each in pending if not each.called]:
                each.callback(None)
        for _ in range(3):
            turn(signals, seconds=1)
    assert lingering(signals) == 0
    assert not hub_of(signals).capacity.links


def test_a_function_that_ends_its_own_connection() -> None:
    """S10.3: a connection that its own function ends, at once, keeps no place."""
    signals = new_signals()
    client = connected(signals, at_once=True)
    signals.add_route("/ws", lambda event: event.connection.close())
    turn(signals)
    client.says("x")
    turn(signals)
    assert lingering(signals) == 0
    assert not signals.open_connections()


def test_a_function_that_is_cancelled_at_its_time() -> None:
    """S5.7: a function that never ends keeps the place up to its time limit."""
    signals = new_signals(handler_timeout_seconds=5)
    WaitingRoute(signals)
    client = connected(signals)
    turn(signals)
    client.says("x")
    client.vanishes()
    assert lingering(signals) == 1
    with capturedLogs():
        turn(signals, seconds=5)
    assert lingering(signals) == 0

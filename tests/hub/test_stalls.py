"""Turns that took over a second: the log names the function, and says so once."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import clock_of, connected, new_signals, turn
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from web_fakes import World, message, plain

from pode_signals import Signals

BUSY = (
    "kept the reactor busy for 1.5 s, and nobody else was served meanwhile: have it wait without blocking (await a"
    " Deferred), or run it in twisted.internet.threads.deferToThread"
)


def lines(logs: list[Any]) -> list[str]:
    """The warnings about turns."""
    return [formatEvent(each) for each in logs if each.get("kind", "").endswith(("took long", "stalled"))]


def sleeps(signals: Signals, seconds: float = 1.5) -> Any:
    """A function that sleeps."""
    # Time passes, and nothing else happens: the clock's calls would run within the function.
    return lambda *_: setattr(clock_of(signals), "rightNow", clock_of(signals).rightNow + seconds)


@pytest.mark.parametrize("seconds", [0.9, 1.5])
def test_a_signal_route(protocol: str, seconds: float) -> None:
    """S20.1: a signal route that keeps the turn for a second or more is named, a quicker one is not."""
    world = World().converting()
    world.signals.add_route("/msg", sleeps(world.signals, seconds))
    client = world.client().open("/msg")
    with capturedLogs() as logs:
        client.send(message("hello"))
        world.turn()
    assert lines(logs) == ([f"signal route /msg {BUSY}"] if seconds > 1 else [])


def test_a_message_that_waited() -> None:
    """S20.1: so is the route of a message that waited for a function, or for its rate."""
    signals = new_signals()
    waiting: Deferred[None] = Deferred()
    functions = [lambda _: waiting, sleeps(signals)]
    signals.add_route("/ws", lambda event: functions[event.data.message](event))
    client = connected(signals)
    turn(signals)
    client.says(0)
    client.says(1)
    with capturedLogs() as logs:
        waiting.callback(None)
    assert lines(logs) == [f"signal route /ws {BUSY}"]


def test_a_message_behind_others(protocol: str) -> None:
    """S20.1: so is the route of a message that waited for another turn with the rest of its client's bytes."""
    world = World().converting()
    turns = [0.5] * 2 + [1.5]
    world.signals.add_route("/msg", lambda event: sleeps(world.signals, turns[event.data.message])(event))
    client = world.client().open("/msg")
    with capturedLogs() as logs:
        client.send(b"".join(message(number) for number in range(3)))
        for _ in range(4):
            world.turn()
    assert lines(logs) == [f"signal route /msg {BUSY}"]


def test_what_comes_after_a_wait_is_not_the_functions_turn() -> None:
    """S20.1: a function that waits for long keeps no turn."""
    signals = new_signals()
    waiting: Deferred[None] = Deferred()
    signals.add_route("/ws", lambda event: waiting)
    client = connected(signals)
    turn(signals)
    with capturedLogs() as logs:
        client.says("hello")
        for _ in range(10):
            turn(signals, seconds=1)
        waiting.callback(None)
    assert lines(logs) == []


def test_events_jobs_and_checks() -> None:
    """S20.1: so are functions of events and of jobs."""
    signals = new_signals()
    signals.register_event("Msg", "connect", "slowly", sleeps(signals))
    signals.add_timer("tick", 1, sleeps(signals), limit=1)
    with capturedLogs() as logs:
        connected(signals)
        turn(signals)
        signals.start_schedules()
        turn(signals, seconds=1)
    assert lines(logs) == [f"connect event slowly of Msg {BUSY}", f"timer tick {BUSY}"]


def test_async_functions() -> None:
    """S20.1: an ``async def`` that keeps the turn before its first wait is named as well."""
    signals = new_signals()

    async def slowly(*_: Any) -> None:
        sleeps(signals)()

    signals.register_event("Msg", "connect", "slowly", slowly)
    signals.add_timer("tick", 1, slowly, limit=1)
    signals.add_route("/ws", lambda event: slowly())
    with capturedLogs() as logs:
        connected(signals)
        turn(signals)
        signals.start_schedules()
        turn(signals, seconds=1)
    assert lines(logs) == [f"connect event slowly of Msg {BUSY}", f"timer tick {BUSY}"]


def test_the_end_of_a_connection(protocol: str) -> None:
    """S20.1: a Disconnect function that keeps the turn is named, and the connection's signal route is not."""
    world = World().converting()
    world.signals.add_route("/msg", lambda event: None)
    world.signals.register_event("Msg", "disconnect", "slowly", sleeps(world.signals))
    client = world.client().open("/msg")
    client.send(message("hello"))
    world.turn()
    with capturedLogs() as logs:
        client.leave()
        world.turn()
    assert lines(logs) == [f"disconnect event slowly of Msg {BUSY}"]


def test_a_route_that_wakes_another() -> None:
    """S20.1: of two functions, one within the other, the inner one that kept the turn is named alone."""
    signals = new_signals()
    waiting: Deferred[None] = Deferred()
    functions = [lambda _: waiting, sleeps(signals)]
    signals.add_route("/slow", lambda event: functions[event.data.message](event))
    signals.add_timer("wakes", 1, lambda: waiting.callback(None), limit=1)
    client = connected(signals, path="/slow")
    turn(signals)
    client.says(0)
    client.says(1)
    with capturedLogs() as logs:
        signals.start_schedules()
        turn(signals, seconds=1)
    assert lines(logs) == [f"signal route /slow {BUSY}"]


def test_a_function_that_raises_after_a_while(protocol: str) -> None:
    """S20.1: one that raises is named all the same."""
    world = World().converting()

    def fails(event: Any) -> None:
        sleeps(world.signals)(event)
        raise LookupError

    world.signals.add_route("/msg", fails)
    client = world.client().open("/msg")
    with capturedLogs() as logs:
        client.send(message("hello"))
        world.turn()
    assert lines(logs) == [f"signal route /msg {BUSY}"]


def test_an_http_route() -> None:
    """S20.1: a route of the web framework is named by the path of the request, without its query."""
    world = World()

    @world.app.route("/slow")
    def slow(_request: Any) -> bytes:
        sleeps(world.signals)()
        return b"at last"

    with capturedLogs() as logs:
        assert world.client().ask(plain("/slow?token=secret")).body == b"at last"
    assert lines(logs) == [f"the HTTP route of /slow {BUSY}"]


def test_nobody_is_known() -> None:
    """S20.1: where the reactor stood still and no function of the package's did it, the line says just that."""
    signals = new_signals()
    connected(signals)
    turn(signals, seconds=1)
    with capturedLogs() as logs:
        turn(signals, seconds=4)
        turn(signals, seconds=1)
    assert lines(logs) == [
        "the reactor stood still for at least 3.0 s, and nobody was served meanwhile: a function blocks that this"
        " package has not called (such as one that goes on after an await), or the machine stood still"
    ]


def test_said_once() -> None:
    """S20.1: a stall that was blamed on a function is not told of once more; a later one is."""
    signals = new_signals()
    signals.add_timer("tick", 0.5, sleeps(signals, 3), limit=1)
    connected(signals)
    turn(signals)
    with capturedLogs() as logs:
        signals.start_schedules()
        turn(signals, seconds=0.5)
        turn(signals, seconds=0.5)
    assert len(lines(logs)) == 1
    with capturedLogs() as logs:
        turn(signals, seconds=3)
    assert ["stood still" in line for line in lines(logs)] == [True]

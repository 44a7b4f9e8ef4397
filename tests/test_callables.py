"""What can be called, wherever a function is taken: partials, objects, methods, lambdas, plain and asynchronous."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fakes import connected, new_signals, turn
from twisted.internet.defer import succeed

from pode_signals import EventType, Signals
from pode_signals.errors import EventAlreadyRegistered

Seen = list[str]


def with_seen(seen: Seen, *args: Any, **kwargs: Any) -> None:
    seen.append("ran")


async def late_with_seen(seen: Seen, *args: Any, **kwargs: Any) -> None:
    seen.append("ran")


class Plain:
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("ran")

    def method(self, *args: Any) -> None:
        self.seen.append("ran")

    async def late_method(self, *args: Any) -> None:
        self.seen.append("ran")


class Late(Plain):
    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("ran")


class Deferring(Plain):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return succeed(None).addCallback(lambda _: self.seen.append("ran"))


class Nameless(Plain):
    """As a mock: it has no attribute ``__name__``, or one that is no text."""

    __name__ = 5  # type: ignore[assignment]


CALLABLES: dict[str, Callable[[Seen], Callable[..., Any]]] = {
    "partial": lambda seen: partial(with_seen, seen),
    "partial of async": lambda seen: partial(late_with_seen, seen),
    "partial of partial": lambda seen: partial(partial(with_seen, seen), "more"),
    "partial of object": lambda seen: partial(Plain(seen), "more"),
    "object": Plain,
    "asynchronous object": Late,
    "object of a Deferred": Deferring,
    "nameless": Nameless,
    "method": lambda seen: Plain(seen).method,
    "asynchronous method": lambda seen: Plain(seen).late_method,
    "lambda": lambda seen: lambda *_: seen.append("ran"),
    "builtin": lambda seen: seen.append,
}


@pytest.fixture
def signals() -> Signals:
    return new_signals()


@pytest.fixture(params=CALLABLES)
def made(request: pytest.FixtureRequest) -> Callable[[Seen], Callable[..., Any]]:
    """Makes something that can be called with any arguments."""
    return CALLABLES[request.param]


def test_events(signals: Signals, made: Callable[[Seen], Callable[..., Any]]) -> None:
    """S9.1: on_connect and on_disconnect take whatever can be called, and give it back as it is."""
    seen: Seen = []
    function = made(seen)
    assert signals.on_connect("Msg")(function) is function
    assert signals.on_disconnect("Msg")(function) is function
    client = connected(signals)
    assert len(seen) == 1
    client.vanishes()
    turn(signals)
    assert len(seen) == 2
    names = [each.event_name for each in signals.events()]
    assert all(isinstance(name, str) and name for name in names)
    for kind, name in zip((EventType.CONNECT, EventType.DISCONNECT), names, strict=True):
        signals.unregister_event("Msg", kind, name)
    assert signals.events() == ()


def test_signal_routes(signals: Signals, made: Callable[[Seen], Callable[..., Any]]) -> None:
    """S5.2: a signal route is whatever can be called."""
    seen: Seen = []
    function = made(seen)
    assert signals.route("/msg")(function) is function
    connected(signals, path="/msg").says("hello")
    assert len(seen) == 1


def test_schedules_and_timers(signals: Signals, made: Callable[[Seen], Callable[..., Any]]) -> None:
    """S13.1, S13.6: schedules and timers run whatever can be called."""
    seen: Seen = []
    function = made(seen)
    assert signals.schedule("each", "* * * * *", args=["x"], on_start=True)(function) is function
    signals.add_timer("each", 60, function, args=["x"], on_start=True)
    signals.start_schedules()
    turn(signals)
    assert len(seen) == 2
    signals.stop_schedules()


@pytest.mark.parametrize("kind", ["partial", "partial of object", "object", "nameless", "lambda"])
def test_events_without_a_name_of_their_own(signals: Signals, kind: str) -> None:
    """S9.1: what has no name of its own gets one that is not taken, so several of a kind can be registered; one of
    several names gets one name for all.
    """
    seen: Seen = []
    signals.on_connect("Other")(CALLABLES[kind](seen))
    for names in ("Msg", ["Msg", "Other"], iter(["Msg", "Third"])):
        signals.on_connect(names)(CALLABLES[kind](seen))
    by_name = {name: [each.event_name for each in signals.events(name)] for name in ("Msg", "Other", "Third")}
    assert [len(set(names)) for names in by_name.values()] == [3, 2, 1]
    assert by_name["Other"][1] == by_name["Msg"][1]
    assert by_name["Third"] == by_name["Msg"][2:]
    connected(signals)
    assert len(seen) == 3


def test_functions_with_a_name_keep_it(signals: Signals) -> None:
    """S9.1: a function's own name is its event's name, and registering another one of this name is an error."""

    def came(event: Any) -> None:
        """A function."""

    signals.on_connect("Msg")(came)
    assert [each.event_name for each in signals.events()] == ["came"]
    with pytest.raises(EventAlreadyRegistered):
        signals.on_connect("Msg")(came)

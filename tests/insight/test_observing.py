"""Observers: what they are told of, and that a hub without one makes no call for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from encodings_of_tests import NEWER
from fakes import clock_of, connect, connected, new_signals, turn
from queue_model import slowed
from served import Served
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import head, message

from pode_signals import Observer, Signals
from pode_signals.core.model import Closure, Target
from pode_signals.hub.observing import SAMPLE
from pode_signals.signals import hub_of

METHODS = [name for name in vars(Observer) if not name.startswith("_")]


def watching(*names: str) -> Any:
    """An observer of some things, which keeps in ``told`` what it is told."""
    told: list[tuple[Any, ...]] = []
    methods = {name: lambda self, *args, name=name: told.append((name, *args)) for name in names}
    observer = type("Watching", (Observer,), methods)()
    observer.told = told
    return observer


def observed(*names: str, **settings: Any) -> tuple[Signals, list[tuple[Any, ...]]]:
    """Signals with an observer, and what it is told."""
    signals, observer = new_signals(**settings), watching(*names)
    signals.insight.attach(observer)
    return signals, observer.told


def bound(signals: Signals) -> dict[str, Any]:
    """Everything into which observers are bound."""
    hub = hub_of(signals)
    return {
        "opened": hub.opened,
        "closed": hub.closed,
        "shook_hands": hub.shook_hands,
        "pong": hub.ponged,
        "received": hub.received,
        "sent": hub.sender.sent,
        "batch": hub.fan_out.flush,
        "wrote": hub.deliveries.to_one,
        "handled": (hub.fence.call, hub.fence.measure),
    }


def plain_function(found: Any) -> Any:
    """What is bound, without the object that it is bound to."""
    if isinstance(found, tuple):
        return tuple(map(plain_function, found))
    return getattr(found, "__func__", found)


def test_nobody_observes() -> None:
    """O1.4: without an observer the functions of every part are the part's own, or none at all."""
    hub = hub_of(new_signals())
    found = {name: plain_function(each) for name, each in bound(new_signals()).items()}
    assert found == {
        "opened": None,
        "closed": None,
        "shook_hands": None,
        "pong": None,
        "received": vars(type(hub.received.__self__))["received"],
        "sent": None,
        "batch": vars(type(hub.fan_out))["_flush"],
        "wrote": vars(type(hub.deliveries))["_to_one"],
        "handled": (vars(type(hub.fence))["_call"], None),
    }


@pytest.mark.parametrize("name", METHODS)
def test_only_the_methods_that_an_observer_has(name: str) -> None:
    """O1.4: a method that an observer leaves out is bound nowhere."""
    assert set(METHODS) == bound(new_signals()).keys()
    without = {key: plain_function(each) for key, each in bound(new_signals()).items()}
    signals, _ = observed(name)
    changed = {key for key, each in bound(signals).items() if plain_function(each) != without[key]}
    assert changed == {name}


def test_a_connection_comes_and_goes() -> None:
    """O1.3: an observer is told of each connection, of its end, and of how long it was there."""
    signals, told = observed("opened", "closed")
    client = connected(signals)
    turn(signals, seconds=12)
    client.closes(1001, "leaving")
    client.vanishes()
    assert told == [
        ("opened", client.connection),
        ("closed", client.connection, client.connection.closure, 12.0),
    ]
    assert isinstance(client.connection.closure, Closure)


def test_a_handshake() -> None:
    """O1.3: a handshake takes from the accept to the 101; a later request of a connection, from its first byte."""
    served, observer = Served(), watching("shook_hands")
    served.signals.insight.attach(observer)
    served.service.startService()
    request = head("/msg", ("Host", "localhost"))
    first = served.talk(request[:20])
    served.reactor.advance(3)
    first.protocol.dataReceived(request[20:])
    second = served.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    served.reactor.advance(7)
    second.protocol.dataReceived(request[:20])
    served.reactor.advance(2)
    second.protocol.dataReceived(request[20:])
    served.reactor.advance(0)
    assert [seconds for _, _, seconds in observer.told] == [3.0, 2.0]
    assert observer.told[0][1].name == "Msg"


def test_an_observer_that_closes() -> None:
    """S16.5: an observer may close what it is told of: the connection was open, and ends in good order."""

    class Closes(Observer):
        def shook_hands(self, connection: Any, seconds: float) -> None:
            connection.close(4001, "not now")

    served = Served()
    served.signals.insight.attach(Closes())
    served.service.startService()
    with capturedLogs() as logs:
        transport = served.talk(head("/msg", ("Host", "localhost")))
        served.reactor.advance(1)
    assert b" 101 " in transport.value()
    assert transport.value().endswith(b"not now")
    assert [each for each in logs if each["log_level"].name != "info"] == []
    assert served.signals.counters.connections_opened == 1


def test_a_pong() -> None:
    """O1.3: a pong is told of with its time; one that no ping asked for is not."""
    signals, told = observed("pong", ping_interval_seconds=5)
    client = connected(signals)
    client.answers_pings = False
    client.link.pong(b"unasked")
    for _ in range(6):
        turn(signals, seconds=1)
    (payload,) = client.pings
    clock_of(signals).advance(0.25)
    client.link.pong(payload)
    client.link.pong(payload)
    assert [(name, connection) for name, connection, _ in told] == [("pong", client.connection)]
    assert told[0][2] == 1.25


def test_what_is_received() -> None:
    """O1.3: each text message of a client is told of before a function gets it; none after a close."""
    signals, told = observed("received")
    order: list[str] = []
    signals.add_route("/ws", lambda event: order.append(f"{event.data.message} after {len(told)}"))
    client = connected(signals)
    turn(signals)
    client.says("hello")
    client.writes(b"{")
    client.connection.close()
    client.says("too late")
    assert told == [
        ("received", client.connection, b'{"message": "hello"}'),
        ("received", client.connection, b"{"),
    ]
    assert order == ["hello after 1"]


def test_what_is_sent() -> None:
    """O1.3: each send that has something to say is told of, with its target and its delivery, the direct ones too."""
    signals, told = observed("sent")
    client = connected(signals, client_id="ada")
    delivery = signals.send({"a": 1}, name="Msg", group=["g", "h"])
    signals.send("", name="Msg")
    direct = client.connection.send("x")
    assert told == [
        ("sent", Target(("Msg",), ("g", "h")), b'{"a":1}', delivery),
        ("sent", Target(("Msg",), (), ("ada",)), b"x", direct),
    ]


def test_what_is_written() -> None:
    """O1.3: a batch is told of with its recipients and bytes, single writes each; what is dropped is neither."""
    signals, told = observed("batch", "wrote", slow_client="drop_newest", send_queue_bytes=1)
    quick = connected(signals), connected(signals)
    slow = slowed(connected(signals), 0)
    signals.send("alone", name="Msg", client_id=slow.client_id)
    signals.send("ab", name="Msg")
    signals.send("cde", name="Msg")
    turn(signals)
    assert [each.got for each in quick] == [["ab", "cde"]] * 2
    assert [each[0] for each in told] == ["wrote", "batch"]
    assert told[0] == ("wrote", slow.connection, len(b"\x81\x05alone"))
    name, recipients, size_bytes, seconds = told[1][1:]
    assert (name, recipients, size_bytes) == ("Msg", 2, len(b"\x81\x02ab\x81\x03cde"))
    assert seconds > 0
    slow.connection.send("dropped")
    assert len(told) == 2


def test_a_batch_that_fails() -> None:
    """O1.3: of a batch those count to whom it was written."""
    signals, told = observed("batch")
    clients = [connected(signals) for _ in range(3)]
    clients[0].raises = OSError("gone")
    connect(signals, encoding=NEWER)
    with capturedLogs():
        signals.send("x", name="Msg")
        turn(signals)
    assert [each[:3] for each in told] == [("batch", "Msg", 3)]


class TestFunctions:
    def test_one_in_eight(self) -> None:
        """O1.6: one function in eight is measured, whatever kind it is of."""
        signals, told = observed("handled")
        signals.add_route("/ws", lambda event: None)
        client = connected(signals)
        turn(signals)
        for number in range(3 * SAMPLE):
            client.says(number)
        assert [kind for _, kind, _ in told] == ["route"] * 3
        assert all(0 <= seconds < 60 for _, _, seconds in told)

    @pytest.mark.parametrize("way", ["Deferred", "coroutine"])
    def test_functions_that_wait(self, way: str) -> None:
        """O1.6: the time of a function that waits goes to its end, and its client's next message waits as always."""
        signals, told = observed("handled")
        waiting: list[Deferred[None]] = []

        def waits(_event: Any) -> Any:
            waiting.append(Deferred())
            return waiting[-1] if way == "Deferred" else self.awaits(waiting[-1])

        signals.add_route("/ws", waits)
        client = connected(signals)
        turn(signals)
        for number in range(SAMPLE + 1):
            client.says(number)
        for number in range(SAMPLE - 1):
            assert len(waiting) == number + 1
            waiting[number].callback(None)
        assert (len(waiting), told) == (SAMPLE, [])
        waiting[-1].callback(None)
        assert (len(waiting), [kind for _, kind, _ in told]) == (SAMPLE + 1, ["route"])
        assert signals.counters.functions_failed == 0

    async def awaits(self, deferred: Deferred[None]) -> None:
        await deferred

    @pytest.mark.parametrize("way", ["raises", "waits and raises"])
    def test_functions_that_raise(self, way: str) -> None:
        """S5.7: a function that raises is measured, logged and counted once."""
        signals, told = observed("handled")

        def fails(event: Any) -> Any:
            if way == "raises":
                raise LookupError
            return self.awaits_and_fails()

        signals.add_route("/ws", fails)
        client = connected(signals)
        turn(signals)
        with capturedLogs() as logs:
            for number in range(SAMPLE):
                client.says(number)
        assert [kind for _, kind, _ in told] == ["route"]
        assert signals.counters.functions_failed == SAMPLE == len(logs)

    async def awaits_and_fails(self) -> None:
        raise LookupError

    def test_other_functions(self) -> None:
        """O1.6: functions of events and of jobs are measured as well, those that wait until they have ended."""
        signals, told = observed("handled")
        waiting: list[Deferred[None]] = []

        @signals.on_connect("Msg")
        def connects(event: Any) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        @signals.on_disconnect("Msg")
        def disconnects(event: Any) -> None:
            pass

        signals.add_timer("tick", 1, lambda: None)
        for _ in range(SAMPLE):
            connected(signals)
            turn(signals)
        assert told == []
        waiting[-1].callback(None)
        assert [kind for _, kind, _ in told] == ["connect"]
        for each in waiting[:-1]:
            each.callback(None)
        for each in signals.open_connections():
            each.close()
        turn(signals)
        assert [kind for _, kind, _ in told] == ["connect", "disconnect"]
        signals.start_schedules()
        for _ in range(SAMPLE):
            turn(signals, seconds=1)
        assert [kind for _, kind, _ in told] == ["connect", "disconnect", "job"]


def test_several_observers() -> None:
    """O1.4: several observers are told of the same things, and of the same functions in the sample."""
    signals = new_signals()
    signals.add_route("/ws", lambda event: None)
    first, second = (watching(*METHODS) for _ in range(2))
    signals.insight.attach(first)
    signals.insight.attach(second)
    client = connected(signals)
    turn(signals)
    for number in range(SAMPLE):
        client.says(number)
    client.connection.send("x")
    assert [each[:2] for each in first.told] == [each[:2] for each in second.told]
    assert [each[:2] for each in first.told if each[0] == "handled"] == [("handled", "route")]


@pytest.mark.parametrize("error", [LookupError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("name", METHODS)
def test_an_observer_that_raises(name: str, error: type[BaseException]) -> None:
    """S16.5: what an observer raises is logged, and hurts nobody who is observed."""

    def raises(*_: Any) -> None:
        raise error

    signals = new_signals(ping_interval_seconds=1)
    signals.insight.attach(type("Raising", (Observer,), {name: raises})())
    signals.add_route("/ws", lambda event: event.send(event.data.message))
    clients = [connected(signals, answers_close=True) for _ in range(2)]
    with capturedLogs() as logs:
        for number in range(SAMPLE):
            turn(signals, seconds=1)
            clients[0].says(number)
        turn(signals, seconds=1)
        clients[0].connection.send("alone")
        shook = hub_of(signals).shook_hands
        if shook is not None:
            shook(clients[0].link, 1.0)
        for each in clients:
            each.connection.close()
        connected(signals)
        turn(signals)
    assert {(each["observer"], each["name"]) for each in logs} == {("Raising", name)}
    assert [each for each in clients[1].got if isinstance(each, str)] == [str(number) for number in range(SAMPLE)]
    assert signals.counters.callbacks_failed == signals.counters.functions_failed == 0


class TestMistakes:
    def test_after_the_first_connection(self) -> None:
        """S20.2: an observer that would miss connections is refused at once."""
        signals = new_signals()
        connected(signals)
        with pytest.raises(RuntimeError, match="attach an observer before the first connection"):
            signals.insight.attach(watching("received"))

    @pytest.mark.parametrize("what", [Observer, object(), print])
    def test_what_is_no_observer(self, what: Any) -> None:
        """S20.2: an observer is an instance of a subclass of Observer."""
        with pytest.raises(TypeError, match="an observer is an instance of a subclass of Observer, not "):
            new_signals().insight.attach(what)


def test_messages_by_the_wire(protocol: str) -> None:
    """O1.3: messages that come by a socket are told of, whichever protocol reads them."""
    served, observer = Served(), watching("received")
    served.signals.insight.attach(observer)
    served.service.startService()
    transport = served.talk(head("/msg", ("Host", "localhost")))
    served.reactor.advance(0)
    transport.protocol.dataReceived(message("hello"))
    served.reactor.advance(0)
    assert [payload for _, _, payload in observer.told] == [b'{"message": "hello"}']

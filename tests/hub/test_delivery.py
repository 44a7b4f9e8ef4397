from __future__ import annotations

import gc
import weakref
from contextvars import copy_context
from typing import Any, cast

import pytest
from fakes import FakeTransport, connect, connected, new_signals, result_of, turn
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from pode_signals import Delivery, SignalEvent, Signals
from pode_signals.hub.context import current_event
from pode_signals.signals import hub_of


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


def numbers(delivery: Delivery) -> tuple[int, int, int, int]:
    """Recipients, and what became of them."""
    return (delivery.recipients, delivery.sent, delivery.queued, delivery.dropped)


class TestNumbers:
    def test_sent(self, signals: Signals) -> None:
        """S4.7: with nothing waiting ahead a message is sent, to each of its recipients."""
        clients = [connected(signals), connected(signals), connected(signals, "Other")]
        assert numbers(signals.send("x", name="Msg")) == (2, 2, 0, 0)
        assert numbers(signals.send("x", name=["Msg", "Other"])) == (3, 3, 0, 0)
        assert numbers(signals.send("x", name="Other")) == (1, 1, 0, 0)
        assert numbers(clients[0].connection.send("x")) == (1, 1, 0, 0)

    def test_nobody(self, signals: Signals) -> None:
        """S4.7: sending to nobody is no error."""
        delivery = signals.send("x", name="Nobody")
        assert numbers(delivery) == (0, 0, 0, 0)
        assert delivery.refused == ()
        assert result_of(delivery.when_written()) is delivery

    def test_queued(self, signals: Signals) -> None:
        """S4.7: behind unsent data a message is queued, until the client has read it all."""
        slow, quick, other = connected(signals), connected(signals), connected(signals, "Other")
        slow.link.congested()
        assert numbers(signals.send("1", name="Msg")) == (2, 1, 1, 0)
        assert numbers(signals.send("2", name="Msg", client_id=slow.client_id)) == (1, 0, 1, 0)
        assert numbers(signals.send("3", name="Msg", client_id=quick.client_id)) == (1, 1, 0, 0)
        assert numbers(signals.send("4", name="Other")) == (1, 1, 0, 0)
        assert numbers(slow.connection.send("5")) == (1, 0, 1, 0)
        slow.link.drained()
        assert numbers(signals.send("6", name="Msg")) == (2, 2, 0, 0)
        turn(signals)
        assert slow.got == ["1", "2", "5", "6"]
        assert quick.got == ["1", "3", "6"]
        assert other.got == ["4"]

    def test_the_write_that_fills_the_wire(self, signals: Signals) -> None:
        """S4.7: the message that makes a wire full had nothing ahead and is sent; the next is queued."""
        client = connected(signals)
        client.congested_by_writing = True
        assert numbers(client.connection.send("1")) == (1, 1, 0, 0)
        assert numbers(client.connection.send("2")) == (1, 0, 1, 0)
        assert client.got == ["1"]
        client.link.drained()
        assert client.got == ["1", "2"]

    def test_they_are_final(self, signals: Signals) -> None:
        """S4.7: the numbers are final when send returns, whatever happens in the rest of the turn."""
        clients = [connected(signals), connected(signals)]
        delivery = signals.send("x", name="Msg")
        clients[0].link.congested()
        clients[1].vanishes()
        turn(signals)
        assert numbers(delivery) == (2, 2, 0, 0)

    def test_a_congested_client_that_left(self, signals: Signals) -> None:
        """S4.7: who has left is no recipient, congested or not; nothing is kept of it."""
        slow, other = connected(signals, client_id="1"), connected(signals)
        slow.link.congested()
        slow.connection.close()
        turn(signals)
        again = connected(signals, client_id="1")
        assert numbers(signals.send("x", name="Msg")) == (2, 2, 0, 0)
        turn(signals)
        assert (again.got, other.got) == (["x"], ["x"])

    def test_a_client_that_left_and_is_congested_then(self, signals: Signals) -> None:
        """S4.7: the wire of a client that has left may fill with the rest; nothing is kept of it."""
        leaving = connect(signals, answers_close=False)
        turn(signals)
        leaving.connection.close()
        leaving.link.congested()
        assert hub_of(signals).fan_out.congested == set()
        assert numbers(signals.send("x", name="Msg")) == (0, 0, 0, 0)

    def test_dropped(self, signals: Signals) -> None:
        """S4.7: what a wire refuses at once is dropped, not sent."""
        client = connected(signals)
        client.raises = OSError()
        with capturedLogs():
            delivery = signals.send("x", name="Msg")
        assert numbers(delivery) == (1, 0, 0, 1)
        assert numbers(signals.send("x", name="Msg")) == (0, 0, 0, 0)

    def test_dropped_behind_what_the_turn_collected(self, signals: Signals) -> None:
        """S4.7: where writing what the turn collected ends the connection, the message behind it is dropped."""
        client, other = connected(signals), connected(signals)
        client.raises = OSError()
        assert numbers(signals.send("1", name="Msg")) == (2, 2, 0, 0)
        with capturedLogs():
            assert numbers(client.connection.send("2")) == (1, 0, 0, 1)
        assert other.got == ["1"]

    def test_dropped_by_a_turn_that_is_too_full(self, signals: Signals) -> None:
        """S4.7: where a send makes the turn's collection go out early, whoever does not take it is dropped, and no more
        queued.
        """
        slow, bad, _good = connected(signals), connected(signals), connected(signals)
        bad.raises = OSError()
        slow.link.congested()
        with capturedLogs():
            found = [numbers(signals.send("x" * 60_000, name="Msg")) for _ in range(6)]
        assert found == [(3, 2, 1, 0)] * 4 + [(3, 1, 1, 1), (2, 1, 1, 0)]

    def test_nothing_is_kept(self, signals: Signals) -> None:
        """S4.7: a connection that is gone is forgotten, though its wire was full and its messages were many."""
        slow, other = connected(signals), connected(signals)
        slow.link.congested()
        signals.send("x", name="Msg")
        slow.vanishes()
        turn(signals)
        gone = weakref.ref(slow.connection)
        del slow
        gc.collect()
        assert gone() is None
        assert other.got == ["x"]

    def test_counters(self, signals: Signals) -> None:
        """S4.7: the hub counts what its deliveries count."""
        slow, bad = connected(signals), connected(signals, "Bad")
        connected(signals)
        slow.link.congested()
        bad.raises = OSError()
        signals.send("x", name="Msg")
        slow.connection.send("y")
        with capturedLogs():
            bad.connection.send("z")
        counters = signals.counters
        assert (counters.recipients_sent, counters.recipients_queued, counters.recipients_dropped) == (1, 2, 1)

    def test_in_words(self, signals: Signals) -> None:
        """S4.7: a delivery says in words what it counted."""
        connected(signals)
        text = "<Delivery recipients=1 sent=1 queued=0 dropped=0 refused=[]>"
        assert repr(signals.send("x", name="Msg")) == text


class TestWaiting:
    @pytest.fixture
    def clients(self, signals: Signals) -> list[FakeTransport]:
        """Two, so that what is sent to both goes out at the end of the turn."""
        return [connected(signals), connected(signals)]

    def test_when_written(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.7: when_written fires with the delivery once this turn's writing is done, not before."""
        fired: list[Any] = []
        delivery = signals.send("x", name="Msg")
        delivery.when_written().addCallback(lambda result: fired.append((result, clients[1].got)))
        assert fired == []
        turn(signals)
        assert fired == [(delivery, ["x"])]

    def test_written_already(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.7: when all is written it fires at once, each time anew."""
        delivery = signals.send("x", name="Msg")
        turn(signals)
        assert result_of(delivery.when_written()) is delivery
        assert result_of(delivery.when_written()) is delivery
        delivery = signals.send("x", name="Msg", client_id=clients[0].client_id)
        assert result_of(delivery.when_written()) is delivery

    def test_each_call_has_its_own(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.7: each call gives a new Deferred: what one does to its result or cancels is nothing to the others."""
        delivery = signals.send("x", name="Msg")
        changed, cancelled, kept = (delivery.when_written() for _ in range(3))
        changed.addCallback(lambda _: "changed")
        errors: list[Any] = []
        cancelled.addErrback(errors.append)
        cancelled.cancel()
        assert errors[0].check(CancelledError)
        turn(signals)
        assert (result_of(changed), result_of(kept)) == ("changed", delivery)

    def test_a_callback_cancels_another(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.7: a callback may cancel the Deferred of another wait, and the rest still fire."""
        delivery = signals.send("x", name="Msg")
        first, second, third = (delivery.when_written() for _ in range(3))
        errors: list[Any] = []
        second.addErrback(errors.append)
        first.addCallback(lambda _: second.cancel())
        turn(signals)
        assert errors[0].check(CancelledError)
        assert result_of(third) is delivery

    def test_whose_event_is_current(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.2: a plain callback of when_written has no current event, whoever's context the turn happens to run in."""
        seen: list[Any] = []
        signals.send("x", name="Msg").when_written().addCallback(lambda _: seen.append(current_event.get()))
        context = copy_context()
        context.run(current_event.set, cast(SignalEvent, "somebody's"))
        context.run(turn, signals)
        assert seen == [None]

    def test_await(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.7: await delivery is the same, also twice and also for sends in a row."""
        seen: list[Any] = []

        async def sends() -> None:
            for text in ("x", "y"):
                delivery = signals.send(text, name="Msg")
                seen.append((await delivery is delivery, await delivery is delivery))
                seen.append(clients[0].got)

        Deferred.fromCoroutine(sends())
        assert seen == []
        turn(signals)
        assert seen == [(True, True), ["x"], (True, True), ["x", "y"]]

    def test_a_signal_route_that_gives_its_delivery(self, signals: Signals, clients: list[FakeTransport]) -> None:
        """S4.7: nobody has to wait, and a signal route may give the delivery back: it ends with the writing."""
        signals.add_route("/ws", lambda event: signals.send(event.data.message, name="Msg"))
        for number in range(3):
            clients[0].says(number)
        turn(signals)
        assert clients[1].got == ["0", "1", "2"]

"""``SignalClient``: its service, its coroutines and its loop, against servers in memory."""

from __future__ import annotations

from typing import Any

import pytest
from client_sessions import hello_document
from client_wires import ClientWorld, Outcome, gathered, run
from twisted.internet.defer import CancelledError, Deferred

from pode_signals.client import ClientEvent, Closed, Lost, Opened, SignalClient, SignalReceived
from pode_signals.errors import MessageTooBig, ReplyError


def acks(world: ClientWorld) -> list[object]:
    """The ids of the acknowledgements that the server has."""
    return [text["id"] for text in world.server.texts if text["type"] == "ack"]


class TestOpening:
    def test_the_handshake(self) -> None:
        """P2: a client offers the subprotocol at the path and query of its URL, with its headers and no Origin."""
        world = ClientWorld(url="ws://example.com:81/a%20b?c=d", headers={"Authorization": "Bearer x"}).start()
        request = world.server.request
        assert (request.path, request.params, request.protocols) == ("/a%20b", {"c": ["d"]}, ["pode.signals.v1"])
        assert request.headers["authorization"] == "Bearer x"
        assert request.headers["host"] == "example.com:81"
        assert "origin" not in request.headers

    def test_when_open(self) -> None:
        """P2: who waits for the connection gets its hello, before it is open and at once afterwards."""
        world = ClientWorld()
        before = Outcome(world.client.when_open())
        assert (before.result, world.client.is_open, world.client.hello) == (Outcome.waiting, False, None)
        world.start()
        assert before.result == Outcome(world.client.when_open()).result == world.client.hello
        assert before.result.client_id == "ada"
        assert world.client.is_open

    def test_when_it_does_not_open(self) -> None:
        """P32: who waits for a connection is told that the client is closed; who has cancelled is not told."""
        world = ClientWorld(lambda: None).start()
        waiting, cancelled = Outcome(world.client.when_open()), Outcome(world.client.when_open())
        cancelled.deferred.cancel()
        assert isinstance(cancelled.result, CancelledError)
        world.client.stopService()
        for outcome in (waiting, Outcome(world.client.when_open())):
            assert isinstance(outcome.result, ReplyError)
            assert outcome.result.code == "closed"

    def test_coming_back(self) -> None:
        """P60: a client whose connection is cut, or could not be made, comes back and goes on where it was."""
        world = ClientWorld().start()
        world.server.signal("one", offset="41-7")
        world.turn()
        world.server.cut()
        world.makes = lambda: None
        world.turn(1)
        world.makes = world.scripted
        world.hello = hello_document(recovered=True, offset="41-7")
        world.turn(3)
        assert len(world.urls) == 3
        assert world.server.request.protocols == ["pode.signals.v1", "pode.resume.k3v9q2.41-7.token"]
        assert world.client.is_open

    def test_the_time_for_an_attempt(self) -> None:
        """P67: an attempt that does not come to a connection, or to hello, is given up after 10 seconds."""
        cancelled: list[object] = []
        world = ClientWorld(lambda: Deferred(cancelled.append)).start()
        world.turn(10)
        assert len(cancelled) == 1
        world.hello = None  # type: ignore[assignment]
        world.makes = world.scripted
        world.turn(1)
        world.turn(10)
        assert len(world.urls) == 2
        assert world.server.is_lost
        assert not world.client.is_open


class TestStopping:
    def test_in_good_order(self) -> None:
        """P86: a client that is stopped closes with 1000, and its Deferred fires when the connection has ended."""
        world = ClientWorld().start()
        stopped = Outcome(world.client.stopService())
        assert stopped.result is Outcome.waiting
        world.turn()
        assert (stopped.result, world.server.closed_by_client, world.server.is_lost) == (None, 1000, True)
        assert world.clock.getDelayedCalls() == []

    def test_a_server_that_is_silent(self) -> None:
        """P86: a connection whose server does not answer the close frame is dropped after 5 seconds."""
        world = ClientWorld().start()
        world.server.transport.pauseProducing()
        stopped = Outcome(world.client.stopService())
        world.turn(4.9)
        assert stopped.result is Outcome.waiting
        world.turn(0.1)
        assert stopped.result is None
        assert world.clock.getDelayedCalls() == []

    def test_on_the_way(self) -> None:
        """P86: a client is stopped before it has a connection, before hello, while it waits, and when it never ran."""
        for prepare in ("never", "url", "connecting", "hello", "waiting"):
            world = ClientWorld(url=Deferred) if prepare == "url" else ClientWorld()
            if prepare == "connecting":
                world.makes = Deferred
            elif prepare == "waiting":
                world.makes = lambda: None
            world.hello = None  # type: ignore[assignment]
            if prepare != "never":
                world.start()
            stopped = Outcome(world.client.stopService())
            world.turn()
            assert stopped.result is None, prepare
            assert world.clock.getDelayedCalls() == []

    def test_async_with(self) -> None:
        """P86: ``async with`` starts a client, and stops it at its end, also where the body raises."""
        world = ClientWorld()

        async def program() -> None:
            async with world.client as client:
                assert client is world.client
                assert (await client.when_open()).client_id == "ada"
                raise KeyError("mine")

        outcome = run(program())
        world.turn()
        assert isinstance(outcome.result, KeyError)
        assert world.server.closed_by_client == 1000
        assert not world.client.running

    def test_starting_again(self) -> None:
        """P60: a client that was stopped can be started again."""
        world = ClientWorld().start()
        world.client.stopService()
        world.turn()
        world.start()
        assert world.client.is_open
        assert run(world.client.send("one")).result is None


class TestSending:
    def test_send(self) -> None:
        """P33: a send is over when it is written, with all that it names."""
        world = ClientWorld().start()
        sending = world.client.send({"a": 1}, path="/other", group=["a", "b"], client_id=("ada", 7), direct=True)
        assert run(sending).result is None
        world.turn()
        assert world.server.texts == [
            {
                "type": "send",
                "message": {"a": 1},
                "path": "/other",
                "group": ["a", "b"],
                "clientId": ["ada", 7],
                "direct": True,
            }
        ]

    def test_request(self) -> None:
        """P32: a request gives the data of the reply, or raises the error."""
        world = ClientWorld().start()
        good, bad = run(world.client.request("one")), run(world.client.request("two", group="a"))
        world.turn()
        ids = [text["id"] for text in world.server.texts]
        world.server.says(type="reply", id=ids[0], data={"booked": "4A"})
        world.server.says(type="error", id=ids[1], code="app.taken", text="Taken.")
        world.turn()
        assert good.result == {"booked": "4A"}
        assert isinstance(bad.result, ReplyError)
        assert (bad.result.code, bad.result.text, str(bad.result)) == ("app.taken", "Taken.", "app.taken: Taken.")

    def test_how_they_fail(self) -> None:
        """P32, P14: requests fail with lost, timeout and closed; what can't be sent raises at once."""
        world = ClientWorld().start()
        late, lost = run(world.client.request("one", timeout=2)), run(world.client.request("two"))
        world.turn(2)
        world.server.cut()
        world.turn()
        world.client.stopService()
        closed = run(world.client.send("three"))
        assert [each.result.code for each in (late, lost, closed)] == ["timeout", "lost", "closed"]
        other = ClientWorld().start()
        assert isinstance(run(other.client.send("x" * 70_000)).result, MessageTooBig)
        assert isinstance(run(other.client.send({1, 2})).result, TypeError)
        assert isinstance(run(other.client.send(None)).result, ValueError)
        other.turn()
        assert other.server.texts == []

    def test_cancelling(self) -> None:
        """P32: a request that is cancelled is not written any more, and nothing of it is kept."""
        world = ClientWorld()
        asking = run(world.client.request("one"))
        asking.deferred.cancel()
        assert isinstance(asking.result, CancelledError)
        world.start()
        assert world.server.texts == []
        assert world.client._driver._sent == {}

    def test_a_full_socket(self) -> None:
        """P34: while the socket takes nothing, sends wait."""
        world = ClientWorld().start()
        world.wire.producer.pauseProducing()
        sending = run(world.client.send("one"))
        world.turn()
        assert (sending.result, world.server.texts) == (Outcome.waiting, [])
        world.wire.producer.resumeProducing()
        world.turn()
        assert (sending.result, len(world.server.texts)) == (None, 1)


class TestTheLoop:
    def test_events_in_order(self) -> None:
        """P60, P62: the loop gets what happens in order, also what happened before the loop began, and ends at last."""
        world = ClientWorld().start()
        world.server.signal("one", offset="41-7")
        world.turn()
        events: list[ClientEvent] = []
        loop = run(gathered(world.client, events))
        world.server.signal({"a": 2}, group="kitchen")
        world.turn()
        world.server.cut()
        world.turn(1)
        world.server.closes(4000, "so")
        world.turn()
        hellos = [each.hello for each in events if isinstance(each, Opened)]
        assert events == [
            Opened(hellos[0]),
            SignalReceived("one", offset="41-7"),
            SignalReceived({"a": 2}, "kitchen"),
            Opened(hellos[1]),
            Lost(hellos[1]),
            Closed(4000, "so"),
        ]
        assert loop.result is None
        assert run(gathered(world.client, events)).result is None

    def test_acknowledgements(self) -> None:
        """P75: a signal is acknowledged when the loop asks for the next event, by a loop that waits for it too."""
        world = ClientWorld().start()
        world.server.signal("one", ack="n1")
        world.server.signal("two", ack="n2")
        world.turn()
        gates: list[Deferred[None]] = []

        async def program() -> None:
            async for event in world.client:
                if isinstance(event, SignalReceived):
                    gates.append(Deferred())
                    await gates[-1]

        run(program())
        world.turn()
        assert acks(world) == []
        gates[0].callback(None)
        world.turn()
        assert acks(world) == ["n1"]
        gates[1].callback(None)
        world.turn()
        assert acks(world) == ["n1", "n2"]

    @pytest.mark.parametrize("how", ["raise", "break"])
    def test_a_loop_that_is_left(self, how: str) -> None:
        """P75: a signal whose loop fails or is left is not acknowledged, by a later loop neither."""
        world = ClientWorld().start()
        world.server.signal("one", ack="n1")
        world.server.signal("two", ack="n2")
        world.turn()

        async def program() -> None:
            async for event in world.client:
                if isinstance(event, SignalReceived):
                    if how == "raise":
                        raise KeyError("mine")
                    break

        left = run(program())
        assert isinstance(left.result, KeyError if how == "raise" else type(None))
        events: list[ClientEvent] = []
        run(gathered(world.client, events))
        world.turn()
        assert [each.data for each in events if isinstance(each, SignalReceived)] == ["two"]
        assert acks(world) == ["n2"]

    def test_a_loop_that_is_cancelled(self) -> None:
        """P60: a loop that is cancelled while it waits takes no event with it."""
        world = ClientWorld().start()
        events: list[ClientEvent] = []
        loop = run(gathered(world.client, events))
        loop.deferred.cancel()
        assert isinstance(loop.result, CancelledError)
        world.server.signal("one")
        world.turn()
        later: list[ClientEvent] = []
        run(gathered(world.client, later))
        assert later == [SignalReceived("one")]

    def test_two_loops(self) -> None:
        """P60: of two loops each event goes to one, and both end."""
        world = ClientWorld().start()
        first: list[ClientEvent] = []
        second: list[ClientEvent] = []
        loops = run(gathered(world.client, first)), run(gathered(world.client, second))
        for number in range(6):
            world.server.signal(number)
        world.turn()
        world.client.stopService()
        world.turn()
        found = [each.data for each in first + second if isinstance(each, SignalReceived)]
        assert sorted(found) == list(range(6))
        assert [loop.result for loop in loops] == [None, None]

    def test_requests_within_the_loop(self) -> None:
        """P32: the body of a loop may ask, and the loop goes on with what came meanwhile."""
        world = ClientWorld().start()
        found: list[Any] = []

        async def program() -> None:
            async for event in world.client:
                if isinstance(event, SignalReceived):
                    reply = await world.client.request(event.data)
                    found.append(reply)

        run(program())
        world.server.signal("one")
        world.server.signal("two")
        for _ in range(2):
            world.turn()
            world.server.says(type="reply", id=world.server.texts[-1]["id"], data=world.server.texts[-1]["message"])
        world.turn()
        assert found == ["one", "two"]

    def test_back_pressure(self) -> None:
        """P60: a client whose loop takes nothing reads no further from its socket, and loses nothing by that."""
        world = ClientWorld(max_waiting_signals=10).start()
        for number in range(100):
            world.server.signal(number)
            world.turn()
        assert not world.wire.is_reading
        assert len(world.client._session._inbox) == 10
        events: list[ClientEvent] = []
        run(gathered(world.client, events))
        world.turn()
        assert [each.data for each in events if isinstance(each, SignalReceived)] == list(range(100))


class TestFunctionsOfTheApplication:
    def test_the_url(self) -> None:
        """P86: a function gives the URL of each attempt: at once, by a coroutine, or by a Deferred."""
        waiting: Deferred[str] = Deferred()

        async def later() -> str:
            return "ws://example.com/2"

        given: list[Any] = ["ws://example.com/1", later(), waiting]
        world = ClientWorld(url=lambda: given.pop(0)).start()
        for _ in range(2):
            world.server.cut()
            world.turn(1)
        assert world.urls == ["ws://example.com/1", "ws://example.com/2"]
        # The application's own time is no part of the handshake's.
        world.turn(100)
        waiting.callback("wss://example.com/3")
        world.turn()
        assert world.urls[2:] == ["wss://example.com/3"]
        assert world.client.is_open

    def test_a_url_that_fails(self) -> None:
        """P86: a function that raises, or gives no URL, is a failed attempt, and is asked again."""
        given: list[Any] = [KeyError("mine"), "http://example.com/", 7, "ws://example.com/"]

        def url() -> Any:
            found = given.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        world = ClientWorld(url=url).start()
        for _ in range(3):
            world.turn(4)
        assert world.client.is_open

    @pytest.mark.parametrize("kind", ["value", "coroutine", "deferred"])
    def test_refresh(self, kind: str) -> None:
        """P85: the function for credentials gives them at once, by a coroutine, or by a Deferred."""
        waiting: Deferred[str] = Deferred()

        async def later() -> str:
            return "secret"

        given = {"value": lambda: "secret", "coroutine": later, "deferred": lambda: waiting}
        world = ClientWorld(refresh=given[kind])
        world.hello = hello_document(expiresInSeconds=20)
        world.start().turn(15)
        if kind == "deferred":
            world.turn(1)
            waiting.callback("secret")
        world.turn()
        assert world.server.texts == [{"type": "refresh", "id": "refresh-1", "token": "secret"}]

    def test_refresh_that_fails(self) -> None:
        """P85: a function for credentials that raises, or gives none, is logged and asked again 5 seconds later."""
        given: list[Any] = ["", 7, "x" * 8_193, "secret"]
        world = ClientWorld(refresh=lambda: given.pop(0))
        world.hello = hello_document(expiresInSeconds=20)
        world.start()
        for seconds in (15, 5, 5, 5):
            world.turn(seconds)
        world.turn()
        assert world.server.texts == [{"type": "refresh", "id": "refresh-1", "token": "secret"}]


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"url": "http://example.com/"},
            {"url": "ws://"},
            {"url": "ws://example.com/a b"},
            {"url": "ws://example.com/\r\nX: 1"},
            {"url": "ws://example.com/ü"},
            {"url": "ws://example.com/#top"},
            {"url": "ws://ada:secret@example.com/"},
            {"url": "ws://example.com:99999/"},
            {"url": 7},
            {"since": "x"},
            {"headers": {"a b": "c"}},
            {"headers": {"A": "b\r\nC: d"}},
            {"headers": {"A": "ü"}},
            {"headers": {"A": 7}},
            {"headers": {"Host": "example.org"}},
            {"headers": {"sec-websocket-key": "x"}},
            {"base_seconds": 0},
            {"base_seconds": 10, "cap_seconds": 9},
            {"max_waiting_signals": -1},
        ],
    )
    def test_bad_ones(self, arguments: dict[str, Any]) -> None:
        """S20.1: an argument that can't be what it is raises a ValueError, which does not repeat a secret."""
        with pytest.raises(ValueError, match=r".+") as raised:
            SignalClient(**{"url": "ws://example.com/", **arguments})
        assert "secret" not in str(raised.value)

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from fakes import Close, FakeTransport, clock_of, connect, connected, new_signals, result_of, timers, turn
from memory import grown_bytes
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent

from pode_signals import Scope, Signals
from pode_signals.core.model import ClosedBy, Closure, Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.errors import ClientGone, ClientIdInUse, TooManyConnections
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


class TestIdentity:
    def test_what_it_tells(self, signals: Signals) -> None:
        """S2.5: name, group, client id, scope, state, times, address and metadata."""
        client = connect(signals, "Msg", group="red", client_id="me", address="198.51.100.7", endpoint_name="admin")
        connection = client.connection
        assert (connection.name, connection.group, connection.client_id) == ("Msg", "red", "me")
        assert (connection.scope, connection.is_global, connection.is_local) == (Scope.GLOBAL, True, False)
        assert (connection.state, connection.closure) == (ConnectionState.OPEN, None)
        assert (connection.address, connection.endpoint_name) == ("198.51.100.7", "admin")
        assert connection.connected_at == connection.last_activity == datetime.fromtimestamp(1_700_000_000, UTC)
        assert connection.connected_at.tzinfo is UTC
        assert connection.hub is signals
        connection.metadata["a"] = 1
        assert connection.metadata == {"a": 1}
        assert connect(signals).connection.metadata == {}
        assert repr(connection) == "<SignalConnection 'Msg' 'me' open>"

    def test_integer_client_ids(self, signals: Signals) -> None:
        """S2.2: an integer client id is taken as its text."""
        connection = connect(signals, client_id=7).connection
        assert connection.client_id == "7"
        assert signals.connection("Msg", 7) is signals.connection("Msg", "7") is connection
        assert (signals.has_client_id("Msg", 7), signals.has_client_id("Msg", 8)) == (True, False)
        assert (signals.new_client_id(7), signals.is_client_id_valid(7), signals.is_client_id_signed(7)) == (
            "7",
            True,
            False,
        )
        assert signals.send("x", name="Msg", client_id=7).recipients == 1
        signals.close("Msg", client_id=7)
        assert not signals.has_client_id("Msg", 7)

    @pytest.mark.parametrize("client_id", [UUID(int=7), b"7", 7.0, ["7"]])
    def test_what_is_no_client_id(self, signals: Signals, client_id: Any) -> None:
        """S2.2: what is neither text nor an integer is a TypeError that says so, wherever one id is asked for."""
        calls: list[Callable[[], object]] = [
            lambda: connect(signals, client_id=client_id),
            lambda: signals.new_client_id(client_id),
            lambda: signals.connection("Msg", client_id),
            lambda: signals.has_client_id("Msg", client_id),
            lambda: signals.is_client_id_valid(client_id),
            lambda: signals.is_client_id_signed(client_id),
        ]
        for call in calls:
            with pytest.raises(TypeError, match=f"has to be a str or an int, not {type(client_id).__name__}$"):
                call()


class TestReading:
    def test_a_connection_that_closes_is_not_paused(self, signals: Signals) -> None:
        """S5.6: reading is paused while a connection is open; one that closes reads on, for the client's answer."""
        client = connect(signals, answers_close=False)
        client.link.pause_reading()
        client.link.resume_reading()
        assert client.reading == ["pause", "resume"]
        client.connection.close()
        client.link.pause_reading()
        assert client.reading == ["pause", "resume"]


class TestScopes:
    def test_global(self, signals: Signals) -> None:
        """S3.1: a global connection outlives its route, is in the registry, addressed and closed from anywhere."""
        client = connected(signals, client_id="me")
        assert client.connection.is_global
        hub_of(signals).route_ended(client.link, failed=False)
        with capturedLogs() as logs:
            hub_of(signals).route_ended(client.link, failed=True)
        assert len(logs) == 1
        assert (client.connection.state, client.got) == (ConnectionState.OPEN, [])
        assert signals.connection("Msg", "me") is client.connection
        signals.send("x", name="Msg", client_id="me")
        signals.close("Msg")
        assert client.got == ["x", Close(1000)]

    @pytest.mark.parametrize(("failed", "code", "by"), [(False, 1000, ClosedBy.SERVER), (True, 1011, ClosedBy.ERROR)])
    def test_local(self, signals: Signals, failed: bool, code: int, by: ClosedBy) -> None:
        """S3.2: a local connection is in no registry, and closed with 1000 when its route ends, 1011 if it raised."""
        client = connected(signals, scope=Scope.LOCAL, client_id="me")
        assert client.connection.is_local
        assert (signals.names(), signals.count(), signals.has_client_id("Msg", "me")) == ((), 0, False)
        signals.close("Msg")
        client.connection.send("mine")
        assert client.got == ["mine"]
        with capturedLogs():
            hub_of(signals).route_ended(client.link, failed=failed)
        turn(signals)
        assert client.got == ["mine", Close(code)]
        assert client.connection.closure == Closure(code, "", by)
        hub_of(signals).route_ended(client.link, failed=True)
        assert client.connection.closure == Closure(code, "", by)

    def test_local_events(self, signals: Signals) -> None:
        """S3.2: Connect and Disconnect fire for local connections too."""
        seen: list[Any] = []
        signals.on_connect("Msg")(lambda event: seen.append(event.connection.scope))
        signals.on_disconnect("Msg")(lambda event: seen.append(event.connection.scope))
        connected(signals, scope=Scope.LOCAL).vanishes()
        assert seen == [Scope.LOCAL, Scope.LOCAL]

    def test_same_client_id_in_local_scope(self, signals: Signals) -> None:
        """S3.2: a local connection replaces nobody, and nobody replaces it."""
        clients = [connected(signals, client_id="me", scope=scope) for scope in (Scope.LOCAL, None, Scope.LOCAL)]
        assert all(client.connection.state is ConnectionState.OPEN for client in clients)
        clients[0].vanishes()
        assert signals.connection("Msg", "me") is clients[1].connection

    def test_default_scope(self) -> None:
        """S3.1: the default scope is global; it can be given, changed and read."""
        signals = new_signals()
        assert signals.default_scope is Scope.GLOBAL
        signals.default_scope = Scope.LOCAL
        assert signals.default_scope is Scope.LOCAL
        assert connect(signals).connection.is_local
        with pytest.raises(ValueError, match="nonsense"):
            signals.default_scope = "nonsense"  # type: ignore[assignment]
        assert new_signals(default_scope=Scope.LOCAL).default_scope is Scope.LOCAL


class TestClosing:
    @pytest.mark.parametrize("code", [1005, 1006, 1015, 999, 0, -1, 5000, 65_536, 1000.0, "1000", None, True])
    def test_codes_that_may_not_be_sent(self, signals: Signals, code: Any) -> None:
        """S10.2: close codes that may not be sent are a ValueError, even where nothing matches; nothing is closed."""
        client = connected(signals)
        for close in (
            lambda: client.connection.close(code),
            lambda: signals.close("Msg", code=code),
            lambda: signals.close("Nobody", code=code),
        ):
            with pytest.raises(ValueError, match="close code"):
                close()
        assert (client.connection.state, client.got) == (ConnectionState.OPEN, [])

    @pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4000, 4999])
    def test_codes_that_may(self, signals: Signals, code: int) -> None:
        """S10.2: other close codes are sent as they are, with 1000 as the default."""
        one, two, three = (connected(signals, name) for name in ("A", "B", "C"))
        one.connection.close(code, "why")
        signals.close("B", code=code, reason="why")
        signals.close("C")
        assert one.got == two.got == [Close(code, "why")]
        assert three.got == [Close(1000)]

    @pytest.mark.parametrize(
        ("reason", "sent"),
        [
            ("x" * 123, "x" * 123),
            ("x" * 124, "x" * 123),
            ("€" * 42, "€" * 41),
            ("x" + "😀" * 40, "x" + "😀" * 30),
            ("ä" * 62, "ä" * 61),
        ],
    )
    def test_long_reasons(self, signals: Signals, reason: str, sent: str) -> None:
        """S10.2: a reason over 123 bytes is cut on a character's edge."""
        client = connected(signals)
        client.connection.close(4000, reason)
        assert client.got == [Close(4000, sent)]
        assert client.connection.closure == Closure(4000, sent, ClosedBy.SERVER)

    @pytest.mark.parametrize(
        ("arguments", "closed"),
        [
            ({}, {"1", "2", "3"}),
            ({"group": "red"}, {"1", "2"}),
            ({"group": ["red", "blue"]}, {"1", "2", "3"}),
            ({"client_id": "3"}, {"3"}),
            ({"client_id": ["1", 3, "9"]}, {"1", "3"}),
            ({"group": "red", "client_id": ["1", "3"]}, {"1"}),
            ({"group": "green"}, set()),
            ({"client_id": "9"}, set()),
            ({"client_id": []}, set()),
            ({"client_id": ()}, set()),
            ({"client_id": ""}, set()),
            ({"client_id": [""]}, set()),
            ({"group": []}, set()),
            ({"group": ""}, set()),
            ({"group": [], "client_id": "1"}, set()),
            ({"group": "red", "client_id": []}, set()),
            ({"group": None, "client_id": None}, {"1", "2", "3"}),
        ],
    )
    def test_all_that_match(self, signals: Signals, arguments: dict[str, Any], closed: set[str]) -> None:
        """S10.2: close closes all connections of the name that match, and no others; none is no error."""
        clients = [
            connected(signals, group=group, client_id=number) for number, group in ((1, "red"), (2, "red"), (3, "blue"))
        ]
        other = connected(signals, "Other", group="red", client_id=1)
        signals.close("Msg", **arguments)
        signals.close("Nobody", **arguments)
        assert {client.client_id for client in clients if client.got == [Close(1000)]} == closed
        assert other.got == []
        assert set(signals.client_ids("Msg") if signals.has_name("Msg") else ()) == {"1", "2", "3"} - closed

    def test_it_leaves_at_once(self, signals: Signals) -> None:
        """S9.3: it leaves the registry when our close frame is sent; it is open for the hub until the transport is
        gone.
        """
        client = connected(signals, client_id="me", answers_close=False)
        client.connection.close()
        assert client.connection.state is ConnectionState.CLOSING
        assert (signals.names(), signals.connection("Msg", "me")) == ((), None)
        assert signals.open_connections() == (client.connection,)
        client.vanishes()
        assert client.connection.state is ConnectionState.CLOSED
        assert signals.open_connections() == ()

    def test_it_leaves_when_the_client_closes(self, signals: Signals) -> None:
        """S9.3: it leaves the registry when a close frame was received, before the transport is gone."""
        client = connected(signals)
        client.closes()
        assert (client.connection.state, signals.names()) == (ConnectionState.CLOSING, ())
        assert signals.send("x", name="Msg").recipients == client.connection.send("x").recipients == 0
        client.connection.close(4000)
        assert client.got == []

    @pytest.mark.parametrize("by", ["server", "client"])
    def test_close_timeout(self, signals: Signals, by: str) -> None:
        """S9.3: the end comes at most 5 s after the close frame, then by abort, once."""
        client = connected(signals, answers_close=False)
        fired: list[Any] = []
        client.connection.when_disconnected().addCallback(fired.append)
        if by == "server":
            client.connection.close()
        else:
            client.closes()
        turn(signals, seconds=4.99)
        assert (client.aborts, fired) == (0, [])
        turn(signals, seconds=0.01)
        assert (client.aborts, fired) == (1, [client.connection.closure])
        turn(signals, seconds=100)
        assert client.aborts == 1

    def test_the_setting(self) -> None:
        """S9.3: close_timeout_seconds is a setting; an answer in time leaves no timer."""
        signals = new_signals(close_timeout_seconds=1)
        silent, polite = connected(signals, answers_close=False), connected(signals, "Other")
        polite.connection.close()
        turn(signals)
        assert timers(signals) == []
        silent.connection.close()
        turn(signals, seconds=1)
        assert (silent.aborts, polite.aborts) == (1, 0)

    def test_a_client_that_answers_late(self, signals: Signals) -> None:
        """S9.3: the code is ours where we closed, whatever the client answers."""
        client = connected(signals, answers_close=False)
        client.connection.close(4000, "ours")
        client.closes(4001, "theirs")
        client.vanishes()
        assert client.connection.closure == Closure(4000, "ours", ClosedBy.SERVER)

    def test_messages_after_our_close(self, signals: Signals) -> None:
        """S9.3: a connection that has left takes part in nothing any more."""
        seen: list[Any] = []
        signals.add_route("/ws", seen.append)
        client = connected(signals, answers_close=False)
        client.connection.close()
        client.says("x")
        assert (seen, signals.counters.messages_received) == ([], 0)


class TestWhenDisconnected:
    def test_once_with_the_closure(self, signals: Signals) -> None:
        """S9.4: it fires with the closure when the transport is gone, not when the close frame was sent."""
        client = connected(signals, answers_close=False)
        fired: list[Any] = []
        client.connection.when_disconnected().addCallback(fired.append)
        client.connection.close(4000, "out")
        turn(signals)
        assert fired == []
        client.vanishes()
        assert fired == [Closure(4000, "out", ClosedBy.SERVER)]

    def test_asked_while_it_closes(self, signals: Signals) -> None:
        """S9.4: who asks between the close frame and the end waits for the end."""
        client = connected(signals, answers_close=False)
        client.connection.close(4000)
        fired: list[Any] = []
        client.connection.when_disconnected().addCallback(fired.append)
        assert fired == []
        client.vanishes()
        assert [closure.code for closure in fired] == [4000]

    def test_at_once_if_closed(self, signals: Signals) -> None:
        """S9.4: at once if it is closed."""
        client = connected(signals)
        client.vanishes()
        assert result_of(client.connection.when_disconnected()) == Closure(1006, "", ClosedBy.CLIENT)

    def test_each_has_its_own(self, signals: Signals) -> None:
        """S9.4: cancelling one affects no other, also from a callback of another, and neither does a result."""
        client = connected(signals)
        first, second, third, fourth = (client.connection.when_disconnected() for _ in range(4))
        errors: list[Any] = []
        for waiter in (second, fourth):
            waiter.addErrback(errors.append)
        fourth.cancel()
        first.addCallback(lambda _: second.cancel())
        first.addCallback(lambda _: result_of(client.connection.when_disconnected()).code)
        client.vanishes()
        assert [error.check(CancelledError) for error in errors] == [CancelledError, CancelledError]
        assert result_of(first) == 1006
        assert result_of(third) == client.connection.closure

    def test_within_connect(self, signals: Signals) -> None:
        """S9.4: it fires when the transport is gone, though Disconnect waits for the Connect functions."""
        order: list[str] = []
        wait: Deferred[None] = Deferred()
        signals.on_connect("Msg")(lambda _: wait)
        signals.on_disconnect("Msg")(lambda _: order.append("disconnect"))
        client = connected(signals)
        client.connection.when_disconnected().addCallback(lambda _: order.append("when_disconnected"))
        client.vanishes()
        assert order == ["when_disconnected"]
        wait.callback(None)
        assert order == ["when_disconnected", "disconnect"]


class TestDuplicates:
    def test_replace(self, signals: Signals) -> None:
        """S2.4: a second connection with the same name and client id replaces the first, closed with 4409."""
        old = connected(signals, client_id="me")
        same_id = connected(signals, "Other", client_id="me")
        new = connected(signals, client_id="me")
        (close,) = old.got
        assert isinstance(close, Close)
        assert (close.code, same_id.got, new.got) == (4409, [], [])
        assert signals.connections("Msg") == (new.connection,)
        assert signals.count() == 2

    def test_refuse(self) -> None:
        """S2.4: with duplicate_client_id="refuse" the newcomer gets 409, until the first has left."""
        signals = new_signals(duplicate_client_id="refuse")
        old = connected(signals, client_id="me", answers_close=False)
        connected(signals, "Other", client_id="me")
        with pytest.raises(ClientIdInUse) as raised:
            connect(signals, client_id="me")
        assert (raised.value.code, old.got) == (409, [])
        old.connection.close()
        new = connected(signals, client_id="me")
        old.vanishes()
        assert signals.connection("Msg", "me") is new.connection


class TestRoom:
    def test_connections(self) -> None:
        """S2.2: over the connection limit the answer is 503 with Retry-After; local and closing ones count."""
        signals = new_signals(max_connections=2)
        first = connected(signals, answers_close=False)
        connected(signals, scope=Scope.LOCAL)
        first.connection.close()
        with pytest.raises(TooManyConnections) as raised:
            connect(signals)
        assert raised.value.code == 503
        assert "Retry-After" in dict(raised.value.headers)
        first.vanishes()
        connect(signals)

    def test_connections_per_address(self) -> None:
        """S2.2: over the limit of one address it is 429; others come in, and who leaves makes room."""
        signals = new_signals(max_connections_per_address=1)
        first = connected(signals, address="192.0.2.1")
        connected(signals, address="192.0.2.2")
        with pytest.raises(TooManyConnections) as raised:
            connect(signals, address="192.0.2.1")
        assert raised.value.code == 429
        first.vanishes()
        connected(signals, address="192.0.2.1").vanishes()
        connect(signals, address="192.0.2.1")

    @pytest.mark.parametrize("answers_close", [False, True])
    @pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
    def test_replacing(self, limit: str, answers_close: bool) -> None:
        """S2.4: at a limit a connection that replaces another one comes in; others do not."""
        signals = new_signals(**{limit: 2})
        old = connected(signals, client_id="me", answers_close=answers_close)
        other = connected(signals, client_id="other")
        new = connected(signals, client_id="me")
        assert [each.code for each in old.got if isinstance(each, Close)] == [4409]
        for refused in ("third", None):
            with pytest.raises(TooManyConnections):
                connect(signals, client_id=refused)
        assert signals.connections("Msg") == (other.connection, new.connection)
        assert new.connection.state is ConnectionState.OPEN

    def test_replacing_an_address(self) -> None:
        """S2.4: the place of the one that is replaced is free for its own address."""
        signals = new_signals(max_connections_per_address=1)
        connected(signals, client_id="me", address="192.0.2.1")
        connected(signals, client_id="other", address="192.0.2.2")
        with pytest.raises(TooManyConnections) as raised:
            connect(signals, client_id="me", address="192.0.2.2")
        assert raised.value.code == 429
        connect(signals, client_id="me", address="192.0.2.3")

    def test_local_connections_replace_nobody(self) -> None:
        """S2.4: a local connection has no place of another one's, whatever its id."""
        signals = new_signals(max_connections=1)
        connected(signals, client_id="me")
        with pytest.raises(TooManyConnections):
            connect(signals, client_id="me", scope=Scope.LOCAL)

    def test_refused_where_ids_are_not_replaced(self) -> None:
        """S2.4: at the limit, too, duplicate_client_id="refuse" answers 409."""
        signals = new_signals(max_connections=1, duplicate_client_id="refuse")
        connected(signals, client_id="me")
        with pytest.raises(ClientIdInUse):
            connect(signals, client_id="me")

    @pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
    def test_many_that_replace(self, limit: str) -> None:
        """S2.4: whoever was replaced has time for the close frame until its place is needed: one is over at most."""
        signals = new_signals(**{limit: 3})
        others = [connected(signals, client_id=str(number), answers_close=False) for number in range(3)]
        for number in [0, 1, 2, 0, 0, 0, 1]:
            others.append(connected(signals, client_id=str(number), answers_close=False))
            turn(signals)
            assert len(signals.open_connections()) == 4
            assert signals.count() == 3
        assert [len(each.got) for each in others] == [1, 1, 1, 1, 1, 0, 1, 1, 0, 0]  # all were told
        assert [each.aborts for each in others] == [1, 1, 1, 1, 0, 0, 1, 1, 0, 0]  # the last one has time
        turn(signals, seconds=6)
        assert len(signals.open_connections()) == 3
        # None of those that were replaced makes room any more.
        with pytest.raises(TooManyConnections):
            connect(signals, client_id="new")

    def test_addresses_that_have_gone(self, signals: Signals) -> None:
        """S16.5: nothing is kept of an address when its last connection is gone."""

        def come_and_go(network: int) -> None:
            for number in range(2_000):
                connected(signals, address=f"2001:db8:{network}:{number:x}::1").vanishes()

        assert grown_bytes(come_and_go) < 100_000

    def test_no_more_than_have_to(self) -> None:
        """S2.4: where places are needed, those go that were replaced first, and of an address only its own."""
        signals = new_signals(max_connections=6, max_connections_per_address=4)
        old = [connected(signals, client_id="a", address="192.0.2.1", answers_close=False) for _ in range(3)]
        connected(signals, client_id="b", address="192.0.2.2", answers_close=False)
        old.append(connected(signals, client_id="b", address="192.0.2.1"))
        connected(signals, client_id="c", address="192.0.2.3")
        assert [each.aborts for each in old] == [0, 0, 0, 0]
        connected(signals, client_id="d", address="192.0.2.3")
        assert [each.aborts for each in old] == [1, 0, 0, 0]
        connected(signals, client_id="e", address="192.0.2.1")
        assert [each.aborts for each in old] == [1, 1, 0, 0]

    def test_of_an_address(self) -> None:
        """S2.4: the limit of one address makes none of another address go."""
        signals = new_signals(max_connections_per_address=2)
        elsewhere = [connected(signals, client_id="a", address="192.0.2.9", answers_close=False) for _ in range(2)]
        here = [connected(signals, client_id="b", address="192.0.2.1", answers_close=False) for _ in range(3)]
        connected(signals, client_id="b", address="192.0.2.1")
        assert [each.aborts for each in (*elsewhere, *here)] == [0, 0, 1, 0, 0]

    def test_where_there_is_room(self) -> None:
        """S2.4: below every limit one that is replaced has its five seconds."""
        signals = new_signals(max_connections=5, max_connections_per_address=5)
        old = [connected(signals, client_id="me", answers_close=False) for _ in range(4)]
        assert [each.connection.state for each in old[:3]] == [ConnectionState.CLOSING] * 3

    def test_names(self) -> None:
        """S2.2: over the limit of names it is 503; known names and local connections come in."""
        signals = new_signals(max_names=1)
        first = connected(signals, "A")
        connected(signals, "A")
        connected(signals, "B", scope=Scope.LOCAL)
        with pytest.raises(TooManyConnections) as raised:
            connect(signals, "B")
        assert raised.value.code == 503
        signals.close("A")
        turn(signals)
        assert first.connection.state is ConnectionState.CLOSED
        connect(signals, "B")


class TestTakingTurns:
    """Clients that evict each other."""

    def replace(self, signals: Signals, seconds: list[float]) -> list[str]:
        """The lines in the log when connections with one id come, so many seconds one after the other."""
        with capturedLogs() as events:
            connected(signals, client_id="ada")
            for each in seconds:
                turn(signals, seconds=each)
                connected(signals, client_id="ada")
        return [formatEvent(each) for each in events if "again and again" in str(formatEvent(each))]

    def test_the_third_within_ten_seconds(self) -> None:
        """S20.1: with the third replacement within 10 s the log says what to do, once."""
        lines = self.replace(new_signals(), [1, 1, 1])
        assert lines == [
            "connections of the name Msg with the client id ada take each other's place again and again:"
            " two clients use one id, such as two tabs of a user; give each an id of its own, or set"
            " duplicate_client_id to refuse"
        ]
        assert len(self.replace(new_signals(), [1] * 30)) == 1

    def test_reloads_of_a_page(self) -> None:
        """S20.1: fewer, or more slowly, is no reason for a line."""
        assert self.replace(new_signals(), [1, 1]) == []
        assert self.replace(new_signals(), [6] * 10) == []

    def test_another_client(self) -> None:
        """S20.1: each id is counted for itself."""
        signals = new_signals()
        with capturedLogs() as events:
            for each in ("ada", "bob", "eve") * 3:
                connected(signals, client_id=each)
        assert not [each for each in events if "again and again" in str(formatEvent(each))]


@pytest.mark.parametrize("how", ["lost", "abort"])
def test_a_client_that_leaves_while_it_is_let_in(how: str) -> None:
    """S3.1: a client that is gone before its connection is open leaves nothing behind, and nobody is told of it."""
    signals, told = new_signals(), list[Any]()
    signals.register_event("Msg", "connect", "it", told.append)
    signals.register_event("Msg", "disconnect", "it", told.append)
    hub = hub_of(signals)
    record = RequestRecord(b"GET", b"/ws", [], "192.0.2.1", False)

    def connect_and_leave(link: Link) -> FakeTransport:
        transport = FakeTransport(clock_of(signals), hub.received, at_once=True)
        transport.link = link
        link.attach(transport)
        getattr(link, how)()
        return transport

    with pytest.raises(ClientGone):
        hub.open(Identity("Msg", (), "ada"), record, connect_and_leave)
    turn(signals, seconds=60)
    assert (signals.open_connections(), signals.names(), told) == ((), (), [])
    assert (signals.counters.connections_opened, sum(signals.counters.connections_closed.values())) == (0, 0)
    assert connected(signals, client_id="ada").connection.client_id == "ada"

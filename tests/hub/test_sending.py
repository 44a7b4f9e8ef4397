from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from threading import Thread
from typing import Any
from uuid import UUID

import attrs
import pytest
from fakes import FakeTransport, connect, connected, new_signals, turn
from twisted.internet.defer import Deferred
from twisted.python import threadable

from pode_signals import EVERY_NAME, BroadcastLevel, EventType, Scope, SendMode, SignalEvent, Signals
from pode_signals.errors import (
    BroadcastRefused,
    DataTooDeep,
    MessageTooBig,
    NameRequired,
    NoCurrentConnection,
    NotInReactorThread,
    PodeSignalsError,
)
from pode_signals.hub import sending
from pode_signals.hub.context import RouteSlot, current_route


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


@pytest.fixture
def people(signals: Signals) -> dict[str, FakeTransport]:
    """Six connections of two names: two groups, one in none, and one client id in both names."""
    found = {
        "msg red 1": connect(signals, "Msg", group="red", client_id="1"),
        "msg red 2": connect(signals, "Msg", group="red", client_id="2"),
        "msg blue 3": connect(signals, "Msg", group="blue", client_id="3"),
        "msg 4": connect(signals, "Msg", client_id="4"),
        "other red 1": connect(signals, "Other", group="red", client_id="1"),
        "other 5": connect(signals, "Other", client_id="5"),
    }
    turn(signals)
    return found


def reached(signals: Signals, people: dict[str, FakeTransport]) -> set[str]:
    """Who got something since the last question."""
    turn(signals)
    found = {key for key, person in people.items() if person.got}
    for person in people.values():
        person.written.clear()
    return found


def within_event(
    signals: Signals, client: FakeTransport, function: Callable[[SignalEvent], Any], message: Any = "?", **keys: Any
) -> Any:
    """What a function gives, or raises, when it runs as the signal route of a client's message."""
    outcome: list[Any] = []

    def route(event: SignalEvent) -> None:
        try:
            outcome.append(function(event))
        except (PodeSignalsError, ValueError) as error:
            outcome.append(error)

    signals.add_route(client.connection.request.path, route, if_exists="overwrite")
    client.says(message, **keys)
    signals.clear_routes()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


class Route:
    """A running route under ``signals.resource(…)``, and its context."""

    def __init__(self) -> None:
        self.slot = RouteSlot()
        self._context = copy_context()
        self._context.run(current_route.set, self.slot)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._context.run(function, *args, **kwargs)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


@attrs.define
class Pair:
    left: int
    right: int


class TestData:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            ("as it is", "as it is"),
            (' {"a": 1} ', ' {"a": 1} '),
            ("für €", "für €"),
            ({"Durations": [123, 101]}, '{"Durations":[123,101]}'),
            ({}, "{}"),
            ([None], "[null]"),
            (0, "0"),
            (False, "false"),
            ({"ü": "€"}, '{"ü":"€"}'),
            (datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), '"2024-02-29T01:02:03+00:00"'),
            (date(2024, 2, 29), '"2024-02-29"'),
            (UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
            (Colour.RED, '"red"'),
            (Point(1, 2), '{"x":1,"y":2}'),
            (Pair(1, 2), '{"left":1,"right":2}'),
            ((1, 2), "[1,2]"),
        ],
    )
    def test_texts_go_as_they_are_and_the_rest_as_json(self, signals: Signals, data: object, text: str) -> None:
        """S4.1: a str is sent as it is, S6.3: and anything else as compact JSON."""
        client = connected(signals)
        signals.send(data, name="Msg")
        assert client.got == [text]

    def test_nothing_is_not_sent_to_one(self, signals: Signals) -> None:
        """S4.1: nothing sent to a single connection, or back to the client of an event, is nothing too."""
        deliveries = []
        signals.add_route("/ws", lambda event: deliveries.append(event.send(None, mode=SendMode.DIRECT)))
        client = connected(signals)
        client.says("x")
        deliveries.append(client.connection.send(None))
        turn(signals)
        assert ([each.recipients for each in deliveries], client.got) == ([0, 0], [])

    @pytest.mark.parametrize("data", [None, "", []])
    def test_nothing_is_not_sent(self, signals: Signals, data: object) -> None:
        """S4.1: None, an empty text and an empty list send nothing, to anyone, and are no error."""
        client = connected(signals)
        delivery = signals.send(data, name="Msg")
        assert (delivery.recipients, delivery.sent, delivery.queued, delivery.dropped) == (0, 0, 0, 0)
        assert client.connection.send(data).recipients == 0
        turn(signals)
        assert client.got == []

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (float("nan"), ValueError),
            ({"a": [float("inf")]}, ValueError),
            ("\ud800", ValueError),
            ({"a": object()}, TypeError),
            ({"a": b"bytes"}, TypeError),
            ({1, 2}, TypeError),
        ],
    )
    def test_what_cannot_be_encoded_is_sent_to_nobody(
        self, signals: Signals, people: dict[str, FakeTransport], data: object, error: type[Exception]
    ) -> None:
        """S6.3: what can't be encoded raises before anything is sent."""
        for send in (
            lambda: signals.send(data, name=["Msg", "Other"]),
            lambda: signals.send(data, name=EVERY_NAME),
            lambda: people["msg 4"].connection.send(data),
        ):
            with pytest.raises(error):
                send()
        assert reached(signals, people) == set()

    def test_depth_refuses(self, signals: Signals) -> None:
        """S6.3: depth refuses deeper data rather than cutting it; without it there is no limit."""
        client = connected(signals)
        with pytest.raises(DataTooDeep):
            signals.send({"a": {"b": 1}}, name="Msg", depth=1)
        with pytest.raises(ValueError, match="deeper than 1"):
            client.connection.send([[1]], depth=1)
        with pytest.raises(DataTooDeep):
            within_event(signals, client, lambda event: event.send([[1]], depth=1))
        assert client.got == []
        signals.send({"a": {"b": 1}}, name="Msg", depth=2)
        deep: Any = "x"
        for _ in range(100):
            deep = [deep]
        signals.send(deep, name="Msg")
        assert client.got == ['{"a":{"b":1}}', json.dumps(deep)]

    def test_outgoing_limit(self) -> None:
        """S4.9: over max_outgoing_bytes, counted in UTF-8, MessageTooBig is raised and nothing is sent."""
        signals = new_signals(max_outgoing_bytes=6)
        client, other = connected(signals), connected(signals)
        for data in ("1234567", "€€€", {"a": 1}):
            with pytest.raises(MessageTooBig) as raised:
                signals.send(data, name=EVERY_NAME)
            assert (raised.value.size_bytes > 6, raised.value.limit_bytes) == (True, 6)
            with pytest.raises(MessageTooBig):
                client.connection.send(data)
        signals.send("123456", name="Msg")
        signals.send("€€", name="Msg")
        turn(signals)
        assert client.got == other.got == ["123456", "€€"]

    def test_outgoing_limit_is_a_mebibyte(self, signals: Signals) -> None:
        """S4.9: the limit is 1 MiB unless set."""
        client = connected(signals)
        with pytest.raises(MessageTooBig):
            signals.send("x" * (1_048_576 + 1), name="Msg")
        signals.send("x" * 1_048_576, name="Msg")
        assert [len(text) for text in client.got] == [1_048_576]

    def test_encoded_once(
        self, signals: Signals, people: dict[str, FakeTransport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S4.5: data is encoded once per call, however many receive it."""
        calls = []
        encode = sending.encode

        def counting(data: object, **options: Any) -> bytes | None:
            calls.append(data)
            return encode(data, **options)

        monkeypatch.setattr(sending, "encode", counting)
        signals.send({"a": 1}, name=EVERY_NAME)
        signals.send({"a": 2}, name=["Msg", "Other"], group=["red", "blue"])
        signals.send({"a": 3}, name=EVERY_NAME, client_id=["1", "4"])
        assert calls == [{"a": 1}, {"a": 2}, {"a": 3}]
        assert reached(signals, people) == set(people)


class TestTargets:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ({"name": "Msg"}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4"}),
            ({"name": ["Msg", "Other"]}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4", "other red 1", "other 5"}),
            ({"name": ("Other", "Other", "Nobody")}, {"other red 1", "other 5"}),
            ({"name": EVERY_NAME}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4", "other red 1", "other 5"}),
            ({"name": "Msg", "group": "red"}, {"msg red 1", "msg red 2"}),
            ({"name": "Msg", "group": ["red", "blue"]}, {"msg red 1", "msg red 2", "msg blue 3"}),
            ({"name": ["Msg", "Other"], "group": "red"}, {"msg red 1", "msg red 2", "other red 1"}),
            ({"name": EVERY_NAME, "group": "red"}, {"msg red 1", "msg red 2", "other red 1"}),
            ({"name": "Msg", "client_id": "1"}, {"msg red 1"}),
            ({"name": "Msg", "client_id": 4}, {"msg 4"}),
            ({"name": "Msg", "client_id": ["1", 3, "9"]}, {"msg red 1", "msg blue 3"}),
            ({"name": EVERY_NAME, "client_id": "1"}, {"msg red 1", "other red 1"}),
            ({"name": "Msg", "group": "red", "client_id": ["1", "3"]}, {"msg red 1"}),
            ({"name": "Msg", "group": "blue", "client_id": "1"}, set()),
            ({"name": EVERY_NAME, "group": "red", "client_id": ["1", "4"]}, {"msg red 1", "other red 1"}),
            ({"name": "Msg", "group": [], "client_id": []}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4"}),
            ({"name": "Msg", "group": "", "client_id": None}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4"}),
            ({"name": "Msg", "group": [""]}, set()),
            ({"name": "Msg", "client_id": ["", "4"]}, {"msg 4"}),
            ({"name": "Nobody"}, set()),
            ({"name": "Msg", "group": "green"}, set()),
            ({"name": "msg"}, set()),
        ],
    )
    def test_who_gets_it(
        self, signals: Signals, people: dict[str, FakeTransport], target: dict[str, Any], expected: set[str]
    ) -> None:
        """S4.2: it reaches the connections of these names which are in one of the groups and have one of the ids."""
        delivery = signals.send("x", **target)
        assert delivery.recipients == len(expected)
        turn(signals)
        assert all(person.got in ([], ["x"]) for person in people.values()), "somebody got it twice"
        assert reached(signals, people) == expected

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ({"name": "Msg", "exclude": "1"}, {"msg red 2", "msg blue 3", "msg 4"}),
            ({"name": "Msg", "exclude": 1}, {"msg red 2", "msg blue 3", "msg 4"}),
            ({"name": "Msg", "exclude": ["1", 2, "3", "9"]}, {"msg 4"}),
            ({"name": "Msg", "group": "red", "exclude": "1"}, {"msg red 2"}),
            ({"name": ["Msg", "Other"], "exclude": ["1", "4"]}, {"msg red 2", "msg blue 3", "other 5"}),
            ({"name": EVERY_NAME, "exclude": "1"}, {"msg red 2", "msg blue 3", "msg 4", "other 5"}),
            ({"name": EVERY_NAME, "group": "red", "exclude": ["1"]}, {"msg red 2"}),
            ({"name": "Msg", "client_id": ["1", "4"], "exclude": "4"}, {"msg red 1"}),
            ({"name": "Msg", "client_id": "4", "exclude": "4"}, set()),
            ({"name": "Other", "exclude": []}, {"other red 1", "other 5"}),
            ({"name": "Other", "exclude": ""}, {"other red 1", "other 5"}),
        ],
    )
    def test_whom_a_send_leaves_out(
        self, signals: Signals, people: dict[str, FakeTransport], target: dict[str, Any], expected: set[str]
    ) -> None:
        """S4.1: connections with an excluded client id do not get the message, and all others get it once."""
        delivery = signals.send("x", **target)
        assert delivery.recipients == len(expected)
        turn(signals)
        assert all(person.got in ([], ["x"]) for person in people.values()), "somebody got it twice"
        assert reached(signals, people) == expected

    def test_levels_do_not_look_at_who_is_left_out(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S7.2: excluded client ids make a send no narrower for a broadcast level."""
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID, name="Msg")
        with pytest.raises(BroadcastRefused):
            signals.send("x", name="Msg", exclude="1")
        assert signals.send("x", name=EVERY_NAME, exclude="1").refused == ("Msg",)
        assert reached(signals, people) == {"other 5"}

    def test_local_connections_get_no_broadcasts(self, signals: Signals) -> None:
        """S4.2: only global connections are reached, S3.2: whatever is said of a local one; its own send reaches it."""
        local = connected(signals, scope=Scope.LOCAL, group="red", client_id="1")
        for target in ({"name": "Msg"}, {"name": EVERY_NAME}, {"name": EVERY_NAME, "client_id": "1"}):
            assert signals.send("x", **target).recipients == 0
        assert local.connection.send("mine").recipients == 1
        assert local.got == ["mine"]

    @pytest.mark.parametrize("name", [None, "", []])
    def test_a_name_is_required_outside_an_event(
        self, signals: Signals, people: dict[str, FakeTransport], name: Any
    ) -> None:
        """S4.2: outside an event a name is required, also for a group or a client id."""
        for narrower in ({}, {"group": "red"}, {"client_id": "1"}, {"mode": SendMode.BROADCAST}):
            with pytest.raises(NameRequired, match="EVERY_NAME"):
                signals.send("x", name=name, **narrower)
        assert reached(signals, people) == set()


class TestWithinAnEvent:
    @pytest.mark.parametrize(
        ("said", "arguments", "expected"),
        [
            ({}, {}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4", "other red 1", "other 5"}),
            ({"path": "Other"}, {}, {"other red 1", "other 5"}),
            ({"path": "Nobody"}, {}, set()),
            ({"group": "red"}, {}, {"msg red 1", "msg red 2", "other red 1"}),
            ({"clientId": "1"}, {}, {"msg red 1", "other red 1"}),
            ({"path": "Msg", "group": ["red"], "clientId": [2, "4"]}, {}, {"msg red 2"}),
            ({"path": "Msg", "group": "red"}, {"group": "blue"}, {"msg blue 3"}),
            ({"path": "Msg", "group": "red"}, {"group": []}, {"msg red 1", "msg red 2"}),
            ({"path": "Msg", "clientId": "1"}, {"client_id": "2"}, {"msg red 2"}),
            ({"path": "Msg"}, {"client_id": "2"}, {"msg red 2"}),
            ({"group": "red", "clientId": "1"}, {"name": "Msg"}, {"msg red 1", "msg red 2", "msg blue 3", "msg 4"}),
            ({"path": "Msg", "clientId": "1"}, {"name": "Other"}, {"other red 1", "other 5"}),
            ({"path": "Msg", "group": "blue"}, {"name": EVERY_NAME, "client_id": "1"}, {"msg red 1", "other red 1"}),
            ({"clientId": "4"}, {"name": EVERY_NAME, "group": "red"}, {"msg red 1", "msg red 2", "other red 1"}),
            ({"path": "Msg", "group": "red"}, {"exclude": "1"}, {"msg red 2"}),
            ({"path": "Other", "clientId": ["1", "5"]}, {"exclude": ["1"]}, {"other 5"}),
            ({"clientId": "1"}, {"exclude": "1"}, set()),
        ],
    )
    def test_what_is_not_given_is_what_the_message_named(
        self,
        signals: Signals,
        people: dict[str, FakeTransport],
        said: dict[str, Any],
        arguments: dict[str, Any],
        expected: set[str],
    ) -> None:
        """S4.2: without a name each argument not given comes from the message, with one nothing does; no path is every
        name. event.send does the same.
        """
        within_event(signals, people["msg red 1"], lambda _: signals.send("x", **arguments), **said)
        assert reached(signals, people) == expected
        within_event(signals, people["msg red 1"], lambda event: event.send("x", **arguments), **said)
        assert reached(signals, people) == expected

    def test_direct_messages_are_answered_directly(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: in an event whose message said direct a send goes to that connection alone, whatever it names."""
        sender = people["msg red 1"]
        for arguments in ({}, {"name": "Other"}, {"name": EVERY_NAME}, {"client_id": "4"}, {"group": "blue"}):
            within_event(signals, sender, lambda _: signals.send("x", **arguments), direct=True)  # noqa: B023
            within_event(signals, sender, lambda event: event.send("x", **arguments), direct=True)  # noqa: B023
            assert sender.got == ["x", "x"]
            assert reached(signals, people) == {"msg red 1"}

    def test_direct_reaches_nobody_who_is_excluded(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.1: a send to the current connection alone that excludes this connection reaches nobody, and no others."""
        sender = people["msg red 1"]
        for arguments in ({"name": "Msg"}, {"mode": SendMode.DIRECT}, {"name": EVERY_NAME}):
            delivery = within_event(
                signals,
                sender,
                lambda event: event.send("x", exclude=event.client_id, **arguments),  # noqa: B023
                direct=True,
            )
            assert delivery.recipients == 0
            assert reached(signals, people) == set()
        within_event(signals, sender, lambda event: event.send("x", exclude="4"), direct=True)
        assert reached(signals, people) == {"msg red 1"}

    def test_direct_is_not_for_others(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: a direct message of one client makes nothing direct that another client causes, or nobody."""
        within_event(signals, people["msg red 1"], lambda event: event.send("x"), direct=True)
        reached(signals, people)
        within_event(signals, people["msg 4"], lambda event: event.send("x"), path="Other")
        assert reached(signals, people) == {"other red 1", "other 5"}
        signals.send("x", name="Other")
        assert reached(signals, people) == {"other red 1", "other 5"}

    def test_ignore_event(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: ignore_event sends as if outside of the event."""

        def ignoring(**arguments: Any) -> Any:
            return within_event(
                signals,
                people["msg red 1"],
                lambda _: signals.send("x", ignore_event=True, **arguments),
                direct=True,
                path="Other",
                group="red",
            )

        ignoring(name="Other")
        assert reached(signals, people) == {"other red 1", "other 5"}
        with pytest.raises(NameRequired):
            ignoring()
        with pytest.raises(NoCurrentConnection):
            ignoring(mode=SendMode.DIRECT)
        assert reached(signals, people) == set()

    def test_modes(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: DIRECT makes it the sender's alone whatever the message said, BROADCAST everybody's it names."""
        sender = people["msg red 1"]
        for send in (lambda event, **how: event.send("x", **how), lambda _, **how: signals.send("x", **how)):
            within_event(signals, sender, lambda event: send(event, mode=SendMode.DIRECT, name="Other"))  # noqa: B023
            assert reached(signals, people) == {"msg red 1"}
            within_event(
                signals,
                sender,
                lambda event: send(event, mode=SendMode.BROADCAST),  # noqa: B023
                direct=True,
                path="Other",
            )
            assert reached(signals, people) == {"other red 1", "other 5"}

    def test_a_mode_that_is_none(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: a mode is never guessed, so that a send meant for one client does not become a broadcast."""
        with pytest.raises(ValueError, match="nonsense"):
            signals.send("x", name="Msg", mode="nonsense")  # type: ignore[arg-type]
        within_event(signals, people["msg 4"], lambda event: event.send("x", mode="direct"))
        assert reached(signals, people) == {"msg 4"}

    def test_direct_without_a_connection(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: DIRECT outside of an event and a converting route raises NoCurrentConnection."""
        with pytest.raises(NoCurrentConnection):
            signals.send("x", name="Msg", mode=SendMode.DIRECT)
        assert reached(signals, people) == set()

    def test_the_event_of_another_hub_is_none(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.2: an event is current for its own hub alone; hubs share nothing."""
        other = new_signals()
        stranger = connected(other, "Msg")
        with pytest.raises(NameRequired):
            within_event(other, stranger, lambda _: signals.send("x"), path="Msg")
        with pytest.raises(NoCurrentConnection):
            within_event(other, stranger, lambda _: signals.send("x", mode=SendMode.DIRECT))
        within_event(other, stranger, lambda _: signals.send("x", name="Other"), direct=True)
        assert reached(signals, people) == {"other red 1", "other 5"}
        assert stranger.got == []

    def test_the_sender_has_gone(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.7: a send never raises because a client is gone; nobody else gets what was for it."""

        def late(event: SignalEvent) -> list[int]:
            people["msg red 1"].vanishes()
            return [event.send("x").recipients, signals.send("y", mode=SendMode.DIRECT).recipients]

        assert within_event(signals, people["msg red 1"], late, direct=True) == [0, 0]
        assert reached(signals, people) == set()
        assert people["msg red 1"].connection.send("z").recipients == 0


class TestWithinARoute:
    def test_sends_of_a_local_route(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S3.2: within the route of a local connection signals.send goes to it alone, whatever name it gives."""
        route = Route()
        local = connected(signals, "Local", scope=Scope.LOCAL)
        route.slot.link = local.link
        for number, arguments in enumerate(({}, {"name": "Msg"}, {"name": EVERY_NAME}, {"client_id": "1"})):
            assert route.run(signals.send, str(number), **arguments).recipients == 1
        assert local.got == ["0", "1", "2", "3"]
        assert reached(signals, people) == set()

    def test_getting_out_of_a_local_route(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: ignore_event and BROADCAST send beyond the route of a local connection."""
        route = Route()
        local = connected(signals, "Local", scope=Scope.LOCAL)
        route.slot.link = local.link
        for how in ({"ignore_event": True}, {"mode": SendMode.BROADCAST}):
            route.run(signals.send, "x", name="Other", **how)
            assert reached(signals, people) == {"other red 1", "other 5"}
            with pytest.raises(NameRequired):
                route.run(signals.send, "x", **how)
        assert local.got == []

    def test_sends_of_a_global_route(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.3: in the route of a global connection a send is a broadcast, and DIRECT is that connection."""
        route = Route()
        route.slot.link = people["msg 4"].link
        route.run(signals.send, "x", name="Other")
        assert reached(signals, people) == {"other red 1", "other 5"}
        route.run(signals.send, "x", mode=SendMode.DIRECT)
        assert reached(signals, people) == {"msg 4"}
        with pytest.raises(NameRequired):
            route.run(signals.send, "x")

    def test_before_the_conversion_and_after_the_route(self, signals: Signals) -> None:
        """S3.2: the slot is empty before the conversion and after the end of the route: then sends are plain ones."""
        route = Route()
        with pytest.raises(NoCurrentConnection):
            route.run(signals.send, "x", name="Msg", mode=SendMode.DIRECT)
        local = connected(signals, "Local", scope=Scope.LOCAL)
        route.slot.link = local.link
        route.slot.link = None
        assert route.run(signals.send, "x", name="Local").recipients == 0
        assert local.got == []

    def test_a_route_of_another_hub(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S3.2: the connection that a route converted with another hub is none of this one's."""
        route = Route()
        stranger = connected(new_signals(), scope=Scope.LOCAL)
        route.slot.link = stranger.link
        route.run(signals.send, "x", name="Other")
        assert reached(signals, people) == {"other red 1", "other 5"}
        assert stranger.got == []


class TestLevels:
    @pytest.mark.parametrize(
        ("level", "arguments", "allowed"),
        [
            (BroadcastLevel.NAME, {}, True),
            (BroadcastLevel.GROUP, {}, False),
            (BroadcastLevel.GROUP, {"group": "red"}, True),
            (BroadcastLevel.GROUP, {"group": ["red"]}, True),
            (BroadcastLevel.GROUP, {"group": []}, False),
            (BroadcastLevel.GROUP, {"group": ""}, False),
            (BroadcastLevel.GROUP, {"client_id": "1"}, True),
            (BroadcastLevel.CLIENT_ID, {}, False),
            (BroadcastLevel.CLIENT_ID, {"group": "red"}, False),
            (BroadcastLevel.CLIENT_ID, {"client_id": []}, False),
            (BroadcastLevel.CLIENT_ID, {"group": "red", "client_id": ()}, False),
            (BroadcastLevel.CLIENT_ID, {"client_id": "1"}, True),
            (BroadcastLevel.CLIENT_ID, {"group": "red", "client_id": ["1"]}, True),
        ],
    )
    def test_what_a_level_asks_for(
        self,
        signals: Signals,
        people: dict[str, FakeTransport],
        level: BroadcastLevel,
        arguments: dict[str, Any],
        allowed: bool,
    ) -> None:
        """S7.2: NAME, GROUP and CLIENT_ID ask for more and more, S7.3: and allows tells it without sending."""
        signals.set_broadcast_level(level, name="Msg")
        assert signals.allows("Msg", **arguments) is allowed
        assert reached(signals, people) == set()
        if allowed:
            signals.send("x", name="Msg", **arguments)
            assert reached(signals, people)
        else:
            with pytest.raises(BroadcastRefused) as raised:
                signals.send("x", name="Msg", **arguments)
            assert (raised.value.name, raised.value.level) == ("Msg", level)
            assert reached(signals, people) == set()

    def test_default_and_own(self, signals: Signals) -> None:
        """S7.1: the default is NAME; without a name the level holds for every name that has none of its own."""
        assert signals.broadcast_level("Msg") is BroadcastLevel.NAME
        signals.set_broadcast_level(BroadcastLevel.GROUP, name="Msg")
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID)
        assert signals.broadcast_level("Msg") is BroadcastLevel.GROUP
        assert signals.broadcast_level("Other") is BroadcastLevel.CLIENT_ID
        assert signals.allows("Msg", "red", None)
        assert not signals.allows("Other", "red", None)

    def test_several_names_are_all_or_none(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.4: one name that refuses, and nothing is sent to anyone."""
        signals.set_broadcast_level(BroadcastLevel.GROUP, name="Other")
        for names in (["Msg", "Other"], ["Other", "Msg"]):
            with pytest.raises(BroadcastRefused) as raised:
                signals.send("x", name=names)
            assert raised.value.name == "Other"
        assert reached(signals, people) == set()

    def test_every_name_leaves_out_who_refuses(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.4: a send to every name leaves those out that refuse, and lists them."""
        signals.set_broadcast_level(BroadcastLevel.GROUP, name="Other")
        delivery = signals.send("x", name=EVERY_NAME)
        assert (delivery.refused, delivery.recipients) == (("Other",), 4)
        assert reached(signals, people) == {"msg red 1", "msg red 2", "msg blue 3", "msg 4"}
        assert signals.send("x", name=EVERY_NAME, group="red").refused == ()
        assert reached(signals, people) == {"msg red 1", "msg red 2", "other red 1"}
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID)
        assert signals.send("x", name=EVERY_NAME, group="red").refused == ("Msg",)
        assert reached(signals, people) == {"other red 1"}
        assert signals.send("x", name=EVERY_NAME, client_id="1").refused == ()
        assert reached(signals, people) == {"msg red 1", "other red 1"}

    def test_before_encoding(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.4: the level is checked first: it is the level that is reported, not the data."""
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID)
        with pytest.raises(BroadcastRefused):
            signals.send(float("nan"), name="Msg")
        assert reached(signals, people) == set()

    def test_levels_hold_within_events(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S7.3: levels hold for the sends of signal routes, with what the message named; not for direct answers."""
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID, name="Msg")
        sender = people["msg red 1"]
        for send in (lambda event: event.send("x"), lambda _: signals.send("x")):
            with pytest.raises(BroadcastRefused):
                within_event(signals, sender, send, path="Msg", group="red")
            assert reached(signals, people) == set()
            within_event(signals, sender, send, path="Msg", clientId="4")
            assert reached(signals, people) == {"msg 4"}
            within_event(signals, sender, send, path="Msg", direct=True)
            assert reached(signals, people) == {"msg red 1"}


def in_another_thread(call: Callable[[], Any]) -> PodeSignalsError | None:
    """What a call raises there."""
    raised: list[PodeSignalsError] = []

    def run() -> None:
        try:
            call()
        except PodeSignalsError as error:
            raised.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return raised[0] if raised else None


class TestThreads:
    @pytest.mark.parametrize("reactor_runs", [False, True])
    def test_other_threads_are_refused(
        self, signals: Signals, people: dict[str, FakeTransport], monkeypatch: pytest.MonkeyPatch, reactor_runs: bool
    ) -> None:
        """S4.8: from another thread send, convert, close and registrations raise, and say the way to do it."""
        # Where Twisted keeps which thread is the reactor's, once that runs.
        monkeypatch.setattr(threadable, "ioThread", threadable.getThreadID() if reactor_runs else None)
        events: list[SignalEvent] = []
        within_event(signals, people["msg 4"], events.append)
        connection = people["msg 4"].connection
        calls: dict[str, Callable[[], Any]] = {
            "send": lambda: signals.send("x", name="Msg"),
            "send of a connection": lambda: connection.send("x"),
            "send of an event": lambda: events[0].send("x"),
            "set_broadcast_level": lambda: signals.set_broadcast_level(BroadcastLevel.GROUP),
            "convert": lambda: signals.convert(object(), "Msg"),
            "close": lambda: signals.close("Msg"),
            "close of a connection": connection.close,
            "join": lambda: connection.join("red"),
            "leave": lambda: connection.leave("red"),
            "add_route": lambda: signals.add_route("/x", print),
            "add_route by decorator": lambda: signals.route("/x")(print),
            "add_route of a group": lambda: signals.route_group("/x").add_route("/y", print),
            "remove_route": lambda: signals.remove_route("/x"),
            "clear_routes": signals.clear_routes,
            "register_event": lambda: signals.register_event("Msg", EventType.CONNECT, "e", print),
            "register_event by decorator": lambda: signals.on_connect("Msg")(print),
            "unregister_event": lambda: signals.unregister_event("Msg", EventType.CONNECT, "e"),
            "when_connected": lambda: signals.when_connected("Msg"),
            "enable_signing": lambda: signals.enable_signing("s" * 32),
            "disable_signing": signals.disable_signing,
        }
        for name, call in calls.items():
            error = in_another_thread(call)
            assert isinstance(error, NotInReactorThread), f"{name}: {error!r}"
            assert error.call == name.split()[0]
            owner = "connection" if name in ("join", "leave") else "signals"
            advice = "in the route itself" if name == "convert" else f"reactor.callFromThread({owner}.{error.call}"
            assert advice in str(error)
        assert reached(signals, people) == set()
        assert (signals.count(), signals.routes(), signals.events(), signals.is_signing) == (6, (), (), False)

    def test_the_reactor_decides_once_it_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """S4.8: once the reactor runs its thread is the one, whoever made the hub; before, the maker's."""
        made: list[Signals] = []
        assert in_another_thread(lambda: made.append(new_signals())) is None
        # Where Twisted keeps which thread is the reactor's, once that runs.
        monkeypatch.setattr(threadable, "ioThread", None)
        with pytest.raises(NotInReactorThread):
            made[0].send("x", name="Msg")
        monkeypatch.setattr(threadable, "ioThread", threadable.getThreadID())
        assert made[0].send("x", name="Msg").recipients == 0
        assert isinstance(in_another_thread(lambda: made[0].send("x", name="Msg")), NotInReactorThread)


class TestContexts:
    """Who "the current event" is, from callbacks and later."""

    def test_a_coroutine_keeps_its_event(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.2: an async function is within its event after each await, whatever else ran in between."""
        waits: list[Deferred[None]] = []

        async def route(event: SignalEvent) -> None:
            waits.append(Deferred())
            await waits[-1]
            signals.send(event.data.message)

        signals.add_route("/ws", route)
        people["msg red 1"].says("direct", direct=True)
        people["msg 4"].says("named", path="Other")
        waits[1].callback(None)
        assert reached(signals, people) == {"other red 1", "other 5"}
        waits[0].callback(None)
        assert people["msg red 1"].got == ["direct"]
        assert reached(signals, people) == {"msg red 1"}

    def test_a_callback_has_no_event(self, signals: Signals, people: dict[str, FakeTransport]) -> None:
        """S4.2: a Deferred callback that lost its context raises rather than broadcast; event.send needs none."""
        waiting: Deferred[str] = Deferred()
        errors: list[Any] = []

        def route(event: SignalEvent) -> None:
            waiting.addCallback(lambda _: signals.send("lost")).addErrback(errors.append)
            waiting.addCallback(lambda _: event.send("found"))

        signals.add_route("/ws", route)
        people["msg red 1"].says("?", path="Other")
        waiting.callback("now")
        assert errors[0].check(NameRequired)
        assert people["other 5"].got == []
        turn(signals)
        assert people["other 5"].got == ["found"]
        assert reached(signals, people) == {"other red 1", "other 5"}

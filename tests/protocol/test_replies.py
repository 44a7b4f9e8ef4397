"""Replies and errors of ``pode.signals.v1``: what a client is answered, and when."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from dialogues import Talker, room, signals_world, talk
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent
from web_fakes import World

from pode_signals import BroadcastLevel, Unrouted
from pode_signals.errors import ReplyRefused


def answering(function: Any, **settings: Any) -> tuple[World, Talker]:
    """A world whose signal route is a function, and a client of it."""
    world = signals_world(**settings).converting("/room", "Room")
    world.signals.add_route("/room", function)
    return world, talk(world)


def failed(code: str, text: str, id: str = "1") -> dict[str, str]:
    """An error."""
    return {"type": "error", "id": id, "code": code, "text": text}


FAILED = failed("failed", "The server could not do this.")


def test_one_answer_for_each_id() -> None:
    """P23: for each id there is one reply or one error, in the order of the messages."""

    async def odd(event: Any) -> Any:
        number = event.data.message
        if number % 3 == 0:
            raise LookupError(number)
        if number % 3 == 1:
            await deferLater(event.connection.hub.clock, 1)
        return number

    world, talker = answering(odd)
    for number in range(9):
        talker.says(type="send", id=f"n{number}", message=number)
    for _ in range(10):
        world.turn(1)
    frames = talker.frames()
    assert [each["id"] for each in frames] == [f"n{number}" for number in range(9)]
    assert Counter(each["type"] for each in frames) == {"reply": 6, "error": 3}
    assert [each["data"] for each in frames if each["type"] == "reply"] == [1, 2, 4, 5, 7, 8]


def test_no_answer_without_an_id() -> None:
    """P24: without an id there is no answer, whatever the route does; only errors about the frame come."""

    def odd(event: Any) -> Any:
        if event.data.message == "raise":
            raise LookupError
        if event.data.message == "refuse":
            raise ReplyRefused("no", "No.")
        return event.data.message

    _, talker = answering(odd)
    for message in ("raise", "refuse", "text"):
        talker.says(type="send", message=message)
    assert talker.frames() == []
    talker.says(type="send")
    assert [each["code"] for each in talker.frames()] == ["bad_frame"]


class TestReplies:
    @pytest.mark.parametrize("data", [None, 0, False, "text", "", [], {}, {"deep": [{"a": 1.5}]}, "\u2028 ü"])
    @pytest.mark.parametrize("kind", ["plain", "async", "Deferred"])
    def test_what_the_route_returns(self, data: Any, kind: str) -> None:
        """P25: the data of a reply are what the signal route returned; None is null."""

        async def later(event: Any) -> Any:
            await deferLater(event.connection.hub.clock, 1)
            return data

        def deferred(event: Any) -> Deferred[Any]:
            return deferLater(event.connection.hub.clock, 1, lambda: data)

        functions: dict[str, Any] = {"plain": lambda _event: data, "async": later, "Deferred": deferred}
        world, talker = answering(functions[kind])
        talker.says(type="send", id="a:1", message=1)
        world.turn(1)
        (answer,) = talker.frames()
        assert (answer["type"], answer["id"]) == ("reply", "a:1")
        assert (type(answer["data"]), answer["data"]) == (type(data), data)

    def test_a_delivery(self) -> None:
        """P25: the numbers of a send that a route ends with are no business of the client."""
        _, talker = answering(lambda event: event.send("x", client_id="nobody", name="Room"))
        assert talker.asks("hi") == {"type": "reply", "id": "1", "data": None}

    def test_refusals(self) -> None:
        """P26: a refusal by the route gives ``app.<code>`` and its text, and is no failure."""

        async def refuse(event: Any) -> None:
            if event.data.message:
                await deferLater(event.connection.hub.clock, 1)
            raise ReplyRefused("seat_taken", "This seat is taken.")

        world, talker = answering(refuse)
        with capturedLogs() as logs:
            assert talker.asks(0) == failed("app.seat_taken", "This seat is taken.")
            talker.says(type="send", id="2", message=1)
            world.turn(1)
            assert talker.frames() == [failed("app.seat_taken", "This seat is taken.", "2")]
        assert (world.signals.counters.functions_failed, logs) == (0, [])

    def test_a_refusal_elsewhere(self) -> None:
        """P26: nobody asked a Connect function, so what it raises is a failure."""
        world = room(signals_world())

        @world.signals.on_connect("Room")
        def connected(_event: Any) -> None:
            raise ReplyRefused("no", "No.")

        with capturedLogs() as logs:
            talk(world)
        assert (world.signals.counters.functions_failed, len(logs)) == (1, 1)

    @pytest.mark.parametrize("error", [LookupError("secret"), SystemExit("secret"), CancelledError()])
    def test_other_exceptions(self, error: BaseException) -> None:
        """P27: any other exception is ``failed``, and no word of it goes on the wire."""

        def fail(_event: Any) -> None:
            raise error

        _, talker = answering(fail)
        with capturedLogs() as logs:
            assert talker.asks(1) == FAILED
        assert len(logs) == 1
        assert b"secret" not in talker.client.received

    def test_past_its_time(self) -> None:
        """P28: a function past its time is ``timed_out``, and its late result is dropped."""
        waiting: Deferred[str] = Deferred()
        world, talker = answering(lambda _event: waiting, handler_timeout_seconds=3, ping_interval_seconds=1_000)
        talker.says(type="send", id="1", message=1)
        world.turn(2)
        assert talker.frames() == []
        world.turn(1)
        assert talker.frames() == [failed("timed_out", "The server took too long.")]
        waiting.callback("late")
        world.turn(5)
        assert talker.frames() == []
        talker.says(type="beat")
        assert talker.frames() == [{"type": "beat"}]

    @pytest.mark.parametrize("data", [object(), {1, 2}, float("nan"), "\ud800", b"bytes"])
    def test_what_can_not_be_encoded(self, data: Any) -> None:
        """P29: a returned value that can't be encoded is ``failed``, and is logged."""
        world, talker = answering(lambda _event: data)
        with capturedLogs() as logs:
            assert talker.asks(1) == FAILED
        assert "signal route /room has returned what can't be sent" in formatEvent(logs[0])
        assert world.signals.counters.functions_failed == 1

    def test_what_is_too_large(self) -> None:
        """P29: a reply over ``max_outgoing_bytes`` is ``failed``, and the setting is named."""
        _, talker = answering(lambda _event: "x" * 1_000, max_outgoing_bytes=1_000)
        with capturedLogs() as logs:
            assert talker.asks(1) == FAILED
        assert formatEvent(logs[0]).endswith("(max_outgoing_bytes)")

    def test_signals_of_the_route_come_first(self) -> None:
        """P30: signals that the route sent to the client that asked come before the reply."""

        async def route(event: Any) -> str:
            event.send("to all", name="Room")
            event.connection.send("to one")
            await deferLater(event.connection.hub.clock, 1)
            event.send("again", name="Room")
            return "done"

        world, talker = answering(route)
        world.signals.keep_history("Room")
        talker.frames()
        talker.says(type="send", id="1", message=1)
        world.turn(1)
        assert [each["data"] for each in talker.frames()] == ["to all", "to one", "again", "done"]


class TestWithoutRoute:
    @pytest.mark.parametrize(
        ("unrouted", "members", "code"),
        [
            (Unrouted.DROP, {}, "no_route"),
            (Unrouted.SAME_NAME, {"path": "Other"}, "no_route"),
            (Unrouted.SAME_NAME, {}, None),
            (Unrouted.BROADCAST, {}, None),
            (Unrouted.BROADCAST, {"path": "Strict"}, "refused"),
            (Unrouted.BROADCAST, {"path": "Nobody"}, None),
            (Unrouted.BROADCAST, {"direct": True}, None),
        ],
    )
    def test_answers(self, unrouted: Unrouted, members: Any, code: str | None) -> None:
        """P31: a message without a route is ``no_route``, one that a level stops is ``refused``, else null."""
        world = signals_world().converting("/room", "Room")
        world.signals.unrouted = unrouted
        world.signals.set_broadcast_level(BroadcastLevel.CLIENT_ID, "Strict")
        talker = talk(world)
        talker.says(type="send", id="1", message="x", **members)
        *signals, answer = talker.frames()
        assert (answer["type"], answer.get("code"), answer["id"]) == ("error" if code else "reply", code, "1")
        assert answer.get("data") is None
        assert [each["data"] for each in signals] == ["x"] * (code is None and "path" not in members)

    def test_a_client_id_that_is_not_valid(self) -> None:
        """P31: a message for a client id that is not valid is ``refused``, also where there is a route."""
        world = signals_world().converting("/room", "Room")
        world.signals.enable_signing("a secret that is quite long enough, really")
        for route in (False, True):
            if route:
                world.signals.add_route("/room", lambda _event: "reached")
            assert talk(world).asks("x", clientId="forged")["code"] == "refused"


class TestOutOfTurn:
    def test_what_overtakes(self) -> None:
        """P35: ``ack``, ``beat`` and ``refresh`` do not wait behind a function; all else does."""
        waiting: Deferred[None] = Deferred()
        world, talker = answering(lambda _event: waiting)
        talker.says(type="send", id="1", message=1)
        talker.says(type="send", id="2", message=2)
        talker.says(type="beat")
        talker.writes('{"type": "beat"}')
        talker.says(type="refresh", id="3", token="t")
        talker.says(type="ack", id="unknown")
        answers = talker.frames()
        assert [(each["type"], each.get("id"), each.get("code")) for each in answers] == [
            ("beat", None, None),
            ("beat", None, None),
            ("error", "3", "not_available"),
        ]
        assert world.signals.counters.acknowledgements_ignored == 1
        talker.says(type="presence", watch=True)
        assert talker.frames() == []
        waiting.callback(None)
        world.turn()
        assert [each.get("id") or each["code"] for each in talker.frames()] == ["1", "2", "not_available"]

    def test_they_count_for_the_rate(self) -> None:
        """P35: what overtakes counts for ``messages_per_second`` all the same, and waits where there were too many."""
        waiting: Deferred[None] = Deferred()
        world, talker = answering(
            lambda _event: waiting, message_burst=5, messages_per_second=1, ping_interval_seconds=1_000
        )
        talker.says(type="send", id="1", message=1)
        for _ in range(10):
            talker.says(type="beat")
        assert [each["type"] for each in talker.frames()] == ["beat"] * 4
        waiting.callback(None)
        seconds = []
        for second in range(1, 10):
            world.turn(1)
            seconds += [second for each in talker.frames() if each["type"] == "beat"]
        assert len(seconds) == 6
        assert all(second >= number for number, second in enumerate(seconds, 1))


class TestWrongFrames:
    @pytest.mark.parametrize(
        ("text", "id"),
        [
            ("no JSON", None),
            ("[]", None),
            ('"text"', None),
            ("{}", None),
            ('{"message":"plain"}', None),
            ('{"id":"7","message":"plain"}', "7"),
            ('{"type":1,"id":"7"}', "7"),
            ('{"type":"send","id":"7"}', "7"),
            ('{"type":"send","id":"7","message":null}', "7"),
            ('{"type":"send","id":7,"message":1}', None),
            ('{"type":"send","id":"","message":1}', None),
            ('{"type":"send","id":"ä","message":1}', None),
            ('{"type":"send","id":"' + "x" * 65 + '","message":1}', None),
            ('{"type":"send","id":"7","message":1,"direct":1}', "7"),
            ('{"type":"send","id":"7","message":1,"group":[""]}', "7"),
            ('{"type":"send","id":"7","message":' + "[" * 40 + "]" * 40 + "}", "7"),
            ('{"type":"ack"}', None),
            ('{"type":"refresh","id":"7"}', "7"),
            ('{"type":"refresh","token":"t"}', None),
            ('{"type":"presence","watch":"yes"}', None),
        ],
    )
    def test_each_is_answered(self, text: str, id: str | None) -> None:
        """P9: each violation of the schema is ``bad_frame`` with the id if one could be read, and is counted."""
        world, talker = answering(lambda _event: "reached")
        talker.writes(text)
        (answer,) = talker.frames()
        assert (answer["code"], answer.get("id")) == ("bad_frame", id)
        assert world.signals.counters.messages_bad == 1
        assert talker.asks(1)["data"] == "reached"

    def test_the_tenth_closes(self) -> None:
        """P9: the tenth bad frame within 60 seconds closes with 1008."""
        _, talker = answering(lambda _event: None)
        for number in range(9):
            talker.writes(f"bad {number}")
        assert talker.closed is None
        talker.writes("bad")
        assert [each["code"] for each in talker.frames()] == ["bad_frame"] * 10
        assert talker.closed == (1008, "too many bad messages")

    def test_unknown_types(self) -> None:
        """P8: a frame of an unknown type is ``unknown_type``, is no bad message, and leaves the connection open."""
        world, talker = answering(lambda _event: None)
        for number in range(20):
            talker.says(type="newer", id=f"{number}")
        assert [(each["code"], each["id"]) for each in talker.frames()] == [
            ("unknown_type", f"{number}") for number in range(20)
        ]
        assert (world.signals.counters.messages_bad, talker.is_open) == (0, True)

    def test_unknown_fields(self) -> None:
        """P7: unknown fields are ignored, and null is like an absent field."""
        _, talker = answering(lambda event: event.data.group)
        assert talker.asks("x", newer={"a": 1}, group=None, path=None)["data"] == []

    def test_what_the_log_says(self) -> None:
        """P12: the first plain message on a signals connection is told with the form that a frame has."""
        _, talker = answering(lambda _event: None)
        with capturedLogs() as logs:
            talker.writes(json.dumps({"message": "hi"}))
        assert "expected is {" in formatEvent(logs[0])
        assert '"type": "send"' in formatEvent(logs[0])

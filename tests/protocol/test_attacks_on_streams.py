"""Attacks on streams of server-sent events: secrets, floods, and what is left of those who go."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest
from dialogues import talk
from event_clients import EVENTS, FIRST, JSON, SIGNALS, Listener, asked, events_world, posted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.logger import capturedLogs, formatEvent
from web_fakes import close_frame, plain

from pode_signals.signals import hub_of

OWN = ("Sec-Fetch-Site", "same-origin")


def test_tokens_are_nowhere() -> None:
    """P53: no token of a stream or of a POST is in a log line, an access line, a report, a traceback or a ``repr``."""
    world = events_world(max_message_bytes=2_000)
    records: list[Any] = []

    @world.signals.on_connect("Room")
    def connected(event: Any) -> None:
        records.append(event.connection.request)
        raise LookupError("a mistake of the program")

    @world.app.route("/fails")
    def fails(request: Any) -> None:
        raise LookupError("another mistake")

    with capturedLogs() as logs:
        world.signals.keep_history("Room")
        listener = Listener(world)
        tokens = {listener.token}
        token = ("X-PODE-SIGNAL-TOKEN", listener.token)
        back = Listener(world, "/room", token, resume=listener.place)
        Listener(world, "/room", resume=back.place, stock=True)
        tokens.add(back.token)
        for data in (
            posted(back.token, 1, "["),
            posted(back.token, 5, "[1]"),
            posted(back.token, "x", "[1]"),
            posted(back.token, 2, "[" + "1" * 3_000 + "]"),
            posted(back.token, 2, "[1]", "/room", ("Content-Type", "text/plain")),
            posted(back.token, 2, "[1]", "/room", ("Origin", "https://evil.example")),
            posted(back.token, 2, "[1]", "/room", ("X-Other", "\0")),
            posted(f"{back.token}x", 2, "[1]"),
            posted(listener.token, 2, "[1]"),
            plain("/fails", EVENTS, token, ("X-PODE-SIGNAL-RESUME", back.place)),
            plain("/room", SIGNALS, ("X-PODE-SIGNAL-RESUME", f"{back.place} x"), ("Host", "a b")),
            plain("/room", SIGNALS, ("X-PODE-SIGNAL-RESUME", back.place), ("X-PODE-SIGNAL-RESUME", back.place)),
        ):
            asked(world, data)
        back.leaves()
        world.turn()
    lines = [*map(repr, logs), *map(formatEvent, logs), *world.access_lines, *map(repr, records)]
    lines += [repr(dict(each.headers)) for each in records] + [repr(back.connection), repr(back.connection.request)]
    lines += [repr(world.signals.insight.numbers()), repr(list(hub_of(world.signals).reports.recent.refusals))]
    lines += [event["log_failure"].getTraceback() for event in logs if event.get("log_failure") is not None]
    found = "\n".join(map(str, lines))
    assert "mistake" in found
    for each in tokens:
        assert each not in found
        # The signature is its secret part.
        assert each.rpartition(".")[2] not in found


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30), st.sampled_from(["TOKEN", "POST"]))
def test_any_header(value: str, name: str) -> None:
    """P91: whatever stands in the headers of a POST, it is refused or taken, and never an error of the server."""
    world = events_world()
    listener = Listener(world)
    values = {"TOKEN": listener.token, "POST": "1", name: value.translate({10: 32, 13: 32})}
    answer = asked(world, posted(values["TOKEN"], values["POST"], '[{"type":"beat"}]'))
    assert answer.status in (202, 400, 403, 409)


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\nevent: close", "a\rb", "\r\n\r\nHTTP/1.1 200 OK", "a\0b"])
def test_line_ends_anywhere(text: str) -> None:
    """P90: line ends in a reason, a payload or a key put nothing into the stream or its head."""
    world = events_world()
    for stock in (False, True):
        listener = Listener(world, stock=stock)
        world.signals.send(text, name="Room")
        world.signals.send({text: text}, name="Room", group=())
        world.turn()
        listener.connection.close(4000, text)
        world.turn()
        assert b"X-Evil" not in listener.client.received.partition(b"\r\n\r\n")[0]
        types = {each.type for each in listener.events if each.data is not None}
        assert types == {"message", "close"} if not stock else {"message", "hello", "close"}
        assert listener.closed is not None
        assert b"\r" not in listener.stream


def test_smuggled_requests() -> None:
    """P91: heads that two parsers read otherwise are refused, for streams and for POSTs."""
    world = events_world()
    listener = Listener(world)
    number = ("X-PODE-SIGNAL-POST", "1")
    token = ("X-PODE-SIGNAL-TOKEN", listener.token)
    body = b'[{"type":"beat"}]'
    for headers, statuses in (
        ((token, token, number, JSON), {403}),
        ((token, number, number, JSON), {400}),
        ((token, number, JSON, ("Content-Type", "text/plain")), {400}),
        ((token, number, JSON, ("Transfer-Encoding", "chunked")), {400}),
        ((token, number, JSON, ("Content-Length", "3")), {400}),
        ((token, number, JSON, ("X-PODE-SIGNAL-TOKEN ", "x")), {400, 403}),
    ):
        client = world.client()
        client.send(plain("/room", OWN, *headers, method=b"POST", body=body))
        world.turn()
        assert {each.status for each in client.answers} <= statuses
    assert world.signals.counters.messages_received == 0


def test_a_flood_of_posts() -> None:
    """P91: of a flood of POSTs no more is handled than the rate of messages allows, nor kept than may wait."""
    world = events_world(messages_per_second=10, message_burst=20, max_pending_messages=64)
    listener = Listener(world)
    body = json.dumps([{"type": "send", "message": 1}] * 100)
    statuses = [listener.posts_text(body, number).status for number in range(1, 200)]
    assert statuses.count(202) == 1
    assert set(statuses) == {202, 429, 409}
    hub = hub_of(world.signals)
    assert hub.inboxes.waiting_bytes <= len(body)
    assert world.signals.counters.messages_received == 100


def test_what_floods_write_to_the_log() -> None:
    """P91: a flood of bad POSTs writes a few lines a minute."""
    world = events_world()
    listener = Listener(world)
    with capturedLogs() as logs:
        for _ in range(500):
            asked(world, posted("a.b", 1, "[1]"))
            asked(world, posted(listener.token, 9, "[1]"))
    assert len(logs) <= 12
    assert world.signals.counters.posts_refused == {403: 500, 409: 500}


@pytest.mark.parametrize("stock", [False, True])
def test_streams_that_never_read(stock: bool) -> None:
    """P91: streams that never read hold no more than may wait for one, and for all, and are gone soon."""
    world = events_world(send_queue_bytes=10_000, total_queue_bytes=50_000)
    listeners = [Listener(world, stock=stock) for _ in range(30)]
    for each in listeners:
        each.client.wire.producer.pauseProducing()
    most = 0
    for _ in range(40):
        world.signals.send("x" * 1_000, name="Room")
        world.turn()
        most = max(most, hub_of(world.signals).queues.queued_bytes)
    world.turn(3)
    assert most <= 50_000
    assert world.signals.open_connections() == ()
    assert not any(each.is_open for each in listeners)


def test_nothing_is_left() -> None:
    """P91: of streams that came and went nothing is kept, whatever way they ended."""
    world = events_world()
    gone: list[Any] = []
    for number in range(40):
        listener = Listener(world, f"/room?{number}", stock=number % 2 == 0)
        gone.append(weakref.ref(listener.connection))
        if number % 4 == 0:
            listener.client.leave()
        elif number % 4 == 1:
            listener.leaves()
        elif number % 4 == 2:
            listener.connection.close()
        else:
            listener.client.wire.client_ends("reset", ConnectionLost())
        world.turn()
        world.converted.clear()
        del listener
    world.turn(100)
    gc.collect()
    hub = hub_of(world.signals)
    assert [each for each in gone if each() is not None] == []
    assert (hub.posts._streams, hub.posts._paths) == ({}, {})
    assert hub.registry.name_count() == 0


def test_no_cycle_is_left_to_the_garbage_collector() -> None:
    """P91: a stream that has ended is freed at once, also where the page of another origin opened it."""
    world = events_world(allowed_origins=["https://partner.example"])
    Listener(world).client.leave()
    world.turn()
    gc.collect()
    gc.disable()
    try:
        listener = Listener(world, "/room", ("Origin", "https://partner.example"))
        protocol = weakref.ref(listener.client.wire.protocol)
        listener.client.leave()
        # Twisted's transports let go of their producer.
        listener.client.wire.producer = None
        world.turn()
        world.turn(100)
        world.converted.clear()
        del listener
        assert protocol() is None
    finally:
        gc.enable()


def test_leaving_is_not_remembered() -> None:
    """P47: a client that ends its stream by DELETE gets its groups back when it returns, as one does that closes a
    WebSocket; so no client fills what is kept of those whose groups stay left.
    """
    world = events_world()
    world.signals.keep_history("Room")
    listener, talker = Listener(world), talk(world)
    listener.posts({"type": "send", "message": {"join": "kitchen"}})
    talker.says(type="send", message={"join": "kitchen"})
    listener.leaves()
    talker.client.send(close_frame(1000))
    world.turn()
    back = listener.again()
    for hello in (back.hello, talker.again().hello()):
        assert (hello["groups"], hello["recovered"]) == (["kitchen"], True)
    # The server's own 1000 is for good.
    back.connection.close()
    world.turn()
    assert back.again().hello["groups"] == []


def test_many_bytes_behind_the_request() -> None:
    """P91: a client that sends more than 16 KiB on the stream's own socket is closed with 1008."""
    listener = Listener(world := events_world())
    listener.client.send(b"x" * 16_384)
    world.turn()
    assert listener.closed is None
    listener.client.send(b"x", b"x" * 100_000)
    world.turn()
    assert listener.closed == (1008, "too much data behind the request")
    assert not listener.is_open


def test_ids_of_others_are_no_proof() -> None:
    """P91: a client id, a position or a stream's own place without its token posts nothing for anybody."""
    world = events_world()
    world.signals.keep_history("Room")
    listener, evil = Listener(world), Listener(world)
    victim = listener.hello
    for token in (
        victim["clientId"],
        f"{victim['epoch']}.{victim['offset']}",
        listener.place,
        listener.place.split(".")[0],
    ):
        assert asked(world, posted(token, 1, "[1]")).status == 403
    # A POST with one's own token is one's own, whatever else it says.
    named = ("X-PODE-SIGNAL-CLIENT-ID", victim["clientId"])
    asked(world, posted(evil.token, 1, '[{"type":"send","id":"1","message":1}]', "/room", named))
    assert [each["type"] for each in listener.frames] == ["hello"]
    assert evil.frames[-1]["type"] == "reply"


def test_a_token_of_a_websocket_after_it_moved() -> None:
    """P91: the token of a WebSocket opens no POST, also once its client is back over a stream."""
    world = events_world()
    talker = talk(world)
    token = talker.all[0]["resumeToken"]
    talker.cut()
    listener = Listener(world, resume=talker.place)
    assert listener.hello["clientId"] == talker.all[0]["clientId"]
    assert asked(world, posted(token, 1, "[1]")).status == 410


def test_an_embedded_site() -> None:
    """P91: in a Site of the application's own, without bounds on bodies, a body that is too large is refused."""
    world = events_world()
    listener = Listener(world)
    answer = asked(world, posted(listener.token, 1, b"[" + b" " * 3_000_000 + b"1]"))
    assert answer.status == 413
    assert world.signals.counters.messages_received == 0


def test_thousands_of_one_address() -> None:
    """P91: one address opens no more streams than ``max_connections_per_address`` allows."""
    world = events_world(max_connections_per_address=50)
    statuses = [asked(world, plain("/room", SIGNALS, FIRST, OWN)).status for _ in range(60)]
    assert (statuses.count(200), statuses.count(429)) == (50, 10)

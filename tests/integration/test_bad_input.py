"""Some hundred ways to send something bad, to one server, one after the other; the tables are in ``bad_input``.

After each of them the process lives, others are served, the log has no traceback, and nobody was told a path or the
text of an exception.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from integration.bad_input import arguments, handshakes, heads, messages, origins, references, streams
from integration.bad_input.cases import (
    ABORTS,
    CANARY,
    CLEAN,
    GOES_ON,
    OPENS,
    SECRET,
    Call,
    Handshake,
    Message,
    Reference,
    Stream,
)
from integration.bad_input.wire import UNPRINTABLE, Server, running
from web_fakes import CLOSE, PING, PONG, TEXT, Frame, World, close_frame, frame, head, message, plain

HANDSHAKES = (*handshakes.CASES, *heads.CASES, *origins.CASES)
TABLES: tuple[tuple[Any, ...], ...] = (
    HANDSHAKES,
    streams.CASES,
    messages.CASES,
    references.CASES,
    arguments.CASES,
)
LEAST_CASES = 180
PAUSE_SECONDS = 0.1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server."""
    with running(tmp_path_factory.mktemp("bad_input")) as started:
        yield started


def each(cases: tuple[Any, ...]) -> pytest.MarkDecorator:
    """A test for each case."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def test_there_are_enough_cases() -> None:
    """S16.8: the tables hold 180 cases and more, of different names, and none is too small."""
    names = Counter((type(case).__name__, case.name) for case in chain(*TABLES))
    assert [name for name, count in names.items() if count > 1] == []
    assert len(names) >= LEAST_CASES
    assert all(len(table) >= 20 for table in TABLES)


@each(HANDSHAKES)
def test_handshake(server: Server, case: Handshake) -> None:
    """S2.2, S16.4, S16.6: what is no good handshake gets its status, and the socket goes on where HTTP lets it."""
    with server.watched(case.server) as (client,):
        pieces = (case.request,) if isinstance(case.request, bytes) else case.request
        client.send(*pieces, pause_seconds=PAUSE_SECONDS if len(pieces) > 1 else 0)
        if case.status is not None:
            answer = client.answer(has_body=not pieces[0].startswith(b"HEAD"))
            assert answer.status == case.status
            for name, value in case.headers:
                assert answer.value(name) is not None if value is ... else answer.value(name) == value
            if case.unseen is not None:
                assert case.unseen not in names_seen(client, answer)
        if case.then == GOES_ON:
            host = "localhost" if case.server == "loopback" else "example.com"
            assert client.send(plain("/counters", ("Host", host))).answer().status in (200, 426)
        elif case.then == OPENS:
            assert client.send(frame(b"well?", PING)).frame() == Frame(PONG, b"well?")
        else:
            assert client.end() == case.then


def names_seen(client: Any, answer: Any) -> list[str]:
    """The names of the headers that a route or a signal route saw."""
    if answer.status == 101:
        client.send(message("headers"))
        return json.loads(client.frame().payload)
    return [name.lower() for name in json.loads(answer.body)]


@each(streams.CASES)
def test_stream(server: Server, case: Stream) -> None:
    """S5.8, S6.1, S16.3, S16.8: what is no good stream of frames is closed with the code that RFC 6455 has for it."""
    pieces = (case.data,) if isinstance(case.data, bytes) else case.data
    with server.watched(case.server) as (client,):
        offer = ("Sec-WebSocket-Extensions", "permessage-deflate")
        assert client.send(head("/msg", offer)).answer().status == 101
        client.send(*pieces)
        for reply in case.replies:
            assert client.frame() == reply
        if case.then == OPENS:
            assert client.send(message("well?")).frame() == Frame(TEXT, b'{"echo":"well?"}')
        else:
            closing = client.frame()
            assert (closing.opcode, closing.code) == (CLOSE, case.code)
            if case.then == CLEAN:
                client.send(close_frame(case.code))
            assert client.end() == {CLEAN: "closes", ABORTS: "aborts"}[case.then]


@each(messages.CASES)
def test_message(server: Server, case: Message) -> None:
    """S5.1, S5.5, S5.8: a bad message is counted and not dispatched, and the connection stays."""
    with server.watched(case.server) as (client,):
        before = server.counters(case.server)
        assert client.send(head()).answer().status == 101
        client.send(frame(case.text), message("well?"))
        for echo in case.echo:
            got = json.loads(client.frame().payload)
            assert echo is None or got == {"echo": echo}
        assert client.frame() == Frame(TEXT, b'{"echo":"well?"}')
        expected = Counter(before)
        expected[case.counted] += 1
        assert server.counters(case.server) == {kind: expected[kind] for kind in before}


@each(references.CASES)
def test_reference(server: Server, case: Reference) -> None:
    """S15.1: a reference that does not hold gets 400, always the same one, before any route."""
    with server.watched(case.server) as (client,):
        answer = client.send(plain("/page", *case.headers)).answer()
        if case.found is None:
            assert (answer.status, answer.body) == (400, b"The client id is not valid.\n")
        else:
            assert (answer.status, answer.body.decode()) == (200, case.found)
        assert client.send(plain("/counters")).answer().status == 200


@pytest.fixture(scope="module")
def world() -> World:
    """A hub in memory whose signal route answers, with one connection."""
    world = World().converting(client_id="neighbour")
    world.signals.add_route("/msg", lambda event: event.send(event.data.message) and None)
    world.client().open()
    return world


@each(arguments.CASES)
def test_argument(world: World, case: Call) -> None:
    """S2.2, S4.2, S6.3, S8.3, S10.2, S13.2: a bad argument raises what is documented, and nothing is done."""
    (connection,) = world.converted
    stage = arguments.Stage(world.signals, connection, World().signals)
    sent = world.signals.counters.recipients_sent
    if case.error is None:
        case.call(stage)
    else:
        with pytest.raises(case.error) as caught:
            case.call(stage)
        assert case.says in str(caught.value)
        assert CANARY not in str(caught.value)
        assert SECRET not in str(caught.value)
    world.turn()
    assert world.signals.counters.recipients_sent == sent
    assert world.signals.connections("Msg") == (connection,)
    assert world.signals.schedules() == ()
    assert connection.send("well?").sent == 1


# What takes more than one client, or a number of messages.


def test_too_many_bad_messages(server: Server) -> None:
    """S5.8: the tenth bad message within a minute closes with 1008."""
    with server.watched("main") as (client,):
        assert client.send(head()).answer().status == 101
        client.send(*[frame("bad")] * 9, message("well?"))
        assert client.frame().payload == b'{"echo":"well?"}'
        client.send(frame("bad"), message("late"))
        assert client.frame().code == 1008
        assert client.send(close_frame(1008)).end() == "closes"


def test_a_client_id_is_taken(server: Server) -> None:
    """S2.4: who takes another's client id closes the other's connection with 4409."""
    with server.watched("main", "main") as (first, second):
        assert first.send(head("/named?name=Taken&client_id=one")).answer().status == 101
        assert second.send(head("/named?name=Taken&client_id=one")).answer().status == 101
        assert first.frame().code == 4409
        assert first.send(close_frame(4409)).end() == "closes"
        assert second.send(frame(b"well?", PING)).frame() == Frame(PONG, b"well?")


def test_a_client_that_does_not_read(server: Server) -> None:
    """S16.2: who lets more wait than the queue holds is closed with 4008."""
    with server.watched("tight") as (client,):
        assert client.send(head()).answer().status == 101
        client.send(message("flood"))
        while (got := client.frame()).opcode == TEXT:
            pass
        assert got.code == 4008


def test_a_client_that_answers_no_ping(server: Server) -> None:
    """S16.1: who sends messages and no pong is gone."""
    with server.watched("pinging") as (client,):
        assert client.send(head()).answer().status == 101
        assert client.frame().opcode == PING
        client.send(message("still here"), frame(b"\xff\xff\xff\xff", PONG))
        assert client.frame().payload == b'{"echo":"still here"}'
        assert client.end() == "aborts"


def test_too_many_heads_that_never_end(server: Server) -> None:
    """S16.4: over the limit the oldest goes, and a newcomer with a whole request comes in."""
    with server.watched(*["few heads"] * 5) as clients:
        for client in clients[:4]:
            client.send(b"GET /msg HTTP/1.1\r\n")
        assert clients[4].send(head()).answer().status == 101
        assert clients[0].end() == "aborts"


def test_the_log(server: Server) -> None:
    """S16.7: what all these clients sent has left no payload, no secret and no control character in the log."""
    with server.watched("main") as (client,):
        client.send(head("/named?name=%1b%5b2J%0d%0a" + CANARY))
        assert client.answer().status == 400
    log = server.log()
    assert "refused an upgrade" in log
    assert CANARY not in log
    assert SECRET not in log
    assert UNPRINTABLE.findall(log) == []

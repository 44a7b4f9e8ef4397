"""POSTs of clients of streams that reach another node than the stream's."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from event_clients import Listener, asked, posted
from nodes import Nodes
from twisted.internet.defer import fail
from twisted.logger import capturedLogs
from web_fakes import Answer, Client, failures_in, plain

SEND = b'[{"type":"send","id":"1","message":"s\xc3\xbcpp"}]'


def streams(count: int = 2, **settings: Any) -> tuple[Nodes, Listener]:
    """Nodes, and a client whose stream the first one has."""
    nodes = Nodes(count, allow_sse=True, **settings)
    listener = Listener(nodes.worlds[0])
    nodes.turn()
    return nodes, listener


def post(nodes: Nodes, listener: Listener, number: int = 1, body: bytes = SEND, *more: Any) -> Answer:
    """The answer of the second node to a POST."""
    return asked(nodes.worlds[1], posted(listener.token, number, body, "/room", *more))


def test_passed_on() -> None:
    """S17.1: a POST that reaches another node is taken by the stream's, and answered 202."""
    nodes, listener = streams()
    answer = post(nodes, listener)
    assert (answer.status, answer.body) == (202, b"")
    assert [(each["type"], each.get("data")) for each in listener.frames[1:]] == [("reply", "süpp")]
    assert [each.counters.posts_taken for each in nodes] == [1, 0]


def test_numbers() -> None:
    """P33: the numbers of POSTs count over nodes; the same one twice is taken once."""
    nodes, listener = streams()
    statuses = [post(nodes, listener, number).status for number in (1, 1, 3, 2)]
    assert statuses == [202, 202, 409, 202]
    assert listener.posts_text(SEND, 3).status == 202
    assert len(listener.frames) == 4
    assert nodes.signals[1].counters.posts_refused == {409: 1}


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (b"[]", (), 400),
        (b"\xff", (), 400),
        (b"[" + b" " * 70_000 + b"]", (), 413),
        (SEND, (("Content-Type", "a/b"),), 415),
    ],
)
def test_bad_posts(body: bytes, more: Any, status: int) -> None:
    """P91: what the stream's node refuses is refused on another node as well, with the same status."""
    nodes, listener = streams()
    answer = post(nodes, listener, 1, body, *more)
    assert answer.status == status
    assert answer.body.endswith(b".\n")


def test_too_many_messages() -> None:
    """P91: 429 has its Retry-After on another node too."""
    nodes, listener = streams(max_pending_messages=1, messages_per_second=0.1, message_burst=1)
    for number in (1, 2, 3):
        answer = post(nodes, listener, number)
    assert (answer.status, answer.value("Retry-After")) == (429, "1")


def test_a_delete() -> None:
    """S17.1: a DELETE on another node ends the stream for good."""
    nodes, listener = streams()
    headers = (("X-PODE-SIGNAL-TOKEN", listener.token), ("Sec-Fetch-Site", "same-origin"))
    answer = asked(nodes.worlds[1], plain("/room", *headers, method=b"DELETE"))
    assert answer.status == 204
    assert listener.connection.closure is not None
    assert listener.connection.closure.code == 1000


def test_the_stream_has_ended() -> None:
    """P91: a POST for a stream that is not open any more is 410, and one for a node that is gone."""
    nodes, listener = streams()
    token = listener.token
    listener.connection.close()
    nodes.turn(6)
    assert asked(nodes.worlds[1], posted(token, 1, SEND)).status == 410
    nodes, listener = streams()
    nodes.cluster.kill(nodes.backplanes[0])
    assert post(nodes, listener).status == 410


def test_a_forged_token() -> None:
    """P91: a token that no node has issued is 403, and asks nobody."""
    nodes, _ = streams()
    assert asked(nodes.worlds[1], posted("bad", 1, SEND)).status == 403


@pytest.mark.parametrize("how", ["deaf", "cut"])
def test_a_node_that_does_not_answer(how: str) -> None:
    """S17.1: where the stream's node does not answer in 2 seconds the answer is 503, with Retry-After."""
    nodes, listener = streams()
    if how == "deaf":
        nodes.backplanes[0].is_deaf = True
    else:
        nodes.backplanes[1].cut()
    client = Client(nodes.worlds[1])
    client.send(posted(listener.token, 1, SEND))
    nodes.turn(1.9)
    assert client.answers == []
    nodes.turn(0.2)
    (answer,) = client.answers
    assert (answer.status, answer.value("Retry-After")) == (503, "1")


def test_a_client_that_does_not_wait() -> None:
    """S17.1: a client that goes before another node has answered does no harm."""
    nodes, listener = streams()
    with capturedLogs() as logs:
        for is_deaf in (False, True):
            nodes.backplanes[0].messages.is_held = True
            nodes.backplanes[0].is_deaf = is_deaf
            client = Client(nodes.worlds[1])
            client.send(posted(listener.token, 1, SEND))
            client.reset()
            nodes.backplanes[0].messages.release()
            nodes.turn(3)
        gc.collect()
    assert failures_in(logs) == []
    assert nodes.signals[0].counters.posts_taken == 1


def test_a_defect() -> None:
    """S17.3: a defect of a backplane is a 500 and in the log."""
    nodes, listener = streams()
    nodes.backplanes[1].ask = lambda *_: fail(OSError("a defect"))  # type: ignore[method-assign]
    with capturedLogs() as logs:
        assert post(nodes, listener).status == 500
        gc.collect()
    assert [str(each.value) for each in failures_in(logs)] == ["a defect"]


def test_in_a_route() -> None:
    """S17.1: ``signals.receive`` in a route gives a Deferred, which Klein waits for."""
    nodes, listener = streams()
    world = nodes.worlds[1]
    world._wrapped = False

    @world.app.route("/posted", methods=["POST"])
    def posted_here(request: Any) -> Any:
        return world.signals.receive(request)

    answer = asked(world, posted(listener.token, 1, SEND, "/posted"))
    assert answer.status == 202
    assert asked(world, posted(listener.token, 3, SEND, "/posted")).status == 409


def test_a_preflight() -> None:
    """P91: a page may ask any node whether it may post."""
    nodes, _ = streams(allowed_origins=["https://example.org"])
    headers = (
        ("Origin", "https://example.org"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,x-pode-signal-post,x-pode-signal-token"),
    )
    assert asked(nodes.worlds[1], plain("/room", *headers, method=b"OPTIONS")).status == 204

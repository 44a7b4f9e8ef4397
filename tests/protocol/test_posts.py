"""What clients of server-sent events send: the frames of a POST, in order and each once, by the proof of a token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dialogues import Talker, signals_world
from event_clients import Listener, asked, events_world, posted
from web_fakes import plain

SEND = b'[{"type":"send","id":"1","message":"soup"}]'
NO_ARRAYS = [b"", b"[]", b"{}", b'"x"', b"[1,]", b"[,1]", b"[", b"[1]]", b"[1}", b"[\xff]", b"[" * 50_000]


def test_taken() -> None:
    """P91: frames of a POST are taken in order, and answered on the stream."""
    world = events_world()
    listener = Listener(world)
    sends = b'{"type":"send","id":"1","message":"a"}, {"type":"send","id":"2","message":["b","]"]} '
    answer = listener.posts_text(b"[" + sends + b',{"type":"beat"}]')
    assert (answer.status, answer.body) == (202, b"")
    world.turn()
    assert [(each["type"], each.get("id"), each.get("data")) for each in listener.frames[1:]] == [
        ("reply", "1", "a"),
        ("reply", "2", ["b", "]"]),
        ("beat", None, None),
    ]
    assert world.signals.counters.posts_taken == 1


def test_once() -> None:
    """P33: the same POST once more is answered alike, and nothing is done; a missing one is 409."""
    listener = Listener(events_world())
    for number, status in ((1, 202), (1, 202), (3, 409), (2, 202), (1, 202)):
        assert listener.posts_text(SEND, number).status == status
    assert len(listener.frames) == 3


@pytest.mark.parametrize("number", ["", "0", "-1", "1.0", "1, 1", "99999999999999999", "one", "\u00b2"])
def test_no_number(number: str) -> None:
    """P91: a POST without a good number is 400, and nothing is done."""
    world = events_world()
    listener = Listener(world)
    assert asked(world, posted(listener.token, number, SEND)).status == 400
    assert len(listener.frames) == 1


@pytest.mark.parametrize("body", NO_ARRAYS)
def test_no_array(body: bytes) -> None:
    """P91: a body that is no array of frames is 400, and counts as a bad message; the tenth ends the stream."""
    listener = Listener(events_world())
    token = listener.token
    assert [listener.posts_text(body).status for _ in range(10)] == [400] * 10
    assert [each["code"] for each in listener.frames[1:]] == ["bad_frame"] * 10
    assert listener.closed is not None
    assert listener.closed[0] == 1008
    assert asked(listener._world, posted(token, 11, body)).status == 410


def test_too_much() -> None:
    """S16: more than 100 frames are 400, and a body over ``max_message_bytes`` is 413."""
    listener = Listener(events_world())
    assert listener.posts_text(b"[" + b",".join([b"1"] * 101) + b"]").status == 400
    assert listener.posts_text(b'["' + b"x" * 65_536 + b'"]').status == 413


def test_while_messages_wait() -> None:
    """S16: while ``max_pending_messages`` wait, a POST is 429 with Retry-After, and nothing of it is taken."""
    world = events_world(max_pending_messages=2, message_burst=1, messages_per_second=1)
    listener = Listener(world)
    assert listener.posts(*({"type": "send", "message": number} for number in range(3))).status == 202
    answer = listener.posts_text(SEND, 2)
    assert (answer.status, answer.value("Retry-After")) == (429, "1")
    for _ in range(5):
        world.clock.advance(1)
    assert listener.posts_text(SEND, 2).status == 202


def test_whose_token() -> None:
    """P91: without a token, with a changed one, a WebSocket's or a closed stream's, nothing is done."""
    world = events_world()
    listener = Listener(world)
    token = listener.token

    def status(token: str) -> int:
        return asked(world, posted(token, 1, SEND)).status

    assert status(token[:-1] + ("A" if token[-1] != "A" else "B")) == 403
    assert status("") == 403
    assert status("x" * 3_000) == 403
    assert status(Talker(world).hello()["resumeToken"]) == 410
    listener.client.leave()
    world.turn()
    assert status(token) == 410
    assert world.signals.counters.posts_refused == {403: 3, 410: 2}
    assert world.signals.insight.number("pode_signals_posts_total") == {"202": 0, "403": 3, "410": 2}


@pytest.mark.parametrize("header", [("Origin", "https://elsewhere.example"), ("Sec-Fetch-Site", "cross-site")])
def test_foreign_pages(header: tuple[str, str]) -> None:
    """P91: a page that may not connect may not send, whether it says where it is from or not."""
    world = events_world()
    listener = Listener(world)
    own = [("X-PODE-SIGNAL-TOKEN", listener.token), ("X-PODE-SIGNAL-POST", "1"), ("Content-Type", "application/json")]
    assert asked(world, plain("/room", *own, header, method=b"POST", body=SEND)).status == 403
    assert len(listener.frames) == 1


def test_other_requests() -> None:
    """S5: POST, DELETE and OPTIONS without a stream's headers are the application's."""
    world = events_world()

    @world.app.route("/plain", methods=["GET", "POST", "DELETE", "OPTIONS"])
    def page(_request: Any) -> bytes:
        return b"a page"

    for method in (b"GET", b"POST", b"DELETE", b"OPTIONS"):
        assert asked(world, plain("/plain", method=method)).body == b"a page"


def test_in_a_route() -> None:
    """P91: without ``signals.resource`` a route takes what a client sends."""
    world = signals_world(allow_sse=True)
    world._wrapped = False
    world.signals.add_route("/room", lambda event: event.data.message)

    @world.app.route("/room", methods=["GET"])
    def opens(request: Any) -> None:
        world.converted.append(world.signals.convert(request, name="Room"))

    @world.app.route("/room", methods=["POST", "DELETE"])
    def posts(request: Any) -> None:
        world.signals.receive(request)

    listener = Listener(world)
    assert listener.posts_text(SEND).status == 202
    world.turn()
    assert json.dumps(listener.frames[1]["data"]) == '"soup"'
    assert asked(world, posted("no token", 1, SEND)).status == 403
    assert listener.leaves().status == 204

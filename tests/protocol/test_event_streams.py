"""Streams of server-sent events through the routes of an application: who may open one, and what its client sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from web_fakes import Answer, Client, World

from pode_signals.core.settings import Settings
from pode_signals.testing.handshake import read_answer

SIGNALS = "text/event-stream;protocol=pode.signals.v1"


def world(**settings: Any) -> World:
    """A program whose route /room converts, and whose signal route gives the message back."""
    found = World(**{"allow_sse": True, "ping_interval_seconds": 10_000, **settings})
    found.signals.keep_history("Room")

    @found.app.route("/room", methods=["GET", "HEAD"])
    def room(request: Any) -> None:
        found.converted.append(found.signals.convert(request, name="Room"))

    @found.app.route("/plain", methods=["GET", "POST", "DELETE", "OPTIONS"])
    def plain(_request: Any) -> bytes:
        return b"a page"

    found.signals.add_route("/room", lambda event: event.data.message)
    return found


def head(method: str, path: str, body: bytes, headers: dict[str, str | None]) -> bytes:
    """A request of a client that is no browser."""
    own: dict[str, str | None] = {"Host": "localhost", "Content-Length": str(len(body)) if body else None, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in own.items() if value is not None)]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def ask(of: World, method: str = "GET", path: str = "/room", body: bytes = b"", **headers: str | None) -> Client:
    """A client that has asked; underscores of headers are hyphens."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    client = of.client()
    client.send(head(method, path, body, named))
    of.turn()
    return client


def wait(of: World, seconds: int) -> None:
    """Let time pass, a second at a time."""
    for _ in range(seconds):
        of.clock.advance(1)


def answer(client: Client) -> Answer:
    return client.answers[-1]


def stream(of: World, **headers: str | None) -> Client:
    """An open stream of a signals client."""
    client = ask(of, **{"Accept": SIGNALS, "X_PODE_SIGNAL_RESUME": "-", **headers})
    assert client.received.startswith(b"HTTP/1.1 200 "), client.received
    return client


def events(client: Client) -> list[dict[str, str]]:
    """What has come on a stream, each event as its fields."""
    body = client.received.partition(b"\r\n\r\n")[2].decode()
    found = []
    for block in body.split("\n\n")[:-1]:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields[name] = f"{fields[name]}\n{value[1:]}" if name in fields else value.removeprefix(" ")
        found.append(fields)
    return found


def frames(client: Client) -> list[dict[str, Any]]:
    return [json.loads(each["data"]) for each in events(client) if "data" in each]


def token_of(client: Client) -> str:
    token: str = frames(client)[0]["resumeToken"]
    return token


def post(of: World, token: str | None, number: object, body: bytes, **headers: str | None) -> Answer:
    own = {"X_PODE_SIGNAL_TOKEN": token, "X_PODE_SIGNAL_POST": str(number), "Content_Type": "application/json"}
    return answer(ask(of, "POST", "/room", body, **{**own, **headers}))


NO_ARRAYS = [b"", b"[]", b"{}", b'"x"', b"[1,]", b"[,1]", b"[", b"[1]]", b"[1}", b"[\xff]", b"[" * 50_000]
SEND = b'[{"type":"send","id":"1","message":"soup"}]'


class TestOpening:
    """Which requests become a stream."""

    def test_signals_form(self) -> None:
        """P90: a stream of the protocol begins with hello, and each frame is one unnamed event with its id."""
        of = world()
        client = stream(of)
        lines = client.received.partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert b"Content-Type: text/event-stream; charset=utf-8" in lines
        assert b"Cache-Control: no-store, no-transform" in lines
        assert b"X-Accel-Buffering: no" in lines
        of.signals.send({"a": 1}, name="Room")
        of.turn()
        hello, signal = events(client)
        assert hello.keys() == signal.keys() == {"id", "data"}
        assert json.loads(signal["data"])["data"] == {"a": 1}
        assert signal["id"].endswith("." + json.loads(signal["data"])["offset"])
        assert (of.converted[0].transport, of.converted[0].is_signals) == ("sse", True)

    def test_plain_form(self) -> None:
        """P90: an EventSource gets bare payloads with ids, a hello by name and without a token, and what it missed."""
        of = world()
        client = ask(of, Accept="text/event-stream")
        of.signals.send("one\ntwo", name="Room")
        of.turn()
        retry, hello, signal = events(client)
        assert 1_000 <= int(retry["retry"]) <= 10_000
        assert hello["event"] == "hello"
        assert "resumeToken" not in hello["data"]
        assert (signal["data"], "event" in signal) == ("one\ntwo", False)
        assert of.converted[0].is_signals is False
        client.leave()
        of.signals.send("three", name="Room")
        again = ask(of, Accept="text/event-stream", Last_Event_ID=signal["id"])
        of.turn()
        _, hello, missed, beat = events(again)
        assert json.loads(hello["data"])["recovered"] is True
        assert missed["data"] == "three"
        assert beat.keys() == {"id"}

    @pytest.mark.parametrize(
        ("method", "headers", "status"),
        [
            ("GET", {"Accept": SIGNALS}, 400),
            ("GET", {"Accept": "text/event-stream;protocol=pode.signals.v2", "X_PODE_SIGNAL_RESUME": "-"}, 406),
            ("HEAD", {"Accept": "text/event-stream"}, 405),
            ("GET", {"Accept": "text/html"}, 426),
            ("GET", {"Accept": "text/event-stream", "Origin": "https://elsewhere.example"}, 403),
            ("GET", {"Accept": "text/event-stream", "Origin": "nonsense"}, 400),
            ("GET", {"Accept": "text/event-stream", "Sec_Fetch_Site": "cross-site"}, 403),
            ("GET", {"Accept": "text/event-stream", "Sec_Fetch_Site": "same-site"}, 403),
            ("GET", {"Accept": "text/event-stream", "Transfer_Encoding": "chunked"}, 400),
        ],
    )
    def test_refused(self, method: str, headers: dict[str, str], status: int) -> None:
        """P91: other requests are refused, with the status that says why, and become no connection."""
        of = world()
        body = b"0\r\n\r\n" if "Transfer_Encoding" in headers else b""
        client = ask(of, method, "/room", **headers)
        client.send(body)
        of.turn()
        assert client.received.startswith(b"HTTP/1.1 %d " % status), client.received
        assert of.converted == []

    @pytest.mark.parametrize("site", ["same-origin", "none", None])
    def test_own_pages(self, site: str | None) -> None:
        """P91: without an Origin a page of the same origin may open a stream, and a client that is no browser."""
        of = world()
        stream(of, Sec_Fetch_Site=site)
        assert len(of.converted) == 1

    def test_through_a_proxy(self) -> None:
        """P91: through a trusted proxy a page of plain HTTP, which says nothing of its origin, needs the own header."""
        of = world(trusted_proxies=["203.0.113.7"])
        stream(of)
        assert answer(ask(of, Accept="text/event-stream")).status == 403
        strict = world(trusted_proxies=["203.0.113.7"], allow_missing_origin=False)
        assert answer(ask(strict, Accept=SIGNALS, X_PODE_SIGNAL_RESUME="-")).status == 403

    def test_not_allowed(self) -> None:
        """S16: without ``allow_sse`` a request for a stream is refused like any other that is no upgrade."""
        of = world(allow_sse=False)
        assert answer(ask(of, Accept="text/event-stream")).status == 426
        assert Settings().allow_sse is False

    def test_a_second_connection_takes_the_place(self) -> None:
        """P50: a client that comes back replaces its half-open stream, which ends with 4409."""
        of = world()
        old = stream(of)
        position = events(old)[0]["id"]
        new = stream(of, X_PODE_SIGNAL_RESUME=f"{position}.{token_of(old)}")
        assert frames(new)[0]["recovered"] is True
        assert frames(new)[0]["clientId"] == frames(old)[0]["clientId"]
        assert events(old)[-1] == {"event": "close", "data": '{"code":4409,"reason":"replaced by a newer connection"}'}


class TestPosts:
    """What a client sends."""

    def test_taken(self) -> None:
        """P91: frames of a POST are taken in order, and answered on the stream."""
        of = world()
        client = stream(of)
        body = (
            b'[{"type":"send","id":"1","message":"a"}, {"type":"send","id":"2","message":["b","]"]} ,{"type":"beat"}]'
        )
        found = post(of, token_of(client), 1, body)
        assert (found.status, found.body) == (202, b"")
        assert frames(client)[1:] == [
            {"type": "reply", "id": "1", "data": "a"},
            {"type": "reply", "id": "2", "data": ["b", "]"]},
            {"type": "beat"},
        ]
        assert of.signals.counters.posts_taken == 1

    def test_once(self) -> None:
        """P33: the same POST once more is answered alike, and nothing is done; a missing one is 409."""
        of = world()
        client = stream(of)
        for number, status in ((1, 202), (1, 202), (3, 409), (2, 202), (1, 202)):
            assert post(of, token_of(client), number, SEND).status == status
        assert len(frames(client)) == 3

    @pytest.mark.parametrize("number", ["", "0", "-1", "1.0", "٣", "1, 1", "99999999999999999", "one"])
    def test_no_number(self, number: str) -> None:
        """P91: a POST without a good number is 400, and nothing is done."""
        of = world()
        client = stream(of)
        assert post(of, token_of(client), number.encode().decode("latin-1"), SEND).status in (400, 409)
        assert len(frames(client)) == 1

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'"x"', b"[1,]", b"[,1]", b"[", b"[1]]", b"[1}", b"[\xff]", b"[" * 50_000]
    )
    def test_no_array(self, body: bytes) -> None:
        """P91: a body that is no array of frames is 400, and counts as a bad message; the tenth ends the stream."""
        of = world()
        client = stream(of)
        for number in range(1, 10):
            assert post(of, token_of(client), number, body).status == 400
        assert [each.get("code") for each in frames(client)[1:]] == ["bad_frame"] * 9
        assert post(of, token_of(client), 10, body).status == 400
        assert json.loads(events(client)[-1]["data"])["code"] == 1008
        assert post(of, token_of(client), 11, body).status == 410

    def test_too_much(self) -> None:
        """S16: more than 100 frames are 400, and a body over ``max_message_bytes`` is 413."""
        of = world()
        token = token_of(stream(of))
        assert post(of, token, 1, b"[" + b",".join([b"1"] * 101) + b"]").status == 400
        assert post(of, token, 2, b'["' + b"x" * 65_536 + b'"]').status == 413

    def test_while_messages_wait(self) -> None:
        """S16: while ``max_pending_messages`` wait, a POST is 429 with Retry-After, and nothing of it is taken."""
        of = world(max_pending_messages=2, message_burst=1, messages_per_second=1)
        client = stream(of)
        body = b'[{"type":"send","message":1},{"type":"send","message":2},{"type":"send","message":3}]'
        assert post(of, token_of(client), 1, body).status == 202
        found = post(of, token_of(client), 2, SEND)
        assert (found.status, found.value("Retry-After")) == (429, "1")
        wait(of, 5)
        assert post(of, token_of(client), 2, SEND).status == 202

    def test_whose_token(self) -> None:
        """P91: without a token, with a changed one, a WebSocket's or a closed stream's, nothing is done."""
        of = world()
        client = stream(of)
        token = token_of(client)
        assert post(of, token[:-1] + ("A" if token[-1] != "A" else "B"), 1, SEND).status == 403
        assert post(of, "", 1, SEND).status == 403
        assert post(of, "x" * 3_000, 1, SEND).status == 403
        socket = of.client().open("/room", ("Sec-WebSocket-Protocol", "pode.signals.v1"))
        assert post(of, json.loads(socket.texts[0])["resumeToken"], 1, SEND).status == 410
        client.leave()
        of.turn()
        assert post(of, token, 1, SEND).status == 410
        assert of.signals.counters.posts_refused == {403: 3, 410: 2}
        assert of.signals.insight.number("pode_signals_posts_total") == {"202": 0, "403": 3, "410": 2}

    def test_foreign_pages(self) -> None:
        """P91: a page that may not connect may not send, whether it says where it is from or not."""
        of = world()
        client = stream(of)
        for headers in ({"Origin": "https://elsewhere.example"}, {"Sec_Fetch_Site": "cross-site"}):
            assert post(of, token_of(client), 1, SEND, **headers).status == 403
        assert len(frames(client)) == 1

    def test_the_end(self) -> None:
        """S16: DELETE with the token ends the stream for good, and tells the program that the client meant it."""
        of = world()
        client = stream(of)
        assert answer(ask(of, "DELETE", X_PODE_SIGNAL_TOKEN=token_of(client))).status == 204
        assert (of.converted[0].closure.code, of.converted[0].closure.by.value) == (1000, "client")
        assert answer(ask(of, "DELETE", X_PODE_SIGNAL_TOKEN=token_of(client))).status == 410

    def test_other_requests(self) -> None:
        """S5: POST, DELETE and OPTIONS without a stream's headers are the application's."""
        of = world()
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            assert answer(ask(of, method, "/plain")).body == b"a page"

    def test_in_a_route(self) -> None:
        """P91: without ``signals.resource`` a route takes what a client sends."""
        of = world()
        of._wrapped = False

        @of.app.route("/room", methods=["POST", "DELETE"])
        def posted(request: Any) -> None:
            of.signals.receive(request)

        client = stream(of)
        assert post(of, token_of(client), 1, SEND).status == 202
        assert frames(client)[1] == {"type": "reply", "id": "1", "data": "soup"}
        assert post(of, "no token", 1, SEND).status == 403
        assert answer(ask(of, "DELETE", X_PODE_SIGNAL_TOKEN=token_of(client))).status == 204


class TestPages:
    """Pages of other origins that may connect (CORS)."""

    PAGE = "https://app.example"

    def headers(self, found: Answer) -> tuple[str | None, ...]:
        names = ("Origin", "Credentials")
        return tuple(found.value(f"Access-Control-Allow-{name}") for name in names)

    def test_allowed(self) -> None:
        """P91: an allowed page may read the stream, the answers to its POSTs and refusals."""
        of = world(allowed_origins=[self.PAGE])
        client = stream(of, Origin=self.PAGE)
        assert b"Access-Control-Allow-Origin: https://app.example\r\n" in client.received
        for found in (
            post(of, token_of(client), 1, SEND, Origin=self.PAGE),
            post(of, "none", 1, SEND, Origin=self.PAGE),
            answer(ask(of, Accept=SIGNALS, Origin=self.PAGE)),
        ):
            assert self.headers(found) == ("https://app.example", "true")
            assert found.value("Access-Control-Expose-Headers") == "Retry-After"

    def test_preflight(self) -> None:
        """P91: browsers that ask are told what an allowed page may send; other pages are refused."""
        of = world(allowed_origins=[self.PAGE])
        asked = {
            "Access_Control_Request_Method": "POST",
            "Access_Control_Request_Headers": "content-type,x-pode-signal-post,x-pode-signal-token",
        }
        # A page may post where a stream is open, and nowhere else.
        assert answer(ask(of, "OPTIONS", Origin=self.PAGE, **asked)).status == 403
        stream(of, Origin=self.PAGE)
        found = answer(ask(of, "OPTIONS", Origin=self.PAGE, **asked))
        assert found.status == 204
        assert self.headers(found) == ("https://app.example", "true")
        assert "X-PODE-SIGNAL-TOKEN" in (found.value("Access-Control-Allow-Headers") or "")
        assert found.value("Access-Control-Max-Age") == "600"
        found = answer(ask(of, "OPTIONS", Origin="https://elsewhere.example", **asked))
        assert found.status == 403
        assert self.headers(found) == (None, None)


class TestLife:
    """How a stream goes on, and ends."""

    def test_rotation(self) -> None:
        """S16: a stream is ended after 600 seconds, a tenth more or less, with a code that brings its client back."""
        of = world(ping_interval_seconds=25)
        client = stream(of)
        wait(of, 535)
        assert of.converted[0].closure is None
        wait(of, 130)
        assert json.loads(events(client)[-1]["data"]) == {"code": 1001, "reason": "the stream was rotated"}
        assert client.wire.ended == "closed"

    def test_beats(self) -> None:
        """P63: something comes each ``ping_interval_seconds``, and nobody waits for a pong."""
        of = world(ping_interval_seconds=25, pong_timeout_seconds=5)
        client, plain = stream(of), ask(of, Accept="text/event-stream")
        wait(of, 60)
        assert [each["type"] for each in frames(client)] == ["hello", "beat", "beat"]
        assert [set(each) for each in events(plain)[2:]] == [{"id"}, {"id"}]
        assert all(each.closure is None for each in of.converted)

    def test_slow(self) -> None:
        """P55: a stream that is not read ends with 4008 once its queue is full; other streams get everything."""
        of = world(send_queue_bytes=5_000)
        slow, good = stream(of), stream(of)
        slow.wire.producer.pauseProducing()
        for number in range(100):
            of.signals.send("x" * 100 + str(number), name="Room")
            of.turn()
        assert of.converted[0].closure.code == 4008
        assert len(frames(good)) == 101

    def test_gone(self) -> None:
        """S16: a client that goes away without a word has ended with 1006."""
        of = world()
        stream(of).leave()
        of.turn()
        assert of.converted[0].closure.code == 1006

    def test_nothing_behind_the_request(self) -> None:
        """S16: what comes behind the request of a stream is dropped."""
        of = world()
        client = stream(of)
        client.send(head("GET", "/plain", b"", {}), b"\x00\xff")
        of.turn()
        assert len(events(client)) == 1
        assert of.converted[0].closure is None

    def test_no_token_is_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        """P53: neither the record of the request nor a log has a token."""
        of = world()
        first = stream(of)
        token = token_of(first)
        stream(of, X_PODE_SIGNAL_RESUME=f"{events(first)[0]['id']}.{token}", X_PODE_SIGNAL_TOKEN=token)
        post(of, token, 1, b"nonsense")
        request = of.converted[-1].request
        assert token not in repr([request, dict(request.headers), of.converted, of.signals])
        assert token not in caplog.text
        assert token not in of._access_log.getvalue()


def test_the_kit() -> None:
    """P90: the kit reads an answer whose body goes on as an open stream."""
    found = read_answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n")
    assert found is not None
    assert (found.is_open, found.rest) == (True, b"data: 1\n\n")

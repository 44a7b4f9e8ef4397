"""Auto-upgrade, Pode's older way: a request with a key becomes a connection named after its path, before any route."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from twisted.logger import capturedLogs
from web_fakes import Client, World, close_frame, failures_in, head, message, plain

from pode_signals.core.model import Scope, Unrouted
from pode_signals.hub.connection import SignalConnection


def upgrading(**settings: Any) -> World:
    """A world with auto-upgrade and one page, that must not see an upgrade."""
    world = World(auto_upgrade=True, **settings)

    @world.app.route("/messages")
    def page(request: Any) -> bytes:
        return b"page"

    return world


def test_the_path_is_the_name() -> None:
    """S11.1: the connection's name is the path of the URL, its id random, its scope global, its group none."""
    world = upgrading(default_scope=Scope.LOCAL)
    answer = world.client().ask(head("/messages?room=1"))
    assert answer.status == 101
    assert answer.value("X-PODE-SIGNAL-NAME") == "/messages"
    assert answer.value("X-PODE-SIGNAL-GROUP") is None
    (client_id,) = world.signals.client_ids("/messages")
    assert answer.value("X-PODE-SIGNAL-CLIENT-ID") == client_id
    assert UUID(client_id).version == 4
    (connection,) = world.signals.connections("/messages")
    assert connection.is_global
    assert connection.request.args == {"room": ["1"]}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/", "/"),
        (b"/a/b/", "/a/b/"),
        (b"/caf%C3%A9", "/caf\u00e9"),
        (b"/a%20b", "/a b"),
        (b"/a%2Fb", "/a/b"),
        (b"/%41", "/A"),
        (b"/%ff", "/\ufffd"),
        (b"//double", "//double"),
    ],
)
def test_names_of_paths(path: bytes, name: str) -> None:
    """S11.1: the name is the path as event.path has it: percent-decoded, without query."""
    world = upgrading()
    world.client().open(path)
    assert world.signals.names() == (name,)
    assert world.signals.connections(name)[0].request.path == name


@pytest.mark.parametrize("path", ["/" + "x" * 128, "/a%00b", "/a%0ab", "/a%7f", "/%E2%80%A8"])
def test_paths_that_make_no_name(path: str) -> None:
    """S11.1: a path that can't be a name gets 400, as with convert."""
    world = upgrading()
    client = world.client()
    assert client.ask(head(path)).status == 400
    assert client.ask(plain("/messages")).body == b"page"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (head("/messages", ("Origin", "http://other.example")), 403),
        (head("/messages", ("Sec-WebSocket-Version", "8")), 426),
        (head("/messages", ("Sec-WebSocket-Key", "short")), 400),
        (head("/messages", without=("Upgrade",)), 426),
        (head("/messages", without=("Connection",)), 426),
        (head("/messages", ("Sec-WebSocket-Protocol", "a b")), 400),
        (head("/messages", ("Content-Length", "1")) + b"x", 400),
    ],
)
def test_the_same_checks(request_bytes: bytes, status: int) -> None:
    """S11.1: what convert would refuse is refused, and the socket goes on."""
    world = upgrading()
    client = world.client()
    with capturedLogs() as logged:
        assert client.ask(request_bytes).status == status
        assert client.ask(plain("/messages")).body == b"page"
        client.open("/messages")
    assert failures_in(logged) == []
    assert sum(world.signals.counters.upgrades_refused.values()) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        plain("/messages"),
        head("/messages", without=("Sec-WebSocket-Key",)),
        head("/messages", method=b"POST"),
    ],
)
def test_other_requests_are_routed(request_bytes: bytes) -> None:
    """S11.1: only a GET with a key is converted; the rest goes to the routes."""
    world = upgrading()
    assert world.client().ask(request_bytes).body == b"page"
    assert world.signals.names() == ()


@pytest.mark.parametrize("wrapped", [False, True])
def test_it_is_off_by_default(wrapped: bool) -> None:
    """S11.1: without auto_upgrade a handshake goes to the routes."""
    world = World(wrapped=wrapped)
    world.app.route("/messages")(lambda request: b"page")
    assert world.client().ask(head("/messages")).body == b"page"


def test_no_route_is_needed_or_asked() -> None:
    """S11.1: a path that no route has is converted as well, before any route is asked."""
    world = upgrading()
    world.client().open("/nowhere")
    assert world.signals.names() == ("/nowhere",)


def test_signal_routes_sends_events_and_closes() -> None:
    """S9.5: events, signal routes, sends and closes use the path."""
    world = upgrading()
    seen: list[Any] = []
    world.signals.on_connect("/messages")(lambda event: seen.append(event.name))
    world.signals.on_disconnect("/messages")(lambda event: seen.append(event.connection.closure.code))

    @world.signals.route("/messages")
    def on_message(event: Any) -> None:
        world.signals.send({"message": event.data.message}, name="/messages")

    one, two = world.client().open("/messages"), world.client().open("/messages")
    other = world.client().open("/other")
    one.send(message("hello"))
    world.turn()
    assert one.texts == two.texts == ['{"message":"hello"}']
    assert other.texts == []
    world.signals.close("/messages", code=4000)
    assert one.closed == two.closed == (4000, "")
    one.send(close_frame(4000))
    world.turn()
    assert seen == ["/messages", "/messages", 4000]
    assert world.signals.names() == ("/other",)


def test_pode_paths_in_messages() -> None:
    """S11.1: a client's message for a path reaches that path's connections where there is no signal route."""
    world = upgrading(unrouted=Unrouted.BROADCAST)
    sender, other = world.client().open("/messages"), world.client().open("/other")
    sender.send(message("hello", path="/other"))
    world.turn()
    assert (sender.texts, other.texts) == ([], ["hello"])


def test_the_number_of_names() -> None:
    """S11.1: clients can't make more names than max_names; over it 503, while names that are there take more."""
    world = upgrading(max_names=3)
    clients: list[Client] = [world.client().open(f"/{number}") for number in range(3)]
    answer = world.client().ask(head("/3"))
    assert answer.status == 503
    assert answer.value("Retry-After") is not None
    world.client().open("/0")
    clients[1].leave()
    world.client().open("/3")
    assert upgrading().signals.settings.max_names == 10_000


def test_one_line_about_it() -> None:
    """S11.1: using it logs one line that says it is deprecated, once."""
    world = upgrading()
    with capturedLogs() as logged:
        for number in range(3):
            world.client().open(f"/{number}")
    lines = [str(event.get("log_format")) for event in logged if "deprecated" in str(event.get("log_format"))]
    assert len(lines) == 1
    with capturedLogs() as logged:
        World().converting().client().open()
    assert not any("deprecated" in str(event.get("log_format")) for event in logged)


def test_the_access_log() -> None:
    """S11.1: one line with 101, as for every conversion."""
    world = upgrading()
    world.client().open("/messages?token=secret")
    (line,) = world.access_lines
    assert '"GET /messages HTTP/1.1" 101' in line


def test_pipelined_frames() -> None:
    """S11.1: frames behind the handshake are not lost here either."""
    world = upgrading().listening("/messages")
    world.client().send(head("/messages") + message("one"), message("two"))
    world.turn()
    assert world.messages == ["one", "two"]


def test_it_stays_open() -> None:
    """S11.1: there is no route whose end could close it."""
    world = upgrading()
    client = world.client().open("/messages")
    world.turn(1_000)
    connection: SignalConnection
    (connection,) = world.signals.connections("/messages")
    assert connection.closure is None
    assert client.wire.ended is None

"""How a test's client connects, and who is refused."""

from __future__ import annotations

from typing import Any

import pytest
from testing.rooms import PlainResource, Rooms
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from pode_signals import Signals
from pode_signals.testing import Refused, SignalTester


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.fixture
def tester(rooms: Rooms) -> SignalTester:
    return SignalTester(rooms.signals, rooms.app.resource())


def test_a_plain_client(tester: SignalTester) -> None:
    """P1: a client that asks for nothing gets bare payloads: a JSON value, or a text that is no JSON."""
    client = tester.connect("/rooms")
    assert (client.hello, client.closed, client.presence, client.offered) == (None, None, None, ())
    assert client.response_headers["x-pode-signal-name"] == "Rooms"
    assert tester.signals.has_client_id("Rooms", client.client_id)
    tester.signals.send({"text": "soup"}, name="Rooms")
    tester.signals.send("soup", name="Rooms")
    assert (client.receive(), client.receive()) == ({"text": "soup"}, "soup")
    assert client.frames() == [{"direction": "<-", "text": '{"text":"soup"}'}, {"direction": "<-", "text": "soup"}]


def test_a_signals_client(tester: SignalTester) -> None:
    """P2: a signals client has the hello of the server, and its answer to the handshake."""
    client = tester.connect("/rooms", protocol="signals", headers={"X-User": "ada"})
    assert client.response_headers["Sec-WebSocket-Protocol"] == "pode.signals.v1"
    assert client.hello is not None
    assert (client.hello.name, client.hello.user, client.hello.recovered) == ("Rooms", "ada", False)
    assert client.hello.client_id == client.client_id == client.response_headers["X-PODE-SIGNAL-CLIENT-ID"]
    assert [each["frame"]["type"] for each in client.frames()] == ["hello"]


def test_a_plain_resource() -> None:
    """S0.2: a resource of ``twisted.web`` is tested as a Klein application is."""
    signals = Signals(clock=Clock())
    root = Resource()
    root.putChild(b"rooms", PlainResource(signals))
    client = SignalTester(signals, root).connect("/rooms")
    signals.send("soup", name="Rooms")
    assert client.receive() == "soup"


def test_a_resource_that_is_wrapped_already() -> None:
    """S0.2: a resource that ``signals.resource`` gave is taken as it is."""
    signals = Signals(clock=Clock())
    client = SignalTester(signals, signals.resource(Resource(), auto_upgrade=True)).connect("/any?floor=2")
    assert signals.connection("/any", client.client_id) is not None


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_requests_that_refer_to_a_connection(is_wrapped: bool) -> None:
    """S15.1: a reference is checked once, whether the resource is wrapped already or not."""
    rooms, checked = Rooms(), []
    rooms.signals.reference_check = lambda _request, connection: checked.append(connection.name) is None
    root = rooms.app.resource()
    tester = SignalTester(rooms.signals, rooms.signals.resource(root) if is_wrapped else root)
    client = tester.connect("/rooms")
    tester.connect("/rooms", headers={"X-PODE-SIGNAL-CLIENT-ID": client.client_id})
    assert checked == ["Rooms"]


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/page", {}, 200, "a page"),
        ("/rooms", {"Origin": "http://elsewhere.example"}, 403, "This origin may not connect.\n"),
        ("/rooms", {"Sec-WebSocket-Version": "12"}, 426, None),
        ("/rooms", {"Upgrade": None}, 426, None),
        ("/nothing", {}, 404, None),
    ],
)
def test_who_is_refused(
    tester: SignalTester, path: str, headers: dict[str, str | None], status: int, body: str | None
) -> None:
    """S0.2: a request that becomes no connection raises with the status and the body of the answer."""
    with pytest.raises(Refused, match=f"^{status}: ") as raised:
        tester.connect(path, headers=headers)
    assert raised.value.status == status
    assert body in (None, raised.value.body)
    assert "content-type" in raised.value.headers
    assert tester.signals.count() == 0
    tester.end()


def test_headers_take_the_place_of_a_clients_own(tester: SignalTester) -> None:
    """S0.2: a client comes from a page of the host that it connects to, unless a test says otherwise."""
    for headers, origin in (
        ({}, "http://localhost"),
        ({"host": "chat.example"}, "http://chat.example"),
        ({"Origin": None}, None),
    ):
        client = tester.connect("/rooms", headers=headers)
        connection = tester.signals.connection("Rooms", client.client_id)
        assert connection is not None
        assert connection.request.headers.get("origin") == origin


def test_a_route_that_prefers_another_subprotocol(tester: SignalTester) -> None:
    """P3: a client fails where the server agrees on another subprotocol than the client was to speak."""
    with pytest.raises(AssertionError, match=r"^the server agrees on 'chat' in place of pode\.signals\.v1: "):
        tester.connect("/rooms", protocol="signals", headers={"Sec-WebSocket-Protocol": "chat"})
    assert tester.connect("/rooms", headers={"Sec-WebSocket-Protocol": "chat"}).offered == ()


def test_a_server_without_the_protocol() -> None:
    """P5: a signals client fails where the server does not speak the protocol."""
    rooms = Rooms(signals_protocol=False)
    tester = SignalTester(rooms.signals, rooms.app.resource())
    with pytest.raises(AssertionError, match=r"^the server agrees on None in place of pode\.signals\.v1: "):
        tester.connect("/rooms", protocol="signals")


def test_a_route_that_waits(tester: SignalTester) -> None:
    """S0.2: a route that has not answered is an error that says so, and its client is gone."""
    with pytest.raises(AssertionError, match=r"^the route of /slow has not answered: "):
        tester.connect("/slow")
    tester.end()


@pytest.mark.parametrize(
    ("url", "arguments", "sentence"),
    [
        ("rooms", {}, r"^url has to be a path with its query, such as '/rooms\?floor=2', not 'rooms'$"),
        ("/rooms", {"protocol": "json"}, "^protocol has to be 'plain' or 'signals', not 'json'$"),
        ("/rooms", {"transport": "poll"}, "^transport has to be 'websocket' or 'sse', not 'poll'$"),
        (
            "/rooms",
            {"protocol": "signals", "since": "bad"},
            "^since has to be a position, ",
        ),
        ("/rooms", {"since": "abcdef.0-0"}, '^only a client with protocol="signals" can begin at a position$'),
    ],
)
def test_mistakes_in_arguments(tester: SignalTester, url: str, arguments: dict[str, Any], sentence: str) -> None:
    """S0.2: an argument that makes no sense is a ValueError that says what would."""
    with pytest.raises(ValueError, match=sentence):
        tester.connect(url, **arguments)


def test_a_tester_without_routes() -> None:
    """S0.2: where there are no routes nobody can connect."""
    with pytest.raises(ValueError, match=r"^nobody can connect without routes: "):
        SignalTester(Signals(clock=Clock())).connect("/rooms")


def test_a_hub_without_a_clock() -> None:
    """S0.2: a hub that takes its time from the reactor can't be tested; asking installs no reactor."""
    with pytest.raises(
        ValueError, match=r"^a hub to be tested has a clock that stands still: Signals\(clock=Clock\(\)\)"
    ):
        SignalTester(Signals())


def test_a_hub_that_has_clients_already(tester: SignalTester) -> None:
    """S0.2: a tester comes before the first connection, or it would not see everything that is sent."""
    tester.connect("/rooms")
    with pytest.raises(RuntimeError, match=r"^attach an observer before the first connection"):
        SignalTester(tester.signals)

"""How a test's client loses its connection, and comes back."""

from __future__ import annotations

from hashlib import sha256

import pytest
from testing.rooms import Rooms

from pode_signals.core.model import ClosedBy, Closure
from pode_signals.testing import SignalTester, TestClient


@pytest.fixture
def tester() -> SignalTester:
    rooms = Rooms()
    return SignalTester(rooms.signals, rooms.app.resource())


@pytest.fixture
def ada(tester: SignalTester) -> TestClient:
    return tester.connect("/rooms", protocol="signals", headers={"X-User": "ada"})


def again(client: TestClient) -> tuple[TestClient, bool]:
    """The client that comes back, and whether it has missed nothing."""
    found = client.reconnect()
    assert found.hello is not None
    return found, found.hello.recovered


def test_a_cut(tester: SignalTester, ada: TestClient) -> None:
    """P36: a client that was cut off comes back as the same, with its groups, and takes what it has missed."""
    ada.request({"join": "kitchen"})
    ada.cut()
    assert ada.closed == Closure(1006, "", ClosedBy.CLIENT)
    assert tester.signals.count("Rooms") == 0
    tester.signals.send("soup", name="Rooms", group="kitchen")
    client, recovered = again(ada)
    assert (recovered, client.client_id, client.receive()) == (True, ada.client_id, "soup")
    assert client.hello is not None
    assert (client.hello.groups, client.hello.user) == (("kitchen",), "ada")
    client.nothing()


def test_what_was_sent_in_the_turn_of_the_cut(tester: SignalTester, ada: TestClient) -> None:
    """P60: what was sent and has not arrived is lost with the connection, and replayed, once."""
    tester.signals.send("one", name="Rooms")
    ada.cut()
    client, recovered = again(ada)
    assert (recovered, client.receive()) == (True, "one")
    client.nothing()
    ada.nothing()


def test_what_a_test_has_not_taken(tester: SignalTester, ada: TestClient) -> None:
    """P60: what has arrived and was not taken goes over to the next client, before the replay and not twice."""
    for text in ("one", "two"):
        tester.signals.send(text, name="Rooms")
    assert ada.receive() == "one"
    ada.cut()
    tester.signals.send("three", name="Rooms")
    client, recovered = again(ada)
    assert recovered
    assert [client.receive(), client.receive()] == ["two", "three"]
    client.nothing()


def test_a_client_that_missed_too_much(tester: SignalTester, ada: TestClient) -> None:
    """P37: who missed more than the history keeps gets none of that, and is told."""
    ada.cut()
    for number in range(4):
        tester.signals.send(number, name="Rooms")
    client, recovered = again(ada)
    assert not recovered
    client.nothing()


def test_a_beat_moves_the_position(tester: SignalTester, ada: TestClient) -> None:
    """P39: a client that gets nothing itself keeps its place by the beats that come with pings."""
    for number in range(3):
        tester.signals.send(number, name="Rooms", group="elsewhere")
        tester.advance(30)
    ada.cut()
    for number in range(3):
        tester.signals.send(number, name="Rooms", group="elsewhere")
    assert again(ada)[1]


def test_a_client_that_vanishes(tester: SignalTester, ada: TestClient) -> None:
    """P50: a client that vanished is there until it is missed, or until it comes back and takes its own place."""
    bob = tester.connect("/rooms", protocol="signals")
    ada.vanish()
    bob.vanish()
    tester.signals.send("soup", name="Rooms")
    ada.nothing()
    client, recovered = again(ada)
    assert (recovered, client.receive(), client.client_id) == (True, "soup", ada.client_id)
    assert tester.signals.count("Rooms") == 2
    tester.advance(36)
    assert tester.signals.client_ids("Rooms") == (ada.client_id,)
    assert client.closed is None


def test_a_client_that_closes(tester: SignalTester, ada: TestClient) -> None:
    """S0.2: a client closes with a code and a reason, of which the program learns; a second time nothing happens."""
    connection = tester.signals.connection("Rooms", ada.client_id)
    assert connection is not None
    ada.close(3001, "frozen")
    ada.close()
    ada.cut()
    ada.vanish()
    assert ada.closed == connection.closure == Closure(3001, "frozen", ClosedBy.CLIENT)
    assert [each for each in ada.frames() if "close" in each] == [
        {"direction": "->", "close": 3001, "reason": "frozen"},
        {"direction": "<-", "close": 3001, "reason": "frozen"},
    ]
    assert again(ada)[1]


def test_a_code_that_no_close_frame_has(ada: TestClient) -> None:
    """S0.2: a code that may not be sent is an error, and the client stays."""
    with pytest.raises(ValueError, match=r"^1006 is no close code that may be sent$"):
        ada.close(1006)
    assert ada.closed is None


def test_a_server_that_closes(tester: SignalTester, ada: TestClient) -> None:
    """S0.2: a client that the server closes answers, and knows code and reason."""
    connection = tester.signals.connection("Rooms", ada.client_id)
    assert connection is not None
    tester.signals.close("Rooms", code=4000, reason="over")
    assert ada.closed == Closure(4000, "over", ClosedBy.SERVER)
    assert connection.closure == Closure(4000, "over", ClosedBy.SERVER)
    assert connection.state.value == "closed"


def test_a_server_that_drops(tester: SignalTester, ada: TestClient) -> None:
    """S0.2: a client whose socket the server ends without a close frame has lost the connection."""
    bob = tester.connect("/rooms")
    for each in (ada, bob):
        each.wire.socket._server.abortConnection()
    assert ada.closed == bob.closed == Closure(1006, "", ClosedBy.SERVER)


def test_a_plain_client_comes_back(tester: SignalTester) -> None:
    """P1: a plain client comes back with its headers, as somebody else, and gets nothing again."""
    bob = tester.connect("/rooms", headers={"X-User": "bob"})
    bob.cut()
    tester.signals.send("soup", name="Rooms")
    client = bob.reconnect()
    assert (client.hello, client.offered) == (None, ())
    assert client.client_id != bob.client_id
    client.nothing()
    connection = tester.signals.connection("Rooms", client.client_id)
    assert connection is not None
    assert connection.user == "bob"


def test_a_client_that_is_connected(ada: TestClient) -> None:
    """S0.2: a client that is connected can't connect again."""
    with pytest.raises(
        AssertionError, match=r"^this client is connected: cut\(\), vanish\(\) or close\(\) comes before"
    ):
        ada.reconnect()


def test_the_position_of_a_page(tester: SignalTester, ada: TestClient) -> None:
    """P54: a client can begin at the position of a page, and misses nothing since."""
    pages: list[str] = []
    tester.signals.position("Rooms").addCallback(pages.append)
    tester.signals.send("soup", name="Rooms")
    client = tester.connect("/rooms", protocol="signals", since=pages[0])
    assert client.offered == ("pode.signals.v1", f"pode.resume.{pages[0]}")
    assert client.hello is not None
    assert (client.hello.recovered, client.receive()) == (True, "soup")
    assert client.client_id != ada.client_id


def test_what_is_offered(tester: SignalTester, ada: TestClient) -> None:
    """S0.2: a client offers position and token; the token alone without a history; nothing without a token."""
    hello = ada.hello
    assert hello is not None
    assert hello.position is not None
    ada.cut()
    client = ada.reconnect()
    place = f"{hello.position.epoch}.{hello.position.offset}"
    assert client.offered == ("pode.signals.v1", f"pode.resume.{place}.{hello.resume_token}")
    tester.signals.forget_history("Rooms")
    assert client.hello is not None
    token = client.hello.resume_token
    client.cut()
    assert client.reconnect().offered == ("pode.signals.v1", f"pode.resume.-.-.{token}")


def test_a_client_whose_token_was_too_long(tester: SignalTester, ada: TestClient) -> None:
    """P22: a client whose last hello had no token offers no position either."""
    for number in range(90):
        ada.request({"join": sha256(b"%d" % number).hexdigest()})
    assert ada.hello is not None
    assert ada.hello.resume_token is None
    ada.cut()
    assert ada.reconnect().offered == ("pode.signals.v1",)


def test_a_cut_in_the_middle_of_a_replay(tester: SignalTester, ada: TestClient) -> None:
    """P43: a client that loses its connection in the middle of a replay goes on from there, and gets nothing twice."""
    ada.cut()
    for number in range(3):
        tester.signals.send(number, name="Rooms")
    half = ada.reconnect(cut_after=2)
    assert half.closed == Closure(1006, "", ClosedBy.CLIENT)
    client, recovered = again(half)
    assert recovered
    assert [client.receive() for _ in range(3)] == [0, 1, 2]
    client.nothing()
    replayed = [each["frame"]["data"] for each in client.frames() if each["frame"]["type"] == "signal"]
    assert replayed == [1, 2]


def test_a_restart(tester: SignalTester, ada: TestClient) -> None:
    """P42: after a restart a client comes back to another hub, and is told that messages may be lost."""
    ada.cut()
    rooms = Rooms()
    restarted = SignalTester(rooms.signals, rooms.app.resource())
    client = restarted.reconnect(ada)
    assert client.hello is not None
    assert not client.hello.recovered
    assert rooms.signals.count("Rooms") == 1
    client.cut()
    assert client.reconnect().hello is not None
    assert rooms.signals.counters.connections_opened == 2

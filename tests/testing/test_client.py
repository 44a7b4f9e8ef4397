"""What a test's client sends and takes."""

from __future__ import annotations

from typing import Any

import pytest
from testing.rooms import Rooms

from pode_signals.errors import ReplyError
from pode_signals.testing import Refused, SignalTester, TestClient


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.fixture
def tester(rooms: Rooms) -> SignalTester:
    return SignalTester(rooms.signals, rooms.app.resource())


@pytest.fixture
def ada(tester: SignalTester) -> TestClient:
    return tester.connect("/rooms", protocol="signals")


@pytest.fixture
def bob(tester: SignalTester) -> TestClient:
    return tester.connect("/rooms")


def test_what_clients_say(tester: SignalTester, ada: TestClient, bob: TestClient) -> None:
    """P6: plain and signals clients send messages, with whom they are for, each in its form."""
    assert ada.request({"join": "kitchen"}) == ["kitchen"]
    bob.send("soup", group=["kitchen"], path="Rooms", direct=False)
    assert ada.receive() == "soup"
    bob.nothing()
    ada.send("thanks", client_id=bob.client_id)
    assert bob.receive() == "thanks"
    said = [each for client in (ada, bob) for each in client.frames() if each["direction"] == "->"]
    assert said == [
        {"direction": "->", "frame": {"type": "send", "id": "1", "message": {"join": "kitchen"}}},
        {"direction": "->", "frame": {"type": "send", "message": "thanks", "clientId": bob.client_id}},
        {"direction": "->", "text": '{"message":"soup","group":["kitchen"],"path":"Rooms","direct":false}'},
    ]


def test_what_a_message_does_not_have(bob: TestClient) -> None:
    """S0.2: an argument that no message has is an error, and nothing is sent."""
    with pytest.raises(TypeError, match=r"^a message has no \['name'\]: only path, group, client_id, direct$"):
        bob.send("soup", name="Rooms")
    assert bob.frames() == []


def test_errors_in_place_of_replies(ada: TestClient) -> None:
    """P26: a request that the signal route refuses raises with the code and the text of the refusal."""
    with pytest.raises(ReplyError, match=r"^app\.full: No\.$") as raised:
        ada.request({"refuse": "full"})
    assert (raised.value.code, raised.value.text) == ("app.full", "No.")


def test_plain_clients_ask_nothing(bob: TestClient) -> None:
    """P1: a plain client gets no replies, and is told so."""
    for ask in (bob.ask, bob.request):
        with pytest.raises(TypeError, match=r"^a plain client gets no replies: "):
            ask("soup")
    assert bob.frames() == []


def test_plain_clients_watch_nothing(bob: TestClient) -> None:
    """P1: a plain client gets no presence, and asking for that is an error at once."""
    with pytest.raises(TypeError, match=r"^a plain client gets no presence: connect\(…, protocol="):
        bob.watch()
    assert bob.frames() == []


def test_a_plain_client_of_a_stream_only_reads() -> None:
    """P92: a plain client of server-sent events can't send, and trying is an error at once."""
    rooms = Rooms(allow_sse=True)
    client = SignalTester(rooms.signals, rooms.app.resource()).connect("/rooms", transport="sse")
    for send in (client.send, client.send_text):
        with pytest.raises(TypeError, match=r"^a plain client of server-sent events only reads: connect\(…, protocol="):
            send("soup")
    assert [each["event"] for each in client.frames()] == ["hello"]
    rooms.signals.send("soup", name="Rooms")
    assert client.receive() == "soup"


def test_presence_is_there_at_once() -> None:
    """P75: who is connected is there as soon as a test asks for it, without a turn of its own."""
    rooms = Rooms()
    rooms.signals.share_presence("Rooms")
    tester = SignalTester(rooms.signals, rooms.app.resource())
    ada, bob = (tester.connect("/rooms", protocol="signals") for _ in range(2))
    ada.watch()
    assert ada.presence is not None
    assert ada.presence.members is not None
    assert set(ada.presence.members) == {ada.client_id, bob.client_id}
    bob.close()
    tester.advance(1)
    assert ada.presence.count == 1


def test_an_answer_that_comes_later(rooms: Rooms, ada: TestClient) -> None:
    """P25: a test can do something while the signal route waits, and take the answer then."""
    with pytest.raises(AssertionError, match=r"^there is no answer yet: "):
        ada.request("wait")
    rooms.later.callback({"seat": "4A"})
    rooms.later = type(rooms.later)()
    asked = ada.ask("wait")
    assert not asked.is_answered
    rooms.later.callback({"seat": "4B"})
    assert asked.is_answered
    assert asked.reply() == asked.reply() == {"seat": "4B"}


@pytest.mark.parametrize(("end", "code"), [("cut", "lost"), ("vanish", "lost"), ("close", "closed")])
def test_a_connection_that_ends_before_the_answer(ada: TestClient, end: str, code: str) -> None:
    """P32: requests that are open when a connection ends end with ``lost``, or ``closed`` where the client closed."""
    asked = ada.ask("wait")
    getattr(ada, end)()
    assert asked.is_answered
    with pytest.raises(ReplyError) as raised:
        asked.reply()
    assert raised.value.code == code


def test_a_connection_that_the_server_ends_before_the_answer(tester: SignalTester, ada: TestClient) -> None:
    """P32: the same where the server closes."""
    asked = ada.ask("wait")
    tester.signals.close("Rooms")
    with pytest.raises(ReplyError, match=r"^lost: "):
        asked.reply()


def test_acknowledgements(ada: TestClient, tester: SignalTester) -> None:
    """P69: a client acknowledges what a test receives, and nothing else; one that is told to keep silent does not."""
    carol = tester.connect("/rooms", protocol="signals")
    silent = tester.connect("/rooms", protocol="signals", auto_acknowledge=False)
    delivery = tester.signals.send("read this", name="Rooms", acknowledge=True, timeout=3)
    assert delivery.acknowledged == ()
    assert (carol.receive(), silent.receive()) == ("read this", "read this")
    assert delivery.acknowledged == (carol.client_id,)
    tester.advance(3)
    assert delivery.unanswered == (ada.client_id, silent.client_id)
    assert ada.receive() == "read this"
    assert tester.signals.counters.acknowledgements_ignored == 1


def test_what_is_taken_after_the_end(tester: SignalTester, ada: TestClient) -> None:
    """P69: a test can take what has come before the end, and then nobody acknowledges it."""
    delivery = tester.signals.send("read this", name="Rooms", acknowledge=True, timeout=3)
    assert ada.closed is None
    ada.cut()
    assert ada.receive() == "read this"
    tester.advance(3)
    assert delivery.gone == (ada.client_id,)


def test_a_question_to_others(tester: SignalTester, ada: TestClient) -> None:
    """P69: a route that asks the others answers its own client once they have taken the question."""
    others = [tester.connect("/rooms", protocol="signals") for _ in range(2)]
    asked = ada.ask({"vote": "pizza?"})
    assert [each.receive() for each in others] == ["pizza?", "pizza?"]
    assert asked.reply() == {"read": 2}


def test_nothing_to_receive(tester: SignalTester, ada: TestClient) -> None:
    """S0.2: where nothing waits the error tells what went over the wire, and how the connection has ended."""
    bob = tester.connect("/rooms")
    with pytest.raises(
        AssertionError, match=r"^no message waits for the client of /rooms\. Nothing went over the wire\.$"
    ):
        bob.receive()
    ada.request({"join": "kitchen"})
    tester.signals.close("Rooms", code=4000, reason="over")
    with pytest.raises(AssertionError) as raised:
        ada.receive()
    first, *lines = str(raised.value).splitlines()
    assert (
        first
        == "no message waits for the client of /rooms. It was closed with 4000 'over' by the server. The last frames:"
    )
    assert lines[1] == '  -> {"frame": {"type": "send", "id": "1", "message": {"join": "kitchen"}}}'
    assert lines[-1] == '  <- {"close": 4000, "reason": "over"}'


def test_something_to_receive(tester: SignalTester, ada: TestClient) -> None:
    """S0.2: where nothing was to wait the error tells what waits."""
    ada.nothing()
    for text in ("soup", "salad"):
        tester.signals.send(text, name="Rooms")
    with pytest.raises(AssertionError, match=r"^for the client of /rooms wait 2 messages: \['soup', 'salad'\]$"):
        ada.nothing()


def test_wrong_messages(tester: SignalTester, ada: TestClient, bob: TestClient) -> None:
    """P9: a client can send what a program should never send."""
    ada.send_text("{")
    ada.send_text(b'{"type":"dance","id":"1"}')
    bob.send_text("{")
    codes = [each["frame"]["code"] for each in ada.frames() if each.get("frame", {}).get("type") == "error"]
    assert codes == ["bad_frame", "unknown_type"]
    assert tester.signals.counters.messages_bad == 2
    assert ada.frames()[1] == {"direction": "->", "text": "{"}


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda client: client.send_binary(b"\0"), 1003),
        (lambda client: client.send_text(b"\xff"), 1007),
        (lambda client: client.send("x" * 70_000), 1009),
    ],
)
def test_messages_that_end_the_connection(ada: TestClient, send: Any, code: int) -> None:
    """P11: binary closes with 1003, not UTF-8 with 1007, too large with 1009, as the client sees."""
    send(ada)
    assert ada.closed is not None
    assert (ada.closed.code, ada.closed.by.value) == (code, "server")
    with pytest.raises(
        AssertionError, match=r"^this client was closed with [0-9]+ '.+' by the server; reconnect\(\) gives a new one$"
    ):
        ada.send("soup")


def test_a_client_says_who_it_is(ada: TestClient) -> None:
    """S0.2: the ``repr`` of a client has its path, its protocol and its end."""
    assert repr(ada) == "<TestClient '/rooms' signals, open>"
    ada.close()
    assert repr(ada) == "<TestClient '/rooms' signals, closed with 1000 by the client>"


def test_pytest_does_not_collect_the_kit() -> None:
    """S0.2: the classes of the kit are no tests."""
    assert not TestClient.__test__
    assert not SignalTester.__test__
    assert not Refused.__name__.startswith("Test")

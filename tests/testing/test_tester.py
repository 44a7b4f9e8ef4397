"""What a tester tells of a program: what it has sent, what time does, and what is left at the end."""

from __future__ import annotations

import pytest
from testing.rooms import Rooms

from pode_signals import EVERY_NAME
from pode_signals.errors import BroadcastRefused
from pode_signals.testing import SignalTester


@pytest.fixture
def tester() -> SignalTester:
    rooms = Rooms()
    return SignalTester(rooms.signals, rooms.app.resource())


def test_what_was_sent(tester: SignalTester) -> None:
    """S0.2: every send is recorded, with what clients get and whom it was for; what was not sent is not."""
    signals = tester.signals
    ada = tester.connect("/rooms", protocol="signals")
    delivery = signals.send({"at": (1, 2)}, name="Rooms", group="kitchen", client_id=["a", 7])
    signals.send("soup", name=["Rooms", "Other"], group=["x", "y"])
    signals.send(1, name=EVERY_NAME)
    signals.send(None, name="Rooms")
    signals.connections("Rooms")[0].send("you")
    signals.set_broadcast_level("client_id", name="Rooms")
    with pytest.raises(BroadcastRefused):
        signals.send("refused", name="Rooms")
    assert [(each.data, each.name, each.group, each.client_id) for each in tester.sent] == [
        ({"at": [1, 2]}, "Rooms", "kitchen", ("a", "7")),
        ("soup", ("Rooms", "Other"), ("x", "y"), None),
        (1, EVERY_NAME, None, None),
        ("you", "Rooms", None, ada.client_id),
    ]
    assert tester.sent[0].delivery is delivery
    assert tester.sent[-1].delivery.sent == 1


def test_what_clients_cause_to_be_sent(tester: SignalTester) -> None:
    """S0.2: what a signal route sends is recorded too, and a reply is no send."""
    ada = tester.connect("/rooms", protocol="signals")
    assert ada.request("soup") is None
    assert [(each.data, each.name) for each in tester.sent] == [("soup", "Rooms")]


def test_time_passes_from_timer_to_timer(tester: SignalTester) -> None:
    """P63: clients answer pings while time passes, however much at once; each timer runs at its own time."""
    ada, bob = tester.connect("/rooms", protocol="signals"), tester.connect("/rooms")
    seen: list[float] = []
    for seconds in (0.1, 0.3, 599.9, 600.1):
        tester.clock.callLater(seconds, lambda: seen.append(tester.clock.seconds()))
    tester.advance(600)
    assert seen == [0.1, 0.3, 599.9]
    assert tester.clock.seconds() == 600
    assert (ada.closed, bob.closed) == (None, None)
    beats = [each for each in ada.frames() if each["frame"]["type"] == "beat"]
    assert len(beats) == 600 // 25
    with pytest.raises(ValueError, match=r"^time does not go back by 1 seconds$"):
        tester.advance(-1)


def test_time_that_a_test_moves_itself(tester: SignalTester) -> None:
    """S0.2: clients answer pings as well where a test moves the clock of the hub second by second."""
    ada = tester.connect("/rooms")
    tester.clock.pump([1] * 60)
    assert ada.closed is None


def test_the_end(tester: SignalTester) -> None:
    """S0.2: at the end clients of each kind are closed, and where nothing is left all is well, also a second time."""
    gone: list[int] = []
    tester.signals.on_disconnect("Rooms")(lambda event: gone.append(event.connection.closure.code))
    ada, bob, carol, dave = (tester.connect("/rooms", protocol="signals") for _ in range(4))
    bob.cut()
    carol.vanish()
    dave.close()
    tester.end()
    assert sorted(gone) == [1000, 1000, 1006, 1006]
    assert ada.closed is not None
    tester.end()


def test_a_timer_that_is_left(tester: SignalTester) -> None:
    """S0.2: a timer that is set at the end is an error that names the function and its time."""
    timer = tester.clock.callLater(5, tester.advance, 1)
    with pytest.raises(AssertionError, match=r"is left: the timer in 5 s: SignalTester\.advance\. Let the time pass "):
        tester.end()
    timer.cancel()
    tester.end()


def test_acknowledgements_that_are_left(tester: SignalTester) -> None:
    """P73: an acknowledged send that still waits for answers at the end is an error."""
    ada = tester.connect("/rooms", protocol="signals")
    tester.signals.send("read this", name="Rooms", acknowledge=True, timeout=3)
    # A client that was cut off may come back and answer, unlike one that leaves for good.
    ada.cut()
    with pytest.raises(AssertionError, match="is left: 1 acknowledged sends that wait for answers; the timer in 3 s: "):
        tester.end()
    tester.advance(3)
    tester.end()


def test_a_function_that_is_left(tester: SignalTester) -> None:
    """S0.2: a signal route that waits for ever is noticed by its time limit."""
    tester.connect("/rooms").send("wait")
    with pytest.raises(AssertionError, match=r"is left: the timer in [0-9]+ s: "):
        tester.end()

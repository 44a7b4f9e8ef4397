"""Events that wait for the application: what they keep from being read, and which are acknowledged."""

from __future__ import annotations

from client_sessions import SessionWorld, hello_document

from pode_signals.client.events import Closed, Opened, SignalReceived
from pode_signals.client.inbox import Acknowledgement
from pode_signals.client.session import State


def acks(world: SessionWorld) -> list[object]:
    """The ids of the acknowledgements since the last look."""
    return [frame["id"] for frame in world.frames if frame["type"] == "ack"]


class TestSignals:
    def test_their_fields(self) -> None:
        """P60: a signal tells its data, its group or groups, and its place."""
        world = SessionWorld().opened().signal({"a": 1}, 41, group="kitchen").signal("text", group=["a", "b"])
        assert world.events()[1:] == [SignalReceived({"a": 1}, "kitchen", "41-7"), SignalReceived("text", ("a", "b"))]


class TestBackPressure:
    def test_it_reads_no_further(self) -> None:
        """P60: when as many events wait as may, the client reads no further; it reads on when half are taken."""
        world = SessionWorld(max_waiting=4).opened().signal(1).signal(2)
        assert world.reading == []
        world.signal(3)
        assert world.reading == [False]
        # What had been read already comes all the same.
        world.signal(4)
        assert [world.take() is not None, world.take() is not None] == [True, True]
        assert world.reading == [False]
        world.take()
        assert world.reading == [False, True]
        assert world.data() == [3, 4]
        assert len(world.told) == 1

    def test_it_does_not_connect(self) -> None:
        """P60: a client whose events nobody takes does not connect for more, and goes on when they are taken."""
        world = SessionWorld(max_waiting=2).opened().signal("one", 41).ends().passes(3_600)
        assert (len(world.offers), world.session.state, world.session.due()) == (1, State.WAITING, None)
        assert world.data() == [Opened, "one"]
        assert world.offers[-1][1].startswith("pode.resume.k3v9q2.41-7.")
        world.says(**hello_document(recovered=True, offset="41-7"))
        assert world.data() == [Opened]

    def test_it_can_be_stopped(self) -> None:
        """P60: a client that reads no further reads the answer to its close frame."""
        world = SessionWorld(max_waiting=2).opened().signal("one").close()
        assert world.reading == [False, True]
        assert world.ends(1000).data() == [Opened, "one", Closed]

    def test_no_events_at_all(self) -> None:
        """P60: a client that keeps no events reads on for ever, and only its end is told."""
        world = SessionWorld(max_waiting=0).opened()
        for number in range(2_000):
            world.signal(number)
        assert world.reading == []
        ticket = world.request("one")
        assert world.says(type="reply", id="1", data=7).settled == {ticket: 7}
        assert world.ends(4000).data() == [Closed]


class TestAcknowledgements:
    def test_only_when_the_application_says_so(self) -> None:
        """P75: a signal is acknowledged when the application has taken it, and not when it comes or is handed out."""
        world = SessionWorld().opened().signal("one", 41, ack="n7.12").signal("two")
        _, (event, owed), (_, nothing) = world.take(), world.take(), world.take()  # type: ignore[misc]
        assert (event, owed, nothing) == (SignalReceived("one", None, "41-7"), Acknowledgement("n7.12", "ada"), None)
        assert acks(world) == []
        world.acknowledge(owed)
        assert acks(world) == ["n7.12"]

    def test_over_the_next_connection(self) -> None:
        """P75: what the application takes while the client is away is acknowledged once the client is back."""
        world = SessionWorld().opened().signal("one", 41, ack="n7.12").ends()
        world.acknowledge(Acknowledgement("n7.12", "ada"))
        assert acks(world) == []
        world.comes_back(recovered=True, offset="41-7")
        assert acks(world) == ["n7.12"]
        world.ends().comes_back(recovered=True)
        assert acks(world) == []

    def test_another_client(self) -> None:
        """P75: a client that came back as another one does not answer for the former."""
        world = SessionWorld().opened().signal("one", 41, ack="n7.12").ends()
        world.acknowledge(Acknowledgement("n7.12", "ada"))
        world.comes_back(clientId="bob")
        world.acknowledge(Acknowledgement("n7.13", "ada"))
        assert acks(world) == []

    def test_they_are_bounded(self) -> None:
        """P75: while a client is away it keeps its last hundred acknowledgements."""
        world = SessionWorld().opened().ends()
        for number in range(300):
            world.acknowledge(Acknowledgement(str(number), "ada"))
        world.comes_back(recovered=True)
        assert acks(world) == [str(number) for number in range(200, 300)]

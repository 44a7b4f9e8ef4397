"""Where a client goes on, and what it tells its application of that."""

from __future__ import annotations

import json

import pytest
from client_sessions import EPOCH, SessionWorld, hello_document

from pode_signals.client.events import Lost, Opened, SignalReceived
from pode_signals.client.place import Place
from pode_signals.client.session import State
from pode_signals.wire.v1 import Hello


def resume(offset: str, token: str = "token", epoch: str = EPOCH) -> tuple[str, str]:
    """What a client offers that comes back."""
    return ("pode.signals.v1", f"pode.resume.{epoch}.{offset}.{token}")


class TestThePosition:
    def test_first_connection(self) -> None:
        """P62: a first connection offers no place, and has lost nothing."""
        world = SessionWorld().opened()
        assert world.offers == [("pode.signals.v1",)]
        assert world.data() == [Opened]

    def test_signals_and_beats_move_it(self) -> None:
        """P60: a client that comes back offers its token, and the place of the last frame that had one."""
        world = SessionWorld().opened()
        assert world.ends().comes_back(recovered=True).offers[-1] == resume("40-7")
        world.signal("one", 41).signal("not logged")
        assert world.ends().comes_back(recovered=True, offset="41-7").offers[-1] == resume("41-7")
        world.says(type="beat", offset="44-7").says(type="beat")
        assert world.ends().comes_back(recovered=True, offset="44-7").offers[-1] == resume("44-7")
        world.says(**hello_document(offset="50-7", recovered=True, resumeToken="newer"))
        assert world.ends().comes_back().offers[-1] == resume("50-7", "newer")

    def test_it_moves_before_anybody_has_taken_the_signal(self) -> None:
        """P60: what waits for the application outlives the connection, and is neither asked for again nor lost."""
        world = SessionWorld().opened().signal("one", 41).signal("two", 42)
        world.ends().comes_back(recovered=True, offset="42-7")
        assert world.offers[-1] == resume("42-7")
        world.signal("three", 43)
        assert world.data() == [Opened, "one", "two", Opened, "three"]

    def test_a_cut_in_the_middle_of_a_replay(self) -> None:
        """P60: a client whose replay is cut goes on in the middle of it."""
        world = SessionWorld().opened().ends().comes_back(recovered=True)
        world.signal("one", 41).ends().comes_back(recovered=True, offset="41-7")
        assert world.offers[-1] == resume("41-7")
        world.signal("two", 42).says(type="beat", offset="42-7").signal("three", 43)
        found = [each for each in world.events() if isinstance(each, SignalReceived)]
        assert [(each.data, each.replayed) for each in found] == [("one", True), ("two", True), ("three", False)]

    def test_a_name_without_history(self) -> None:
        """P60, P62: where the name keeps no history the token alone is offered, and coming back is a loss."""
        world = SessionWorld().opened(epoch=None, offset=None).signal("one")
        world.ends().comes_back(epoch=None, offset=None)
        assert world.offers[-1] == ("pode.signals.v1", "pode.resume.-.-.token")
        assert world.data() == [Opened, "one", Opened, Lost]

    def test_without_a_token(self) -> None:
        """P60: a client whose last hello had no token offers no position either."""
        world = SessionWorld(since=f"{EPOCH}.3-7").opened(resumeToken=None).ends().comes_back()
        assert world.offers == [("pode.signals.v1", f"pode.resume.{EPOCH}.3-7"), ("pode.signals.v1",)]

    @pytest.mark.parametrize("since", ["", "k3v9q2", f"{EPOCH}.1-7.token", "-.-.token", f"{EPOCH}.1-7\r\nX: 1", "-.-"])
    def test_a_bad_since(self, since: str) -> None:
        """P60: a position to begin at that is none is a ValueError."""
        with pytest.raises(ValueError, match="since"):
            Place(since)


class TestWhatIsLost:
    def test_after_since(self) -> None:
        """P62: a client that was given a position is told when the server can't go on there."""
        assert SessionWorld(since=f"{EPOCH}.3-7").opened().data() == [Opened, Lost]
        assert SessionWorld(since=f"{EPOCH}.3-7").opened(recovered=True, offset="3-7").data() == [Opened]

    def test_after_a_failed_attempt(self) -> None:
        """P62: a client whose first attempts failed has lost nothing, and offers its position each time."""
        world = SessionWorld(since=f"{EPOCH}.3-7").start().ends()
        world.passes(world.waits_seconds)
        assert world.offers[0] == world.offers[1]
        assert SessionWorld().start().ends().comes_back().data() == [Opened]

    def test_after_a_failed_resume(self) -> None:
        """P62: a client is told after it came back and could not go on."""
        world = SessionWorld().opened().ends().comes_back(offset="90-7")
        (opened, again, lost) = world.events()
        assert (type(opened), type(again), lost) == (Opened, Opened, Lost(world.session.hello))
        assert world.ends().comes_back().offers[-1] == resume("90-7")

    def test_a_break_while_connected(self) -> None:
        """P62: a client is told when the history breaks on its open connection, and takes the new place."""
        world = SessionWorld().opened()
        world.says(**hello_document(epoch="another1", offset="0-7"))
        assert world.data() == [Opened, Lost]
        world.ends().comes_back()
        assert world.offers[-1] == resume("0-7", epoch="another1")

    def test_a_resume(self) -> None:
        """P62: a client that got all that it missed is told of no loss."""
        world = SessionWorld().opened().ends().comes_back(recovered=True)
        assert world.data() == [Opened, Opened]


class TestLaterHellos:
    def test_each_field_is_replaced(self) -> None:
        """P20: a later hello replaces the one before in every field, those that it leaves out among them."""
        world = SessionWorld(renews=True).opened(user="Ada", groups=["kitchen"], expiresInSeconds=100, presence="name")
        world.says(
            **hello_document(
                clientId="bob",
                name="Attic",
                groups=["a", "b"],
                epoch=None,
                offset=None,
                recovered=True,
                resumeToken="newer",
                heartbeatSeconds=7,
                maxMessageBytes=100,
            )
        )
        assert world.session.hello == Hello("bob", "Attic", ("a", "b"), True, 7, 100, resume_token="newer")
        assert world.data() == [Opened]
        assert world.ends().comes_back().offers[-1] == ("pode.signals.v1", "pode.resume.-.-.newer")

    def test_what_it_says_counts_at_once(self) -> None:
        """P20: the heartbeat, the expiry and the largest message of a later hello hold from then on."""
        world = SessionWorld(renews=True).opened(expiresInSeconds=100)
        world.says(**hello_document(recovered=True, heartbeatSeconds=1_000, expiresInSeconds=1_000))
        world.passes(740)
        assert (world.asked, world.frames, world.aborts) == ([], [], 0)
        world.passes(10)
        assert world.asked == [1]
        world.says(**hello_document(recovered=True))
        world.passes(41)
        assert world.frames == [{"type": "beat"}]


class TestFramesThatDoNotCount:
    def test_of_a_connection_that_was_given_up(self) -> None:
        """P61: no frame of a connection that was given up is delivered, and its end is nothing."""
        world = SessionWorld().opened().ends().comes_back(recovered=True)
        world.says(1, type="signal", data="old", offset="90-7")
        world.says(1, type="reply", id="1", data=None)
        world.says(1, **hello_document(clientId="old"))
        world.ends(generation=1)
        assert world.session.hello is not None
        assert world.session.hello.client_id == "ada"
        assert world.data() == [Opened, Opened]
        assert world.ends().comes_back().offers[-1] == resume("40-7")

    def test_between_two_connections(self) -> None:
        """P61: a connection that the client gave up delivers nothing, also before the next one is there."""
        world = SessionWorld().opened().passes(45.5)
        assert (world.aborts, world.session.state) == (1, State.WAITING)
        world.says(1, type="signal", data="old", offset="90-7").ends(4000)
        assert (world.data(), world.closed) == ([Opened], None)

    def test_after_the_client_was_stopped(self) -> None:
        """P61: what comes after the client was stopped is not delivered."""
        world = SessionWorld().opened().close().signal("late", 41)
        assert world.data() == [Opened]

    def test_unknown_types_and_fields(self) -> None:
        """P7, P8: a client passes over frames of a type that it does not know, and fields."""
        world = SessionWorld().start().writes(b'{"type":"newer"}')
        world.writes(b'{"color":"red",' + hello_bytes()[1:]).writes(b'{"type":"history","data":[]}')
        world.writes(b'{"type":"signal","data":"one","offset":"41-7","color":"red"}')
        assert world.data() == [Opened, "one"]
        assert world.aborts == 0

    @pytest.mark.parametrize("payload", [b"no frame", b'{"type":"signal"}', b'{"type":"hello"}'])
    def test_bad_frames(self, payload: bytes) -> None:
        """P20: a frame that is not valid ends the connection, and the client comes back later and later."""
        world = SessionWorld().opened().writes(payload)
        assert (world.aborts, world.data()) == (1, [Opened])
        assert 0 <= world.waits_seconds <= 2
        world.comes_back(recovered=True).signal("one", 41)
        assert world.data() == [Opened, "one"]

    def test_a_signal_before_hello(self) -> None:
        """P20: a server that says something before hello does not keep the protocol."""
        world = SessionWorld().start().signal("early")
        assert (world.aborts, world.data()) == (1, [])


def hello_bytes() -> bytes:
    """A hello as bytes."""
    return json.dumps(hello_document()).encode()

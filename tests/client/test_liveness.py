"""How a client finds out that the server is gone."""

from __future__ import annotations

from client_sessions import SessionWorld

from pode_signals.client.session import State

BEAT = {"type": "beat"}


def test_a_silent_link() -> None:
    """P67: a silent link is asked after heartbeat and 10 seconds, and given up 5 seconds and a look later."""
    world = SessionWorld().opened()
    world.passes(35)
    assert world.frames == []
    world.passes(5)
    assert (world.frames, world.aborts) == ([BEAT], 0)
    world.passes(4.9)
    assert world.aborts == 0
    world.passes(0.7)
    assert (world.frames, world.aborts, world.session.state) == ([], 1, State.WAITING)


def test_any_frame_is_a_sign_of_life() -> None:
    """P67: a link on which something comes is not asked, whatever it is that comes."""
    world = SessionWorld().opened()
    for number in range(20):
        world.passes(34)
        if number % 2:
            world.says(type="beat")
        else:
            world.signal("one")
    assert (world.frames, world.aborts) == ([], 0)


def test_an_answer_to_the_probe() -> None:
    """P67: a link that answers the probe lives on, and is asked again when it is silent again."""
    world = SessionWorld().opened()
    for _ in range(3):
        world.passes(40)
        assert world.frames == [BEAT]
        world.says(type="beat")
    assert world.aborts == 0
    world.passes(46)
    assert world.aborts == 1


def test_a_late_timer() -> None:
    """P68: after a sleep of the machine the server is asked, and nothing is given up before it could answer."""
    world = SessionWorld().opened()
    for _ in range(10):
        world.sleeps(3_600)
        assert (world.frames, world.aborts) == ([BEAT], 0)
        world.passes(1).says(type="beat")
    assert world.aborts == 0


def test_a_timer_that_is_late_for_the_probe() -> None:
    """P68: where the turn of the reactor that ends a probe came late, what has come meanwhile is read first."""
    world = SessionWorld().opened().passes(40)
    assert world.frames == [BEAT]
    world.sleeps(3_600)
    assert world.aborts == 0
    world.says(type="beat").passes(10)
    assert world.aborts == 0


def test_a_late_timer_of_a_dead_link() -> None:
    """P67: a link that died while the machine slept is given up after the probe."""
    world = SessionWorld().opened().sleeps(3_600).passes(6)
    assert world.aborts == 1


def test_a_timer_that_is_hardly_late() -> None:
    """P68: a check that comes up to 10 seconds late is a check like any other."""
    world = SessionWorld().opened()
    world.sleeps(14)
    assert world.frames == []


def test_a_client_that_reads_no_further() -> None:
    """P68: a client whose application takes no events can't hear the server, and gives nothing up for that."""
    world = SessionWorld(max_waiting=2).opened().signal("one")
    assert world.reading == [False]
    for _ in range(60):
        # Times of something else come meanwhile.
        world.request("one", seconds=1)
        world.passes(60)
    assert [frame for frame in world.frames if frame == BEAT] == []
    assert world.aborts == 0
    world.events()
    assert world.reading == [False, True]
    world.passes(35)
    assert world.frames == []
    world.passes(10)
    assert world.frames == [BEAT]

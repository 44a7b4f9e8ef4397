"""How a client renews the credentials of a connection that expires."""

from __future__ import annotations

import pytest
from client_sessions import SessionWorld, hello_document


def refresh(number: int, token: str = "secret") -> dict[str, str]:
    """A refresh."""
    return {"type": "refresh", "id": f"refresh-{number}", "token": token}


def expiring(seconds: float = 100) -> SessionWorld:
    """A client whose connection expires."""
    return SessionWorld(renews=True).opened(expiresInSeconds=seconds, heartbeatSeconds=10_000)


def gives(world: SessionWorld, token: str = "secret", generation: int = 1) -> SessionWorld:
    """The application gives new credentials."""
    world.session.got_token(generation, token, world.now)
    return world.act()


def test_in_time() -> None:
    """P85: at three quarters of its time a client asks for credentials, sends them, and goes on by the new time."""
    world = expiring().passes(74.9)
    assert world.asked == []
    gives(world.passes(0.1))
    assert (world.asked, world.frames) == ([1], [refresh(1)])
    world.says(type="reply", id="refresh-1", data={"expiresInSeconds": 1_000}).passes(749)
    assert world.asked == [1]
    gives(world.passes(1))
    assert (world.asked, world.frames) == ([1, 1], [refresh(2)])


def test_refused() -> None:
    """P85: credentials that are refused bring another try 5 seconds later, again and again."""
    world = expiring().passes(75)
    for number in (1, 2, 3):
        gives(world).says(type="error", id=f"refresh-{number}", code="refused", text="No.").passes(4.9)
        assert len(world.asked) == number
        world.passes(0.1)
        assert len(world.asked) == number + 1


def test_the_application_has_none() -> None:
    """P85: an application that fails to give credentials is asked again 5 seconds later."""
    world = expiring().passes(75)
    world.session.got_no_token(1, world.now)
    world.passes(5)
    assert world.asked == [1, 1]


def test_it_takes_its_time() -> None:
    """P85: an application that is asked for credentials is not asked again before it has answered."""
    world = expiring().passes(1_000)
    assert world.asked == [1]


def test_no_answer() -> None:
    """P85: credentials that are not answered bring another try."""
    world = gives(expiring().passes(75)).passes(10)
    assert world.asked == [1, 1]


@pytest.mark.parametrize("data", [None, {}, {"expiresInSeconds": "soon"}, {"expiresInSeconds": True}])
def test_an_answer_without_a_time(data: object) -> None:
    """P85: an answer that tells no time says that the connection does not expire any more."""
    world = gives(expiring().passes(75)).says(type="reply", id="refresh-1", data=data).passes(9_000)
    assert world.asked == [1]


def test_a_later_hello() -> None:
    """P85: a later hello replaces the time, or takes it away."""
    world = expiring().passes(70).says(**hello_document(recovered=True, expiresInSeconds=100, heartbeatSeconds=10_000))
    world.passes(74)
    assert world.asked == []
    world.says(**hello_document(recovered=True, heartbeatSeconds=10_000)).passes(9_000)
    assert world.asked == []


def test_a_connection_that_has_ended() -> None:
    """P85: neither the time nor the credentials of a connection that has ended act on the next one."""
    world = expiring().passes(75)
    world.ends().comes_back(recovered=True, heartbeatSeconds=10_000)
    gives(world)
    world.session.got_no_token(1, world.now)
    world.passes(1_000)
    assert (world.asked, world.frames) == ([1], [])


def test_without_a_function() -> None:
    """P85: a client that has no function for credentials does nothing about its expiry."""
    world = SessionWorld().opened(expiresInSeconds=100, heartbeatSeconds=10_000).passes(1_000)
    assert (world.asked, world.frames) == ([], [])

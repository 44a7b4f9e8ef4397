from __future__ import annotations

import pytest
from bounded import BoundedWorld
from web_fakes import plain

from pode_signals.ports.body_time import BodyTime


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld()


def test_uploads(world: BoundedWorld) -> None:
    """S16.4: a body that comes at 1 KiB a second has 60 s, and 408 after these."""
    client = world.client()
    client.send(plain("/echo", ("Content-Length", "100000"), method=b"POST"))
    for _ in range(59):
        client.send(b"x" * 1_024)
        world.wait(1)
    assert client.wire.ended is None
    world.wait(1)
    assert [answer.status for answer in client.answers] == [408]
    assert client.wire.ended == "closed"
    assert world.hit == {"request_timeout_seconds": 1}


def test_an_upload_in_time(world: BoundedWorld) -> None:
    """S16.4: a body that is complete within its time is served; the next head has 10 s again."""
    client = world.client()
    client.send(plain("/echo", ("Content-Length", "60416"), method=b"POST"))
    for _ in range(59):
        client.send(b"x" * 1_024)
        world.wait(1)
    assert client.answers[0].body == b"x" * 60_416
    client.send(b"GET")
    world.wait(8)
    assert client.wire.ended is None
    world.wait(1)
    assert client.wire.ended == "closed"
    assert world.hit == {"handshake_timeout_seconds": 1}


@pytest.mark.parametrize("headers", [("Content-Length", "1000"), ("Transfer-Encoding", "chunked")])
def test_a_body_that_dribbles(world: BoundedWorld, headers: tuple[str, str]) -> None:
    """S16.4: a body that comes slower than 1 KiB a second is dropped after 10 s, whatever comes."""
    client = world.client()
    client.send(plain("/echo", headers, method=b"POST"))
    for _ in range(10):
        assert client.wire.ended is None
        client.send(b"1")
        world.wait(1)
    world.wait(1)
    assert [answer.status for answer in client.answers] == [408]
    assert client.wire.ended == "closed"
    assert world.hit == {"request_timeout_seconds": 1}


def test_a_body_that_stops(world: BoundedWorld) -> None:
    """S16.4: what comes of a body at once wins it no more than a second for each KiB."""
    client = world.client()
    client.send(plain("/echo", ("Content-Length", "10000"), method=b"POST"), b"x" * 4_096)
    world.wait(13)
    assert client.wire.ended is None
    world.wait(1)
    assert client.wire.ended == "closed"


def test_what_came_with_the_head(world: BoundedWorld) -> None:
    """S16.4: what comes of a body in one packet with its head wins it time as well."""
    client = world.client()
    client.send(plain("/echo", ("Content-Length", "50000"), method=b"POST") + b"x" * 20_480)
    world.wait(29)
    assert client.wire.ended is None
    world.wait(1)
    assert client.wire.ended == "closed"


def test_the_time_of_bodies_is_a_setting() -> None:
    """S16.4: the time of a whole body is a setting, of less than 10 s too."""
    world = BoundedWorld(request_timeout_seconds=3)
    client = world.client()
    client.send(plain("/echo", ("Content-Length", "100000"), method=b"POST"))
    for _ in range(3):
        assert client.wire.ended is None
        client.send(b"x" * 20_000)
        world.wait(1)
    assert client.wire.ended == "closed"
    assert world.hit == {"request_timeout_seconds": 1}


def test_the_time_left() -> None:
    """S16.4: each KiB of a body makes its time a second longer than 10 s, up to the setting."""
    body = BodyTime(began_seconds=100, received_bytes=1_024, timeout_seconds=12)
    assert (body.first_look_seconds, body.left_seconds(100)) == (10, 11)
    body.received_bytes += 10_240
    assert (body.left_seconds(100), body.left_seconds(112)) == (12, 0)
    assert BodyTime(began_seconds=100, received_bytes=0, timeout_seconds=3).first_look_seconds == 3

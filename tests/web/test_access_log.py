"""The access log of a conversion: one line, with 101, whatever the route does."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs
from web_fakes import World, failures_in, head, plain, route_world

from pode_signals.core.model import Scope

pytestmark = pytest.mark.usefixtures("protocol")


@pytest.mark.parametrize("scope", Scope)
def test_the_access_log(scope: Scope) -> None:
    """S2.6: one line, with 101 and without the query, whatever the route returns and however the connection ends."""

    def route(world: World, request: Any) -> str:
        world.signals.convert(request, "Msg", scope=scope)
        assert request.uri == b"/msg?token=secret&a=/b"
        return "discarded"

    world = route_world(route)
    client = world.client().open("/msg?token=secret&a=/b", ("Referer", "http://example.com/"), ("User-Agent", "agent"))
    client.reset()
    world.turn(10)
    (line,) = world.access_lines
    assert '"GET /msg HTTP/1.1" 101 - "http://example.com/" "agent"' in line
    assert "secret" not in line


def test_the_access_log_of_a_failing_route() -> None:
    """S2.6: a route that raises after the 101 adds no line."""

    def route(world: World, request: Any) -> None:
        world.signals.convert(request, "Msg")
        raise RuntimeError("after the fact")

    world = route_world(route)
    world.client().open()
    assert [line.split('"')[4].strip()[:3] for line in world.access_lines] == ["101"]


def test_an_access_log_that_raises() -> None:
    """S2.6: a log formatter that raises does so before the transport is touched, and the socket goes on."""
    world = World().converting()
    client = world.client()

    def broken(timestamp: str, request: Any) -> str:
        world.site._logFormatter = formatter
        raise ZeroDivisionError

    formatter, world.site._logFormatter = world.site._logFormatter, broken
    with capturedLogs() as logged:
        answer = client.ask(head())
    assert answer.status == 500
    assert [type(failure.value) for failure in failures_in(logged)] == [ZeroDivisionError]
    assert world.signals.counters.connections_opened == 0
    assert client.ask(plain("/ok")).body == b"fine"
    client.open()
    assert world.signals.counters.connections_opened == 1

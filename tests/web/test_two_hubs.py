"""Several hubs in one process share nothing, also around one application."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import deferLater
from web_fakes import World

from pode_signals.core.model import Scope, SendMode
from pode_signals.errors import NameRequired, NoCurrentConnection


def test_two_hubs() -> None:
    """S12.2: hubs share nothing: each has its names, its routes, its current connection."""
    one = World()
    two = World(one.app.resource(), wrapped=True)
    results: list[Any] = []

    @one.app.route("/msg")
    async def route(request: Any) -> None:
        connection = two.signals.convert(request, "Msg", scope=Scope.LOCAL)
        await deferLater(two.clock, 1)
        results.append(one.signals.connection_of(request))
        results.append(two.signals.connection_of(request) is connection)
        results.append(one.signals.send("one", name="Msg").recipients)
        results.append(two.signals.send("two", name="Msg").recipients)
        with pytest.raises(NoCurrentConnection):
            one.signals.send("one", mode=SendMode.DIRECT)
        with pytest.raises(NameRequired):
            one.signals.send("one")
        results.append("checked")

    one.signals.add_route("/msg", lambda event: results.append("wrong hub"))
    client = two.tester.connect("/msg")
    client.send("x")
    two.tester.advance(1)
    assert results == [None, True, 0, 1, "checked"]
    assert client.receive() == "two"
    client.nothing()
    assert one.signals.open_connections() == ()


def test_two_hubs_around_one_application() -> None:
    """S12.2: an application may be wrapped for two hubs; a send of the one that did not convert is its broadcast."""
    one = World()
    two = World(one.signals.resource(one.app.resource()))

    @one.app.route("/<hub>")
    async def route(request: Any, hub: str) -> None:
        (one if hub == "one" else two).signals.convert(request, hub, scope=Scope.LOCAL)
        await deferLater(two.clock, 1)
        one.signals.send("from one", name="one")
        two.signals.send("from two", name="two")

    clients = [two.tester.connect("/one"), two.tester.connect("/two")]
    two.tester.advance(1)
    assert [client.receive() for client in clients] == ["from one", "from two"]
    for client in clients:
        client.nothing()

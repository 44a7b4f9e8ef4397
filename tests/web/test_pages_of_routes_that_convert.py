"""What a route returns after it has converted is discarded, whatever it is, and the route ends as it would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data, File
from twisted.web.template import Element, XMLString, renderer, tags
from web_fakes import World, failures_in, message

from pode_signals.core.model import Scope


class Page(Element):
    """What a route may return."""

    loader = XMLString('<p xmlns:t="http://twistedmatrix.com/ns/twisted.web.template/0.1" t:render="text"/>')

    @renderer
    def text(self, request: Any, tag: Any) -> Any:
        return tag("discarded")


class Late(Resource):
    """A resource that answers later."""

    isLeaf = True

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def render(self, request: Any) -> Any:
        self._world.clock.callLater(1, request.finish)
        return NOT_DONE_YET


RETURNED: dict[str, Callable[[World], Any]] = {
    "nothing": lambda world: None,
    "a str": lambda world: "discarded",
    "an empty str": lambda world: "",
    "bytes": lambda world: b"discarded",
    "large bytes": lambda world: b"discarded" * 100_000,
    "a number": lambda world: 7,
    "an object": lambda world: object(),
    "a Deferred": lambda world: deferLater(world.clock, 1, lambda: b"discarded"),
    "NOT_DONE_YET": lambda world: NOT_DONE_YET,
    "a resource": lambda world: Data(b"discarded", "text/plain"),
    "a resource that answers later": Late,
    "a file": lambda world: File(__file__),
    "an element": lambda world: Page(),
    "a tag": lambda world: tags.p("discarded"),
}


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("returned", RETURNED.values(), ids=RETURNED)
def test_what_a_route_returns_is_discarded(returned: Callable[[World], Any], scope: Scope) -> None:
    """S2.5: a route may return anything; nothing of it reaches the wire, and the route ends as it would."""
    world = World().listening()

    @world.app.route("/msg")
    def route(request: Any) -> Any:
        world.signals.convert(request, "Msg", scope=scope)
        return returned(world)

    with capturedLogs() as logged:
        client = world.client().open()
        client.send(message("on"))
        world.turn(1)
    assert failures_in(logged) == []
    if scope is Scope.LOCAL:
        assert [each.code for each in client.frames] == [1000]
    else:
        assert client.frames == []
        client.send(message("and on"))
        assert world.messages == ["on", "and on"]
    assert len(world.access_lines) == 1


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """S2.5: a file that a route returns is closed, and the route ends."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * 1_000_000)
    world = World()

    @world.app.route("/msg")
    def route(request: Any) -> Any:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        return File(str(path))

    assert world.client().open().closed == (1000, "")


def test_handle_errors_after_converting() -> None:
    """S2.5: Klein's handle_errors gets the exception of a route that converted; what it returns is discarded too."""
    world = World()
    handled: list[BaseException] = []

    @world.app.handle_errors(KeyError)
    def handle(request: Any, failure: Any) -> bytes:
        handled.append(failure.value)
        request.setResponseCode(500)
        return b"discarded"

    @world.app.route("/msg")
    def route(request: Any) -> None:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        raise KeyError("x")

    client = world.client().open()
    assert [type(each) for each in handled] == [KeyError]
    assert client.closed == (1011, "")

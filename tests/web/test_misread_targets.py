"""Targets that two readers could read otherwise: what is no path is refused, and none leads around a login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bounded import BoundedWorld
from twisted.logger import capturedLogs
from twisted.web.resource import Resource
from web_fakes import World, failures_in, head, message, plain

from pode_signals.core.model import Unrouted

NO_PATHS = [
    "admin",
    "?admin",
    "%2fadmin",
    "http://example.com/admin",
    "http://example.com",
    "http:/admin",
    "x:///admin",
    "x:/admin",
    "\\admin",
    ";/admin",
    "&/admin",
    "./admin",
    "example.com:80",
    "/admin#",
    "/admin?x#y",
]


class Public(Resource):
    """A resource that converts whatever reaches it."""

    isLeaf = True

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def render(self, request: Any) -> bytes:
        self._world.signals.convert(request, "Public")
        return b""


def klein(wrapped: bool) -> World:
    """Klein: ``/admin`` asks for a login, whatever else converts."""
    world = World(wrapped=wrapped)
    guarded(world)
    return world


def guarded(world: World) -> None:
    @world.app.route("/admin", endpoint="admin")
    def admin(request: Any) -> bytes:
        request.setResponseCode(401)
        return b"login first"

    @world.app.route("/<path:room>", endpoint="room")
    def room(request: Any, room: str) -> None:
        world.signals.convert(request, "Public")


def tree(wrapped: bool) -> World:
    """The same by resources of Twisted."""
    world = World(wrapped=wrapped)

    class Root(Resource):
        def getChild(self, path: bytes, request: Any) -> Resource:
            return Public(world)

    class Admin(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            request.setResponseCode(401)
            return b"login first"

    root = Root()
    root.putChild(b"admin", Admin())
    world.resource = root
    return world


def leaf(wrapped: bool) -> World:
    """The same by one resource, which reads ``request.path`` itself."""
    world = World(wrapped=wrapped)

    class Leaf(Public):
        def render(self, request: Any) -> bytes:
            if request.path == b"/admin":
                request.setResponseCode(401)
                return b"login first"
            return super().render(request)

    world.resource = Leaf(world)
    return world


def service(wrapped: bool) -> World:
    """The same in Klein, on a port of the service's own."""
    world = BoundedWorld()
    guarded(world)
    return world


WORLDS = [(klein, True), (klein, False), (tree, True), (leaf, True), (service, True)]


@pytest.mark.parametrize("target", NO_PATHS)
@pytest.mark.parametrize(("make", "wrapped"), WORLDS)
def test_no_upgrade_of_a_target_that_is_no_path(make: Callable[[bool], World], wrapped: bool, target: str) -> None:
    """S2.2: an upgrade whose target is no path, or has a fragment, gets 400 or reaches no route that converts."""
    world = make(wrapped)
    world.listening("/admin")
    client = world.client()
    with capturedLogs() as logs:
        answer = client.ask(head(target, ("Host", "localhost" if make is service else "example.com")))
    assert failures_in(logs) == []
    assert world.signals.counters.connections_opened == 0
    if wrapped or answer.status not in (401, 404):  # Klein alone asks its routes first
        assert (answer.status, answer.body[-2:]) == (400, b".\n")
        assert world.signals.counters.upgrades_refused == {("UpgradeRefused", 400): 1}
    assert client.wire.ended is None


@pytest.mark.parametrize("wrapped", [True, False])
def test_no_route_sees_it(wrapped: bool) -> None:
    """S2.2: under the wrapper no route is asked, also none that does not convert; elsewhere convert refuses."""
    world = World(wrapped=wrapped)
    seen: list[bytes] = []

    @world.app.route("/<path:any>")
    def any_path(request: Any, any: str) -> bytes:
        seen.append(request.uri)
        return b"page"

    answer = world.client().ask(head("admin"))
    assert (answer.status, seen) == ((400, []) if wrapped else (200, [b"admin"]))
    assert world.client().ask(plain("xadmin")).body == b"page"  # no upgrade: Twisted's business


@pytest.mark.parametrize("target", NO_PATHS)
def test_auto_upgrade_refuses_it_too(target: str) -> None:
    """S11.1: with auto-upgrade such a target gets 400 as well, and makes no name."""
    world = World(auto_upgrade=True)
    assert world.client().ask(head(target)).status == 400
    assert world.signals.names() == ()
    assert world.signals.counters.upgrades_refused == {("UpgradeRefused", 400): 1}


@pytest.mark.parametrize("target", ["*", "*?x"])
def test_an_upgrade_of_the_asterisk(target: str) -> None:
    """S2.2: the target ``*``, which Twisted answers before any resource, is none for an upgrade either."""
    world = BoundedWorld()
    answer = world.client().ask(head(target, ("Host", "localhost")))
    assert answer.status == 400
    assert world.signals.counters.upgrades_refused == {("UpgradeRefused", 400): 1}
    answer = world.client().ask(plain(target, ("Host", "localhost"), method=b"OPTIONS"))
    assert answer.status == 200


NEARLY = [
    "/admin/",
    "/admin%2f",
    "/admin%2F",
    "//admin",
    "///admin",
    "/%2fadmin",
    "/./admin",
    "/x/../admin",
    "/admin;x",
    "/admin%3fx",
    "/admin%23",
    "/admin%00",
    "/admin%20",
    "/admin+",
    "/Admin",
    "/%2561dmin",
    "/admin/%2e",
    "/admin%0a",
    "/admin//",
    "/" + "x" * 5_000,
]


@pytest.mark.parametrize("target", [*NEARLY, "/%61dmin", "/admin", "/admin?x"])
@pytest.mark.parametrize(("make", "wrapped"), WORLDS)
def test_nobody_reaches_the_signal_route_of_another_path(
    make: Callable[[bool], World], wrapped: bool, target: str
) -> None:
    """S5.2: where the HTTP side asks for a login on ``/admin``, no target that it lets in runs the signal route."""
    world = make(wrapped)
    world.signals.unrouted = Unrouted.DROP
    world.listening("/admin")
    client = world.client()
    answer = client.ask(head(target, ("Host", "localhost" if make is service else "example.com")))
    if answer.status == 101:
        client.send(message("delete everything"))
        assert world.signals.counters.messages_unrouted_dropped == 1
    else:
        assert answer.status in (401, 404, 308)
    assert world.messages == []


def test_a_login_is_asked_for_in_klein_however_it_is_written() -> None:
    """S5.2: an escape that Klein decodes is the same path, so that a guarded route stays guarded."""
    world = klein(wrapped=True)
    assert [world.client().ask(head(target)).status for target in ("/admin", "/%61dmin", "//admin")] == [401] * 3

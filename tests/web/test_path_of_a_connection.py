"""The path of a connection: the one that the HTTP side chose its route by."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.resource import IResource, Resource
from web_fakes import World, below, converting, message


def paths_of(world: World, targets: list[str]) -> list[str]:
    """The paths that the connections of these targets have."""
    found = []
    for target in targets:
        world.client().open(target)
        found.append(world.converted.pop().request.path)
    return found


def test_in_klein_it_is_what_its_routes_match() -> None:
    """S5.3: in Klein the path is percent-decoded, segment by segment, once; the query is no part of it."""
    world = converting(World(), "/<path:rest>")
    targets = ["/gr%C3%BC%C3%9Fe", "/a%2fb", "/a+b", "/a%2520b", "/a/?x=/y", "/a;b", "/./a", "/a%00", "/a//b"]
    assert paths_of(world, targets) == ["/grüße", "/a/b", "/a+b", "/a%20b", "/a/", "/a;b", "/./a", "/a\0", "/a//b"]


def test_elsewhere_it_is_the_path_of_the_request() -> None:
    """S5.3: in any other resource it is request.path, escapes and all."""
    world = World()

    class Leaf(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            world.converted.append(world.signals.convert(request, "Msg"))
            return b""

    world.resource = Leaf()
    targets = ["/gr%C3%BC", "/a%2fb", "/%61", "/a/?x", "//a"]
    assert paths_of(world, targets) == ["/gr%C3%BC", "/a%2fb", "/%61", "/a/", "//a"]


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("prefix", [(b"chat",), (b"a", b"b"), (b"a b",)])
def test_below_other_resources_it_is_the_whole_path(prefix: tuple[bytes, ...], wrapped: bool) -> None:
    """S5.3: under ``putChild`` Klein's routes know the rest of the path, signal routes the whole."""
    world = converting(World(wrapped=wrapped), "/rooms/<room>", "/")
    world.resource = below(prefix, IResource(world.app.resource()))
    whole = "/" + "/".join(each.decode() for each in prefix)
    world.listening(f"{whole}/rooms/<x>").listening("/rooms/<x>").listening(f"{whole}/")
    for target, path in ((f"{whole}/rooms/%61", f"{whole}/rooms/a"), (f"{whole}/", f"{whole}/")):
        client = world.client().open(target.replace(" ", "%20"))
        assert world.converted[-1].request.path == path
        client.send(message(path))
    assert world.messages == [f"{whole}/rooms/a", f"{whole}/"]


def test_a_resource_in_front_that_rewrites_the_path() -> None:
    """S5.3: where a resource in front of Klein changes the segments, the path is the one that Klein got."""
    world = converting(World(), "/new/<room>")
    ran: list[str] = []
    for path in ("/new/<room>", "/old/<room>"):
        world.signals.add_route(path, lambda event: ran.append(event.route.path))

    class Rewriting(Resource):
        isLeaf = True

        def render(self, request: Any) -> Any:
            request.prepath, request.postpath = [], [b"new", *request.postpath[1:]]
            return IResource(world.app.resource()).render(request)

    world.resource = Rewriting()
    world.client().open("/old/a").send(message("x"))
    assert world.converted[0].request.path == "/new/a"
    assert ran == ["/new/<room>"]

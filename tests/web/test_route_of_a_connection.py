"""Which signal routes a connection has: those of the HTTP route that converted it, whatever its path fits."""

from __future__ import annotations

import gc
from typing import Any, NamedTuple

import pytest
from twisted.web.resource import IResource
from web_fakes import World, below, converting, head, message
from werkzeug.routing import Map

from pode_signals.core.model import Unrouted


class Case(NamedTuple):
    """A guarded route of Klein that a request passes by, to a public one of the same path."""

    what: str
    guarded: dict[str, Any]
    target: str = "/admin"
    host_matching: bool = False


@pytest.mark.parametrize(
    "case",
    [
        Case("another method", {"string": "/admin", "methods": ["POST"]}),
        Case("another method, one more slash", {"string": "/admin/", "methods": ["POST"]}),
        Case("a WebSocket's, which Klein has none of", {"string": "/admin", "websocket": True}),
        Case("another Host", {"string": "/admin", "host": "inside"}, host_matching=True),
        Case("another subdomain", {"string": "/admin", "subdomain": "inside"}),
        Case("another name of a parameter", {"string": "/<int:number>", "methods": ["POST"]}, "/7"),
    ],
    ids=lambda case: case.what,
)
@pytest.mark.parametrize("prefix", [(), (b"chat",)])
def test_a_route_that_the_request_passed_by(case: Case, prefix: tuple[bytes, ...]) -> None:
    """S5.2: the signal route of an HTTP route that did not convert is none for the connection, though its path fits."""
    world = World()
    world.signals.unrouted = Unrouted.DROP
    world.app.url_map.host_matching = case.host_matching
    rule = dict(case.guarded)
    url = rule.pop("string")
    public = {"host": "<any>"} if case.host_matching else {}
    world.app.route(url, endpoint="guarded", **rule)(lambda request, **_: b"login first")

    @world.app.route("/<path:room>", endpoint="public", **public)
    def room(request: Any, room: str, **_: Any) -> None:
        world.converted.append(world.signals.convert(request, "Public"))

    whole = "".join(f"/{each.decode()}" for each in prefix)
    if prefix:
        world.resource = below(prefix, IResource(world.app.resource()))
    world.listening(whole + url.replace("number", "n").rstrip("/"))
    client = world.client().open(whole + case.target)
    client.send(message("passed by"))
    assert world.messages == []
    world.listening(f"{whole}/<path:any>")
    client.send(message("its own"))
    assert world.messages == ["its own"]


def test_a_function_for_errors_that_converts() -> None:
    """S5.2: what no route of Klein converted reaches no signal route of theirs."""
    world = World().listening("/admin").listening("/free")
    world.app.route("/admin", methods=["POST"])(lambda request: b"")

    @world.app.handle_errors
    def errors(request: Any, failure: Any) -> None:
        world.signals.convert(request, "Msg")

    world.signals.unrouted = Unrouted.DROP
    world.client().open("/admin").send(message("admin"))
    world.client().open("/free").send(message("free"))
    assert world.messages == ["free"]


def test_routes_that_come_later() -> None:
    """S5.2: a connection goes by the route that converted it, though Klein and the hub have more routes by now."""
    world = World()
    world.signals.unrouted = Unrouted.DROP

    @world.app.route("/<room>")
    def public(request: Any, room: str) -> None:
        world.signals.convert(request, "Public")

    world.listening("/free")
    admin, free = world.client().open("/admin"), world.client().open("/free")
    free.send(message("free"))
    world.app.route("/admin", endpoint="a")(lambda request: b"login first")
    world.app.route("/free", endpoint="f")(lambda request: b"login first")
    world.listening("/admin")
    free.send(message("too late"))
    admin.send(message("admin"))
    assert world.messages == ["free"]
    assert world.client().ask(head("/admin")).status == 200


def test_routes_of_klein_that_come_later() -> None:
    """S5.2: a new connection goes by the routes that Klein has now, whatever was known of that path before."""
    world = converting(World(), "/<room>").listening("/free")
    world.signals.unrouted = Unrouted.DROP
    world.client().open("/free").send(message("by the path"))
    world.app.route("/free", endpoint="head", methods=["HEAD"])(lambda request: b"")
    world.client().open("/free").send(message("another's"))
    converting(world, "/free")
    world.client().open("/free").send(message("its own"))
    assert world.messages == ["by the path", "its own"]


def test_routes_that_differ_in_a_name_alone() -> None:
    """S5.2: of two HTTP routes with the same path but for the names of parameters, each has its own signal route."""
    world = World()
    seen: list[str] = []
    world.app.route("/<first>", endpoint="first", methods=["HEAD"])(lambda request, first: b"")
    converting(world, "/<second>")
    for path in ("/<first>", "/<second>"):
        world.signals.add_route(path, lambda event: seen.append(event.route.path))
    world.client().open("/x").send(message("x"))
    assert seen == ["/<second>"]


def test_a_route_of_klein_that_is_deeper() -> None:
    """S5.2: below another resource a signal route is an HTTP route's where the whole path is; a longer one is free."""
    world = converting(World(), "/<room>/admin", "/other")
    world.app.route("/admin", endpoint="head", methods=["HEAD"])(lambda request: b"")
    world.resource = below((b"chat",), IResource(world.app.resource()))
    world.listening("/chat/a/admin")
    world.client().open("/chat/a/admin").send(message("free"))
    assert world.messages == ["free"]


@pytest.mark.parametrize("strict", [True, False])
def test_as_strict_about_slashes(strict: bool) -> None:
    """S5.2: where an HTTP route takes a slash too many, its signal route does; where it redirects, nothing runs."""
    world = World()

    @world.app.route("/msg", strict_slashes=strict)
    def route(request: Any) -> None:
        world.signals.convert(request, "Msg")

    world.app.route("/end/", strict_slashes=strict, endpoint="end")(route)
    world.listening("/msg").listening("/end/")
    for target in ("/msg", "/msg/", "/end/", "/end"):
        client = world.client()
        if client.ask(head(target)).status == 101:
            client.send(message(target))
    assert world.messages == (["/msg", "/end/"] if strict else ["/msg", "/msg/", "/end/", "/end"])


def test_more_signal_routes_than_http_routes() -> None:
    """S5.2: a signal route that is no HTTP route's goes by the path: more narrow ones come before the route's own."""
    world = converting(World(), "/<room>")
    seen: list[tuple[str, Any]] = []
    for path in ("/<name>", "/lobby", "/<path:all>", "/rooms/<int:number>"):
        world.signals.add_route(path, lambda event: seen.append((event.route.path, dict(event.params))))
    for target in ("/lobby", "/kitchen", "/l%6Fbby"):
        world.client().open(target).send(message("x"))
    assert seen == [("/lobby", {}), ("/<name>", {"name": "kitchen"}), ("/lobby", {})]


def werkzeug_maps() -> int:
    """How many maps of routes there are: Klein's, and those that are kept for its routes."""
    gc.collect()
    return sum(type(each) is Map for each in gc.get_objects())


def test_an_app_with_many_routes_keeps_a_bounded_number_of_tables() -> None:
    """S5.2: however many HTTP routes there are, each finds its own signal route; what is kept for them is bounded."""
    before = werkzeug_maps()
    # A signal route that is no HTTP route's: what is kept for each HTTP route has a map with it.
    world = World().listening("/free")
    for number in range(300):
        world.converting(f"/r{number}")
        if number % 100 == 0:
            world.listening(f"/r{number}")
    for number in range(300):
        world.client().open(f"/r{number}").send(message(number, path="nobody"))
    assert world.messages == [0, 100, 200]
    assert werkzeug_maps() - before <= 256

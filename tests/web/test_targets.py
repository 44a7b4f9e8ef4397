"""One reading of a request's target: the path that the HTTP side chose its route by is the one of the signal routes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from bounded import BoundedWorld
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.test.requesthelper import DummyChannel
from web_fakes import World, failures_in, head, message, plain

from pode_signals.core.model import Unrouted
from pode_signals.core.request_record import RequestRecord
from pode_signals.hub.connection import SignalConnection
from pode_signals.signals import hub_of

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
TABLES = 5_000 if NIGHTLY else 300
TARGETS_OF_A_TABLE = 12


# Targets that are no paths.

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
    world._resource = root
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

    world._resource = Leaf(world)
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


# Paths that nearly are the path of a route.

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


# What a connection's path is.


def converting(world: World, *paths: str) -> World:
    """Routes of Klein that convert, with parameters or without."""
    for path in paths:

        @world.app.route(path, endpoint=path)
        def convert(request: Any, **_: Any) -> None:
            world.converted.append(world.signals.convert(request, "Msg"))

    return world


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

    world._resource = Leaf()
    targets = ["/gr%C3%BC", "/a%2fb", "/%61", "/a/?x", "//a"]
    assert paths_of(world, targets) == ["/gr%C3%BC", "/a%2fb", "/%61", "/a/", "//a"]


def below(prefix: tuple[bytes, ...], resource: Any) -> Resource:
    """A tree that has a resource at this path."""
    root = current = Resource()
    for segment in prefix[:-1]:
        child = Resource()
        current.putChild(segment, child)
        current = child
    current.putChild(prefix[-1], resource)
    return root


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("prefix", [(b"chat",), (b"a", b"b"), (b"a b",)])
def test_below_other_resources_it_is_the_whole_path(prefix: tuple[bytes, ...], wrapped: bool) -> None:
    """S5.3: under ``putChild`` Klein's routes know the rest of the path, signal routes the whole."""
    world = converting(World(wrapped=wrapped), "/rooms/<room>", "/")
    world._resource = below(prefix, IResource(world.app.resource()))
    whole = "/" + "/".join(each.decode() for each in prefix)
    world.listening(f"{whole}/rooms/<x>").listening("/rooms/<x>").listening(f"{whole}/")
    for target, path in ((f"{whole}/rooms/%61", f"{whole}/rooms/a"), (f"{whole}/", f"{whole}/")):
        client = world.client().open(target.replace(" ", "%20"))
        assert world.converted[-1].request.path == path
        client.send(message(path))
    assert world.messages == [f"{whole}/rooms/a", f"{whole}/"]


def test_a_resource_in_front_that_rewrites_the_path() -> None:
    """S5.3: where a resource in front of Klein changes the segments, the path is the one that Klein got."""
    world = converting(World(), "/new/<room>").listening("/new/<room>").listening("/old/<room>")

    class Rewriting(Resource):
        isLeaf = True

        def render(self, request: Any) -> Any:
            request.prepath, request.postpath = [], [b"new", *request.postpath[1:]]
            return IResource(world.app.resource()).render(request)

    world._resource = Rewriting()
    world.client().open("/old/a").send(message("x"))
    assert world.converted[0].request.path == "/new/a"
    assert [match and match.route.path for match in [world.converted[0]._link.intake.route]] == ["/new/<room>"]


# The route of the HTTP side decides, not the path alone.


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
        world._resource = below(prefix, IResource(world.app.resource()))
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
    world._resource = below((b"chat",), IResource(world.app.resource()))
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


def test_an_app_with_many_routes_keeps_a_bounded_number_of_tables() -> None:
    """S5.2: however many HTTP routes there are, each finds its own signal route."""
    world = World()
    for number in range(300):
        world.converting(f"/r{number}")
        if number % 100 == 0:
            world.listening(f"/r{number}")
    for number in range(300):
        world.client().open(f"/r{number}").send(message(number, path="nobody"))
    assert world.messages == [0, 100, 200]
    assert len(hub_of(world.signals).routes._tables) <= 256


# The property. Routes of Klein all convert, and each has a signal route or not.

SEGMENTS = ["admin", "a", "é", "7", "b;c"]
PARTS = [*SEGMENTS, "<x>", "<y>", "<int:n>", "<path:p>"]
RAW = [
    *SEGMENTS * 4,
    "%61dmin",
    "ADMIN",
    "",
    "a%2fadmin",
    "%2f",
    "%2fadmin",
    ".",
    "..",
    "%2e",
    "admin;x",
    "%00",
    "%C3%A9",
]
RAW += ["a+b", "%252f", "%3f", "07", "%37", "admin%0a", "%E2%80%A8", "a:b", "-7", "9" * 30]


class Route(NamedTuple):
    """A route of Klein."""

    path: str
    options: dict[str, Any]


def paths() -> st.SearchStrategy[str]:
    """Paths of routes."""
    segments = st.lists(st.sampled_from(PARTS), max_size=3, unique_by=lambda part: part if "<" in part else object())
    return st.builds(
        lambda parts, slash: "/" + "/".join(parts) + ("/" if slash and parts else ""), segments, st.booleans()
    )


def routes() -> st.SearchStrategy[Route]:
    """Routes, some of which a GET, or this Host, passes by."""
    options = st.fixed_dictionaries(
        {},
        optional={
            "methods": st.sampled_from([["GET"], ["HEAD"]]),
            "strict_slashes": st.booleans(),
            "branch": st.booleans(),
            "subdomain": st.sampled_from(["", "inside"]),
            "merge_slashes": st.booleans(),
            "websocket": st.booleans(),
        },
    )
    return st.builds(Route, paths(), options)


def targets() -> st.SearchStrategy[str]:
    """Targets of requests: paths that are nearly those of routes, and what is no path."""
    starts = st.sampled_from(["/"] * 8 + ["//", "///", "", "x:///", "http://x/", "?", "/./"])
    ends = st.sampled_from([""] * 6 + ["/", "//", "?admin", "?/a", "%2f", "/?x"])
    return st.builds(
        lambda start, parts, end: start + "/".join(parts) + end,
        starts,
        st.lists(st.sampled_from(RAW), max_size=4),
        ends,
    )


PREFIXES: list[tuple[bytes, ...]] = [(), (), (), (b"chat",), (b"a", b"admin"), (b"",)]


class Table(NamedTuple):
    """A program: routes of Klein below a path, and signal routes."""

    prefix: tuple[bytes, ...]
    http: list[Route]
    with_signal_route: list[bool]
    free: list[str]
    wrapped: bool
    public: bool


def tables() -> st.SearchStrategy[Table]:
    """Programs."""
    return st.integers(1, 5).flatmap(
        lambda count: st.builds(
            Table,
            st.sampled_from(PREFIXES),
            st.lists(routes(), min_size=count, max_size=count),
            st.lists(st.sampled_from([True, True, True, False]), min_size=count, max_size=count),
            st.lists(st.one_of(paths(), st.sampled_from(["/<path:all>", "/admin", "/<one>/<two>"])), max_size=2),
            st.booleans(),
            st.booleans(),
        )
    )


class Program:
    """A table that runs.

    Attributes:
        converted: the number of the HTTP route that converted the last request, and its arguments.
        ran: the path of the signal route that ran last.
    """

    def __init__(self, table: Table) -> None:
        self.world = World(wrapped=table.wrapped)
        self.world.signals.unrouted = Unrouted.DROP
        self.converted: tuple[int, SignalConnection] | None = None
        self.ran: str | None = None
        self.whole = "".join(f"/{each.decode()}" for each in table.prefix)
        self.http = [*table.http, Route("/<path:public>", {})] if table.public else table.http
        for number, route in enumerate(self.http):
            self._add(number, route)
        if table.prefix:
            self.world._resource = below(table.prefix, IResource(self.world.app.resource()))
        for route, wanted in zip(self.http, [*table.with_signal_route, True], strict=False):
            if wanted:
                self._listen(self.whole + route.path)
        for path in table.free:
            self._listen(path)

    def _add(self, number: int, route: Route) -> None:
        @self.world.app.route(route.path, endpoint=str(number), **route.options)
        def convert(request: Any, **arguments: Any) -> None:
            self.converted = number, self.world.signals.convert(request, "Msg")

    def _listen(self, path: str) -> None:
        def ran(event: Any) -> None:
            self.ran = event.route.path

        self.world.signals.add_route(path, ran, if_exists="skip")

    def paths_of(self, number: int) -> set[str]:
        """The paths of the signal routes that belong to an HTTP route."""
        route = self.http[number]
        found = {self.whole + route.path}
        if route.options.get("branch"):
            found.add(self.whole + route.path.rstrip("/") + "/<path:__rest__>")
        return found

    def ask(self, target: str) -> int:
        """Connect, and send a message where that worked."""
        self.converted = self.ran = None
        client = self.world.client()
        status = client.ask(head(target)).status
        if status == 101:
            client.send(message("x"))
            client.leave()
        return status


@given(tables(), st.lists(targets(), min_size=TARGETS_OF_A_TABLE, max_size=TARGETS_OF_A_TABLE))
@settings(max_examples=TABLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_message_runs_the_signal_route_of_its_http_route_alone(table: Table, asked: list[str]) -> None:
    """S5.2: if one HTTP route converted the request, a message of it runs no signal route of another, but its own."""
    program = Program(table)
    for target in asked:
        status = program.ask(program.whole + target if target.startswith("/") else target)
        if not target.startswith("/"):
            assert program.converted is None, target
            assert status == 400 or not table.wrapped or table.prefix, (target, status)
        if program.converted is None:
            assert program.ran is None
            continue
        number, connection = program.converted
        path = connection.request.path
        own = program.paths_of(number)
        others = {each for other in range(len(program.http)) for each in program.paths_of(other)} - own
        event("own" if program.ran in own else "none" if program.ran is None else "free")
        assert program.ran not in others, (target, number, path)
        # An empty segment at the start is one that Klein does not see, and what a branch has no signal route for.
        if (
            [*table.with_signal_route, True][number]
            and "//" not in path
            and not program.http[number].options.get("branch")
        ):
            assert program.ran is not None, (target, number, path)


# The other things that a route and a signal route both read.


def twisted_request(target: bytes, cookie_lines: list[bytes]) -> Any:
    """A request as Twisted reads it."""
    request: Any = Request(DummyChannel(), False)
    for line in cookie_lines:
        request.requestHeaders.addRawHeader(b"Cookie", line.strip(b" \t"))
    request.parseCookies()
    request.gotLength(0)
    request.process = lambda: None
    request.requestReceived(b"GET", target, b"HTTP/1.1")
    return request


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


PIECES = st.sampled_from(
    [
        b"a",
        b"b",
        b"=",
        b"&",
        b";",
        b"+",
        b"%3D",
        b"%26",
        b"%3B",
        b"%61",
        b"%",
        b"%zz",
        b"?",
        b" ",
        b'"',
        b"\\",
        b",",
        b"\x0b",
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
@settings(max_examples=TABLES, deadline=None)
def test_arguments_are_those_of_the_request(query: bytes) -> None:
    """S5.3: the arguments of the record are those that the route had in request.args."""
    expected = twisted_request(b"/msg?" + query, []).args
    record = RequestRecord(b"GET", b"/msg?" + query, [], "", False)
    assert record.args == {text(name): [text(each) for each in values] for name, values in expected.items()}


@given(st.lists(st.lists(PIECES, max_size=10).map(b"".join), max_size=3))
@settings(max_examples=TABLES, deadline=None)
def test_cookies_are_those_of_the_request(lines: list[bytes]) -> None:
    """S5.3: the cookies of the record are those that the route had from request.getCookie."""
    expected = twisted_request(b"/msg", lines).received_cookies
    record = RequestRecord(b"GET", b"/msg", [(b"Cookie", line) for line in lines], "", False)
    assert record.cookies == {text(name): text(value) for name, value in expected.items()}


def test_a_session_of_the_route_is_that_of_the_signal_route() -> None:
    """S5.3: of two cookies with one name, and two arguments, the signal route has what the route let in."""
    world = World()
    seen: list[Any] = []

    @world.app.route("/msg")
    def route(request: Any) -> None:
        connection = world.signals.convert(request, "Msg")
        record = connection.request
        seen.append(request.getCookie(b"user").decode() == record.cookies["user"] == "bob")
        seen.append(
            {key.decode(): [each.decode() for each in values] for key, values in request.args.items()} == record.args
        )
        seen.append(request.getHeader("x-user") == record.header("x-user") == "\xa0bob")

    world.client().open("/msg?user=bob;user=eve&x", ("Cookie", "user=eve; user=bob"), ("X-User", "\xa0bob"))
    assert seen == [True] * 3


# Bad names.


BAD_CALLS: list[tuple[str, Callable[[World, Any], object]]] = [
    ("new_client_id", lambda world, request: world.signals.new_client_id("")),
    ("a long one", lambda world, request: world.signals.new_client_id("x" * 129)),
    ("a signed one", lambda world, request: world.signals.new_client_id("s:a.b")),
    (
        "identify",
        lambda world, request: hub_of(world.signals).identities.identify(
            "", None, None, RequestRecord(b"GET", b"/", [], "", False)
        ),
    ),
]


def klein_calling(world: World, call: Callable[[World, Any], object]) -> None:
    @world.app.route("/call")
    def route(request: Any) -> bytes:
        call(world, request)
        return b"done"


def resource_calling(world: World, call: Callable[[World, Any], object]) -> None:
    class Leaf(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            call(world, request)
            return b"done"

    world._resource = Leaf()


@pytest.mark.parametrize("request_of", [plain, head])
@pytest.mark.parametrize("calling", [klein_calling, resource_calling])
@pytest.mark.parametrize(("what", "call"), BAD_CALLS)
def test_a_bad_name_outside_of_a_conversion(
    what: str, call: Callable[[World, Any], object], calling: Any, request_of: Callable[..., bytes]
) -> None:
    """S2.2: a bad name that the application itself passes is its own mistake: 500, with a traceback in the log."""
    world = World()
    calling(world, call)
    with capturedLogs() as logs:
        answer = world.client().ask(request_of("/call"))
    assert answer.status == 500
    assert [isinstance(failure.value, ValueError) for failure in failures_in(logs)] == [True]
    assert world.signals.counters.upgrades_refused == {}


@pytest.mark.parametrize(
    ("arguments", "sentence", "kind"),
    [
        ({"name": ""}, "The name is empty.", "NameInvalid"),
        ({"name": "x", "group": "x" * 129}, "The group has over 128 characters.", "NameInvalid"),
        ({"name": "x", "client_id": "a\n"}, "The client id has characters that are not allowed.", "NameInvalid"),
        ({"name": "x", "client_id": "s:a.b"}, "The client id is not valid.", "ClientIdInvalid"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_bad_name_of_a_conversion(wrapped: bool, arguments: dict[str, str], sentence: str, kind: str) -> None:
    """S2.2: convert makes a 400 of a bad name, which says which one; no traceback, and it is counted."""
    world = World(wrapped=wrapped)

    @world.app.route("/msg")
    def route(request: Any) -> None:
        world.signals.convert(request, **arguments)

    with capturedLogs() as logs:
        answer = world.client().ask(head())
    assert (answer.status, answer.body.decode()) == (400, f"{sentence}\n")
    assert failures_in(logs) == []
    assert world.signals.counters.upgrades_refused == {(kind, 400): 1}

"""``signals.resource(…)`` around resources of twisted.web: trees, prefixes, plain ones, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from bounded import BoundedWorld
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import ErrorPage, IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data
from web_fakes import Client, World, close_frame, failures_in, head, message, plain
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pode_signals.core.model import Scope
from pode_signals.core.text import printable
from pode_signals.errors import ClientIdInUse, UpgradeRefused
from pode_signals.hub.context import current_route


class Converting(Resource):
    """Converts, then does what it is told.

    Args:
        then: called with the world and the request after converting; its result is what ``render`` returns.
        arguments: for ``convert``.
    """

    isLeaf = True

    def __init__(self, then: Callable[[World, Any], Any] = lambda world, request: b"", **arguments: Any) -> None:
        super().__init__()
        self.world: World
        self._then, self._arguments = then, {"name": "Msg", **arguments}

    def render_GET(self, request: Any) -> Any:
        self.world.converted.append(self.world.signals.convert(request, **self._arguments))
        return self._then(self.world, request)


def served(resource: Converting, *, wrapped: bool = True, **settings: Any) -> World:
    """A world whose whole Site is this."""
    resource.world = World(resource, wrapped=wrapped, **settings).listening().listening("/")
    return resource.world


each_wrapping = pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])


def test_it_is_a_resource() -> None:
    """S12.3: signals.resource(…) is an IResource, and a leaf."""
    resource = World().signals.resource(Resource())
    assert verifyObject(IResource, resource)
    assert resource.isLeaf
    with pytest.raises(RuntimeError):
        resource.putChild(b"child", Resource())
    with pytest.raises(RuntimeError):
        resource.getChildWithDefault(b"child", None)  # type: ignore[arg-type]


# Converting.


@each_wrapping
def test_a_plain_resource(wrapped: bool) -> None:
    """S2.1: any twisted.web resource converts; messages go both ways after render returned."""
    world = served(Converting(), wrapped=wrapped)
    client = world.client().open()
    client.send(message("in"))
    world.signals.send("out", name="Msg")
    world.turn()
    assert world.messages == ["in"]
    assert client.texts == ["out"]


@each_wrapping
def test_not_done_yet(wrapped: bool) -> None:
    """S3.2: a resource that goes on ends with request.finish(), and its local connection with it."""
    requests: list[Any] = []

    def then(world: World, request: Any) -> Any:
        requests.append(request)
        return NOT_DONE_YET

    world = served(Converting(then, scope=Scope.LOCAL), wrapped=wrapped)
    client = world.client().open()
    world.turn(10)
    assert client.frames == []
    world.converted[0].send("still here")
    requests[0].write(b"discarded")
    requests[0].finish()
    assert client.texts == ["still here"]
    assert client.closed == (1000, "")


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(
    "returned", [None, "text", 7, b"bytes", object(), Deferred()], ids=lambda value: type(value).__name__
)
def test_what_a_plain_resource_returns(returned: object, scope: Scope) -> None:
    """S2.5: under the wrapper a plain resource that converted may return anything as well."""
    world = served(Converting(lambda world, request: returned, scope=scope))
    with capturedLogs() as logged:
        client = world.client().open()
    assert failures_in(logged) == []
    assert not [event for event in logged if "failed" in str(event.get("log_format"))]
    if scope is Scope.LOCAL:
        assert client.closed == (1000, "")
    else:
        assert client.frames == []


@each_wrapping
@pytest.mark.parametrize("scope", Scope)
def test_a_plain_resource_that_raises(scope: Scope, wrapped: bool) -> None:
    """S2.5: raising after converting is logged; a global connection stays, a local one closes with 1011."""

    def then(world: World, request: Any) -> Any:
        raise RuntimeError("after the fact")

    world = served(Converting(then, scope=scope), wrapped=wrapped)
    with capturedLogs() as logged:
        client = world.client().open()
    assert [str(failure.value) for failure in failures_in(logged)] == ["after the fact"]
    assert client.closed == ((1011, "") if scope is Scope.LOCAL else None)
    assert b"fact" not in client.received


def test_a_refusal_after_converting() -> None:
    """S2.5: a refusal that a resource raises when it has converted already is an exception like any other."""

    def then(world: World, request: Any) -> Any:
        raise ClientIdInUse

    client = served(Converting(then, scope=Scope.LOCAL)).client().open()
    assert client.closed == (1011, "")


def test_sends_of_a_plain_resource() -> None:
    """S3.2: signals.send within render reaches the local connection alone; and nobody's, after render returned."""

    def then(world: World, request: Any) -> bytes:
        world.signals.send("to the local one", name="Msg")
        return b""

    world = served(Converting(then, scope=Scope.LOCAL))
    client = world.client().open()
    assert current_route.get() is None
    world.signals.send("to everybody", name="Msg")
    world.turn()
    assert client.texts == ["to the local one"]


def test_a_refusal_of_a_child() -> None:
    """S2.2: under the wrapper a refusal is rendered wherever in the tree it is raised."""

    class Guarded(Resource):
        def getChild(self, path: bytes, request: Any) -> Resource:
            raise UpgradeRefused(403, "Not here.")

    root = Guarded()
    root.putChild(b"ok", Data(b"fine", "text/plain"))
    client = World(root).client()
    answer = client.ask(plain("/secret"))
    assert (answer.status, answer.body, answer.value("Content-Type")) == (
        403,
        b"Not here.\n",
        "text/plain; charset=utf-8",
    )
    assert client.ask(plain("/ok")).body == b"fine"


def test_a_refusal_rendered_by_hand() -> None:
    """S2.2: without the wrapper a plain resource returns refused.render(request)."""

    class ByHand(Converting):
        def render_GET(self, request: Any) -> Any:
            try:
                return super().render_GET(request)
            except UpgradeRefused as refused:
                return refused.render(request)

    world = served(ByHand(), wrapped=False)
    client = world.client()
    answer = client.ask(plain("/msg"))
    assert (answer.status, answer.value("Upgrade")) == (426, "websocket")
    client.open()


# Trees and prefixes.


def tree(leaf: Resource) -> Resource:
    """A resource tree with one leaf that converts and some pages."""
    root, branch = Resource(), Resource()
    root.putChild(b"", Data(b"index", "text/plain"))
    root.putChild(b"branch", branch)
    branch.putChild(b"page", Data(b"page", "text/plain"))
    branch.putChild(b"msg", leaf)
    return root


def test_a_tree() -> None:
    """S12.3: children of the application's resource are found as without the wrapper."""
    leaf = Converting()
    world = leaf.world = World(tree(leaf)).listening("/branch/msg")
    client = world.client()
    assert client.ask(plain("/")).body == b"index"
    assert client.ask(plain("/branch/page?a=b")).body == b"page"
    assert client.ask(plain("/branch/none")).status == 404
    client.open("/branch/msg").send(message("in"))
    assert world.messages == ["in"]


def test_below_a_prefix() -> None:
    """S12.3: the wrapped application may be one child of a larger tree."""
    outer, leaf = Resource(), Converting()
    world = leaf.world = World(outer, wrapped=False).listening("/app/branch/msg")
    outer.putChild(b"app", world.signals.resource(tree(leaf)))
    outer.putChild(b"other", Data(b"other", "text/plain"))
    client = world.client()
    assert client.ask(plain("/other")).body == b"other"
    assert client.ask(plain("/app/branch/page")).body == b"page"
    assert client.ask(plain("/app/")).body == b"index"
    assert client.ask(plain("/branch/page")).status == 404
    client.open("/app/branch/msg").send(message("in"))
    assert world.messages == ["in"]


def test_klein_below_a_prefix() -> None:
    """S12.3: a Klein application too, and its routes do not see the prefix."""
    outer = Resource()
    world = World(outer, wrapped=False).converting("/msg").listening("/app/msg")
    outer.putChild(b"app", world.signals.resource(world.app.resource()))
    client = world.client()
    assert client.ask(plain("/app/ok")).body == b"fine"
    client.open("/app/msg").send(message("in"))
    assert world.messages == ["in"]


# What it leaves alone.


def test_pages_are_as_without_the_wrapper() -> None:
    """S12.3: what is no upgrade is served as it is: methods, bodies, errors, unknown methods."""

    class Page(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            request.setHeader("X-Page", "1")
            return b"got"

        def render_POST(self, request: Any) -> bytes:
            return b"posted " + request.content.read()

        def render_DELETE(self, request: Any) -> Any:
            raise RuntimeError("broken")

    def ask(world: World, *requests: bytes) -> list[Any]:
        client = world.client()
        with capturedLogs() as logged:
            for each in requests:
                client.send(each)
                world.turn()
        return [
            *((answer.status, sorted(answer.headers), answer.body) for answer in client.answers),
            [str(failure.value) for failure in failures_in(logged)],
        ]

    requests = (
        plain("/"),
        plain("/", method=b"POST", body=b"data"),
        plain("/", method=b"PUT", body=b"data"),
        plain("/", method=b"DELETE"),
        plain("/"),
    )
    bare, wrapped = ask(World(Page(), wrapped=False), *requests), ask(World(Page()), *requests)
    for each in (bare, wrapped):
        for _, headers, _ in each[:-1]:
            headers[:] = [header for header in headers if header[0] != b"Date"]
    assert wrapped == bare
    assert [each[0] for each in wrapped[:-1]] == [200, 200, 501, 500, 200]


def test_head_of_a_resource_that_only_gets() -> None:
    """S12.3: Twisted renders GET again for a HEAD that a resource does not know; it is the same resource then."""

    @implementer(IResource)
    class GetOnly:
        isLeaf = True

        def render(self, request: Any) -> bytes:
            from twisted.web.resource import UnsupportedMethod

            if request.method != b"GET":
                raise UnsupportedMethod([b"GET"])
            return b"twelve bytes"

    root = Resource()
    root.putChild(b"page", GetOnly())  # type: ignore[arg-type]
    client = World(root).client().send(plain("/page", method=b"HEAD"))
    assert client.received.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nContent-Length: 12\r\n" in client.received


def test_context_variables_stay_in_their_request() -> None:
    """S3.2: whatever a plain route sets in its context is gone with its request."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    world = World()
    seen: list[str] = []

    @world.app.route("/page")
    def page(request: Any) -> bytes:
        seen.append(variable.get())
        variable.set("set")
        return b""

    client = world.client()
    client.ask(plain("/page"))
    client.ask(plain("/page"))
    assert seen == ["unset", "unset"]
    assert variable.get() == "unset"


def test_the_context_of_the_server_is_there() -> None:
    """S3.2: a request's context is a copy of the server's, so that what was set around it is still seen."""
    variable: ContextVar[str] = ContextVar("variable")
    world = World()
    seen: list[str] = []

    @world.app.route("/page")
    def page(request: Any) -> bytes:
        seen.append(variable.get())
        return b""

    token = variable.set("outside")
    try:
        world.client().ask(plain("/page"))
    finally:
        variable.reset(token)
    assert seen == ["outside"]


def test_a_foreign_error_page() -> None:
    """S12.3: the answers of other resources are their own."""
    with pytest.warns(DeprecationWarning, match="ErrorPage"):
        root = ErrorPage(418, "Teapot", "short and stout")
    assert World(root).client().ask(plain("/")).status == 418


def test_wrapped_twice() -> None:
    """S12.3: a wrapped application within a wrapped tree works as one that is wrapped once."""
    leaf = Converting(lambda world, request: world.signals.send("local", name="Msg") and b"", scope=Scope.LOCAL)
    world = leaf.world = World(None)
    world.resource = world.signals.resource(leaf)
    client: Client = world.client().open()
    assert client.texts == ["local"]
    client.send(close_frame())
    assert world.client().ask(head("/", ("Origin", "http://other.example"))).status == 403


@pytest.mark.parametrize("kind", [World, BoundedWorld], ids=["embedded", "service"])
def test_deep_paths(kind: type[World]) -> None:
    """S16.4: a path has 1,000 segments at most, for pages and for upgrades; one of more gets 414, and is counted."""
    world = kind()
    if kind is World:
        world.converting()
    client = world.client()
    for request, refusals in ((plain, world.signals.counters.requests_refused), (head, None)):
        assert client.ask(request("/a" * 1_000)).status == 404
        assert client.ask(request("/a" * 1_001)).status == 414
        assert refusals is None or refusals == {414: 1}
    assert world.signals.counters.upgrades_refused == {("UpgradeRefused", 414): 1}


NOT_UTF_8 = ["/%ff", "/ok/%FF", "/%c3", b"/\x9b2J", "/%C0%80", "/%ed%a0%80", "/a%E4/ok"]


@pytest.mark.parametrize("path", NOT_UTF_8)
@pytest.mark.parametrize("kind", [World, BoundedWorld], ids=["embedded", "service"])
def test_paths_that_are_not_utf_8(kind: type[World], path: str | bytes) -> None:
    """S16.7: a path that is not UTF-8 gets 400, one line and a count, no traceback, and its connection goes on."""
    world = kind()
    if kind is World:
        world.converting()
    client = world.client()
    with capturedLogs() as logs:
        for method in (b"GET", b"POST"):
            answer = client.ask(plain(path, method=method))
            assert (answer.status, answer.body) == (400, b"The path is not UTF-8.\n")
        assert client.ask(head(path)).status == 400
    assert failures_in(logs) == []
    assert not any(event.get("isError") for event in logs)
    lines = [formatEvent(event) for event in logs if event.get("kind") == "requests_malformed"]
    assert len(lines) == 3
    assert all(line == printable(line) for line in lines)
    assert world.signals.counters.requests_malformed == 3
    assert client.ask(plain("/ok")).body == b"fine"


def test_paths_that_are_utf_8() -> None:
    """S5.1: a path with other characters than ASCII is the route's; its query is not looked at."""
    world = World()

    @world.app.route("/<name>")
    def named(request: Any, name: str) -> str:
        return name

    for path, expected in (("/gr%C3%BC%C3%9Fe", "grüße"), ("/x?q=%ff", "x")):
        assert world.client().ask(plain(path)).body.decode() == expected
    assert world.signals.counters.requests_malformed == 0


def test_a_flood_of_bad_paths() -> None:
    """S16.7: many of them fill no log."""
    world = World().converting()
    with capturedLogs() as logs:
        for _ in range(30):
            world.client().ask(plain("/%ff"))
    assert len([event for event in logs if event.get("kind") == "requests_malformed"]) == 10
    assert world.signals.counters.requests_malformed == 30

"""Converting in every kind of Klein route: what it may do afterwards, whom its sends reach, and what its end means."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from klein import Klein, Plating
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import Data, File
from twisted.web.template import Element, XMLString, renderer, slot, tags
from web_fakes import Client, World, close_frame, failures_in, head, message, plain
from werkzeug.exceptions import Forbidden

from pode_signals.core.endpoints import Endpoint
from pode_signals.core.model import ClosedBy, Scope, SendMode
from pode_signals.errors import NameRequired, NoCurrentConnection, UpgradeRefused
from pode_signals.hub.connection import SignalConnection
from pode_signals.hub.context import current_route
from pode_signals.ports.listeners import Listener

Converted = Callable[[SignalConnection], Any]


# Kinds of routes. Each converts, waits a second where it can, then calls ``then`` with its connection.


def in_a_def(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    @world.app.route("/msg")
    def route(request: Any) -> Any:
        return then(convert(request))


def in_an_async_def(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    @world.app.route("/msg")
    async def route(request: Any) -> Any:
        connection = convert(request)
        await deferLater(world.clock, 1)
        return then(connection)


def in_an_async_def_that_waits_before(
    world: World, convert: Callable[[Any], SignalConnection], then: Converted
) -> None:
    @world.app.route("/msg")
    async def route(request: Any) -> Any:
        await deferLater(world.clock, 1)
        connection = convert(request)
        await deferLater(world.clock, 1)
        return then(connection)


def in_inline_callbacks(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    @world.app.route("/msg")
    @inlineCallbacks
    def route(request: Any) -> Iterator[Deferred[None]]:
        connection = convert(request)
        yield deferLater(world.clock, 1)
        return then(connection)


def in_a_subroute(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    with world.app.subroute("/msg") as app:

        @app.route("/")
        async def route(request: Any) -> Any:
            connection = convert(request)
            await deferLater(world.clock, 1)
            return then(connection)

    world.path = "/msg/"


def in_a_branch(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    inner = Klein()

    @world.app.route("/msg", branch=True)
    def branch(request: Any) -> Any:
        return inner.resource()

    @inner.route("/socket")
    async def route(request: Any) -> Any:
        connection = convert(request)
        await deferLater(world.clock, 1)
        return then(connection)

    world.path = "/msg/socket"


def on_a_class(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    class Application:
        app = Klein()

        @app.route("/msg")
        async def route(self, request: Any) -> Any:
            connection = convert(request)
            await deferLater(world.clock, 1)
            return then(connection)

    world.app = Application().app


def on_a_plating(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    page = Plating(tags=tags.html(tags.body(tags.div(slot(Plating.CONTENT)))))

    @page.routed(world.app.route("/msg"), tags.p(slot("text")))
    async def route(request: Any) -> Any:
        connection = convert(request)
        await deferLater(world.clock, 1)
        then(connection)
        return {"text": "discarded"}


KINDS = (
    in_a_def,
    in_an_async_def,
    in_an_async_def_that_waits_before,
    in_inline_callbacks,
    in_a_subroute,
    in_a_branch,
    on_a_class,
    on_a_plating,
)

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.replace("_", " "))
each_program = pytest.mark.parametrize(
    ("kind", "wrapped"),
    [(kind, True) for kind in KINDS] + [(kind, False) for kind in (in_a_def, in_an_async_def, in_inline_callbacks)],
    ids=lambda it: it.__name__.replace("_", " ") if callable(it) else "wrapped" if it else "bare",
)


def made(
    kind: Callable[..., None],
    then: Converted = lambda connection: None,
    *,
    wrapped: bool = True,
    scope: Scope = Scope.GLOBAL,
) -> tuple[World, Client]:
    """A world with such a route, and a client whose connection is open; the route waits, unless it is plain."""
    world = World(wrapped=wrapped).listening().listening("/msg/").listening("/msg/socket")

    def convert(request: Any) -> SignalConnection:
        connection = world.signals.convert(request, "Msg", scope=scope, client_id=f"id-{len(world.converted)}")
        world.converted.append(connection)
        return connection

    kind(world, convert, then)
    client = world.client()
    client.send(head(world.path))
    if kind is in_an_async_def_that_waits_before:
        world.turn(1)
    world.turn()
    assert client.answers[-1].status == 101
    return world, client


def end_route(world: World) -> None:
    """Let the route end."""
    world.turn(1)


@each_program
def test_every_kind_of_route(kind: Callable[..., None], wrapped: bool) -> None:
    """S2.1: any kind of route converts; messages come and go while it runs and after it has ended."""
    world, client = made(kind, wrapped=wrapped)
    connection = world.converted[0]
    for text in ("while it runs", "after its end"):
        client.send(message(text))
        world.signals.send(text, name="Msg")
        connection.send(text)
        end_route(world)
    assert world.messages == ["while it runs", "after its end"]
    assert client.texts == ["while it runs"] * 2 + ["after its end"] * 2
    assert connection.is_global
    assert world.signals.count() == 1


@each_program
def test_connection_of(kind: Callable[..., None], wrapped: bool) -> None:
    """S2.5: after convert, connection_of(request) is that connection, also after a wait and after the route's end."""
    requests: list[Any] = []
    world = World(wrapped=wrapped)

    def convert(request: Any) -> SignalConnection:
        requests.append(request)
        assert world.signals.connection_of(request) is None
        connection = world.signals.convert(request, "Msg")
        assert world.signals.connection_of(request) is connection
        return connection

    def then(connection: SignalConnection) -> None:
        world.converted.append(connection)
        assert world.signals.connection_of(requests[0]) is connection

    kind(world, convert, then)
    with capturedLogs() as logged:
        client = world.client().send(head(world.path))
        world.turn(1)
        world.turn(1)
    assert failures_in(logged) == []
    assert client.answers[-1].status == 101
    assert world.signals.connection_of(requests[0]) is world.converted[0]


@each_program
def test_a_local_connection_closes_with_its_route(kind: Callable[..., None], wrapped: bool) -> None:
    """S3.2: it is closed with 1000 when the route ends, is in no registry, and its route sends to it."""
    world, client = made(kind, lambda connection: connection.send("end"), wrapped=wrapped, scope=Scope.LOCAL)
    connection = world.converted[0]
    assert connection.is_local
    assert world.signals.names() == ()
    assert world.signals.connection("Msg", "id-0") is None
    world.signals.send("for everybody", name="Msg")
    world.signals.close("Msg")
    end_route(world)
    world.turn()
    assert client.texts == ["end"]
    assert client.closed == (1000, "")
    client.send(close_frame())
    world.turn()
    assert client.wire.ended == "closed"
    assert connection.closure is not None
    assert (connection.closure.code, connection.closure.by) == (1000, ClosedBy.SERVER)


@each_program
@pytest.mark.parametrize("scope", Scope)
def test_a_route_that_raises(kind: Callable[..., None], scope: Scope, wrapped: bool) -> None:
    """S2.5: a route that raises after converting is logged; a global connection stays, a local one closes with 1011."""

    def then(connection: SignalConnection) -> None:
        raise RuntimeError("after the fact")

    with capturedLogs() as logged:
        world, client = made(kind, then, wrapped=wrapped, scope=scope)
        end_route(world)
        world.turn()
    assert [str(failure.value) for failure in failures_in(logged)] == ["after the fact"]
    assert b"fact" not in client.received
    if scope is Scope.LOCAL:
        assert client.closed == (1011, "")
    else:
        assert client.frames == []
        client.send(message("on"))
        assert world.messages == ["on"]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("kind", [in_a_def, in_an_async_def])
def test_a_route_that_raises_an_http_exception(kind: Callable[..., None], scope: Scope, wrapped: bool) -> None:
    """S2.5: an HTTPException after converting is no answer any more: the same as any other exception."""

    def then(connection: SignalConnection) -> None:
        raise Forbidden("no")

    with capturedLogs() as logged:
        world, client = made(kind, then, wrapped=wrapped, scope=scope)
        end_route(world)
        world.turn()
    assert any("id-0" in str(event) for event in logged)
    assert client.closed == ((1011, "") if scope is Scope.LOCAL else None)


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


@pytest.mark.parametrize("kind", [in_an_async_def, in_inline_callbacks, in_a_subroute, in_a_branch, on_a_plating])
@pytest.mark.parametrize("leave", [Client.leave, Client.reset, lambda client: client.send(close_frame())])
def test_a_client_that_leaves_cancels_its_route(kind: Callable[..., None], leave: Callable[[Client], Any]) -> None:
    """S2.5: a client that goes away cancels a route that still runs, and nothing is logged about it."""
    went_on: list[SignalConnection] = []
    with capturedLogs() as logged:
        world, client = made(kind, went_on.append, scope=Scope.LOCAL)
        leave(client)
        world.turn(10)
    assert went_on == []
    assert failures_in(logged) == []


def test_a_route_that_does_not_let_itself_be_cancelled() -> None:
    """S2.5: a route may end what it has begun; its sends reach nobody then, least of all everybody."""
    world = World().converting("/other")
    other = world.client().open("/other")
    ended: list[Any] = []

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        connection = world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        try:
            await Deferred()
        except CancelledError:
            await deferLater(world.clock, 1)
            ended.append(world.signals.send("private", name="Msg").recipients)
            ended.append(connection.send("private").recipients)

    client = world.client().open()
    client.leave()
    world.turn(1)
    assert ended == [0, 0]
    assert other.texts == []


# Whom the sends of a route reach.


@each_kind
def test_sends_of_a_local_route(kind: Callable[..., None]) -> None:
    """S3.2: signals.send within the converting route reaches its local connection alone, whatever name it gives."""

    def then(connection: SignalConnection) -> None:
        world = connection.hub
        deliveries = [
            world.send("one", name="Msg"),
            world.send("two", name="Other", group="none", client_id="nobody"),
            world.send("three", mode=SendMode.DIRECT),
            world.send("four"),
        ]
        assert [each.recipients for each in deliveries] == [1, 1, 1, 1]
        assert world.send("all", name="Msg", mode=SendMode.BROADCAST).recipients == bystanders
        assert world.send("all", name="Msg", ignore_event=True).recipients == bystanders
        with pytest.raises(NameRequired):
            world.send("nobody", ignore_event=True)

    bystanders = 0
    with capturedLogs() as logged:
        world, client = made(kind, then, scope=Scope.LOCAL)
        world.converting("/bystander")
        other = None
        if kind is not in_a_def and kind is not on_a_class:
            other, bystanders = world.client().open("/bystander"), 1
        end_route(world)
        world.turn()
    assert failures_in(logged) == []
    assert client.texts == ["one", "two", "three", "four"]
    if other is not None:
        assert other.texts == ["all", "all"]


@each_kind
def test_sends_of_a_global_route(kind: Callable[..., None]) -> None:
    """S4.3: a global connection's route broadcasts, and SendMode.DIRECT reaches the connection that it converted."""

    def then(connection: SignalConnection) -> None:
        connection.hub.send("all", name="Msg")
        connection.hub.send("direct", mode=SendMode.DIRECT)
        with pytest.raises(NameRequired):
            connection.hub.send("nobody")

    with capturedLogs() as logged:
        world, client = made(kind, then)
        end_route(world)
        world.turn()
    assert failures_in(logged) == []
    assert client.texts == ["all", "direct"]


@each_kind
def test_nothing_leaks_out_of_a_route(kind: Callable[..., None]) -> None:
    """S3.2: the route's connection is nobody else's: not the reactor's, nor that of requests meanwhile or after."""
    seen: list[Any] = []

    def look() -> None:
        seen.append(current_route.get())
        with pytest.raises(NoCurrentConnection):
            world.signals.send("x", mode=SendMode.DIRECT)
        with pytest.raises(NameRequired):
            world.signals.send("x")

    world, client = made(kind, scope=Scope.LOCAL)

    @world.app.route("/page", endpoint="page")
    def page(request: Any) -> bytes:
        slot = current_route.get()
        assert slot is not None
        assert slot.link is None
        with pytest.raises(NoCurrentConnection):
            world.signals.send("x", mode=SendMode.DIRECT)
        seen.append("page")
        return b""

    look()
    world.clock.callLater(0, look)
    world.turn()
    if kind not in (in_a_def, on_a_class):
        world.client().ask(plain("/page"))
    end_route(world)
    look()
    world.client().ask(plain("/page")) if kind is not on_a_class else None
    assert [each for each in seen if each != "page"] == [None] * 3
    assert client.texts == []


@each_kind
def test_the_end_of_the_route_clears_the_slot(kind: Callable[..., None]) -> None:
    """S3.2: what a route leaves running after its end sends as anybody would, not to the connection that closed."""
    results: list[Any] = []

    def then(connection: SignalConnection) -> None:
        context = contextvars.copy_context()

        def later() -> None:
            results.append(world.signals.send("late", name="Msg").recipients)
            with pytest.raises(NoCurrentConnection):
                world.signals.send("late", mode=SendMode.DIRECT)
            results.append("checked")

        connection.hub.clock.callLater(5, context.run, later)

    world, client = made(kind, then, scope=Scope.LOCAL)
    end_route(world)
    if kind is not on_a_class:
        world.converting("/bystander", client_id="bystander")
        world.client().open("/bystander")
    world.turn(5)
    assert results == [0 if kind is on_a_class else 1, "checked"]
    assert client.texts == []


def test_a_signal_event_comes_before_the_route() -> None:
    """S4.3: functions for a local connection's messages have the event as current, and never the route."""
    world = World()
    seen: list[Any] = []

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        await Deferred()

    @world.signals.route("/msg")
    def on_message(event: Any) -> None:
        seen.append(current_route.get())
        world.signals.send("direct", mode=SendMode.DIRECT)
        seen.append(world.signals.send("by name", name="Msg").recipients)

    @world.signals.on_connect("Msg")
    def connected(event: Any) -> None:
        seen.append(current_route.get())

    client = world.client().open()
    client.send(message("x"))
    assert seen == [None, None, 0]
    assert client.texts == ["direct"]


def test_without_the_wrapper() -> None:
    """S3.2: without signals.resource a local route sends by its connection; signals.send is a broadcast there."""
    world = World(wrapped=False).converting("/global")
    other = world.client().open("/global")

    @world.app.route("/msg")
    def route(request: Any) -> None:
        connection = world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        connection.send("local")
        world.signals.send("global", name="Msg")
        with pytest.raises(NameRequired):
            world.signals.send("nobody")

    client = world.client().open()
    world.turn()
    assert client.texts == ["local"]
    assert other.texts == ["global"]
    with pytest.raises(NameRequired):
        world.signals.send("nobody")


@pytest.mark.parametrize(("name", "status"), [("admin", 200), ("other", 404), (None, 404), ("foreign", 404)])
def test_routes_of_some_endpoints(name: str | None, status: int) -> None:
    """S1.4: a route that is tied to endpoints serves these alone; others, and a server of one's own, get a 404."""
    world = World(wrapped=False)

    @world.app.route("/admin")
    @world.signals.only_on("admin", "console")
    def admin(request: Any) -> bytes:
        return b"for " + request.path

    listener = None if name == "foreign" else Listener((Endpoint("http", address="*", name=name),))
    root = IResource(world.app.resource())
    served = World(world.signals.resource(root, listener=listener), wrapped=False)
    answer = served.client().ask(plain("/admin"))
    assert answer.status == status
    assert (answer.body == b"for /admin") is (status == 200)


def test_a_method_of_some_endpoints() -> None:
    """S1.4: a route that is a method can be tied to endpoints too."""
    world = World(wrapped=False)

    class Admin:
        app = Klein()

        @app.route("/admin")
        @world.signals.only_on("admin")
        def admin(self, request: Any) -> bytes:
            return type(self).__name__.encode()

    listener = Listener((Endpoint("http", address="*", name="admin"),))
    root = IResource(Admin().app.resource())
    served = World(world.signals.resource(root, listener=listener), wrapped=False)
    assert served.client().ask(plain("/admin")).body == b"Admin"


class Said:
    """An object that can be called."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, request: Any) -> bytes:
        return self.text.encode()


class LateSaid(Said):
    async def __call__(self, request: Any) -> bytes:  # type: ignore[override]
        return self.text.encode()


def said(text: str, request: Any) -> bytes:
    """A page."""
    return text.encode()


@pytest.mark.parametrize(
    "made",
    [Said, LateSaid, lambda text: partial(said, text), lambda text: lambda request: text.encode()],
    ids=["object", "asynchronous object", "partial", "lambda"],
)
def test_pages_without_a_name_of_their_own(made: Callable[[str], Any]) -> None:
    """S1.4: what can be called and has no name of its own can be tied to endpoints; each is a route of its own."""
    world = World(wrapped=False)
    for path in ("/one", "/two"):
        world.app.route(path)(world.signals.only_on("admin")(made(path)))
    listener = Listener((Endpoint("http", address="*", name="admin"),))
    root = IResource(world.app.resource())
    served = World(world.signals.resource(root, listener=listener), wrapped=False)
    assert [served.client().ask(plain(path)).body for path in ("/one", "/two")] == [b"/one", b"/two"]


def test_the_default_scope() -> None:
    """S3.1: default_scope is what a conversion that names no scope gets; it can be read and changed."""
    world = World().converting().converting("/global", scope=Scope.GLOBAL)
    assert world.signals.default_scope is Scope.GLOBAL
    world.signals.default_scope = Scope.LOCAL
    assert world.client().open().closed == (1000, "")
    assert world.client().open("/global").frames == []
    assert world.signals.default_scope is Scope.LOCAL
    assert [each.scope for each in world.converted] == [Scope.LOCAL, Scope.GLOBAL]


def test_events_and_messages_of_local_connections() -> None:
    """S3.2: Connect and Disconnect fire for local connections too, and their messages reach signal routes."""
    world = World().listening()
    events: list[Any] = []
    world.signals.on_connect("Msg")(lambda event: events.append(event.type.value))
    world.signals.on_disconnect("Msg")(lambda event: events.append((event.type.value, event.connection.closure.code)))

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        await deferLater(world.clock, 1)

    client = world.client().open()
    client.send(message("x"))
    world.turn(1)
    client.send(close_frame(1000))
    world.turn()
    assert world.messages == ["x"]
    assert events == ["connect", ("disconnect", 1000)]


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
    client = two.client().open()
    client.send(message("x"))
    two.turn(1)
    assert results == [None, True, 0, 1, "checked"]
    assert client.texts == ["two"]
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

    clients = [two.client().open("/one"), two.client().open("/two")]
    two.turn(1)
    assert [client.texts for client in clients] == [["from one"], ["from two"]]


def test_a_refusal_in_a_route_that_waited() -> None:
    """S2.2: a refusal after an await is rendered like any other, with keep-alive intact."""
    world = World()

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        await deferLater(world.clock, 1)
        world.signals.convert(request, "Msg")

    client = world.client().send(head("/msg", ("Origin", "http://other.example")))
    world.turn(1)
    assert client.answers[-1].status == 403
    client.send(head())
    world.turn(1)
    assert client.answers[-1].status == 101


def test_a_route_that_goes_on_after_a_refusal() -> None:
    """S2.2: a route may catch the refusal and serve a page to browsers that only look."""
    world = World()

    @world.app.route("/msg")
    def route(request: Any) -> bytes:
        try:
            world.signals.convert(request, "Msg")
        except UpgradeRefused as refused:
            return f"{refused.code}: this is where the sockets are".encode()
        return b""

    client = world.client()
    assert client.ask(plain("/msg")).body == b"426: this is where the sockets are"
    client.open()

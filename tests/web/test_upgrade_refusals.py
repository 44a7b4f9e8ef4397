"""What can't become a connection, one of each kind, in each way that a program can convert, and what goes on.

``tests/core/test_upgrade.py`` has every row, and what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from bounded import BoundedWorld
from heads import head_in
from klein import Klein
from refused_requests import ROWS, Row
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import Resource
from web_fakes import Answer, Client, World, failures_in, head, message, plain
from werkzeug.exceptions import HTTPException

from pode_signals.core.endpoints import Endpoint
from pode_signals.core.model import Scope
from pode_signals.core.upgrade import UpgradeRules, check
from pode_signals.errors import (
    AlreadyConverted,
    ClientGone,
    ClientIdInUse,
    ClientIdInvalid,
    NameInvalid,
    NotInReactorThread,
    OriginRefused,
    PodeSignalsError,
    ResponseStarted,
    TooManyConnections,
    UpgradeRefused,
)


class Converting(Resource):
    """A plain resource that converts every request but ``/ok``.

    Args:
        signals: the hub.
        renders: whether it renders refusals itself, as it has to without ``signals.resource(…)``.
        arguments: for ``convert``.
    """

    isLeaf = True

    def __init__(self, signals: Any, arguments: dict[str, Any], *, renders: bool) -> None:
        super().__init__()
        self._signals, self._arguments, self._renders = signals, arguments, renders

    def render(self, request: Any) -> bytes:
        if request.path == b"/ok":
            return b"fine"
        try:
            self._signals.convert(request, **self._arguments)
        except UpgradeRefused as refused:
            if self._renders:
                return refused.render(request)
            raise
        return b""


PROGRAMS = ("Klein", "Klein, wrapped", "resource", "resource, wrapped")


def program(kind: str, arguments: dict[str, Any] | None = None, **settings: Any) -> World:
    """A world whose ``/msg`` converts, in one of four ways; ``/ok`` is an ordinary page, ``/good`` always converts."""
    world = World(wrapped=kind.endswith("wrapped"), **settings)
    chosen = {"name": "Msg", **(arguments or {})}
    if kind.startswith("Klein"):
        world.converting(**chosen)
    else:
        world.resource = Converting(world.signals, chosen, renders=kind == "resource")
    return world


def _check_refusal(answer: Answer, status: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
    assert answer.status == status
    assert [(name, answer.value(name)) for name, _ in headers] == list(headers)
    assert answer.value("Content-Type") == "text/plain; charset=utf-8"
    text = answer.body.decode("ascii")
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    assert not any(word in text for word in ("Traceback", "Error", "Refused", "Invalid(", "<", "File "))


def _check_keep_alive(world: World, client: Client) -> None:
    """The same socket is good for a page and for a conversion after all, and nothing was logged as a failure."""
    assert client.wire.ended is None
    page = client.ask(plain("/ok"))
    assert (page.status, page.body) == (200, b"fine")
    assert client.ask(head("/msg", ("Origin", "http://example.com"))).status == 101


def _said(row: Row) -> str | None:
    try:
        check(head_in(row.request), UpgradeRules())
    except UpgradeRefused as refused:
        return refused.description
    raise AssertionError(row)


ONE_OF_EACH = list({_said(row): row for row in ROWS}.values())


@pytest.mark.parametrize("row", ONE_OF_EACH, ids=str)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_refused(kind: str, row: Row) -> None:
    """S2.2: what can't be upgraded gets its own answer as plain text, and the socket goes on."""
    world = program(kind)
    neighbour = world.client()
    client = world.client()
    with capturedLogs() as logged:
        neighbour.ask(plain("/ok"))
        answer = client.ask(row.request)
        _check_refusal(answer, row.status, row.headers)
        _check_keep_alive(world, client)
        assert neighbour.ask(head()).status == 101
    assert failures_in(logged) == []
    counters = world.signals.counters
    is_upgrade = row.what != "no upgrade"
    assert sum(counters.upgrades_refused.values()) == is_upgrade
    assert counters.requests_refused == ({} if is_upgrade else {row.status: 1})
    assert counters.connections_opened == 2


@pytest.mark.parametrize("bad", [0x85, 0xA0, 0xFF])
@pytest.mark.parametrize("kind", ["resource", "resource, wrapped"])
def test_a_host_beyond_ascii(kind: str, bad: int) -> None:
    """S2.2: a Host with such a byte gets 400. (Klein answers 400 by itself to each request that has one.)"""
    answer = program(kind).client().ask(head("/msg", ("Host", b"example" + bytes((bad,)) + b".com")))
    _check_refusal(answer, 400)


def test_a_fragment() -> None:
    """S2.2: a target with a fragment is malformed (RFC 6455 section 3)."""
    _check_refusal(program("resource, wrapped").client().ask(head("/msg#here")), 400)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_head_gets_405_without_a_body(kind: str) -> None:
    """S2.2: HEAD is not GET."""
    world = program(kind)
    client = world.client().send(head(method=b"HEAD"))
    world.turn()
    assert client.received.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET\r\n" in client.received
    assert client.received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("kind", PROGRAMS)
def test_http_1_0_gets_505(kind: str) -> None:
    """S2.2: an upgrade needs HTTP/1.1."""
    world = program(kind)
    _check_refusal(world.client().ask(head(version=b"HTTP/1.0")), 505)


@pytest.mark.parametrize("origin", ["", "example.com", "http://example.com/", "http://a b", "Null"])
def test_a_malformed_origin_is_refused_where_every_origin_may_connect(origin: str) -> None:
    """S2.2: a malformed Origin gets 400 whatever the settings say."""
    world = program("Klein", allowed_origins=["*"], allow_null_origin=True)
    assert world.client().ask(head("/msg", ("Origin", origin))).status == 400


@pytest.mark.parametrize(
    "origin", ["http://example.com", "HTTP://EXAMPLE.COM", "http://example.com:80", "https://example.com"]
)
def test_the_pages_own_origin_passes(origin: str) -> None:
    """S2.2: a page of this host may connect."""
    world = program("Klein")
    assert world.client().ask(head("/msg", ("Origin", origin))).status == 101


@pytest.mark.parametrize("origin", ["null", "file://", "chrome-extension://abcdefgh", "http://[2001:db8::1]:8080"])
def test_well_formed_origins_can_be_allowed(origin: str) -> None:
    """S2.2: an unusual Origin is not malformed for that."""
    world = program("Klein", allowed_origins=["*"], allow_null_origin=True)
    assert world.client().ask(head("/msg", ("Origin", origin))).status == 101


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("/msg", ("Upgrade", "WebSocket"), ("Connection", "UPGRADE")),
        head("/msg", ("Upgrade", "h2c, websocket"), ("Connection", "close, upgrade")),
        head("/msg", ("Upgrade", "h2c"), ("Upgrade", "websocket")),
        head("/msg", ("Connection", "keep-alive"), ("Connection", "Upgrade")),
        head("/msg", ("Content-Length", "0")),
        head("/msg", ("Host", "EXAMPLE.com.:8091")),
        head("/msg", ("Host", "[::1]:8091")),
        head("/msg", ("Origin", "http://example.com\t")),
        head("/msg", ("X-Name", "caf\u00e9")),
        head("/msg", ("X-Name", b"\x0b\x0c\x1c\x85")),
        head("/msg?a=b"),
    ],
)
def test_good_requests(request_bytes: bytes) -> None:
    """S2.2: what is allowed is not refused: lists, any case, an empty body, odd bytes in headers of others."""
    assert program("Klein").client().ask(request_bytes).status == 101


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize(
    ("arguments", "settings", "error", "status"),
    [
        ({"client_id": "one"}, {"duplicate_client_id": "refuse"}, ClientIdInUse, 409),
        ({}, {"max_connections": 1}, TooManyConnections, 503),
        ({}, {"max_connections_per_address": 1}, TooManyConnections, 429),
    ],
)
def test_limits(
    kind: str, arguments: dict[str, Any], settings: dict[str, Any], error: type[UpgradeRefused], status: int
) -> None:
    """S2.2: over a limit the newcomer gets 409, 503 or 429, the latter two with Retry-After, until there is room."""
    world = program(kind, arguments, **settings)
    first = world.client().open()
    client = world.client()
    answer = client.ask(head())
    _check_refusal(answer, status)
    assert (answer.value("Retry-After") or "").isdigit() is (status != 409)
    assert world.signals.counters.upgrades_refused == {(error.__name__, status): 1}
    assert first.wire.ended is None
    first.leave()
    assert client.ask(head()).status == 101


def test_the_limit_of_one_address_is_not_that_of_another() -> None:
    """S2.2: 429 is for one address."""
    world = program("Klein", max_connections_per_address=1)
    world.client("203.0.113.7").open()
    world.client("203.0.113.8").open()
    assert world.client("203.0.113.7").ask(head()).status == 429


def test_the_limit_of_names() -> None:
    """S2.2: over the limit of names a new one gets 503; one that is there takes more connections."""
    world = World(max_names=1).converting().converting("/other", "Other")
    world.client().open()
    answer = world.client().ask(head("/other"))
    _check_refusal(answer, 503)
    assert (answer.value("Retry-After") or "").isdigit()
    world.client().open()


BAD_TEXTS = ("", "x" * 129, "a\nb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b", "\ud800")


@pytest.mark.parametrize("argument", ["name", "group", "client_id"])
@pytest.mark.parametrize("text", BAD_TEXTS, ids=ascii)
def test_bad_names(argument: str, text: str) -> None:
    """S2.2: a name, group or client id that is empty, too long or has control characters gets 400."""
    world = program("resource, wrapped", {argument: text})
    client = world.client()
    _check_refusal(client.ask(head()), 400)
    assert client.ask(plain("/ok")).status == 200
    assert world.signals.count() == 0


@pytest.mark.parametrize("text", BAD_TEXTS, ids=ascii)
def test_a_bad_group_among_several(text: str) -> None:
    """S2.2: one bad group among several gets 400."""
    world = program("resource, wrapped", {"group": ["good", text]})
    _check_refusal(world.client().ask(head()), 400)
    assert world.signals.count() == 0


def test_too_many_groups() -> None:
    """P89: more groups than max_groups are a ValueError of convert before anything is written; the request goes on."""
    world = World()
    groups = [str(number) for number in range(101)]

    @world.app.route("/msg")
    def route(request: Any) -> None:
        with pytest.raises(ValueError, match=r"^a connection may be in 100 groups at most \(max_groups\)$"):
            world.signals.convert(request, "Msg", group=groups)
        world.converted.append(world.signals.convert(request, "Msg", group=groups[1:]))

    world.client().open()
    assert world.converted[0].groups == tuple(groups[1:])


def test_a_bad_name_is_a_value_error_too() -> None:
    """S2.2: NameInvalid is a ValueError and a refusal."""
    caught = _raised_by(lambda world, request: world.signals.convert(request, ""))
    assert isinstance(caught, NameInvalid)
    assert isinstance(caught, ValueError)
    assert isinstance(caught, UpgradeRefused)


def test_longest_names_and_integers() -> None:
    """S2.2: 128 characters are good, and an int client id is its text."""
    world = World().converting(name="n" * 128, group="g" * 128, client_id=4711)
    world.client().open()
    assert world.converted[0].client_id == "4711"
    assert world.signals.client_ids("n" * 128, "g" * 128) == ("4711",)


@pytest.mark.parametrize("client_id", ["s:one.AAAA", "s:one", "s:"])
@pytest.mark.parametrize("signed", [False, True])
def test_forged_ids(client_id: str, signed: bool) -> None:
    """S2.2: a client id that looks signed and is not gets 400."""
    world = World().converting(client_id=client_id)
    if signed:
        world.signals.enable_signing("x" * 32)
    _check_refusal(world.client().ask(head()), 400)
    assert world.signals.counters.upgrades_refused == {(ClientIdInvalid.__name__, 400): 1}


def test_http_2_gets_426() -> None:
    """S2.2: behind a foreign Site that speaks HTTP/2 an upgrade gets 426."""

    class Stream:
        """A channel that is none of HTTP/1.1's."""

        def isSecure(self) -> bool:
            return True

    def convert(world: World, request: Any) -> None:
        channel, request.channel = request.channel, Stream()
        try:
            world.signals.convert(request, "Msg")
        finally:
            request.channel = channel

    caught = _raised_by(convert)
    assert isinstance(caught, UpgradeRefused)
    assert caught.code == 426
    assert ("Upgrade", "websocket") in caught.headers


def test_refusals_have_types_of_their_own() -> None:
    """S2.2: a program can tell refusals apart, and handle them in Klein's handle_errors."""
    app = Klein()
    world = World(app.resource())
    seen: list[UpgradeRefused] = []

    @app.route("/msg")
    def convert(request: Any) -> None:
        world.signals.convert(request, "Msg")

    @app.handle_errors(OriginRefused)
    def refused(request: Any, failure: Any) -> bytes:
        seen.append(failure.value)
        request.setResponseCode(418)
        return b"no tea"

    client = world.client()
    answer = client.ask(head("/msg", ("Origin", "http://other.example")))
    assert (answer.status, answer.body) == (418, b"no tea")
    assert [type(each) for each in seen] == [OriginRefused]
    client.open()


def test_convert_writes_nothing_when_it_refuses() -> None:
    """S2.2: the refusal is raised, and the route may answer as it likes."""
    world = World()

    @world.app.route("/msg")
    def convert(request: Any) -> bytes:
        with pytest.raises(UpgradeRefused):
            world.signals.convert(request, "Msg")
        return b"a page instead"

    client = world.client()
    answer = client.ask(plain("/msg"))
    assert (answer.status, answer.body) == (200, b"a page instead")


# The log line, the count and the answer of a refusal.

EVIL = ("Origin", "http://evil.example")
ON_CHAT = [Endpoint(each, hostname="chat.example.com") for each in ("http", "ws")]


@pytest.mark.parametrize(
    ("request_bytes", "endpoints", "answer", "line"),
    [
        (
            head("/msg?token=secret", EVIL),
            None,
            (403, b"This origin may not connect.\n"),
            "refused an upgrade of /msg with 403: This origin may not connect."
            ' (Origin: "http://evil.example", Host: "example.com"; see allowed_origins)',
        ),
        (
            head("/msg", ("Host", "evil.example")),
            ON_CHAT,
            (421, b"This Host is not served here.\n"),
            "refused an upgrade of /msg with 421: This Host is not served here."
            ' (Host: "evil.example"; an endpoint serves the Host in its hostname=, and on loopback without hostname='
            " localhost alone)",
        ),
        (
            head("/msg", ("Sec-WebSocket-Version", "x")),
            None,
            (400, b"The Sec-WebSocket-Version is malformed.\n"),
            'refused an upgrade of /msg with 400: The Sec-WebSocket-Version is malformed. (Sec-WebSocket-Version: "x")',
        ),
        (
            head("/msg", ("Connection", b"Upgrade, \x01")),
            None,
            (400, b"A header has a character that it must not have.\n"),
            "refused an upgrade of /msg with 400: A header has a character that it must not have."
            ' (Connection: "Upgrade, \\u0001")',
        ),
    ],
)
def test_the_line_of_a_refusal(
    request_bytes: bytes, endpoints: list[Endpoint] | None, answer: tuple[int, bytes], line: str
) -> None:
    """S20.2: the client reads why, and the log has the header, its value and the setting; never the query."""
    world = BoundedWorld(endpoints=endpoints)
    with capturedLogs() as logs:
        found = world.client().ask(request_bytes)
    assert (found.status, found.body) == answer
    assert [formatEvent(event) for event in logs if "kind" in event] == [line]


def test_a_request_that_was_changed_on_its_way() -> None:
    """S16.6: convert judges a request as it is then: a resource before the route may have set its Host."""
    world = program("resource, wrapped")
    root = world.resource

    class Monster(Resource):
        """Takes the Host from the path, as Twisted's VHostMonsterResource does."""

        isLeaf = True

        def render(self, request: Any) -> Any:
            request.requestHeaders.setRawHeaders(b"Host", [b"chat.example.com"])
            return root.render(request)

    world.resource = Monster()
    assert world.client().ask(head("/msg", ("Origin", "http://chat.example.com"))).status == 101
    assert world.client().ask(head("/msg", ("Origin", "http://example.com"))).status == 403


# Mistakes of the program.


def _failing(convert: Callable[[World, Any], object], error: type[Exception]) -> str:
    """What the log says of a route that makes a mistake: its client gets 500, and nothing of it."""
    world = World()

    @world.app.route("/msg")
    def route(request: Any) -> bytes:
        convert(world, request)
        return b""

    with capturedLogs() as logs:
        answer = world.client().ask(head())
    assert answer.status == 500
    assert world.signals.count() == 0
    (failure,) = failures_in(logs)
    assert failure.check(error)
    text = failure.getErrorMessage()
    assert text.encode() not in answer.body
    return text


@pytest.mark.parametrize(
    ("convert", "error", "text"),
    [
        (
            lambda signals, request: signals.convert("Msg", request),
            TypeError,
            "convert takes the request first and the name second: signals.convert(request, name)",
        ),
        (
            lambda signals, request: signals.convert(None, "Msg"),
            TypeError,
            "convert takes a twisted.web request, not NoneType",
        ),
        (lambda signals, request: signals.convert(request, None), TypeError, "the name has to be a str, not NoneType"),
        (lambda signals, request: signals.convert(request, b"Msg"), TypeError, "the name has to be a str, not bytes"),
        (
            lambda signals, request: signals.convert(request, "Msg", group=7),
            TypeError,
            "the group has to be a str or several of them, not int",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", group=["red", None]),
            TypeError,
            "each group has to be a str, not NoneType",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", client_id=UUID(int=0)),
            TypeError,
            "the client id has to be a str or an int, not UUID",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", scope="world"),
            ValueError,
            "the scope has to be one of global, local, not 'world'",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", scope=True),
            ValueError,
            "the scope has to be one of global, local, not True",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", subprotocols="chat"),
            TypeError,
            "subprotocols has to be a list of str, not str",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", subprotocols=7),
            TypeError,
            "subprotocols has to be a list of str, not int",
        ),
        (
            lambda signals, request: signals.convert(request, "Msg", subprotocols=[b"chat"]),
            TypeError,
            "the subprotocol has to be a str, not bytes",
        ),
        (
            lambda signals, request: signals.connection_of("Msg"),
            TypeError,
            "connection_of takes a twisted.web request, not str",
        ),
        (
            lambda signals, request: signals.new_client_id("ada", "Msg"),
            TypeError,
            "new_client_id takes a twisted.web request, not str",
        ),
        (
            lambda signals, request: signals.client_address("203.0.113.7"),
            TypeError,
            "client_address takes a twisted.web request, not str",
        ),
    ],
)
def test_arguments_of_a_wrong_type(convert: Callable[[Any, Any], object], error: type[Exception], text: str) -> None:
    """S20.1: arguments in the wrong order or of a wrong type are a sentence at the line that gave them."""
    assert _failing(lambda world, request: convert(world.signals, request), error) == text


def test_a_mistake_is_one_for_every_request() -> None:
    """S20.1: a wrong argument is told with the first request, also with one that can't be upgraded."""
    world = World()

    @world.app.route("/msg")
    def route(request: Any) -> bytes:
        with pytest.raises(TypeError, match="the name has to be a str"):
            world.signals.convert(request, 7)  # type: ignore[arg-type]
        return b"a page"

    assert world.client().ask(plain("/msg")).body == b"a page"


@pytest.mark.parametrize("scope", ["local", Scope.LOCAL])
def test_a_scope_and_its_text(scope: str | Scope) -> None:
    """S3.1: a scope is taken as the enum and as its text alike."""
    world = World().converting(scope=scope)
    world.client().open()
    assert world.converted[0].scope is Scope.LOCAL


def test_in_a_thread() -> None:
    """S20.1: convert in a thread fails with a sentence that says where it belongs, and what does go to a thread."""

    def convert(world: World, request: Any) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(world.signals.convert, request, "Msg").result()

    assert _failing(convert, NotInReactorThread) == (
        "convert runs in the reactor's thread only: call it in the route itself, and defer only the work that takes"
        " long to a thread (deferToThread)"
    )


def _raised_by(convert: Callable[[World, Any], object]) -> BaseException:
    """What a conversion raises inside a Klein route."""
    world = World()
    raised: list[BaseException] = []

    @world.app.route("/msg")
    def route(request: Any) -> bytes:
        try:
            convert(world, request)
        except (HTTPException, PodeSignalsError) as error:
            raised.append(error)
        return b""

    world.client().ask(head())
    return raised[0]


def test_twice() -> None:
    """S2.7: converting twice raises AlreadyConverted, also with another hub; the first connection is as it was."""
    other = World().signals

    def convert(world: World, request: Any) -> None:
        world.signals.convert(request, "Msg")
        with pytest.raises(AlreadyConverted):
            other.convert(request, "Msg")
        world.signals.convert(request, "Other")

    assert isinstance(_raised_by(convert), AlreadyConverted)

    world = World().listening()

    @world.app.route("/msg")
    def route(request: Any) -> None:
        world.signals.convert(request, "Msg")
        world.signals.convert(request, "Msg")

    client = world.client().open()
    client.send(message("still there"))
    assert world.messages == ["still there"]
    assert world.signals.names() == ("Msg",)


def test_after_the_connection_ended() -> None:
    """S2.7: a connection that was converted and is gone is still AlreadyConverted, not ClientGone."""
    world = World()
    kept: list[Any] = []

    @world.app.route("/msg")
    def route(request: Any) -> None:
        kept.append(request)
        world.signals.convert(request, "Msg")

    world.client().open().leave()
    with pytest.raises(AlreadyConverted):
        world.signals.convert(kept[0], "Msg")


def test_after_the_response_started() -> None:
    """S2.7: once the route has written, converting raises ResponseStarted and leaves the response alone."""

    def convert(world: World, request: Any) -> None:
        request.write(b"Hello")
        world.signals.convert(request, "Msg")

    assert isinstance(_raised_by(convert), ResponseStarted)


def test_after_the_response_ended() -> None:
    """S2.7: after the response's end it is ResponseStarted as well."""
    world = World()
    kept: list[Any] = []

    @world.app.route("/msg")
    def route(request: Any) -> bytes:
        kept.append(request)
        return b"done"

    assert world.client().ask(head()).body == b"done"
    with pytest.raises(ResponseStarted):
        world.signals.convert(kept[0], "Msg")


def test_client_gone() -> None:
    """S2.7: the client left before the conversion: ClientGone."""
    world = World()
    kept: list[Any] = []

    @world.app.route("/msg")
    def route(request: Any) -> Deferred[None]:
        kept.append(request)
        return Deferred()

    client = world.client().send(head())
    client.leave()
    with pytest.raises(ClientGone):
        world.signals.convert(kept[0], "Msg")
    assert world.signals.open_connections() == ()

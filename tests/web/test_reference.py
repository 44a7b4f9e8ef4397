"""Requests that refer to an open connection by X-PODE-SIGNAL-CLIENT-ID: what they get, and that ids can't be probed."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY
from urllib.parse import quote

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import Answer, Client, World, close_frame, failures_in, head, plain

from pode_signals.core.model import Scope
from pode_signals.errors import ClientIdInvalid

ID, NAME, GROUP = "X-PODE-SIGNAL-CLIENT-ID", "X-PODE-SIGNAL-NAME", "X-PODE-SIGNAL-GROUP"


class Shop:
    """An application with a socket and a page that answers through it.

    Attributes:
        world: the world.
        seen: what ``connection_of`` told the page, in order.
    """

    def __init__(self, **settings: Any) -> None:
        self.world = World(**settings)
        self.seen: list[Any] = []
        signals, app = self.world.signals, self.world.app

        @app.route("/socket/<name>")
        def socket(request: Any, name: str) -> None:
            given = {key.decode(): values[0].decode("utf-8") for key, values in request.args.items()}
            self.world.converted.append(signals.convert(request, name, **given))

        @app.route("/local")
        async def local(request: Any) -> None:
            signals.convert(request, "Local", client_id="local", scope=Scope.LOCAL)
            await Deferred()

        @app.route("/page", methods=["GET", "POST"])
        def page(request: Any) -> bytes:
            connection = signals.connection_of(request)
            self.seen.append(connection)
            if connection is not None:
                connection.send("an answer")
            return b"page"

        @app.handle_errors(ClientIdInvalid)
        def refused(request: Any, failure: Any) -> bytes:
            request.setResponseCode(400)
            return b"handled"

    def open(self, name: str, client_id: str, group: str | None = None) -> Client:
        """A connection of this name and id."""
        query = f"client_id={quote(client_id)}" + ("" if group is None else f"&group={quote(group)}")
        return self.world.client().open(f"/socket/{quote(name)}?{query}")

    def ask(self, *headers: tuple[str | bytes, str | bytes]) -> Answer:
        """What the page answers to a request with these headers."""
        return self.world.client().ask(plain("/page", *headers))


def check_refused(answer: Answer) -> None:
    """The one answer to each bad reference."""
    assert (answer.status, answer.body) == (400, b"The client id is not valid.\n")
    assert answer.value("Content-Type") == "text/plain; charset=utf-8"


def test_without_the_header() -> None:
    """S15.1: a request without the header refers to nothing; name and group alone are ignored."""
    shop = Shop()
    shop.open("Shop", "one", "Group")
    assert shop.ask().status == 200
    assert shop.ask((NAME, "Shop"), (GROUP, "Group")).status == 200
    assert shop.ask((NAME, "%ff")).status == 200
    assert shop.seen == [None, None, None]


def test_a_reference() -> None:
    """S15.1: connection_of is the open global connection, through which the page answers."""
    shop = Shop()
    client = shop.open("Shop", "one", "Group")
    for headers in (
        [(ID, "one")],
        [(ID.lower(), " one ")],
        [(ID, "one"), (NAME, "Shop")],
        [(ID, "one"), (GROUP, "Group")],
        [(ID, "one"), (NAME, "Other, Shop"), (GROUP, "Else,Group ,")],
        [(ID, "one"), (NAME, "Other"), (NAME, "Shop")],
        [(ID, "one"), (NAME, ""), (GROUP, " , ")],
    ):
        assert shop.ask(*headers).status == 200
    assert shop.seen == shop.world.converted * 7
    assert shop.seen[0].is_global
    assert client.texts == ["an answer"] * 7


def test_several_groups() -> None:
    """S15.1: a connection is referred to by any of its groups of now, in a list as its 101 has it."""
    shop = Shop()
    shop.open("Shop", "one", "Gr\u00fcn, hell")
    shop.world.converted[0].join("red")
    good = ["red", "Gr%C3%BCn%2C hell", "Gr%C3%BCn%2C hell,red", "Else, red"]
    assert [shop.ask((ID, "one"), (GROUP, groups)).status for groups in good] == [200] * 4
    shop.world.converted[0].leave("red")
    assert shop.ask((ID, "one"), (GROUP, "Gr%C3%BCn%2C hell,red")).status == 200
    check_refused(shop.ask((ID, "one"), (GROUP, "red")))
    check_refused(shop.ask((ID, "one"), (GROUP, "Gr%C3%BCn, hell")))


def test_a_post() -> None:
    """S15.1: any method may refer."""
    shop = Shop()
    shop.open("Shop", "one")
    answer = shop.world.client().ask(plain("/page", (ID, "one"), method=b"POST", body=b"data"))
    assert answer.status == 200
    assert shop.seen == shop.world.converted


BAD = [
    [(ID, "two")],
    [(ID, "ONE")],
    [(ID, "")],
    [(ID, "one,one")],
    [(ID, "one"), (ID, "one")],
    [(ID, "s:one.AAAA")],
    [(ID, "x" * 129)],
    [(ID, "%00")],
    [(ID, "%ff")],
    [(ID, "one%")],
    [(ID, b"one\xff")],
    [(ID, "local")],
    [(ID, "one"), (NAME, "Other")],
    [(ID, "one"), (NAME, "shop")],
    [(ID, "one"), (NAME, "%ff")],
    [(ID, "one"), (GROUP, "Other")],
    [(ID, "one"), (GROUP, "%ff")],
    [(ID, "one"), (NAME, "Shop"), (GROUP, "Other")],
    [(ID, "twice")],
    [(ID, "twice"), (NAME, "A, B")],
    [(ID, "gone")],
]


@pytest.mark.parametrize("headers", BAD, ids=str)
def test_bad_references(headers: list[tuple[str, str | bytes]]) -> None:
    """S15.1: forged, unknown, local, gone and ambiguous get the same 400, and no route runs; the socket goes on."""
    shop = Shop()
    shop.open("Shop", "one", "Group")
    shop.open("A", "twice")
    shop.open("B", "twice")
    shop.world.client().open("/local")
    shop.open("Shop", "gone").leave()
    client = shop.world.client()
    with capturedLogs() as logged:
        check_refused(client.ask(plain("/page", *headers)))
    assert failures_in(logged) == []
    assert shop.seen == []
    assert shop.world.signals.counters.references_refused == 1
    assert client.ask(plain("/page")).status == 200
    assert shop.seen == [None]


def test_a_name_makes_it_unambiguous() -> None:
    """S15.1: an id that several names have needs the name."""
    shop = Shop()
    shop.open("A", "twice", "G")
    shop.open("B", "twice", "H")
    check_refused(shop.ask((ID, "twice")))
    assert shop.ask((ID, "twice"), (NAME, "B")).status == 200
    assert shop.ask((ID, "twice"), (GROUP, "G")).status == 200
    assert [each.name for each in shop.seen] == ["B", "A"]


def test_a_connection_that_closes() -> None:
    """S15.1: a connection that is closing is referred to no more, though its transport is not gone yet."""
    shop = Shop()
    client = shop.open("Shop", "one")
    shop.world.signals.close("Shop")
    assert client.wire.ended is None
    check_refused(shop.ask((ID, "one")))


@pytest.mark.parametrize("text", ["Z\u00fcge", "a, b", "100 %", "\u65e5\u672c", "%41"])
def test_the_headers_of_the_101_come_back(text: str) -> None:
    """S15.1: what the 101 said can be sent back as it is, percent-encoded where it was."""
    shop = Shop()
    client = shop.open(text, text, text)
    answer = client.answers[-1]
    assert shop.ask(*((name, answer.value(name) or "") for name in (ID, NAME, GROUP))).status == 200
    assert shop.seen == shop.world.converted


def test_signed_ids() -> None:
    """S15.1: with signing on the id has to be the one that was issued."""
    shop = Shop()
    shop.world.signals.enable_signing("x" * 32)
    client = shop.open("Shop", "one")
    issued = client.answers[-1].value(ID) or ""
    for bad in ("one", issued[:-1], issued + "=", issued.replace("one", "two"), "s:one."):
        check_refused(shop.ask((ID, bad)))
    assert shop.ask((ID, issued)).status == 200
    assert shop.seen == shop.world.converted


def test_strictly_signed_ids() -> None:
    """S15.1: with strict signing the request has to come from the same agent and address."""
    shop = Shop()
    shop.world.signals.enable_signing("x" * 32, strict=True)
    client = shop.world.client().open("/socket/Shop?client_id=one", ("User-Agent", "agent"))
    issued = client.answers[-1].value(ID) or ""
    assert shop.ask((ID, issued), ("User-Agent", "agent")).status == 200
    check_refused(shop.ask((ID, issued)))
    check_refused(shop.ask((ID, issued), ("User-Agent", "other")))
    elsewhere = shop.world.client("203.0.113.99")
    check_refused(elsewhere.ask(plain("/page", (ID, issued), ("User-Agent", "agent"))))
    assert shop.seen == shop.world.converted


@pytest.mark.parametrize(
    ("agreed", "status"), [(True, 200), (False, 400), (None, 400), ("yes", 400), (1, 400), (1.0, 400), (ANY, 400)]
)
def test_the_reference_check(agreed: object, status: int) -> None:
    """S15.1: reference_check sees the request and the connection before any route; anything but True refuses."""
    shop = Shop()
    asked: list[Any] = []

    def check(request: Any, connection: Any) -> Any:
        asked.append((request.path, connection, list(shop.seen)))
        return agreed

    shop.world.signals.reference_check = check
    shop.open("Shop", "one")
    answer = shop.ask((ID, "one"))
    assert answer.status == status
    if status == 400:
        check_refused(answer)
    assert asked == [(b"/page", shop.world.converted[0], [])]
    assert shop.ask().status == 200
    check_refused(shop.ask((ID, "unknown")))
    assert len(asked) == 1


def test_a_reference_check_that_raises() -> None:
    """S15.1: one that raises refuses with the same answer, and is logged."""
    shop = Shop()

    def check(request: Any, connection: Any) -> bool:
        raise RuntimeError("no database")

    shop.world.signals.reference_check = check
    shop.open("Shop", "one")
    with capturedLogs() as logged:
        check_refused(shop.ask((ID, "one")))
    assert [str(failure.value) for failure in failures_in(logged)] == ["no database"]


def test_without_the_wrapper() -> None:
    """S15.1: without the wrapper connection_of finds the connection, and raises ClientIdInvalid for a bad one."""
    shop = Shop(wrapped=False)
    shop.open("Shop", "one")
    assert shop.ask((ID, "one")).body == b"page"
    assert shop.ask().body == b"page"
    for headers in BAD[:9]:
        answer = shop.ask(*headers)
        assert (answer.status, answer.body) == (400, b"handled")
    shop.world.signals.reference_check = lambda request, connection: False
    assert shop.ask((ID, "one")).body == b"handled"
    assert shop.seen == [shop.world.converted[0], None]


def test_an_upgrade_that_refers() -> None:
    """S15.1: a handshake may carry the header too: it is checked before, and connection_of is then the new one."""
    shop = Shop()
    shop.open("Shop", "one")
    seen: list[Any] = []

    @shop.world.app.route("/both")
    def both(request: Any) -> None:
        seen.append(shop.world.signals.connection_of(request))
        connection = shop.world.signals.convert(request, "Both")
        seen.append(shop.world.signals.connection_of(request) is connection)

    check_refused(shop.world.client().ask(head("/both", (ID, "two"))))
    shop.world.client().open("/both", (ID, "one"))
    assert seen == [shop.world.converted[0], True]


def test_the_local_connection_of_another_request() -> None:
    """S15.1: a request that refers sends by name to everybody, and to its connection by what connection_of gave."""
    shop = Shop()
    one, two = shop.open("Shop", "one"), shop.open("Shop", "two")

    @shop.world.app.route("/all")
    def everybody(request: Any) -> bytes:
        shop.world.signals.send("all", name="Shop")
        return b""

    shop.world.client().ask(plain("/all", (ID, "one")))
    assert (one.texts, two.texts) == (["all"], ["all"])
    one.send(close_frame())

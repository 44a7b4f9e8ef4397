"""``signals.resource(…, client_at=…)``: the client for browsers, its map, and everything else as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from served import PAGE, SOCKET, Served
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.web.resource import Resource
from twisted.web.static import Data
from web_fakes import Answer, Client, World, plain

import pode_signals
from pode_signals import Endpoint, Signals, SignalsService

DIST = Path(pode_signals.__file__).parent / "client" / "browser" / "dist"
SCRIPT = (DIST / "signals.js").read_bytes()


def root() -> Resource:
    """Pages of an application."""
    tree = Resource()
    tree.putChild(b"", Data(b"index", "text/plain"))
    tree.putChild(b"signals.js", Data(b"the application's", "text/plain"))
    return tree


def served(client_at: str | None = "/signals.js") -> Client:
    """A client of a Site with these pages."""
    world = World(wrapped=False)
    world.resource = world.signals.resource(root(), client_at=client_at)
    return world.client()


def test_the_file() -> None:
    """S0.3: the built client is served as JavaScript, to be asked for again each time, and to pages of any origin."""
    answer = served().ask(plain("/signals.js"))
    assert (answer.status, answer.body) == (200, SCRIPT)
    assert answer.value("Content-Type") == "text/javascript; charset=utf-8"
    assert answer.value("Cache-Control") == "no-cache"
    assert answer.value("X-Content-Type-Options") == "nosniff"
    assert answer.value("Access-Control-Allow-Origin") == "*"


def test_a_query_changes_nothing() -> None:
    """S0.3: a query behind the path, as pages have for a version, changes nothing."""
    assert served().ask(plain("/signals.js?v=2")).body == SCRIPT


def test_the_map() -> None:
    """S0.3: the source map is beside the file, under the name that stands in it, wherever the file is."""
    for client_at in ("/signals.js", "/static/js/client.js"):
        folder = client_at.rpartition("/")[0]
        answer = served(client_at).ask(plain(f"{folder}/signals.js.map"))
        assert (answer.status, answer.body) == (200, (DIST / "signals.js.map").read_bytes())
        assert answer.value("Content-Type") == "application/json"


def asked_again(*if_none_match: str) -> Answer:
    """The answer to a request with these entity tags; ``…`` stands for that of the file."""
    client = served()
    etag = client.ask(plain("/signals.js")).value("ETag")
    assert etag is not None
    lines = [("If-None-Match", each.replace("…", etag)) for each in if_none_match]
    return client.ask(plain("/signals.js", *lines))


@pytest.mark.parametrize("lines", [["…"], ["W/…"], ["*"], ['"other", …'], ['"other"', "…"], ['"a,b",W/…,"c"']])
def test_not_modified(lines: list[str]) -> None:
    """S0.3: who has the file already gets 304 without a body, also behind a proxy that has weakened the entity tag."""
    answer = asked_again(*lines)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.value("ETag") is not None
    assert answer.value("Cache-Control") == "no-cache"


@pytest.mark.parametrize("lines", [['"other"'], ["nothing"], [""], ['"*"']])
def test_modified(lines: list[str]) -> None:
    """S0.3: who has another file, or tells nothing of use, gets the file."""
    assert asked_again(*lines).body == SCRIPT


def test_the_entity_tags_differ() -> None:
    """S0.3: file and map have entity tags of their own."""
    client = served()
    tags = {client.ask(plain(path)).value("ETag") for path in ("/signals.js", "/signals.js.map")}
    assert len(tags) == 2


def test_head() -> None:
    """S0.3: HEAD gets the headers that GET gets, without the body, and logs nothing."""
    with capturedLogs() as logged:
        answer = served().ask(plain("/signals.js", method=b"HEAD"))
    assert answer.status == 200
    assert answer.value("Content-Length") == str(len(SCRIPT))
    assert answer.value("ETag") is not None
    assert not [event for event in logged if "HEAD" in str(event.get("log_format"))]


def test_other_methods_and_paths() -> None:
    """S0.3: other methods and paths are the application's, and without client_at so is this path."""
    client = served()
    assert client.ask(plain("/signals.js", method=b"DELETE")).body != SCRIPT
    assert client.ask(plain("/")).body == b"index"
    for path in ("/signals.js/", "/signals.j", "/x/signals.js", "//signals.js", "/signals.js.map/x"):
        assert client.ask(plain(path)).body != SCRIPT
    assert served(None).ask(plain("/signals.js")).body == b"the application's"


def test_below_a_prefix() -> None:
    """S0.3: the path is one within the application, as those of its routes are."""
    outer, world = Resource(), World(wrapped=False)
    outer.putChild(b"app", world.signals.resource(root(), client_at="/signals.js"))
    world.resource = outer
    client = world.client()
    assert client.ask(plain("/app/signals.js")).body == SCRIPT
    assert client.ask(plain("/signals.js")).status == 404


@pytest.mark.parametrize(
    "client_at", ["signals.js", "/", "", "/a/", "//signals.js", "/a?b", "/a#b", "/a b", "/a%20b", "/é", "/.", "/a/.."]
)
def test_a_wrong_path(client_at: str) -> None:
    """S0.3: a path that no request could have is a ValueError that shows a good one."""
    with pytest.raises(ValueError, match=r"client_at has to be a path such as '/signals\.js'"):
        Signals(clock=Clock()).resource(root(), client_at=client_at)
    with pytest.raises(ValueError, match="client_at"):
        SignalsService(Signals(clock=Clock()), root(), [], client_at=client_at)


@pytest.mark.parametrize("client_at", [b"/signals.js", 7, True, Path("/signals.js")])
def test_no_text(client_at: Any) -> None:
    """S0.3: a path that is no text is a TypeError."""
    with pytest.raises(TypeError, match="client_at has to be a str"):
        Signals(clock=Clock()).resource(root(), client_at=client_at)


@pytest.mark.parametrize(("endpoints", "status"), [([PAGE, SOCKET], b"200"), ([SOCKET], b"426")], ids=["http", "ws"])
def test_by_a_service(endpoints: list[Endpoint], status: bytes) -> None:
    """S0.3: a service serves the file on its ports for pages, and a port for WebSockets alone serves none."""
    world = Served()
    world.service = SignalsService(world.signals, root(), endpoints, reactor=world.reactor, client_at="/signals.js")
    world.service.startService()
    answer = world.talk(b"GET /signals.js HTTP/1.1\r\nHost: localhost\r\n\r\n").value()
    assert answer.split()[1] == status
    assert answer.endswith(SCRIPT) is (status == b"200")

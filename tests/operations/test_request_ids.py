"""The ids of requests: in answers, in the access line, in refusals, and in the line of a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from operated import Operated
from served import Served
from twisted.internet.protocol import connectionDone
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from pode_signals import Operations
from pode_signals.command.connection_lines import NAMESPACE, ConnectionLines

UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged."""
    found: list[LogEvent] = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def served(**settings: Any) -> Served:
    found = Served(settings=settings)
    found.service.startService()
    return found


def request(*lines: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{''.join(lines)}\r\n".encode()


def id_in(answer: bytes) -> str:
    """The id that an answer has, once."""
    (found,) = re.findall(rb"\r\nX-Request-Id: ([^\r]*)\r\n", answer)
    return found.decode()


def ids(events: list[LogEvent], event: str) -> list[str]:
    return [each["request"] for each in events if each.get("event") == event]


def test_a_new_id(events: list[LogEvent]) -> None:
    """O7.2: each request has an id of 16 hexadecimal digits, in its answer and in its access line."""
    app = served()
    found = [id_in(app.talk(request()).value()) for _ in range(3)]
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in found)
    assert len(set(found)) == 3
    assert ids(events, "request.served") == found


GIVEN = "X-Request-Id: From-the.proxy_1\r\n"


def test_the_id_of_a_proxy(events: list[LogEvent]) -> None:
    """O7.2: the id that a trusted proxy gives is the id."""
    app = served(trusted_proxies=["127.0.0.1"])
    assert id_in(app.talk(request(GIVEN)).value()) == "From-the.proxy_1"
    assert ids(events, "request.served") == ["From-the.proxy_1"]


@pytest.mark.parametrize(
    ("proxies", "lines"),
    [
        ([], GIVEN),
        (["192.0.2.1"], GIVEN),
        (["127.0.0.1"], "X-Request-Id: \r\n"),
        (["127.0.0.1"], f"X-Request-Id: {'a' * 65}\r\n"),
        (["127.0.0.1"], "X-Request-Id: a b\r\n"),
        (["127.0.0.1"], 'X-Request-Id: a"\r\n'),
        (["127.0.0.1"], GIVEN + GIVEN),
    ],
)
def test_what_is_no_id(proxies: list[str], lines: str) -> None:
    """O7.2: an id from anybody else, or one that is none, does not count."""
    app = served(trusted_proxies=proxies)
    assert re.fullmatch("[0-9a-f]{16}", id_in(app.talk(request(lines)).value()))


def test_a_connection(events: list[LogEvent]) -> None:
    """O7.2: the 101, its access line, and the line of the connection that opens have one id."""
    app = Served()
    app.signals.insight.attach(ConnectionLines())
    app.service.startService()
    client = app.talk(request(UPGRADE, KEY, path="/msg"))
    found = id_in(client.value())
    assert client.value().startswith(b"HTTP/1.1 101 ")
    assert ids(events, "request.served") == ids(events, "connection.opened") == [found]
    client.protocol.connectionLost(connectionDone)
    (ended,) = [each for each in events if each.get("event") == "connection.closed"]
    (opened,) = [each for each in events if each.get("event") == "connection.opened"]
    assert ended["connection"] == opened["connection"]
    assert (opened["name"], opened["protocol"], opened["transport"]) == ("Msg", "plain", "websocket")
    assert (ended["code"], ended["by"]) == (1006, "client")
    assert {opened["log_level"], ended["log_level"]} == {LogLevel.debug}
    assert {opened["log_namespace"], ended["log_namespace"]} == {NAMESPACE}


def test_a_signed_id(events: list[LogEvent]) -> None:
    """O7.4: the lines of a connection have its client id without the signature."""
    app = Served()
    app.signals.enable_signing("a secret of the test, of 32 bytes")
    app.signals.insight.attach(ConnectionLines())
    app.service.startService()
    client = app.talk(request(UPGRADE, KEY, path="/msg"))
    client.protocol.connectionLost(connectionDone)
    lines = [each for each in events if each.get("event") in ("connection.opened", "connection.closed")]
    assert len(lines) == 2
    assert all(re.fullmatch(r"s:[0-9a-f-]{36}|[0-9a-f-]{36}", each["connection"]) for each in lines)


def test_a_refusal(events: list[LogEvent]) -> None:
    """O7.2: the line of a handshake that was refused has the id that its answer has, and the client's address."""
    app = served()
    answer = app.talk(request(UPGRADE, KEY, "Origin: http://evil.example\r\n", path="/msg")).value()
    assert answer.startswith(b"HTTP/1.1 403 ")
    (line,) = [each for each in events if each.get("event") == "upgrade.refused"]
    assert (line["request"], line["address"], line["code"]) == (id_in(answer), "127.0.0.1", 403)


def test_a_problem() -> None:
    """O7.2: the problem document of a refusal has the id."""
    operated = Operated()
    operated.service.startService()
    answer = operated.ask("/nothing")
    assert answer.data["requestId"] == answer.headers["x-request-id"]
    assert isinstance(operated.operations, Operations)

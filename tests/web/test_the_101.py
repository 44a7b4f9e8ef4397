"""The answer to a handshake: its accept header, the headers of the connection, and those of the route."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from web_fakes import ACCEPT, World, head, route_world

pytestmark = pytest.mark.usefixtures("protocol")


@pytest.mark.parametrize("byte", [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8"])
def test_no_header_is_made_of_a_value(byte: bytes) -> None:
    """S2.2: bytes that some parsers take for line ends are part of a value, and never make another header."""
    world = World().converting(subprotocols=("evil",))
    forged = b"a" + byte + b"Sec-WebSocket-Protocol: evil" + byte + b"Origin: http://other.example" + byte + b"X-B: c"
    answer = world.client().ask(head("/msg", ("X-A", forged)))
    assert answer.status == 101
    assert answer.value("Sec-WebSocket-Protocol") is None
    record = world.converted[0].request
    assert record.header("origin") is None
    assert sorted(record.headers) == ["host", "x-a"]
    assert world.converted[0].subprotocol is None


@pytest.mark.parametrize("key", [b"x3JJHMbDL1EzLkh9GBhXDw==", b"AAAAAAAAAAAAAAAAAAAAAA==", b"/////////////////////w=="])
def test_the_accept_header(key: bytes) -> None:
    """S2.3: the handshake is the client's own, whatever head Autobahn is shown."""
    answer = World().converting().client().ask(head("/msg", ("Sec-WebSocket-Key", key)))
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert answer.value("Sec-WebSocket-Accept") == base64.b64encode(digest).decode()


def test_the_101() -> None:
    """S2.3: it carries client id, name and group, and what the route had set, byte for byte."""

    def route(world: World, request: Any) -> None:
        request.setHeader(b"X-Latin", b"caf\xe9 \x80\xff")
        request.responseHeaders.setRawHeaders("X-Twice", ["one", "two, three"])
        request.setHeader("Server", "ours")
        request.addCookie("session", "a=b", httpOnly=True)
        request.addCookie(b"latin", b"\xe9")
        request.setHeader("Vary", "Origin")
        request.setHeader("Upgrade-Insecure", "kept")
        world.signals.convert(request, "Msg", group="Group", client_id="one")

    client = route_world(route).client().open()
    first, *lines = client.received.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert first == b"HTTP/1.1 101 Switching Protocols"
    assert len(lines) == len(set(lines))
    date = [line for line in lines if line.startswith(b"Date: ")]
    assert set(lines) - set(date) == {
        b"Upgrade: WebSocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + ACCEPT,
        b"X-PODE-SIGNAL-CLIENT-ID: one",
        b"X-PODE-SIGNAL-NAME: Msg",
        b"X-PODE-SIGNAL-GROUP: Group",
        b"X-Latin: caf\xe9 \x80\xff",
        b"X-Twice: one",
        b"X-Twice: two, three",
        b"Server: ours",
        b"Set-Cookie: session=a=b; HttpOnly",
        b"Set-Cookie: latin=\xe9",
        b"Vary: Origin",
        b"Upgrade-Insecure: kept",
    }


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "keep-alive",
        "Proxy-Authenticate",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Content-Type",
        "Content-Length",
        "content-encoding",
        "Content-Security-Policy",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "sec-websocket-foo",
        "X-Pode-Signal-Client-Id",
        "X-Pode-Signal-Name",
        "X-Pode-Signal-Group",
    ],
)
def test_headers_that_are_dropped(name: str) -> None:
    """S2.3: of the route's headers those of the hop, of the body, of the handshake and of ours are dropped."""

    def route(world: World, request: Any) -> None:
        request.setHeader(name, "from-the-route")
        world.signals.convert(request, "Msg")

    assert b"from-the-route" not in route_world(route).client().open().received


def test_no_group_no_header() -> None:
    """S2.3: without a group there is no header of one."""
    answer = World().converting().client().ask(head())
    assert answer.value("X-PODE-SIGNAL-GROUP") is None
    assert answer.value("X-PODE-SIGNAL-NAME") == "Msg"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: request.cookies.append(b"a=b\r\nX-Forged: 1"),
        lambda request: request.cookies.append(b"a=b\nX-Forged: 1"),
        lambda request: request.cookies.append(b"a=b\rX-Forged: 1"),
        lambda request: request.cookies.append(b"a=b\x00"),
        lambda request: request.setHeader(b"X-Bad", b"a\x00b"),
        lambda request: request.responseHeaders._rawHeaders.update({b"X-Bad": [b"a\r\nX-Forged: 1"]}),
        lambda request: request.responseHeaders._rawHeaders.update({b"X-Bad: 1\r\nX-Forged": [b"1"]}),
        lambda request: request.responseHeaders._rawHeaders.update({b"": [b"1"]}),
    ],
)
def test_a_header_that_cant_be_sent(spoil: Callable[[Any], None]) -> None:
    """S2.3: CR, LF or NUL in a header raise before anything is sent, and the socket goes on."""
    raised: list[str] = []

    def route(world: World, request: Any) -> bytes:
        spoil(request)
        with pytest.raises(ValueError, match="can't be sent") as caught:
            world.signals.convert(request, "Msg")
        raised.append(str(caught.value))
        request.cookies.clear()
        request.responseHeaders._rawHeaders.clear()
        world.signals.convert(request, "Msg")
        return b""

    world = route_world(route)
    client = world.client().open()
    assert len(raised) == 1
    assert b"Forged" not in client.received
    assert client.frames == []
    assert world.signals.counters.connections_opened == 1


@pytest.mark.parametrize(
    "text", ["Z\u00fcge", "100 %", "a, b", "%41", "\u65e5\u672c", " edge ", "\U0001f600", "a;b=c\"d'"]
)
def test_names_are_percent_encoded(text: str) -> None:
    """S2.3: what is not ASCII, % and , are percent-encoded in X-PODE-SIGNAL-*, so that it can be decoded again."""
    world = World().converting(name=text, group=text, client_id=text)
    answer = world.client().ask(head())
    for header in ("X-PODE-SIGNAL-NAME", "X-PODE-SIGNAL-GROUP", "X-PODE-SIGNAL-CLIENT-ID"):
        value = answer.value(header)
        assert value is not None
        assert re.fullmatch("[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", value)
        assert "," not in value
        assert unquote(value, errors="strict") == text
    assert world.signals.client_ids(text, text) == (text,)


def test_several_groups() -> None:
    """S2.3: several groups are one header with commas, each percent-encoded, in their order and each once."""
    groups = ["red", "a, b", "Z\u00fcge", "red", "100 %"]
    world = World().converting(group=groups)
    value = world.client().ask(head()).value("X-PODE-SIGNAL-GROUP")
    assert value == "red,a%2C b,Z%C3%BCge,100 %25"
    assert (
        [unquote(each) for each in value.split(",")] == list(world.converted[0].groups) == list(dict.fromkeys(groups))
    )
    assert world.converted[0].group == "red"
    assert set(world.signals.groups("Msg")) == set(groups)


@pytest.mark.parametrize("group", [[], (), set(), None])
def test_no_groups_no_header(group: Any) -> None:
    """S2.3: an empty list of groups is no group."""
    world = World().converting(group=group)
    assert world.client().ask(head()).value("X-PODE-SIGNAL-GROUP") is None
    assert (world.converted[0].group, world.converted[0].groups) == (None, ())

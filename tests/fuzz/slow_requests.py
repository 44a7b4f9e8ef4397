"""Ways in for the search for slow inputs: heads, bodies and targets of requests, in memory, but all the way.

Requests go through the site, the resource of the hub and Klein to routes that read all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bounded import BoundedWorld
from fuzz.recipes import NUMBER, NUMBER_BEFORE, Context, Recipe
from fuzz.slow_bytes import (
    HEAD_BYTES,
    LINES,
    SIGNED_ID,
    SIGNS,
    STREAM_BYTES,
    VALUE,
    WAIT_SECONDS,
    WAITS,
    connect_reader,
    known_recipes,
    let_pass,
)
from fuzz.target import PEER, SECRET
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.web.static import File
from web_fakes import Wire, head, message, plain

from pode_signals import SignalEvent

_BODY_BYTES = 262_144


class Served:
    """A site in memory whose routes read all that a request has."""

    def __init__(self) -> None:
        world = self._world = BoundedWorld(trusted_proxies=["192.0.2.1"], compression=True, allow_missing_origin=True)
        world.signals.enable_signing(SECRET)
        self._last: Wire | None = None
        app, signals = world.app, world.signals

        @app.route("/page", methods=["GET", "POST"])
        def page(request: Any) -> bytes:
            self._read(request)
            return b"page"

        @app.route("/wait")
        def wait(request: Any) -> Deferred[bytes]:
            return deferLater(world.clock, WAIT_SECONDS, lambda: b"waited")

        @app.route("/room/<name>")
        @app.route("/two/<name>/<other>")
        @app.route("/files/<path:name>")
        @app.route("/number/<int:name>/<float:other>")
        def room(request: Any, name: object, other: object = None) -> bytes:
            self._read(request)
            return b"room"

        @app.route("/static/", branch=True)
        def static(request: Any) -> File:
            return File(str(Path(__file__).parent))

        @app.route("/ws")
        @app.route("/ws/<path:name>")
        def convert(request: Any, name: str = "") -> None:
            signals.convert(request, "Chat", subprotocols=["a", "b"])

        for path in ("/ws", "/ws/<path:name>"):
            signals.add_route(path, self._listen)
        connect_reader(world, "Known", "red", SIGNED_ID)

    def prepare(self, _context: Context, pieces: list[bytes]) -> Callable[[], object]:
        """A new socket."""
        last, clock = self._last, self._world.clock
        if last is not None and last.ended is None:
            last.client_ends("left", ConnectionDone())
        # For what still waited.
        clock.advance(WAIT_SECONDS)
        wire = self._last = Wire(clock, PEER)
        wire.protocol = self._world.site.buildProtocol(PEER)
        wire.protocol.makeConnection(wire)
        return partial(self._take, wire, pieces)

    def _take(self, wire: Wire, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            wire.deliver(piece)
        for _ in range(WAITS):
            let_pass(self._world.clock, WAIT_SECONDS)

    def _read(self, request: Any) -> None:
        """What routes look at."""
        self._world.signals.connection_of(request)
        request.getAllHeaders(), request.getUser(), request.getPassword(), request.getCookie(b"a")
        request.getRequestHostname(), request.URLPath(), request.prePathURL(), request.content.read()

    def _listen(self, event: SignalEvent) -> None:
        """The same for the handshake of a message."""
        request = event.request
        dict(request.headers), request.cookies, request.args, request.path, event.params
        event.connection.send(event.data.message)


class _Requests:
    """Requests to a site.

    Args:
        served: the site; the targets of one search can share it.
    """

    name = ""
    contexts: tuple[Context, ...] = ()
    known: tuple[Recipe, ...] = ()

    def __init__(self) -> None:
        self.prepare = Served().prepare


_LISTS = (b", ", b",", b"a", b"Known", b"red", b"%2c", b"%", b" ", b"\t", SIGNED_ID.encode(), NUMBER)


def _in_header(
    name: str, *tokens: bytes, path: str = "/page", method: bytes = b"GET", upgrade: bool = False
) -> Context:
    """The value of a header, of a plain request or of an upgrade that sends a message."""

    def build(payload: bytes) -> bytes:
        if upgrade:
            return head("/ws", ("Origin", "http://example.com"), (name, payload)) + message("x")
        return plain(path, (name, payload), method=method, body=b"x" if method == b"POST" else b"")

    return Context(
        f"{name} of {'an upgrade' if upgrade else f'{method.decode()} {path}'}", build, (*tokens, *VALUE), HEAD_BYTES
    )


class Heads(_Requests):
    """Heads of requests: values and names of headers, whole lines, requests one behind the other."""

    name = "heads"
    contexts = (
        *(_in_header(name) for name in ("Host", "User-Agent", "Accept", "Accept-Language", "Referer", "X-Anything")),
        *(_in_header(name) for name in ("If-None-Match", "Connection", "Expect", "Content-Length", "Upgrade", "TE")),
        _in_header("Transfer-Encoding", b"chunked", b"identity", b", chunked"),
        _in_header("Cookie", b"a=b; ", b"a=b;", b'a="b";', b'"\\303\\274"', b"\\0", b"$Path="),
        _in_header("Authorization", b"Basic ", b"YTpi", b"====", b"Digest "),
        _in_header(
            "Content-Type",
            b"x/y",
            b";",
            b"boundary=b",
            b"multipart/form-data; ",
            b"text/plain; a*0=",
            b"*1*=",
            method=b"POST",
        ),
        _in_header("Content-Disposition", b"form-data; ", b"name=", method=b"POST"),
        _in_header(
            "Range", b"bytes=", b"0-0,", b"0-", b"-1,", b"1-2,", b"bytes=0-,", b"99999-", path="/static/recipes.py"
        ),
        _in_header("If-Modified-Since", b"Sun, 06 Nov 1994 08:49:37 GMT", b"1994 ", b"GMT ", path="/static/recipes.py"),
        *(
            _in_header(name, b"192.0.2.1, ", b"192.0.2.1", b"::1, ", b"1.", b"for=")
            for name in ("X-Forwarded-For", "Forwarded")
        ),
        *(_in_header(name, *_LISTS) for name in ("X-PODE-SIGNAL-CLIENT-ID", "X-PODE-SIGNAL-NAME")),
        *(
            Context(
                f"{name} with an id",
                lambda payload, name=name: plain("/page", ("X-PODE-SIGNAL-CLIENT-ID", SIGNED_ID), (name, payload)),
                (*_LISTS, *VALUE),
                HEAD_BYTES,
            )
            for name in ("X-PODE-SIGNAL-NAME", "X-PODE-SIGNAL-GROUP")
        ),
        *(_in_header(name, upgrade=True) for name in ("Host", "Origin", "Connection", "Upgrade", "X-Anything")),
        *(_in_header(name, upgrade=True) for name in ("Sec-WebSocket-Key", "Sec-WebSocket-Version")),
        _in_header("Cookie", b"a=b; ", b"a=b;", b'a="b";', b'"\\303\\274"', b"\\0", b"$Path=", upgrade=True),
        _in_header("Sec-WebSocket-Protocol", b"a, ", b"p" + NUMBER + b", ", b"a,", upgrade=True),
        _in_header(
            "Sec-WebSocket-Extensions",
            *(b"permessage-deflate", b"permessage-deflate, ", b"; client_max_window_bits=9", b"; x", b"; x" + NUMBER),
            *(b"; server_no_context_takeover", b"; client_max_window_bits"),
            upgrade=True,
        ),
        *(_in_header(name, b"example.com, ", b"a.", upgrade=True) for name in ("X-Forwarded-Host", "X-Forwarded-For")),
        Context(
            "lines of a head",
            lambda payload: b"GET /page HTTP/1.1\r\nHost: localhost\r\n" + payload + b"\r\n\r\n",
            (*LINES, b"A: b\r\n", b"A", b"a" + NUMBER + b": b\r\n", b" b\r\n", b"Cookie: a=b\r\n", *SIGNS),
            HEAD_BYTES,
        ),
        Context(
            "lines of the head of an upgrade",
            lambda payload: head("/ws").removesuffix(b"\r\n") + payload + b"\r\n\r\n" + message("x"),
            (*LINES, b"A: b\r\n", b"A", b"a" + NUMBER + b": b\r\n", b" b\r\n", b"Cookie: a=b\r\n", *SIGNS),
            HEAD_BYTES,
        ),
        Context(
            "the name of a header",
            lambda payload: plain("/page", (payload, "x")),
            (b"a", b"-", b"A-", b"_", b"x" * 50, *SIGNS),
            HEAD_BYTES,
        ),
        *(
            Context(
                f"behind {before[:9].decode()!r}",
                lambda payload, before=before: before + payload,
                (
                    *(*LINES, *SIGNS, b"GET / HTTP/1.1\r\n\r\n", b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                    *(plain("/wait"), b"GET /", b" HTTP/1.1", b"POST /page HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"),
                    b"x" * 100,
                ),
                STREAM_BYTES,
            )
            for before in (b"", plain("/page"), plain("/wait"), b"POST /page HTTP/1.1\r\n")
        ),
    )
    known = (
        *known_recipes(contexts, "Content-Type of POST", b";", b'""', b"(", b"a=b;"),
        *known_recipes(contexts, "Cookie of", b";", b'a="\\', b"a=b;"),
        *known_recipes(contexts, "behind 'GET /wait", b"x", piece_bytes=1),
        *known_recipes(contexts, "Sec-WebSocket-Extensions", b"permessage-deflate, ", b"permessage-deflate; x<i>, "),
        *known_recipes(contexts, "Sec-WebSocket-Protocol", b"p<i>, "),
        *known_recipes(contexts, "X-PODE-SIGNAL-GROUP", b"red,"),
    )


def _body(content_type: str) -> Callable[[bytes], bytes]:
    return lambda payload: plain("/page", ("Content-Type", content_type), method=b"POST", body=payload)


_CHUNKED = plain("/page", ("Transfer-Encoding", "chunked"), method=b"POST")
_DISPOSITION = b"Content-Disposition: form-data; "
_NEST = b"--b" + NUMBER_BEFORE + b"\r\nContent-Type: multipart/mixed; boundary=b" + NUMBER + b"\r\n\r\n"
_MULTIPART = (
    *(
        b"--b\r\n",
        b"--b--\r\n",
        b"--b",
        b"--",
        b"\r\n--b\r\n",
        _DISPOSITION,
        b'name="a"',
        b"\r\n\r\n",
        b"x\r\n",
        b"\r\n",
    ),
    *(
        b'; a="',
        b"; a=",
        b";",
        b'"',
        b'\\"',
        b"filename*=utf-8''%c3%bc",
        b'filename="a"',
        b"Content-Type: text/plain\r\n",
    ),
    *(
        b'--b\r\nContent-Disposition: form-data; name="<i>"\r\n\r\nx\r\n',
        b"A: b\r\n",
        b" folded\r\n",
        _NEST,
        b"\n",
        b"-",
    ),
    *(b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n", b"Content-Transfer-Encoding: base64\r\n", *SIGNS),
)


class Bodies(_Requests):
    """Bodies of requests: forms of both kinds, chunks, and other ones."""

    name = "bodies"
    contexts = (
        Context(
            "a form, urlencoded",
            _body("application/x-www-form-urlencoded"),
            (
                b"&",
                b"=",
                b"%",
                b"a=b&",
                b"a" + NUMBER + b"=b&",
                b"%20",
                b"+",
                b";",
                b"a=b;",
                b"%c3%bc",
                b"x" * 50,
                *SIGNS,
            ),
            _BODY_BYTES,
        ),
        *(
            Context(f"a form, multipart{what}", build, _MULTIPART, _BODY_BYTES)
            for what, build in (
                ("", _body("multipart/form-data; boundary=b")),
                (
                    ": the head of a part",
                    lambda payload: _body("multipart/form-data; boundary=b")(
                        b"--b\r\n" + payload + b"\r\n\r\nx\r\n--b--\r\n"
                    ),
                ),
                (
                    ": its Content-Disposition",
                    lambda payload: _body("multipart/form-data; boundary=b")(
                        b"--b\r\n" + _DISPOSITION + payload + b"\r\n\r\nx\r\n--b--\r\n"
                    ),
                ),
                (
                    ": the content of a part",
                    lambda payload: _body("multipart/form-data; boundary=b")(
                        b"--b\r\n" + _DISPOSITION + b'name="a"\r\n\r\n' + payload + b"\r\n--b--\r\n"
                    ),
                ),
                (": a boundary that nearly repeats itself", _body("multipart/form-data; boundary=" + "b" * 60)),
            )
        ),
        Context("multipart/mixed", _body("multipart/mixed; boundary=b"), _MULTIPART, _BODY_BYTES),
        *(Context(kind, _body(kind), (b"x" * 50, *SIGNS), _BODY_BYTES) for kind in ("text/plain", "application/json")),
        Context(
            "chunks",
            lambda payload: _CHUNKED + payload + b"0\r\n\r\n",
            (
                *(
                    b"1\r\nx\r\n",
                    b"0\r\n\r\n",
                    b"0",
                    b"1",
                    b"a\r\n0123456789\r\n",
                    b";",
                    b'a="b"',
                    b"1;",
                    b"1;x=y\r\nz\r\n",
                ),
                *(*LINES, *SIGNS),
            ),
            _BODY_BYTES,
        ),
        Context(
            "an extension of a chunk",
            lambda payload: _CHUNKED + b"1;" + payload + b"\r\nx\r\n0\r\n\r\n",
            (b";", b"a=b;", b'a="', b'"', *SIGNS),
            HEAD_BYTES,
        ),
        Context(
            "trailers",
            lambda payload: _CHUNKED + b"1\r\nx\r\n0\r\n" + payload + b"\r\n\r\n",
            (b"A: b\r\n", b"a" + NUMBER + b": b\r\n", *LINES, *SIGNS),
            HEAD_BYTES,
        ),
    )
    known = (
        *known_recipes(contexts, "a form, multipart: its Content-Disposition", b";", b'\\"', b'"', before=b'a="'),
        Recipe.of(next(each for each in contexts if each.name == "a form, multipart"), _NEST, b"\n"),
        *known_recipes(contexts, "a form, multipart", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'),
        *known_recipes(contexts, "a form, multipart: the content", b"\r\n--", piece_bytes=64),
        *known_recipes(contexts, "a form, urlencoded", b"a&", b"%", b"a<i>=b&"),
        *known_recipes(contexts, "chunks", b"1\r\nx\r\n"),
    )


_PATH = (
    *(
        b"/",
        b"//",
        b"../",
        b"./",
        b"%2f",
        b"%",
        b"%25",
        b"%c3%bc",
        b"%ff",
        b"a/",
        b";",
        b"a",
        b"x" * 50,
        b"<",
        b"<path:",
    ),
    *(
        b"1",
        b"9" * 20,
        b"1.",
        b"|",
        b"$",
        b"\\",
        b"?",
        b"#",
        b"&",
        b"a=b&",
        b"+",
        b"a" + NUMBER + b"=b&",
        b"[",
        b"@",
        b":",
    ),
)


def _target(before: str, after: str = "", *, upgrade: bool = False) -> Context:
    """A request whose target has a place."""

    def build(payload: bytes) -> bytes:
        path = before.encode() + payload + after.encode()
        return head(path) + message("x") if upgrade else plain(path)

    return Context(f"{'upgrade' if upgrade else 'GET'} {before}…{after}", build, (*_PATH, *SIGNS), HEAD_BYTES)


class Targets(_Requests):
    """Targets of requests: paths, queries, whole URLs; and methods and versions."""

    name = "targets"
    contexts = (
        *(
            _target(path)
            for path in ("/", "", "/page/", "/page?", "/page?a=", "/files/", "/room/", "/static/", "/two/")
        ),
        *(_target(path) for path in ("http://", "http://a/", "/number/1", "*", "/two/a/", "/page#")),
        *(_target(*path) for path in (("/files/", "/x"), ("/two/", "/x"), ("/number/", "/1.0"), ("/room/", "?a=b"))),
        *(_target(path, upgrade=True) for path in ("/", "/ws?", "/ws/", "/ws/x?a=", "http://a/ws/", "", "/ws#")),
        Context("a method", lambda payload: payload + b" /page HTTP/1.1\r\nHost: a\r\n\r\n", VALUE, HEAD_BYTES),
        Context("a version", lambda payload: b"GET /page " + payload + b"\r\nHost: a\r\n\r\n", VALUE, HEAD_BYTES),
    )
    known = (
        *known_recipes(contexts, "GET /", b"/", b"%", b"../", b"a=b&"),
        *known_recipes(contexts, "upgrade /ws", b"/", b"%", b"../"),
    )

"""What the search for slow inputs is run on: five ways by which bytes of a client come in, in memory, but all the way.

Requests go through the site, the resource of the hub and Klein to routes that read all of them; frames and messages
through the protocol of an open connection to a hub where several names, groups and ids are connected.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bounded import BoundedWorld
from fakes import FakeTransport
from fuzz.growth import SlowTarget
from fuzz.recipes import NUMBER, NUMBER_BEFORE, Context, Part, Recipe
from fuzz.target import CLIENT_ID, PEER, SECRET
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.web.static import File
from web_fakes import CONTINUATION, KEY, PING, PONG, TEXT, Wire, close_frame, frame, head, message, plain

from pode_signals import SignalEvent
from pode_signals.core.model import Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.core.signing import Signer
from pode_signals.fast.websocket import FastFactory
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of

__all__ = ["SLOW_TARGETS"]

_HEAD_BYTES = 15_500  # of the 16 KiB of a head, for one line of it
_BODY_BYTES = 262_144
_MESSAGE_BYTES = 65_000
_STREAM_BYTES = 65_536  # one read
_WAITS, _WAIT_SECONDS = 4, 0.05
_MOST_TURNS = 10_000
_NAMES, _GROUPS, _EACH = 6, 3, 2
_SIGNED_ID = Signer((SECRET,)).sign(CLIENT_ID, None)

_SIGNS = tuple(bytes((each,)) for each in b"\t !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~\x00\x7f\x80\xff")
_LINES = (b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b": ")
_VALUE = (
    *_SIGNS,
    b", ",
    b"; ",
    b"a=b",
    b'""',
    b'a="',
    b'\\"',
    b"%20",
    b"%c3%bc",
    b"a=b; ",
    b"a, ",
    b"%ff",
    NUMBER,
    b"x" * 50,
)


class _Reader(FakeTransport):
    """A good client, which keeps nothing."""

    def __init__(self, clock: Clock, link: Link) -> None:
        super().__init__(clock, lambda _link, _payload: None)
        self.link = link

    def write(self, data: bytes) -> bool:
        """Read."""
        return True

    def write_ping(self, payload: bytes) -> None:
        """Answer."""
        self._clock.callLater(0, self.link.pong, payload)


def _connect(world: BoundedWorld, name: str, group: str, client_id: str) -> None:
    """Connect a good client."""
    record = RequestRecord(b"GET", b"/", (), "192.0.2.9", False)
    hub_of(world.signals).open(Identity(name, (group,), client_id), record, partial(_Reader, world.clock))


def _let_pass(clock: Clock, seconds: float) -> None:
    """Let time pass, and then as many turns as something is left to do in."""
    clock.advance(seconds)
    for _ in range(_MOST_TURNS):
        if not any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            return
        clock.advance(0)


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
            return deferLater(world.clock, _WAIT_SECONDS, lambda: b"waited")

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
        _connect(world, "Known", "red", _SIGNED_ID)

    def prepare(self, _context: Context, pieces: list[bytes]) -> Callable[[], object]:
        """A new socket."""
        last, clock = self._last, self._world.clock
        if last is not None and last.ended is None:
            last.client_ends("left", ConnectionDone())
        clock.advance(_WAIT_SECONDS)  # for what still waited
        wire = self._last = Wire(clock, PEER)
        wire.protocol = self._world.site.buildProtocol(PEER)
        wire.protocol.makeConnection(wire)
        return partial(self._take, wire, pieces)

    def _take(self, wire: Wire, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            wire.deliver(piece)
        for _ in range(_WAITS):
            _let_pass(self._world.clock, _WAIT_SECONDS)

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


_LISTS = (b", ", b",", b"a", b"Known", b"red", b"%2c", b"%", b" ", b"\t", _SIGNED_ID.encode(), NUMBER)


def _in_header(
    name: str, *tokens: bytes, path: str = "/page", method: bytes = b"GET", upgrade: bool = False
) -> Context:
    """The value of a header, of a plain request or of an upgrade that sends a message."""

    def build(payload: bytes) -> bytes:
        if upgrade:
            return head("/ws", ("Origin", "http://example.com"), (name, payload)) + message("x")
        return plain(path, (name, payload), method=method, body=b"x" if method == b"POST" else b"")

    return Context(
        f"{name} of {'an upgrade' if upgrade else f'{method.decode()} {path}'}", build, (*tokens, *_VALUE), _HEAD_BYTES
    )


def _known(
    contexts: tuple[Context, ...], begins: str, *texts: bytes, before: bytes = b"", piece_bytes: int = 0
) -> tuple[Recipe, ...]:
    """Recipes for contexts whose name begins so: each text repeated, after what comes once."""
    once = (Part(before, grows=False),) if before else ()
    return tuple(
        Recipe.of(context, *once, Part(text, grows=True), piece_bytes=piece_bytes)
        for context in contexts
        if context.name.startswith(begins)
        for text in texts
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
                lambda payload, name=name: plain("/page", ("X-PODE-SIGNAL-CLIENT-ID", _SIGNED_ID), (name, payload)),
                (*_LISTS, *_VALUE),
                _HEAD_BYTES,
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
            (*_LINES, b"A: b\r\n", b"A", b"a" + NUMBER + b": b\r\n", b" b\r\n", b"Cookie: a=b\r\n", *_SIGNS),
            _HEAD_BYTES,
        ),
        Context(
            "lines of the head of an upgrade",
            lambda payload: head("/ws").removesuffix(b"\r\n") + payload + b"\r\n\r\n" + message("x"),
            (*_LINES, b"A: b\r\n", b"A", b"a" + NUMBER + b": b\r\n", b" b\r\n", b"Cookie: a=b\r\n", *_SIGNS),
            _HEAD_BYTES,
        ),
        Context(
            "the name of a header",
            lambda payload: plain("/page", (payload, "x")),
            (b"a", b"-", b"A-", b"_", b"x" * 50, *_SIGNS),
            _HEAD_BYTES,
        ),
        *(
            Context(
                f"behind {before[:9].decode()!r}",
                lambda payload, before=before: before + payload,
                (
                    *(*_LINES, *_SIGNS, b"GET / HTTP/1.1\r\n\r\n", b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                    *(plain("/wait"), b"GET /", b" HTTP/1.1", b"POST /page HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"),
                    b"x" * 100,
                ),
                _STREAM_BYTES,
            )
            for before in (b"", plain("/page"), plain("/wait"), b"POST /page HTTP/1.1\r\n")
        ),
    )
    known = (
        *_known(contexts, "Content-Type of POST", b";", b'""', b"(", b"a=b;"),
        *_known(contexts, "Cookie of", b";", b'a="\\', b"a=b;"),
        *_known(contexts, "behind 'GET /wait", b"x", piece_bytes=1),
        *_known(contexts, "Sec-WebSocket-Extensions", b"permessage-deflate, ", b"permessage-deflate; x<i>, "),
        *_known(contexts, "Sec-WebSocket-Protocol", b"p<i>, "),
        *_known(contexts, "X-PODE-SIGNAL-GROUP", b"red,"),
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
    *(b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n", b"Content-Transfer-Encoding: base64\r\n", *_SIGNS),
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
                *_SIGNS,
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
        *(Context(kind, _body(kind), (b"x" * 50, *_SIGNS), _BODY_BYTES) for kind in ("text/plain", "application/json")),
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
                *(*_LINES, *_SIGNS),
            ),
            _BODY_BYTES,
        ),
        Context(
            "an extension of a chunk",
            lambda payload: _CHUNKED + b"1;" + payload + b"\r\nx\r\n0\r\n\r\n",
            (b";", b"a=b;", b'a="', b'"', *_SIGNS),
            _HEAD_BYTES,
        ),
        Context(
            "trailers",
            lambda payload: _CHUNKED + b"1\r\nx\r\n0\r\n" + payload + b"\r\n\r\n",
            (b"A: b\r\n", b"a" + NUMBER + b": b\r\n", *_LINES, *_SIGNS),
            _HEAD_BYTES,
        ),
    )
    known = (
        *_known(contexts, "a form, multipart: its Content-Disposition", b";", b'\\"', b'"', before=b'a="'),
        Recipe.of(next(each for each in contexts if each.name == "a form, multipart"), _NEST, b"\n"),
        *_known(contexts, "a form, multipart", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'),
        *_known(contexts, "a form, multipart: the content", b"\r\n--", piece_bytes=64),
        *_known(contexts, "a form, urlencoded", b"a&", b"%", b"a<i>=b&"),
        *_known(contexts, "chunks", b"1\r\nx\r\n"),
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

    return Context(f"{'upgrade' if upgrade else 'GET'} {before}…{after}", build, (*_PATH, *_SIGNS), _HEAD_BYTES)


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
        Context("a method", lambda payload: payload + b" /page HTTP/1.1\r\nHost: a\r\n\r\n", _VALUE, _HEAD_BYTES),
        Context("a version", lambda payload: b"GET /page " + payload + b"\r\nHost: a\r\n\r\n", _VALUE, _HEAD_BYTES),
    )
    known = (
        *_known(contexts, "GET /", b"/", b"%", b"../", b"a=b&"),
        *_known(contexts, "upgrade /ws", b"/", b"%", b"../"),
    )


class _Connected:
    """Open connections of a hub with others, on routes that answer at once or later, or on none."""

    name = ""
    contexts: tuple[Context, ...] = ()
    known: tuple[Recipe, ...] = ()

    def __init__(self) -> None:
        world = self._world = BoundedWorld(compression=True)
        self._last: Wire | None = None
        signals = world.signals
        self._factory = FastFactory(hub_of(signals))
        for number in range(_NAMES * _GROUPS * _EACH):
            _connect(world, f"n{number % _NAMES}", f"g{number // _NAMES % _GROUPS}", f"c{number}")
        signals.add_route("/echo", lambda event: event.send(event.data.message) and None)
        signals.add_route("/later", lambda event: deferLater(world.clock, 0.01, lambda: None))

    def prepare(self, context: Context, pieces: list[bytes]) -> Callable[[], object]:
        """A new connection."""
        last, clock, signals = self._last, self._world.clock, self._world.signals
        if last is not None and last.ended is None:
            last.client_ends("left", ConnectionDone())
        clock.advance(_WAIT_SECONDS)
        path, _, extension = context.opening.partition(" ")
        record = RequestRecord(b"GET", path.encode(), (), PEER.host, False)
        wire = self._last = Wire(clock, PEER)

        def connect(link: Link) -> Any:
            wire.protocol = self._factory.protocol_for(link, wire, b"")
            link.attach(wire.protocol)
            wire.protocol.shake_hands(KEY, None, b"permessage-deflate" if extension else b"")
            return wire.protocol

        hub_of(signals).open(Identity("Mine", (), CLIENT_ID), record, connect)
        clock.advance(0)
        assert b" 101 " in wire.value(), context
        wire.clear()
        return partial(self._take, wire, pieces)

    def _take(self, wire: Wire, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            wire.deliver(piece)
        for _ in range(_WAITS):
            _let_pass(self._world.clock, _WAIT_SECONDS)


_JSON = (
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b",",
        b":",
        b"\\",
        b'"a":',
        b'"a":1,',
        b'"k' + NUMBER + b'":1,',
        b"[],",
        b"{},",
        b"1,",
    ),
    *(
        b"\\u00fc",
        b"\\ud83d\\ude00",
        b"\\ud83d",
        b"\\n",
        b'\\"',
        b"\\\\",
        b"\xc3\xbc",
        b"\xf0\x9f\x98\x80",
        b"\xff",
        b" ",
    ),
    *(
        b"1",
        b"9",
        b"0.",
        b"1e9",
        b"-",
        b"E+",
        b"null,",
        b"true",
        b"NaN,",
        b"\n",
        b'"",',
        b'"g' + NUMBER + b'",',
        b'"PATH":"a",',
    ),
    *(
        b'"message":1,',
        b'"group":[],',
        b'"n1",',
        b'"g1",',
        b'"c<i>",',
        b"%2f",
        b"%",
        b"/",
        b"x" * 50,
        b"\t",
        b"\0",
        b"<",
        b"\x7f",
    ),
)
_BETWEEN = (
    *((b"", b""), (b'{"message":', b"}"), (b'{"message":"', b'"}'), (b'{"message":[', b"1]}"), (b"{", b'"message":1}')),
    *(
        (b'{"message":1,"group":[', b'"g1"]}'),
        (b'{"message":1,"clientId":[', b'"c1"]}'),
        (b'{"message":1,"path":"', b'"}'),
    ),
    *((b'{"message":1,"group":"', b'"}'), (b'{"message":1,"clientId":', b"}"), (b'{"message":1,"direct":', b"}")),
)


class Messages(_Connected):
    """Messages of clients, each in one frame: decoded, matched, sent on."""

    name = "messages"
    contexts = tuple(
        Context(
            f"{before.decode()}…{after.decode()} on {path}",
            lambda payload, before=before, after=after: frame(before + payload + after),
            _JSON,
            _MESSAGE_BYTES,
            path,
        )
        for before, after in _BETWEEN
        for path in ("/echo", "/none")
    )
    known = _known(contexts, "", b"[", b"9", b'"a":1,')


def _deflated(data: bytes, end: int = zlib.Z_SYNC_FLUSH) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return (packer.compress(data) + packer.flush(end)).removesuffix(b"\0\0\xff\xff")


def _fragments(data: bytes, size: int, rsv: int = 0) -> bytes:
    """A message cut into frames."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(each, CONTINUATION if at else TEXT, fin=at == last, rsv=0 if at else rsv)
        for at, each in enumerate(pieces)
    )


_FRAMES = (
    *(
        message(1),
        message("x" * 200),
        message("\u00fc"),
        message([1, {"a": 2}]),
        message(1, group="g1"),
        message(1, path="n1"),
    ),
    *(
        frame(b"x", PING),
        frame(b"", PONG),
        frame(b"x" * 125, PING),
        close_frame(),
        frame(b""),
        frame(b"{"),
        frame(b"\xff"),
    ),
    *(
        frame(b"", TEXT, fin=False),
        frame(b"", CONTINUATION, fin=False),
        frame(b"", CONTINUATION),
        frame(b"{", TEXT, fin=False),
    ),
    *(
        frame(b" ", CONTINUATION, fin=False),
        frame(b" " * 100, CONTINUATION, fin=False),
        frame(b'"message":1}', CONTINUATION),
    ),
    *(frame(_deflated(b'{"message":1}'), rsv=4), frame(_deflated(b'{"message":"%s"}' % (b"x" * 60_000)), rsv=4)),
    *(
        frame(_deflated(b'{"message":'), TEXT, fin=False, rsv=4),
        frame(b"\0", rsv=4),
        frame(b"x", opcode=2),
        message(1)[:-1],
    ),
    *(
        b"\x81\xfe\x01\x00\0\0\0\0",
        b"\x81",
        b"\x01\x80\0\0\0\0",
        b"\x00\x80\0\0\0\0",
        b" ",
        b"x" * 50,
        b"\x89\x80\0\0\0\0",
    ),
)
_DEFLATE = (  # empty blocks, stored, fixed and final ones; and some that mean something
    *(
        b"\0\0\0\xff\xff",
        b"\x02\0",
        b"\x01\0\0\xff\xff",
        b"\x03\0",
        b"\0",
        b"\xff\xff",
        b"\x00\x01\x00\xfe\xff ",
        b"\xaa",
    ),
    *(
        _deflated(b'{"message":1}'),
        _deflated(b" " * 5_000),
        _deflated(b'"'),
        _deflated(b"x", zlib.Z_FINISH),
        b"\x04",
        b"\xed",
    ),
)


class Frames(_Connected):
    """Frames of clients: streams of them, messages in fragments, compressed ones."""

    name = "frames"
    contexts = (
        *(
            Context(f"frames on {opening}", bytes, _FRAMES, _STREAM_BYTES, opening)
            for opening in ("/echo", "/none", "/later", "/echo deflate")
        ),
        *(
            Context(
                f"fragments of {size} bytes",
                lambda payload, size=size: _fragments(b'{"message":"' + payload + b'"}', size),
                _JSON,
                min(_MESSAGE_BYTES, 1_000 * size),
                "/echo",
            )
            for size in (1, 10, 200)
        ),
        Context("compressed data", lambda payload: frame(payload, rsv=4), _DEFLATE, _MESSAGE_BYTES, "/echo deflate"),
        Context(
            "compressed data in fragments",
            lambda payload: _fragments(payload, max(1, len(payload) // 500), rsv=4),
            _DEFLATE,
            _MESSAGE_BYTES,
            "/echo deflate",
        ),
        Context(
            "a compressed message",
            lambda payload: frame(_deflated(b'{"message":"' + payload + b'"}'), rsv=4),
            _JSON,
            _MESSAGE_BYTES,
            "/echo deflate",
        ),
        Context(
            "behind half a message",
            lambda payload: frame(b'{"message":', TEXT, fin=False) + payload,
            _FRAMES,
            _STREAM_BYTES,
            "/echo",
        ),
    )
    known = (
        *_known(contexts, "frames on", message(1), frame(b"", CONTINUATION, fin=False)),
        *_known(contexts, "compressed data", b"\0\0\0\xff\xff", b"\x02\0"),
        *_known(contexts, "a compressed message", b"x"),
    )


SLOW_TARGETS: tuple[type[SlowTarget], ...] = (Heads, Bodies, Targets, Messages, Frames)

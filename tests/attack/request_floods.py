"""Floods of requests that are dear to read, that say much in few bytes, that dribble, or that fill a log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

from attack.floods import Attack, Flood
from attack.target import MIB, Target
from attack.wire import LOCALHOST, Refused, Wire
from web_fakes import head, message, plain

ATTACKER = "127.0.0.2"
HEAD_BYTES = 15_000  # of the 16 KiB of a head
FORM_BYTES = 262_144
BODY_BYTES = 1_000_000
NAME_BYTES = 15_500
ASKING = 4  # attackers, of whom each request may take a few milliseconds
TIMES = 5
DRIBBLERS, DRIBBLE_SECONDS = 1_040, 4.0  # more than the server has descriptors
PIPELINED_BYTES = 200_000
PAUSE_SECONDS = 0.1
HOLDERS = 250  # more than the starved server has descriptors
_MULTIPART = "multipart/form-data; boundary=b"
_URLENCODED = "application/x-www-form-urlencoded"


def _asks(*requests: bytes) -> Attack:
    """Asks, a few times on a connection, if the server keeps it."""

    async def attack(target: Target) -> None:
        wire = await Wire.connect(target.port, source=ATTACKER)
        try:
            for request in requests * TIMES:
                await wire.send(request)
                if not await wire.skip():
                    return
        finally:
            wire.close()

    return attack


def _upgrades(*headers: tuple[str, str | bytes], path: str = "/bait/reads") -> Attack:
    """Becomes a connection whose function looks at the whole handshake."""

    async def attack(target: Target) -> None:
        wire = await Wire.connect(target.port, source=ATTACKER)
        try:
            await wire.send(head(path, LOCALHOST, *headers) + message(1) * 5)
            await wire.skip()
        finally:
            wire.close()

    return attack


def _post(content_type: str, body: bytes, path: str = "/page") -> bytes:
    return plain(path, LOCALHOST, ("Content-Type", content_type), method=b"POST", body=body)


def _get(path: str, *headers: tuple[str, str]) -> bytes:
    return plain(path, LOCALHOST, *headers)


def _chunked(body: bytes) -> bytes:
    return plain("/page", LOCALHOST, ("Transfer-Encoding", "chunked"), method=b"POST") + body


def _filled(unit: str, size: int = HEAD_BYTES) -> str:
    return unit * (size // len(unit))


def _forms() -> Flood:
    part = b'--b\r\nContent-Disposition: form-data; name="a"; a="%s\r\n\r\nx\r\n--b--\r\n'
    nested = b"".join(
        b"--b%s\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (b"%d" % (at - 1) if at else b"", at)
        for at in range(300)
    )
    bodies = {
        "64 KiB of ; in the head of a part": (_MULTIPART, part % (b";" * 65_536)),
        "64 KiB of quotes in the head of a part": (_MULTIPART, part % (b'\\"' * 32_768)),
        "multipart, nested 300 deep": (_MULTIPART, nested + b"\n" * (100_000 - len(nested))),
        "multipart, a thousand parts": (
            _MULTIPART,
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 1_000,
        ),
        "a Content-Type of ;": ("x/y" + _filled(";"), b"x"),
        "a Content-Type of quotes": ("x/y; " + _filled('""'), b"x"),
        "urlencoded, 1 MiB of &": (_URLENCODED, b"a&" * (BODY_BYTES // 2)),
        "urlencoded, 256 KiB of &": (_URLENCODED, b"a&" * (FORM_BYTES // 2)),
        "urlencoded, 256 KiB of %": (_URLENCODED, b"%" * FORM_BYTES),
        "urlencoded, 900 fields": (_URLENCODED, b"%41=%42&" * 900),
        "a plain body of 1 MB": ("text/plain", b"x" * BODY_BYTES),
        "a form on a path that is not there": (_URLENCODED, b"%" * FORM_BYTES),
    }
    return Flood(
        "forms",
        {
            what: _asks(_post(*body, path="/nothing" if "not there" in what else "/page"))
            for what, body in bodies.items()
        },
        attackers=ASKING,
    )


def _targets() -> Flood:
    paths = {
        "slashes": "/" + _filled("/"),
        "percent signs": "/page/" + _filled("%"),
        "escapes": "/page/" + _filled("%2f"),
        "dots": "/page/" + _filled("../"),
        "a long name": "/room/" + _filled("x"),
        "many fields": "/page?" + _filled("a&"),
        "no slash": _filled("%61"),
        "a whole URL": "http://localhost/" + _filled("a/"),
        "digits": "/page/" + _filled("9"),
    }
    return Flood("targets", {what: _asks(_get(path)) for what, path in paths.items()}, attackers=ASKING)


async def _refers(target: Target) -> None:
    """Refers to a connection of its own, with as many names and groups as fit."""
    mine = await target.upgraded("/sink", source=ATTACKER)
    try:
        ids = ("X-PODE-SIGNAL-CLIENT-ID", mine.client_id)
        await _asks(
            _get("/page", ids, ("X-PODE-SIGNAL-NAME", "Sink," + _filled("a,"))),
            _get("/page", ids, ("X-PODE-SIGNAL-NAME", "Sink"), ("X-PODE-SIGNAL-GROUP", _filled("%61,"))),
        )(target)
    finally:
        mine.close()


def _headers() -> Flood:
    lists = {
        "cookies": ("Cookie", "a=b; "),
        "cookies of ;": ("Cookie", ";"),
        "cookies of quotes": ("Cookie", 'a="\\'),
        "Accept": ("Accept", "text/html;q=0.5,"),
        "Authorization": ("Authorization", "Basic ="),
        "X-Forwarded-For": ("X-Forwarded-For", "1,"),
        "Connection": ("Connection", "a,"),
    }
    extensions = "permessage-deflate; client_max_window_bits, "
    return Flood(
        "headers",
        {
            **{what: _asks(_get("/page", (name, _filled(unit)))) for what, (name, unit) in lists.items()},
            "references": _refers,
            "cookies of an upgrade": _upgrades(("Cookie", _filled("a=b; "))),
            "fields of an upgrade": _upgrades(path="/bait/reads?" + _filled("a&")),
            "Sec-WebSocket-Extensions": _upgrades(("Sec-WebSocket-Extensions", _filled(extensions))),
            "Sec-WebSocket-Protocol": _upgrades(("Sec-WebSocket-Protocol", ",".join(map(str, range(HEAD_BYTES // 5))))),
        },
        attackers=ASKING,
        options=("--compression=yes",),
    )


def _chunks() -> Flood:
    return Flood(
        "chunks",
        {
            "tiny": _asks(_chunked(b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")),
            "extensions": _asks(_chunked(b"1;" + b"a=b;" * 250 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n"),
            "long extensions": _asks(_chunked(b"1;" + b"a" * HEAD_BYTES + b"\r\nx\r\n0\r\n\r\n")),
            "trailers": _asks(_chunked(b"0\r\n" + b"A: b\r\n" * 2_000 + b"\r\n")),
        },
        attackers=ASKING,
    )


_numbers = count()


async def _new_header_name(target: Target) -> None:
    """Asks with the name of a header that nobody had before."""
    name = f"x{next(_numbers):07d}".ljust(NAME_BYTES, "y")
    await _once(target, _get("/page", (name, "z")))


async def _once(target: Target, data: bytes) -> None:
    wire = await Wire.connect(target.port, source=ATTACKER)
    try:
        await wire.send(data)
        await wire.skip()
    finally:
        wire.close()


async def _dribbles(target: Target) -> None:
    """Sends a body, a byte every few seconds, and comes from where good clients come from."""
    await asyncio.sleep(random.random())
    wire = await Wire.connect(target.port)
    try:
        await wire.send(plain("/page", LOCALHOST, ("Content-Length", "1000"), method=b"POST") + b"x")
        while True:
            try:
                async with asyncio.timeout(DRIBBLE_SECONDS):
                    if not await wire.skip():
                        return
            except TimeoutError:
                await wire.send(b"x")
    finally:
        wire.close()
        await asyncio.sleep(random.random())


async def _pipelines_and_leaves(target: Target) -> None:
    """Sends much behind a request that waits, and is gone."""
    wire = await Wire.connect(target.port, source=ATTACKER)
    try:
        await wire.send(_get("/wait"))
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                await wire.send(b"x" * PIPELINED_BYTES)
                await asyncio.sleep(PAUSE_SECONDS)
    finally:
        wire.close()


async def _holds(target: Target) -> None:
    """Takes a descriptor, and keeps it; who gets none tries again at once."""
    wire = await Wire.connect(target.port, source=ATTACKER)
    try:
        await wire.send(b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
        while await wire.skip():
            pass
    finally:
        wire.close()


async def _raises(target: Target) -> None:
    """Has a function raise."""
    wire = await target.upgraded("/bait/raises", source=ATTACKER)
    try:
        await wire.send(message(1) * 100)
        async with asyncio.timeout(1):
            await wire.skip()
    except TimeoutError:
        pass
    finally:
        wire.close()


def _each_once(requests: Iterable[bytes]) -> Attack:
    """Sends each on a connection of its own."""
    every = tuple(requests)

    async def attack(target: Target) -> None:
        for request in every:
            with suppress(OSError, Refused):
                await _once(target, request)

    return attack


def _log_lines() -> Flood:
    hosts = ("a" * 64, "a..b", ".", ".com", "a" * 300, "[::1", "\u00fc", "evil.example", "")
    bad = (
        *(
            b"\r\n\r\n\0\xff",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        *(
            plain("/page", LOCALHOST, ("Transfer-Encoding", coding), method=b"POST")
            for coding in ("identity", "x", "chunked, x")
        ),
        *(plain("/page", LOCALHOST, ("Content-Length", size), method=b"POST") for size in ("-1", "1,2", "x", "9" * 30)),
        *(_get("/page", ("X-PODE-SIGNAL-CLIENT-ID", each)) for each in ("unknown", "%ff", "s:x.y")),
        *(_get("/page", ("X", "y" * 20_000)), _chunked(b"x\r\n\r\n"), _chunked(b"-1\r\n\r\n"), _post(_MULTIPART, b"x")),
        *(
            head("/sink", LOCALHOST, each)
            for each in (("Origin", "http://evil.example"), ("Sec-WebSocket-Version", "8"))
        ),
        *(head("/sink", LOCALHOST, ("Sec-WebSocket-Key", "x")), head("/room/" + "x" * 200, LOCALHOST)),
    )
    library = (
        ("If-Modified-Since", " "),
        ("If-Modified-Since", "Sun, 06 Nov x"),
        ("Range", "bytes=" + _filled("0-0,")),
        ("Range", "bytes=x"),
        ("Range", "="),
    )
    return Flood(
        "log lines",
        {
            "a function that raises": _raises,
            "bad Hosts": _each_once(plain("/page", ("Host", host)) for host in hosts),
            "bad Hosts of upgrades": _each_once(head("/sink", ("Host", host)) for host in hosts),
            "bad requests": _each_once(bad),
            "headers that a library refuses": _each_once(_get("/static/report.py", each) for each in library),
        },
        attackers=ASKING,
        how={"tracebacks": True, "all_endpoints": "?hostname=%2A"},
    )


def floods() -> tuple[Flood, ...]:
    """All of them."""
    return (
        _forms(),
        _targets(),
        _headers(),
        _chunks(),
        Flood("names of headers", {"": _new_header_name}, most_growth_bytes=8 * MIB),
        Flood("bodies that dribble", {"": _dribbles}, attackers=DRIBBLERS, how={"app": "scarce"}),
        Flood("bytes behind a request that waits", {"": _pipelines_and_leaves}, attackers=ASKING, most_descriptors=60),
        Flood("no descriptors", {"": _holds}, attackers=HOLDERS, how={"app": "starved"}, newcomers=False),
        _log_lines(),
    )

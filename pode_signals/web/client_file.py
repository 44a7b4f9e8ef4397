"""Serves the client for browsers and its source map. It decides no route, and knows no connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from twisted.web.server import Request

__all__ = ["ClientFile"]

_NAME = "signals.js"
# What a path may have without being escaped (RFC 3986 section 3.3).
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_ETAG = re.compile(rb'"[^"]*"')


@frozen
class _File:
    content: bytes
    content_type: bytes
    etag: bytes


class ClientFile:
    """The built client at one path of an application, and its map beside the file.

    Args:
        path: the path of the file, below the resource that serves it: ``/signals.js``.

    Raises:
        TypeError: the path is no text.
        ValueError: the path does not begin with a slash, names no file, or has characters that a URL would escape.
    """

    def __init__(self, path: str) -> None:
        if not isinstance(path, str):
            raise TypeError(f"client_at has to be a str, not {type(path).__name__}")
        if not _PATH.fullmatch(path) or path.endswith(("/.", "/..")):
            raise ValueError(f"client_at has to be a path such as '/{_NAME}', not {path!r}")
        folder = path.rpartition("/")[0]
        # The name of the map stands in the file itself.
        self._files = {
            f"{folder}/{_NAME}.map".encode(): _read(f"{_NAME}.map", b"application/json"),
            path.encode(): _read(_NAME, b"text/javascript; charset=utf-8"),
        }

    def answer(self, request: Request) -> bytes | None:
        """The body of the answer, whose headers are set; None where the request is for something else.

        Args:
            request: a request that no resource has taken apart yet.
        """
        if request.method not in (b"GET", b"HEAD"):
            return None
        found = self._files.get(b"".join(b"/" + each for each in request.postpath or ()))
        if found is None:
            return None
        request.setHeader(b"Content-Type", found.content_type)
        request.setHeader(b"ETag", found.etag)
        # A browser asks each time, and gets 304 until the package is updated.
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        # Pages of other origins load modules by CORS. What everybody can read in the package is no secret.
        request.setHeader(b"Access-Control-Allow-Origin", b"*")
        if _has(request.requestHeaders.getRawHeaders(b"If-None-Match", []), found.etag):
            request.setResponseCode(304)
            return b""
        if request.method == b"HEAD":
            # Twisted drops a body that a HEAD request gets, and logs that each time.
            request.setHeader(b"Content-Length", b"%d" % len(found.content))
            return b""
        return found.content


def _read(name: str, content_type: bytes) -> _File:
    content = files("pode_signals").joinpath("client", "browser", "dist", name).read_bytes()
    return _File(content, content_type, b'"%s"' % sha256(content).hexdigest()[:32].encode("ascii"))


def _has(lines: Sequence[bytes], etag: bytes) -> bool:
    """Whether If-None-Match names an entity tag (RFC 9110 section 13.1.2). Proxies that compress weaken it."""
    return any(line.strip() == b"*" or etag in _ETAG.findall(line) for line in lines)

"""Whether a ``twisted.web`` request can become a WebSocket connection, and what it asks for. It changes nothing.

Everything that can be refused is refused here, before the transport is touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.web.http import RESPONSES, HTTPChannel

from ..core.origin import is_origin, origin_allowed
from ..core.request_record import HandshakeRecord, header_text
from ..core.text import FORBIDDEN as _FORBIDDEN
from ..core.text import TOKEN as _TOKEN
from ..core.text import VISIBLE as _VISIBLE
from ..core.text import shown
from ..core.upgrade import asks_for_websocket, listed
from ..errors import AlreadyConverted, ClientGone, OriginRefused, ResponseStarted, UpgradeRefused
from .converted import ConvertedChannel
from .hosts import check_host, forwarded_host
from .requests import RequestState
from .targets import check_target, routed_path

if TYPE_CHECKING:
    from ..hub.hub import Hub

Request = Any  # a twisted.web.server.Request: most of what is used of it has no annotations

__all__ = ["UpgradeOffer", "check_upgrade", "handshake_record", "is_handshake", "is_upgrade"]

# Klein and other resources set a status without its phrase; Twisted has none for these ("421 Unknown Status").
for _status in (HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.UPGRADE_REQUIRED, HTTPStatus.TOO_MANY_REQUESTS):
    RESPONSES.setdefault(_status.value, _status.phrase.encode("ascii"))

_SEEN_BY_AUTOBAHN = (b"host", b"origin", b"upgrade", b"connection")
_ONCE = (b"host", b"origin", b"sec-websocket-key", b"sec-websocket-version")
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base64 (RFC 6455 section 4.1)
_VERSION = re.compile(rb"0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]")  # RFC 6455 section 4.3
_DEFLATE_PARAMETER = re.compile(
    rb"(?:server|client)_no_context_takeover|server_max_window_bits=(?:9|1[0-5])|client_max_window_bits(?:=(?:9|1[0-5]))?"
)
_UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_Headers = Mapping[bytes, Sequence[bytes]]  # by their names in lower case


@frozen
class UpgradeOffer:
    """What a good upgrade request asks for.

    Attributes:
        key: Sec-WebSocket-Key.
        subprotocols: in the client's order of preference.
        deflate: the permessage-deflate offers that can be understood (RFC 7692), joined; empty for none, and where
            the hub takes none.
    """

    key: bytes
    subprotocols: tuple[str, ...]
    deflate: bytes


def is_upgrade(request: Request) -> bool:
    """Whether a request asks for the WebSocket protocol, well or badly."""
    return asks_for_websocket(request.requestHeaders.getRawHeaders(b"upgrade", ()))


def is_handshake(request: Request) -> bool:
    """Whether a client meant a request to be an upgrade, also where a proxy has dropped its Upgrade header."""
    return is_upgrade(request) or request.requestHeaders.hasHeader(b"sec-websocket-key")


def check_upgrade(request: Request, state: RequestState, hub: Hub) -> UpgradeOffer:
    """Refuse whatever can't become a connection.

    Args:
        request: the request.
        state: what is known of it.
        hub: whose rules hold.

    Raises:
        UpgradeRefused: with the answer for the client.
        AlreadyConverted, ResponseStarted, ClientGone: the request is past converting.
    """
    channel = getattr(request, "channel", None)  # a request that has ended has none
    if isinstance(channel, ConvertedChannel) or state.link is not None:
        raise AlreadyConverted
    if request.startedWriting or request.finished:
        raise ResponseStarted
    if request._disconnected or channel is None:
        raise ClientGone
    if not isinstance(channel, HTTPChannel):
        raise UpgradeRefused(426, "WebSocket connections need HTTP/1.1.", _UPGRADE)  # no RFC 8441 over HTTP/2
    headers = {name.lower(): values for name, values in request.requestHeaders.getAllRawHeaders()}
    _check_request_line(request, headers)
    _check_headers(headers)
    check_host(request)
    _check_version_and_key(headers)
    if _has_body(headers):
        raise UpgradeRefused(400, "An upgrade has no body.", hint="Content-Length is over 0, or Transfer-Encoding came")
    _check_origin(request, headers, hub)
    deflate = b", ".join(_deflate_offers(headers)) if hub.settings.compression else b""
    return UpgradeOffer(headers[b"sec-websocket-key"][0], _subprotocols(headers), deflate)


def handshake_record(request: Request, state: RequestState, address: str) -> HandshakeRecord:
    """What a connection keeps of its request."""
    headers = [(name, each) for name, values in request.requestHeaders.getAllRawHeaders() for each in values]
    path, http_route = routed_path(request) if state.unrouted_path is None else (state.unrouted_path, None)
    return HandshakeRecord(request.method, request.uri, headers, address, request.isSecure(), path, http_route)


def _check_request_line(request: Request, headers: _Headers) -> None:
    if request.method != b"GET":
        raise UpgradeRefused(405, "Only GET can be upgraded.", [("Allow", "GET")])
    if request.clientproto != b"HTTP/1.1":
        raise UpgradeRefused(505, "WebSocket connections need HTTP/1.1.")
    if not asks_for_websocket(headers.get(b"upgrade", ())) or not _asks_for_upgrade(headers.get(b"connection", ())):
        hint = "there is no Upgrade: websocket with Connection: Upgrade; a proxy has to pass these two on"
        raise UpgradeRefused(426, "This is a WebSocket endpoint.", _UPGRADE, hint=hint)
    check_target(request.uri)


def _asks_for_upgrade(values: Sequence[bytes]) -> bool:
    return list(values) == [b"Upgrade"] or b"upgrade" in (each.lower() for each in listed(values))


def _check_headers(headers: _Headers) -> None:
    strict, others = bytearray(), bytearray()
    for name, values in headers.items():
        part = strict if name in _SEEN_BY_AUTOBAHN or name.startswith(b"sec-websocket-") else others
        for value in values:
            part += value
    if not _VISIBLE.fullmatch(strict) or _FORBIDDEN.search(others):
        raise UpgradeRefused(400, "A header has a character that it must not have.", hint=_strange_header(headers))
    for name in _ONCE:
        if len(headers.get(name, ())) > 1:
            raise UpgradeRefused(400, f"The {name.decode('ascii').title()} header is repeated.")
    origin = _first(headers, b"origin")
    if origin is not None and not is_origin(origin.decode("ascii")):
        raise UpgradeRefused(400, "The Origin header is malformed.", hint=f"Origin: {shown(origin.decode('ascii'))}")


def _strange_header(headers: _Headers) -> str:
    for name, values in headers.items():
        is_strict = name in _SEEN_BY_AUTOBAHN or name.startswith(b"sec-websocket-")
        for value in values:
            if not _VISIBLE.fullmatch(value) if is_strict else _FORBIDDEN.search(value):
                return f"{header_text(name).title()}: {shown(header_text(value))}"
    raise AssertionError("unreachable")


def _check_version_and_key(headers: _Headers) -> None:
    version = _first(headers, b"sec-websocket-version")
    if version is not None and not _VERSION.fullmatch(version):
        raise UpgradeRefused(400, "The Sec-WebSocket-Version is malformed.")
    if version != b"13":
        raise UpgradeRefused(426, "The WebSocket version has to be 13.", [*_UPGRADE, ("Sec-WebSocket-Version", "13")])
    if not _KEY.fullmatch(_first(headers, b"sec-websocket-key") or b""):
        raise UpgradeRefused(400, "The Sec-WebSocket-Key is missing or malformed.")


def _has_body(headers: _Headers) -> bool:
    if headers.get(b"transfer-encoding"):
        return True
    return any(value.strip() != b"0" for value in headers.get(b"content-length", ()))


def _check_origin(request: Request, headers: _Headers, hub: Hub) -> None:
    settings = hub.settings
    origin = _first(headers, b"origin")
    if origin is None:  # no browser, for which rules need no more to be looked at
        allowed = settings.allow_missing_origin
        if allowed is None:  # a proxy that drops the header makes every page look like no browser
            allowed = not hub.identities.is_trusted_proxy(request)
        if not allowed:
            raise OriginRefused(hint="there is no Origin, see allow_missing_origin")
        return
    page, host = origin.decode("ascii"), headers[b"host"][0].decode("ascii")
    forwarded = forwarded_host(request, hub)
    if not origin_allowed(
        page,
        host,
        allowed_origins=settings.allowed_origins,
        own_ports=hub.own_ports,
        secure=request.isSecure(),
        allow_null=settings.allow_null_origin,
        allow_missing=False,
        forwarded_host=forwarded,
    ):
        raise OriginRefused(hint=_foreign(page, host, forwarded, bool(headers.get(b"x-forwarded-host"))))


def _foreign(page: str, host: str, forwarded: str | None, proxied: bool) -> str:
    setting = "allow_null_origin" if page == "null" else "allowed_origins"
    came = f"Origin: {shown(page)}, Host: {shown(host)}"
    if forwarded is not None:
        came += f", X-Forwarded-Host: {shown(forwarded)}"
    elif proxied:
        came += ", and an X-Forwarded-Host that does not count, since the proxy is not in trusted_proxies"
    return f"{came}; see {setting}"


def _subprotocols(headers: _Headers) -> tuple[str, ...]:
    values = headers.get(b"sec-websocket-protocol")
    if not values:
        return ()
    offered = listed(values)
    if not all(_TOKEN.fullmatch(each) for each in offered) or len(set(offered)) != len(offered):
        raise UpgradeRefused(400, "The Sec-WebSocket-Protocol is malformed.")
    return tuple(each.decode("ascii") for each in offered)


def _deflate_offers(headers: _Headers) -> Iterable[bytes]:
    """The offers that Autobahn can take; others are declined, as RFC 7692 section 5 wants."""
    for offer in listed(headers.get(b"sec-websocket-extensions", ())):
        name, *parameters = (each.strip() for each in offer.split(b";"))
        keys = [each.partition(b"=")[0] for each in parameters]
        if name == b"permessage-deflate" and len(set(keys)) == len(keys):
            if all(_DEFLATE_PARAMETER.fullmatch(each) for each in parameters):
                yield b"; ".join((name, *parameters))


def _first(headers: _Headers, name: bytes) -> bytes | None:
    values = headers.get(name)
    return values[0] if values else None

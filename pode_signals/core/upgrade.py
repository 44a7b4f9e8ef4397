"""Which requests may become a WebSocket connection, and what these requests ask for. It changes nothing.

All refusals that depend only on the head of a request are made here, before the transport is touched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from ..errors import OriginRefused, UpgradeRefused
from .hosts import check_forwarded_host, check_host
from .origin import is_origin, origin_allowed
from .request_head import RequestHead
from .request_record import header_text
from .resume import RESUME_HEADERS, RESUME_PREFIX, ResumeRequest, read_resume, without_resume
from .text import FORBIDDEN, TOKEN, VISIBLE, shown

__all__ = [
    "SIGNALS_PROTOCOL",
    "UpgradeOffer",
    "UpgradeRules",
    "asks_for_websocket",
    "check",
    "check_target",
    "chosen_subprotocol",
    "is_handshake",
    "is_upgrade",
]

SIGNALS_PROTOCOL = "pode.signals.v1"
"""The subprotocol of clients that speak the signals protocol."""

_UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_SEEN_BY_AUTOBAHN = (b"host", b"origin", b"upgrade", b"connection")
_SUBPROTOCOLS = b"sec-websocket-protocol"
_ONCE = (b"host", b"origin", b"sec-websocket-key", b"sec-websocket-version")
# 16 bytes in base64 (RFC 6455 section 4.1). Of the last character only two bits belong to the 16 bytes, so there are
# four characters that it can be.
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
# RFC 6455 section 4.3.
_VERSION = re.compile(rb"0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]")
_DEFLATE_PARAMETER = re.compile(
    rb"(?:server|client)_no_context_takeover|server_max_window_bits=(?:9|1[0-5])|client_max_window_bits(?:=(?:9|1[0-5]))?"
)

# Headers whose values are in no log, however bad they are.
_SECRETS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


@frozen
class UpgradeRules:
    """The rules of a hub for upgrades. All else that a decision depends on is in the head of the request.

    Attributes:
        allowed_origins: the origins whose pages may connect beside the server's own pages; None allows no others.
        allow_null_origin: whether ``Origin: null`` may connect.
        allow_missing_origin: whether a client without an Origin may connect; None allows such a client unless it came
            through a trusted proxy.
        own_ports: the ports of this service's http and https endpoints, whose pages may connect.
        compression: whether permessage-deflate is accepted.
    """

    allowed_origins: tuple[str, ...] | None = None
    allow_null_origin: bool = False
    allow_missing_origin: bool | None = None
    own_ports: Collection[int] = ()
    compression: bool = False


@frozen
class UpgradeOffer:
    """The wishes of a good upgrade request.

    Attributes:
        key: the Sec-WebSocket-Key.
        subprotocols: the subprotocols, in the client's order of preference; none of them is an offer to resume.
        resume: the position and the token of a client that comes back; None where the client offers neither, and where
            its text is malformed.
        deflate: the offers of permessage-deflate that can be understood (RFC 7692), joined; empty where there are none,
            and where the hub accepts none.
    """

    key: bytes
    subprotocols: tuple[str, ...]
    resume: ResumeRequest | None
    deflate: bytes


def check(head: RequestHead, rules: UpgradeRules) -> UpgradeOffer:
    """Refuse a request that can't become a connection, and read the offer of any other.

    Args:
        head: the request.
        rules: what the hub allows.

    Raises:
        UpgradeRefused: the request is refused; the error has the answer for the client.
    """
    _check_request_line(head)
    _check_headers(head)
    check_host(head)
    key = _checked_key(head)
    if _has_body(head):
        raise UpgradeRefused(400, "An upgrade has no body.", hint="Content-Length is over 0, or Transfer-Encoding came")
    _check_origin(head, rules)
    deflate = b", ".join(_deflate_offers(head)) if rules.compression else b""
    subprotocols, resume = _offered_subprotocols(head)
    return UpgradeOffer(key, subprotocols, resume, deflate)


def check_target(target: bytes) -> None:
    """Refuse an upgrade whose target could be read in two ways.

    Twisted and Klein take ``admin`` for the path ``/dmin`` and ``x:///admin`` for ``/:///admin``.

    Raises:
        UpgradeRefused: the target does not begin with a slash (RFC 9112 section 3.2.1), or has a fragment (RFC 6455
            section 3).
    """
    if target[:1] != b"/":
        raise UpgradeRefused(400, "The target of an upgrade has to begin with a slash.")
    if b"#" in target:
        raise UpgradeRefused(400, "A WebSocket URL has no fragment.")


def chosen_subprotocol(offered: Collection[str], accepted: Iterable[str], *, signals_protocol: bool) -> str | None:
    """The subprotocol that a connection agrees on; None is none.

    Args:
        offered: the subprotocols that the client offers (:attr:`UpgradeOffer.subprotocols`).
        accepted: the subprotocols that the route accepts, the preferred first. A route that names
            :data:`SIGNALS_PROTOCOL` itself gives it its rank.
        signals_protocol: whether :data:`SIGNALS_PROTOCOL` is chosen where the client offers none of ``accepted``.
    """
    candidates = (*accepted, SIGNALS_PROTOCOL) if signals_protocol else accepted
    return next((each for each in candidates if each in offered), None)


def is_upgrade(head: RequestHead) -> bool:
    """Whether a request asks for the WebSocket protocol, well or badly."""
    return asks_for_websocket(head.lines(b"upgrade"))


def is_handshake(head: RequestHead) -> bool:
    """Whether a request was meant to be an upgrade. A proxy may have dropped its Upgrade header."""
    return is_upgrade(head) or bool(head.lines(b"sec-websocket-key"))


def asks_for_websocket(values: Sequence[bytes]) -> bool:
    """Whether the lines of an Upgrade header ask for the WebSocket protocol (RFC 6455 section 4.2.1), well or badly."""
    return list(values) == [b"websocket"] or b"websocket" in (each.lower() for each in _listed(values))


def _check_request_line(head: RequestHead) -> None:
    if head.method != b"GET":
        raise UpgradeRefused(405, "Only GET can be upgraded.", [("Allow", "GET")])
    if head.version != b"HTTP/1.1":
        raise UpgradeRefused(505, "WebSocket connections need HTTP/1.1.")
    if not is_upgrade(head) or not _asks_for_upgrade(head.lines(b"connection")):
        hint = "there is no Upgrade: websocket with Connection: Upgrade; a proxy has to pass these two on"
        raise UpgradeRefused(426, "This is a WebSocket endpoint.", _UPGRADE, hint=hint)
    check_target(head.target)


def _asks_for_upgrade(values: Sequence[bytes]) -> bool:
    return list(values) == [b"Upgrade"] or b"upgrade" in (each.lower() for each in _listed(values))


def _check_headers(head: RequestHead) -> None:
    # The values of each kind are joined and looked at once, since nearly every request is good and has ten headers or
    # more. Only for a bad request the header is looked for afterwards.
    strict, others = bytearray(), bytearray()
    for name, values in head.headers.items():
        part = strict if _is_strict(name) else others
        for value in values:
            part += value
    if not VISIBLE.fullmatch(strict) or FORBIDDEN.search(others):
        raise UpgradeRefused(400, "A header has a character that it must not have.", hint=_strange_header(head))
    for name in _ONCE:
        if len(head.headers.get(name, ())) > 1:
            raise UpgradeRefused(400, f"The {name.decode('ascii').title()} header is repeated.")
    origin = head.first(b"origin")
    if origin is not None and not is_origin(origin.decode("ascii")):
        raise UpgradeRefused(400, "The Origin header is malformed.", hint=f"Origin: {shown(origin.decode('ascii'))}")


def _is_strict(name: bytes) -> bool:
    """Whether a header belongs to the handshake, and so must be visible ASCII."""
    return name in _SEEN_BY_AUTOBAHN or name.startswith(b"sec-websocket-")


def _strange_header(head: RequestHead) -> str:
    for name, values in head.headers.items():
        for value in values:
            if not VISIBLE.fullmatch(value) if _is_strict(name) else FORBIDDEN.search(value):
                title, said = header_text(name).title(), header_text(_without_token(name, value))
                return f"{title}, not shown" if name in _SECRETS else f"{title}: {shown(said)}"
    raise AssertionError("unreachable")


def _without_token(name: bytes, value: bytes) -> bytes:
    """The value of a header for a log line, without a resume token."""
    if name in RESUME_HEADERS:
        return b"..."
    return without_resume(value) if name == _SUBPROTOCOLS else value


def _checked_key(head: RequestHead) -> bytes:
    version = head.first(b"sec-websocket-version")
    if version is not None and not _VERSION.fullmatch(version):
        hint = f"Sec-WebSocket-Version: {shown(version.decode('ascii'))}"
        raise UpgradeRefused(400, "The Sec-WebSocket-Version is malformed.", hint=hint)
    if version != b"13":
        raise UpgradeRefused(426, "The WebSocket version has to be 13.", [*_UPGRADE, ("Sec-WebSocket-Version", "13")])
    key = head.first(b"sec-websocket-key")
    if key is None or not _KEY.fullmatch(key):
        raise UpgradeRefused(400, "The Sec-WebSocket-Key is missing or malformed.")
    return key


def _has_body(head: RequestHead) -> bool:
    if head.lines(b"transfer-encoding"):
        return True
    return any(value.strip() != b"0" for value in head.lines(b"content-length"))


def _check_origin(head: RequestHead, rules: UpgradeRules) -> None:
    origin = head.first(b"origin")
    # Browsers always send an Origin, so this client is no browser, and no rules for pages concern it.
    if origin is None:
        allowed = rules.allow_missing_origin
        # Through a proxy that drops the header, every page would look like a client that is no browser.
        if allowed is None:
            allowed = not head.is_from_trusted_proxy
        if not allowed:
            raise OriginRefused(hint="there is no Origin, see allow_missing_origin")
        return
    page, host = origin.decode("ascii"), head.lines(b"host")[0].decode("ascii")
    forwarded = check_forwarded_host(head)
    if not origin_allowed(
        page,
        host,
        allowed_origins=rules.allowed_origins,
        own_ports=rules.own_ports,
        secure=head.is_secure,
        allow_null=rules.allow_null_origin,
        allow_missing=False,
        forwarded_host=forwarded,
    ):
        raise OriginRefused(hint=_foreign(page, host, forwarded, bool(head.lines(b"x-forwarded-host"))))


def _foreign(page: str, host: str, forwarded: str | None, proxied: bool) -> str:
    setting = "allow_null_origin" if page == "null" else "allowed_origins"
    came = f"Origin: {shown(page)}, Host: {shown(host)}"
    if forwarded is not None:
        came += f", X-Forwarded-Host: {shown(forwarded)}"
    elif proxied:
        came += ", and an X-Forwarded-Host that does not count, since the proxy is not in trusted_proxies"
    return f"{came}; see {setting}"


def _offered_subprotocols(head: RequestHead) -> tuple[tuple[str, ...], ResumeRequest | None]:
    values = head.lines(_SUBPROTOCOLS)
    if not values:
        return (), None
    offered, resume, are_tokens = [], None, True
    for each in _listed(values):
        if not each.startswith(RESUME_PREFIX):
            offered.append(each.decode("ascii"))
            are_tokens = are_tokens and TOKEN.fullmatch(each) is not None
        # Of an offer to resume not even the characters are checked, which is otherwise a matter of the header (RFC 6455
        # section 4.1): a text that can't be read is passed over.
        elif resume is None:
            resume = read_resume(each.removeprefix(RESUME_PREFIX).decode("ascii"))
    if not are_tokens or len(set(offered)) != len(offered):
        hint = f"Sec-WebSocket-Protocol: {shown(b', '.join(map(without_resume, values)).decode('ascii'))}"
        raise UpgradeRefused(400, "The Sec-WebSocket-Protocol is malformed.", hint=hint)
    return tuple(offered), resume


def _deflate_offers(head: RequestHead) -> Iterable[bytes]:
    """The offers that Autobahn can take; others are declined, as RFC 7692 section 5 wants."""
    for offer in _listed(head.lines(b"sec-websocket-extensions")):
        name, *parameters = (each.strip() for each in offer.split(b";"))
        keys = [each.partition(b"=")[0] for each in parameters]
        if name == b"permessage-deflate" and len(set(keys)) == len(keys):
            if all(_DEFLATE_PARAMETER.fullmatch(each) for each in parameters):
                yield b"; ".join((name, *parameters))


def _listed(values: Sequence[bytes]) -> list[bytes]:
    """The elements of a header that is a list, over all its lines."""
    return [each.strip() for value in values for each in value.split(b",") if each.strip()]

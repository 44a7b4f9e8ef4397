"""Which requests may become a stream of server-sent events, and what clients of a stream may send. It changes nothing.

A stream is the way for networks that block WebSockets: the same connection, over a GET whose answer does not end. The
client sends by POST and ends its stream by DELETE, both with a resume token of the stream.
"""

from __future__ import annotations

import re

from attrs import frozen

from ..errors import OriginRefused, UpgradeRefused
from .hosts import check_forwarded_host, check_host
from .origin import is_origin, origin_allowed
from .request_head import RequestHead
from .resume import ResumeRequest, read_resume
from .text import FORBIDDEN, shown
from .upgrade import SIGNALS_PROTOCOL, UpgradeRules, check_target

__all__ = [
    "ALLOWED_HEADERS",
    "StreamOffer",
    "asks_for_events",
    "check_posted",
    "check_stream",
    "is_preflight",
    "page_of",
]

_RESUME = b"x-pode-signal-resume"
ALLOWED_HEADERS = "X-PODE-SIGNAL-RESUME, X-PODE-SIGNAL-TOKEN, X-PODE-SIGNAL-POST, Last-Event-ID, Content-Type"
"""What pages of other origins may send, where these origins may connect."""
_NO_RESUME = b"-"
_EVENTS = re.compile(rb"(?i)text/event-stream[ \t]*(?P<parameters>(?:;[^,]*)?)")
_PROTOCOL = re.compile(rb'(?i);[ \t]*protocol=(?P<quote>"?)(?P<name>[^";, \t]*)(?P=quote)')
_OWN_PAGES = (b"same-origin", b"none")


@frozen
class StreamOffer:
    """The wishes of a good request for a stream.

    Attributes:
        is_signals: whether the client speaks ``pode.signals.v1``; otherwise it is the ``EventSource`` of a browser.
        resume: the position and the token of a client that comes back; None where the client offers neither, and where
            its text is malformed.
    """

    is_signals: bool
    resume: ResumeRequest | None


def asks_for_events(head: RequestHead) -> bool:
    """Whether a request asks for server-sent events, well or badly."""
    return head.method in (b"GET", b"HEAD") and _accepted(head) is not None


def is_preflight(head: RequestHead) -> bool:
    """Whether a browser asks whether a page of another origin may open a stream, or send to one (CORS)."""
    asked = b",".join(head.lines(b"access-control-request-headers")).lower()
    wanted = bool(head.lines(b"access-control-request-method"))
    return head.method == b"OPTIONS" and wanted and b"x-pode-signal-" in asked


def check_stream(head: RequestHead, rules: UpgradeRules, *, signals_protocol: bool) -> StreamOffer:
    """Refuse a request that can't become a stream, and read the offer of any other.

    Args:
        head: the request; it asks for events.
        rules: what the hub allows.
        signals_protocol: whether the hub speaks ``pode.signals.v1``.

    Raises:
        UpgradeRefused: the request is refused; the error has the answer for the client.
    """
    if head.method != b"GET":
        raise UpgradeRefused(405, "Only GET can become a stream.", [("Allow", "GET")])
    check_target(head.target)
    _check_characters(head)
    check_host(head)
    if head.lines(b"transfer-encoding") or any(value.strip() != b"0" for value in head.lines(b"content-length")):
        raise UpgradeRefused(400, "A request for a stream has no body.")
    _check_page(head, rules)
    accepted = _accepted(head)
    protocol = None if accepted is None else _PROTOCOL.search(accepted)
    if protocol is None:
        return StreamOffer(is_signals=False, resume=_resume(head.first(b"last-event-id")))
    if protocol["name"].decode("latin-1") != SIGNALS_PROTOCOL or not signals_protocol:
        raise UpgradeRefused(406, "This protocol is not served.", hint="see signals_protocol")
    offered = head.first(_RESUME)
    # A page of another origin can send this header after a preflight alone. Without it such a page could take the place
    # of a connection of its user.
    if offered is None:
        raise UpgradeRefused(400, "The X-PODE-SIGNAL-RESUME header is missing; the first time it is a hyphen.")
    return StreamOffer(is_signals=True, resume=None if offered == _NO_RESUME else _resume(offered))


def check_posted(head: RequestHead, rules: UpgradeRules) -> str:
    """Refuse what does not come from the client of a stream, as far as the head shows, and read its token.

    Args:
        head: a POST or DELETE with X-PODE-SIGNAL-TOKEN.
        rules: what the hub allows.

    Raises:
        UpgradeRefused: the request is refused; the error has the answer for the client.
    """
    _check_characters(head)
    check_host(head)
    _check_page(head, rules)
    tokens = head.lines(b"x-pode-signal-token")
    if len(tokens) != 1:
        raise UpgradeRefused(403, "The X-PODE-SIGNAL-TOKEN header has to be there once.")
    return tokens[0].decode("latin-1")


def page_of(head: RequestHead, rules: UpgradeRules) -> str | None:
    """The origin of the page that sent a request, where the page may connect; None for no page, and any other page."""
    origins = head.lines(b"origin")
    if len(origins) != 1:
        return None
    page = origins[0].decode("latin-1")
    try:
        return page if _may_connect(head, page, rules) else None
    # A Host, or one that a proxy tells of, which can't be read.
    except UpgradeRefused:
        return None


def _accepted(head: RequestHead) -> bytes | None:
    """The element of Accept that names event streams; None where none does."""
    for line in head.lines(b"accept"):
        for element in line.split(b","):
            if _EVENTS.fullmatch(element.strip()):
                return element
    return None


def _check_characters(head: RequestHead) -> None:
    for name, values in head.headers.items():
        if any(FORBIDDEN.search(value) for value in values):
            raise UpgradeRefused(400, "A header has a character that it must not have.")
        if len(values) > 1 and name in (b"origin", b"host", _RESUME, b"last-event-id", b"sec-fetch-site"):
            raise UpgradeRefused(400, f"The {name.decode('ascii').title()} header is repeated.")


def _check_page(head: RequestHead, rules: UpgradeRules) -> None:
    """Refuse pages that may not connect.

    Browsers send no Origin with a GET of a page of the same origin, nor with a GET of a foreign page without CORS.
    Sec-Fetch-Site tells the two apart; clients that are no browsers send neither.
    """
    origin = head.first(b"origin")
    if origin is None:
        _check_site(head, rules)
        return
    page = origin.decode("latin-1")
    if not is_origin(page):
        raise UpgradeRefused(400, "The Origin header is malformed.", hint=f"Origin: {shown(page)}")
    if not _may_connect(head, page, rules):
        raise OriginRefused(hint=f"Origin: {shown(page)}; see allowed_origins")


def _check_site(head: RequestHead, rules: UpgradeRules) -> None:
    site = head.first(b"sec-fetch-site")
    if site in _OWN_PAGES:
        return
    if site is not None:
        raise OriginRefused(hint="there is no Origin, and Sec-Fetch-Site tells of a page of another origin")
    allowed = rules.allow_missing_origin
    if allowed is None:
        # Through a proxy that drops both headers, every page would look like a client that is no browser. But a foreign
        # page can't send X-PODE-SIGNAL-RESUME, and pages of one's own on plain HTTP send neither of the two.
        allowed = not head.is_from_trusted_proxy or bool(head.lines(_RESUME))
    if not allowed:
        raise OriginRefused(hint="there are neither Origin nor Sec-Fetch-Site, see allow_missing_origin")


def _may_connect(head: RequestHead, page: str, rules: UpgradeRules) -> bool:
    hosts = head.lines(b"host")
    return is_origin(page) and origin_allowed(
        page,
        hosts[0].decode("ascii", "replace") if hosts else "",
        allowed_origins=rules.allowed_origins,
        own_ports=rules.own_ports,
        secure=head.is_secure,
        allow_null=rules.allow_null_origin,
        allow_missing=False,
        forwarded_host=check_forwarded_host(head),
    )


def _resume(value: bytes | None) -> ResumeRequest | None:
    return None if value is None else read_resume(value.decode("latin-1"))

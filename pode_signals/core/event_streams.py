"""Which requests may become a stream of server-sent events, and what clients of a stream may send. It changes nothing.

A stream is the way for networks that block WebSockets: the same connection, over a GET whose answer does not end. The
client sends by POST and ends its stream by DELETE, both with a resume token of the stream.
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen

from ..errors import OriginRefused, UpgradeRefused
from .hosts import check_forwarded_host, check_host
from .origin import is_origin, origin_allowed
from .request_head import RequestHead
from .resume import ResumeRequest, read_resume
from .text import FORBIDDEN, shown
from .upgrade import SIGNALS_PROTOCOL, UpgradeRules, check_target, is_upgrade

__all__ = [
    "Preflight",
    "StreamOffer",
    "asks_for_events",
    "check_posted",
    "check_stream",
    "is_posted",
    "page_of",
    "preflight_in",
    "stream_not_allowed",
]

_RESUME, _TOKEN, _NUMBER = b"x-pode-signal-resume", b"x-pode-signal-token", b"x-pode-signal-post"
_NO_RESUME = b"-"
_EVENTS = re.compile(rb"(?i)text/event-stream[ \t]*(?P<parameters>(?:;[^,]*)?)")
_PROTOCOL = re.compile(rb'(?i);[ \t]*protocol=(?P<quote>"?)(?P<name>[^";, \t]*)(?P=quote)')
_OWN_PAGES = (b"same-origin", b"none")
# A proxy may read another line of a repeated header than this package does.
_ONCE = (b"origin", b"host", _RESUME, _NUMBER, b"last-event-id", b"sec-fetch-site", b"content-type")


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


class Preflight(Enum):
    """What a browser may ask for a page of another origin (CORS): the methods, and the headers that go with them.

    The headers of a POST are allowed where a stream is open, and nowhere else. With them a page could send JSON to any
    resource, and applications count on browsers not to let pages of other origins do so.
    """

    STREAM = "GET", "X-PODE-SIGNAL-RESUME, Last-Event-ID"
    POST = "POST, DELETE", "X-PODE-SIGNAL-TOKEN, X-PODE-SIGNAL-POST, Content-Type"

    @property
    def methods(self) -> str:
        """The value of Access-Control-Allow-Methods."""
        return self.value[0]

    @property
    def headers(self) -> str:
        """The value of Access-Control-Allow-Headers."""
        return self.value[1]


def asks_for_events(head: RequestHead) -> bool:
    """Whether a request asks for server-sent events, well or badly."""
    return head.method in (b"GET", b"HEAD") and _accepted(head) is not None


def stream_not_allowed(head: RequestHead) -> UpgradeRefused | None:
    """The refusal of a request for a stream by a hub that serves none; None for a request that asks for none."""
    if head.method != b"GET" or is_upgrade(head) or not asks_for_events(head):
        return None
    said = "This route takes WebSockets alone, since allow_sse is False."
    hint = "the client asks for server-sent events, which allow_sse=True allows"
    return UpgradeRefused(426, said, [("Upgrade", "websocket"), ("Connection", "Upgrade")], hint=hint)


def is_posted(head: RequestHead) -> bool:
    """Whether a request is a POST or DELETE of the client of a stream; all others are the application's."""
    return head.method in (b"POST", b"DELETE") and bool(head.lines(_TOKEN) or head.lines(_NUMBER))


def preflight_in(head: RequestHead) -> Preflight | None:
    """What a browser asks for a page of another origin; None for all requests that ask nothing of this package."""
    method = head.first(b"access-control-request-method")
    if head.method != b"OPTIONS" or method is None:
        return None
    asked = b",".join(head.lines(b"access-control-request-headers")).lower().split(b",")
    names = {each.strip() for each in asked}
    if method == b"GET" and _RESUME in names:
        return Preflight.STREAM
    return Preflight.POST if method in (b"POST", b"DELETE") and _TOKEN in names else None


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
    tokens = head.lines(_TOKEN)
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
        if len(values) > 1 and name in _ONCE:
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

"""What clients of server-sent events ask for beside their stream: POST, DELETE, and what browsers ask before (CORS).

``core/event_streams.py`` decides; ``converter.py`` makes the streams themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..core.event_streams import Preflight, asks_for_events, check_posted, is_posted, page_of, preflight_in
from ..core.request_head import RequestHead
from ..core.request_record import header_text
from ..core.upgrade import UpgradeRules
from ..errors import OriginRefused, UpgradeRefused
from ..hub.hub import Hub
from ..hub.link import Link
from ..hub.posts import POST_HEADER

# A twisted.web.server.Request: most of what is used of it has no annotations.
Request = Any

__all__ = ["Streams"]

_PREFLIGHT_SECONDS = 600
# These happen to good clients too, and are counted without a line in the log.
_USUAL = (HTTPStatus.CONFLICT, HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS)


class Streams:
    """The requests of the clients of streams of one hub.

    Args:
        hub: the hub.
        rules: which pages may connect.
        count_refusal: writes a log line for a request that was refused, and counts one.
    """

    def __init__(
        self, hub: Hub, rules: UpgradeRules, count_refusal: Callable[[RequestHead, UpgradeRefused], None]
    ) -> None:
        self._hub = hub
        self._rules = rules
        self._count_refusal = count_refusal

    def answered(self, request: Request, head: RequestHead) -> bool | Deferred[None]:
        """Answer a request that no route has to see; False for all other requests.

        A Deferred fires, or fails with UpgradeRefused, when another node has answered.

        Raises:
            UpgradeRefused: what the client sent is not taken.
        """
        preflight = preflight_in(head)
        if preflight is not None:
            self.allow_page(request, head)
            self._answer_preflight(request, head, preflight)
        elif is_posted(head):
            self.allow_page(request, head)
            return self.receive(request, head) or True
        else:
            if asks_for_events(head):
                self.allow_refusals(request, head)
            return False
        return True

    def allow_page(self, request: Request, head: RequestHead) -> None:
        """Have the answer say that the page may read it, where a page of another origin asks that may connect."""
        request.__dict__.pop("write", None)
        page = page_of(head, self._rules)
        _vary(request)
        if page is not None:
            _allow(request, page)

    def allow_refusals(self, request: Request, head: RequestHead) -> None:
        """The same, where the answer is a refusal: of this package, or of the application.

        A page that may connect has to learn why it did not. It may not read all other pages that its user may read, and
        any of these can be asked for with an Accept of event streams.
        """
        page = page_of(head, self._rules)
        _vary(request)
        if page is None:
            return
        write = request.write

        def write_first(data: bytes) -> None:
            """Request.write until its first call, which sends the head of the answer."""
            request.__dict__.pop("write", None)
            own = request.responseHeaders.hasHeader(b"Access-Control-Allow-Origin")
            if request.code >= HTTPStatus.BAD_REQUEST and not own:
                _allow(request, page)
            write(data)

        request.write = write_first

    def receive(self, request: Request, head: RequestHead) -> Deferred[None] | None:
        """Take the frames of a POST, or end the stream of a DELETE.

        Returns:
            None where that is done; fires once another node has done it, or fails with UpgradeRefused.

        Raises:
            UpgradeRefused: they are not taken.
        """
        try:
            if head.method not in (b"POST", b"DELETE"):
                raise UpgradeRefused(405, "A stream takes POST and DELETE.", [("Allow", "POST, DELETE")])
            token = check_posted(head, self._rules)
            node = self._hub.forwarded_posts.node_of(token)
            link = self._hub.posts.stream_of(token) if node is None else None
            body = None
            if head.method == b"POST":
                if _media_type(head) != b"application/json":
                    raise UpgradeRefused(415, "The Content-Type has to be application/json.")
                body = self._body(request)
            number = (head.first(POST_HEADER.lower().encode("ascii")) or b"").strip()
            if link is not None:
                self._take(link, number, body)
        except UpgradeRefused as refused:
            self._count(head, refused)
            raise

        def is_taken(_: None = None) -> None:
            request.setResponseCode(HTTPStatus.NO_CONTENT if body is None else HTTPStatus.ACCEPTED)

        def is_refused(failure: Failure) -> Failure:
            if isinstance(failure.value, UpgradeRefused):
                self._count(head, failure.value)
            return failure

        if node is None:
            is_taken()
            return None
        elsewhere = self._hub.forwarded_posts.pass_on(node, token, number, body)
        return elsewhere.addCallbacks(is_taken, is_refused)

    def _take(self, link: Link, number: bytes, body: bytes | None) -> None:
        if body is None:
            self._hub.posts.leave(link)
        else:
            self._hub.posts.take(link, number, body)

    def _count(self, head: RequestHead, refused: UpgradeRefused) -> None:
        self._hub.counters.posts_refused[refused.code] += 1
        if refused.code not in _USUAL:
            self._count_refusal(head, refused)

    def _answer_preflight(self, request: Request, head: RequestHead, preflight: Preflight) -> None:
        refused: UpgradeRefused | None = None
        if page_of(head, self._rules) is None:
            refused = OriginRefused(hint="a page asks whether it may open a stream; see allowed_origins")
        elif preflight is Preflight.POST and not self._may_post(head):
            refused = UpgradeRefused(403, "No stream is open here.")
        if refused is not None:
            self._count_refusal(head, refused)
            raise refused
        request.setResponseCode(HTTPStatus.NO_CONTENT)
        request.setHeader(b"Access-Control-Allow-Methods", preflight.methods.encode("ascii"))
        request.setHeader(b"Access-Control-Allow-Headers", preflight.headers.encode("ascii"))
        request.setHeader(b"Access-Control-Max-Age", b"%d" % _PREFLIGHT_SECONDS)

    def _may_post(self, head: RequestHead) -> bool:
        # Which streams other nodes have is not known here; the POST itself is checked by its token.
        return not self._hub.node.is_alone or self._hub.posts.is_open_at(header_text(head.path))

    def _body(self, request: Request) -> bytes:
        """The body, and of one that is too large no more than shows that."""
        request.content.seek(0)
        body: bytes = request.content.read(self._hub.settings.max_message_bytes + 1)
        return body


def _vary(request: Request) -> None:
    if b"Origin" not in request.responseHeaders.getRawHeaders(b"Vary", []):
        request.responseHeaders.addRawHeader(b"Vary", b"Origin")


def _allow(request: Request, page: str) -> None:
    request.setHeader(b"Access-Control-Allow-Origin", page.encode("ascii"))
    request.setHeader(b"Access-Control-Allow-Credentials", b"true")
    request.setHeader(b"Access-Control-Expose-Headers", b"Retry-After")


def _media_type(head: RequestHead) -> bytes:
    return (head.first(b"content-type") or b"").partition(b";")[0].strip().lower()

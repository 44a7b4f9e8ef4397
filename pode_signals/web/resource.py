"""The resource around an application's own: endpoint rules, requests that refer to a connection, refusals, context.

It decides nothing about the application's routes.
"""

from __future__ import annotations

from contextvars import copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ..core.contracts import ResourceLike
from ..core.hosts import check_forwarded_host, check_host
from ..core.request_head import RequestHead
from ..core.request_record import header_text
from ..core.text import printable
from ..core.upgrade import check_target, is_handshake, is_upgrade
from ..errors import ClientIdRefused, UpgradeRefused
from ..hub.context import RouteSlot, current_route
from ..hub.recent import MOST_CHARACTERS
from ..hub.stalls import STALL_SECONDS
from .client_file import ClientFile
from .requests import RequestState, read_request, request_id_of, request_state
from .targets import check_depth

if TYPE_CHECKING:
    from twisted.web.server import Request

    from ..ports.listeners import Listener
    from .converter import Converter

__all__ = ["SignalsResource"]


@implementer(IResource)
class SignalsResource:
    """An ``IResource`` for any ``Site``; ``signals.resource(…)`` makes it.

    Args:
        converter: what turns requests into connections.
        root: the application's resource: Klein's ``app.resource()`` or any other.
        listener: the port that it serves; None in a foreign server, where endpoint rules do not apply.
        auto_upgrade: whether every upgrade becomes a connection named after its path, before any route.
        client_file: the client for browsers, which is served before any route; None where it is not.
    """

    isLeaf = True

    def __init__(
        self,
        converter: Converter,
        root: ResourceLike,
        *,
        listener: Listener | None = None,
        auto_upgrade: bool = False,
        client_file: ClientFile | None = None,
    ) -> None:
        self._converter = converter
        self._root = root
        self._listener = listener
        self._auto_upgrade = auto_upgrade
        self._client_file = client_file

    def render(self, request: Request) -> Any:
        """Render the request in a context of its own, so that nothing a route sets there outlives it."""
        return copy_context().run(self._render, request)

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        """A leaf has no children."""
        raise RuntimeError("SignalsResource is a leaf")

    def putChild(self, path: bytes, child: IResource) -> None:
        """A leaf has no children."""
        raise RuntimeError("SignalsResource is a leaf")

    def _render(self, request: Request) -> Any:
        state = request_state(request)
        state.slot = RouteSlot(request_id_of(request))
        current_route.set(state.slot)
        head = read_request(request, self._converter.proxies, state)
        try:
            self._check_request(request, head, state)
            if self._converter.hub.settings.allow_sse:
                answered = self._converter.streams.answered(request, head)
                if isinstance(answered, Deferred):
                    return _answer_later(request, answered)
                if answered:
                    return b""
            state.reference = self._reference(request, head)
            if self._upgrades_by_itself(head, state):
                self._converter.auto_upgrade(request)
                return b""
            self._check_text(request, head)
            if self._client_file is not None and (content := self._client_file.answer(request)) is not None:
                return content
            result = self._render_child(request)
        except UpgradeRefused as refused:
            return refused.render(request)
        if state.link is not None and result is not NOT_DONE_YET:
            # The result of the route is not sent, and Twisted would take any other value than bytes for an error.
            return b""
        return result

    def _render_child(self, request: Request) -> Any:
        before = list(request.prepath or ()), list(request.postpath or ())
        runtime = self._converter.hub.runtime
        began = runtime.turns.seconds()
        try:
            return getChildForRequest(cast(IResource, self._root), request).render(request)
        except UnsupportedMethod:
            # Twisted renders a HEAD request once more as GET, and needs the whole path again for that.
            request.prepath, request.postpath = before
            raise
        finally:
            if runtime.turns.seconds() - began >= STALL_SECONDS:
                path = printable(header_text(request.path))[:MOST_CHARACTERS]
                runtime.stalls.blame(f"the HTTP route of {path}", began, "an HTTP route")

    def _check_request(self, request: Request, head: RequestHead, state: RequestState) -> None:
        """Choose the endpoint, and refuse requests that no route has to see.

        One of these is a request with a Host for which Klein's router would raise.
        """
        upgrade = is_upgrade(head)
        try:
            check_host(head)
            check_depth(request)
            if self._listener is not None:
                state.endpoint = self._listener.endpoint_for(
                    upgrade=upgrade, host=head.host, forwarded_host=check_forwarded_host(head)
                )
            if upgrade:
                check_target(head.target)
        except UpgradeRefused as refused:
            self._converter.count_refusal(head, refused)
            raise

    def _check_text(self, request: Request, head: RequestHead) -> None:
        """Refuse a path that is not UTF-8. Klein would refuse such a path with a traceback in the log each time."""
        try:
            for each in (*(request.prepath or ()), *(request.postpath or ())):
                each.decode("utf-8")
        except UnicodeDecodeError:
            self._converter.hub.counters.requests_malformed += 1
            self._converter.hub.reports.write(
                "requests_malformed",
                "refused a request whose path is not UTF-8: {path}",
                event="request.malformed",
                level=LogLevel.info,
                path=header_text(request.path),
            )
            refused = UpgradeRefused(400, "The path is not UTF-8.")
            if is_handshake(head):
                self._converter.count_handshake(head, refused)
            raise refused from None

    def _upgrades_by_itself(self, head: RequestHead, state: RequestState) -> bool:
        wanted = self._auto_upgrade or (state.endpoint is not None and state.endpoint.auto_upgrade)
        return wanted and head.method == b"GET" and head.first(b"sec-websocket-key") is not None

    def _reference(self, request: Request, head: RequestHead) -> Any:
        try:
            return self._converter.checked_reference(request, head)
        except ClientIdRefused as refused:
            self._converter.hub.counters.references_refused += 1
            if is_handshake(head):
                self._converter.count_handshake(head, refused)
            self._converter.hub.reports.write(
                "references_refused",
                "refused a request with a bad X-PODE-SIGNAL-CLIENT-ID: {path}",
                event="reference.refused",
                level=LogLevel.info,
                path=header_text(head.path),
            )
            raise


def _answer_later(request: Request, answered: Deferred[None]) -> object:
    """End a request when another node has answered, unless its client is gone by then."""
    gone: list[object] = []
    request.notifyFinish().addErrback(gone.append)

    def refuse(failure: Failure) -> Failure | None:
        if not isinstance(failure.value, UpgradeRefused):
            # A defect, which Twisted logs.
            request.setResponseCode(HTTPStatus.INTERNAL_SERVER_ERROR)
            return failure
        if not gone:
            request.write(failure.value.render(request))
        return None

    def end(result: Any) -> Any:
        if not gone:
            request.finish()
        return result

    answered.addErrback(refuse).addBoth(end)
    return NOT_DONE_YET

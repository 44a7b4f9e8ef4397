"""From requests to connections: converting, references, refusals, and routes for some endpoints alone.

What may be converted is decided in ``upgrade.py``; how the transport changes hands, in ``hand_over.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast

from twisted.logger import Logger
from twisted.python.components import Componentized
from werkzeug.exceptions import NotFound

from ..core.model import Identity, Scope
from ..core.request_record import HandshakeRecord, header_text
from ..errors import ClientIdInvalid, ClientIdRefused, NameInvalid, NameRefused, TooManyConnections, UpgradeRefused
from ..hub.connection import SignalConnection, view_of
from ..hub.events import name_for
from ..hub.fence import Place
from ..hub.hub import Hub
from ..hub.link import Link
from ..transports.websocket import SignalFactory
from .hand_over import hand_over, response_header_lines
from .reference import referenced_link
from .requests import request_state
from .targets import unrouted_path
from .upgrade import check_upgrade, handshake_record, is_handshake

__all__ = ["Converter"]

F = TypeVar("F", bound=Callable[..., Any])


class Converter:
    """What turns the requests of one hub into connections.

    Args:
        hub: where connections are opened.
        new_factory: makes what makes the protocols of the hub's WebSockets.

    Attributes:
        hub: the same.
        reference_check: ``reference_check(request, connection)`` is asked about each request that refers to a
            connection; anything but True refuses the request. None asks nobody.
    """

    _log = Logger()

    def __init__(self, hub: Hub, new_factory: Callable[[Hub], SignalFactory] = SignalFactory) -> None:
        self.hub = hub
        self.reference_check: Callable[[Any, SignalConnection], bool] | None = None
        self._new_factory = new_factory
        self._factory: SignalFactory | None = None
        self._auto_upgrade_used = False
        self._restricted: set[str] = set()

    def convert(
        self,
        request: Any,
        name: str,
        group: str | None,
        client_id: str | int | None,
        scope: Scope,
        subprotocols: Sequence[str] = (),
    ) -> Link:
        """``signals.convert``, which counts and logs what it refuses."""
        try:
            return self._convert(request, name, group, client_id, scope, subprotocols)
        except UpgradeRefused as refused:
            self.count_refusal(request, refused)
            raise

    def link_of(self, request: Any) -> Link | None:
        """The connection that a request became or refers to; None for neither.

        Raises:
            ClientIdRefused: a bad reference.
        """
        state = request_state(request)
        for link in (state.link, state.reference):
            if link is not None and link.hub is self.hub:
                return link
        return None if state.slot is not None else self.checked_reference(request)

    def only_on(self, endpoints: tuple[str, ...]) -> Callable[[F], F]:
        """``signals.only_on``."""

        def restrict(function: F) -> F:
            @wraps(function)
            def restricted(*args: Any, **kwargs: Any) -> Any:
                # A Plating passes self first.
                request = next(each for each in args if isinstance(each, Componentized))
                endpoint = request_state(request).endpoint
                if endpoint is None or endpoint.name not in endpoints:
                    raise NotFound
                return function(*args, **kwargs)

            # Klein tells its routes apart by this name.
            restricted.__name__ = name_for(function, self._restricted.__contains__)
            self._restricted.add(restricted.__name__)
            return cast(F, restricted)

        return restrict

    def auto_upgrade(self, request: Any) -> Link:
        """Convert a request under the path of its URL, as ``auto_upgrade=True`` does before any route is asked."""
        if not self._auto_upgrade_used:
            self._auto_upgrade_used = True
            self._log.warn(
                "auto_upgrade is deprecated, as in Pode: it lets clients in before a route can check them;"
                " call signals.convert in a route"
            )
        state = request_state(request)
        state.unrouted_path = unrouted_path(request)
        return self.convert(request, state.unrouted_path, None, None, Scope.GLOBAL)

    def count_refusal(self, request: Any, refused: UpgradeRefused) -> None:
        """One log line and one counter for a request that became no connection, as what it was: an upgrade or not."""
        kind, what = "upgrades_refused", "an upgrade of"
        if is_handshake(request):
            self.hub.counters.upgrades_refused[refused.kind_of_refusal, refused.code] += 1
        else:
            what = "a request for"
            if refused.code == HTTPStatus.BAD_REQUEST:
                kind = "requests_malformed"
                self.hub.counters.requests_malformed += 1
            else:
                kind = "requests_refused"
                self.hub.counters.requests_refused[refused.code] += 1
        limit = refused.limit if isinstance(refused, TooManyConnections) else None
        self.hub.reports.write(
            kind,
            "refused {what} {path} with {code}: {why}" + (" ({hint})" if refused.hint else ""),
            what=what,
            path=header_text(request.path),
            code=refused.code,
            why=refused.description,
            hint=refused.hint,
            limit=limit,
        )

    def checked_reference(self, request: Any) -> Link | None:
        """The connection that a request's X-PODE-SIGNAL-* headers refer to, after ``reference_check``.

        Raises:
            ClientIdRefused: forged, unknown, ambiguous or not agreed to.
        """
        link = referenced_link(self.hub, request)
        if link is not None and self.reference_check is not None:
            agreed = self.hub.fence.run(
                Place("reference_check"), self.reference_check, (request, view_of(link)), later=lambda _: None
            )
            if agreed != (True,):
                raise ClientIdRefused
        return link

    def _identified(
        self, name: str, group: str | None, client_id: str | int | None, record: HandshakeRecord
    ) -> Identity:
        # Everywhere else a bad name is the application's own mistake. Here it mostly is what a client has in its path.
        try:
            return self.hub.identities.identify(name, group, client_id, record)
        except NameInvalid as invalid:
            raise NameRefused(invalid) from invalid
        except ClientIdInvalid as invalid:
            raise ClientIdRefused from invalid

    def _convert(
        self,
        request: Any,
        name: str,
        group: str | None,
        client_id: str | int | None,
        scope: Scope,
        subprotocols: Sequence[str],
    ) -> Link:
        state = request_state(request)
        offer = check_upgrade(request, state, self.hub)
        record = handshake_record(request, state, self.hub.identities.client_address(request))
        identity = self._identified(name, group, client_id, record)
        if self._factory is None:
            self._factory = self._new_factory(self.hub)
        factory = self._factory

        def connect(link: Link) -> Any:
            header_lines = response_header_lines(request, link)
            protocol = hand_over(request, state, factory, link, offer, header_lines)
            state.link = link
            if state.slot is not None:
                state.slot.link = link
            return protocol

        return self.hub.open(
            identity,
            record,
            connect,
            scope=scope,
            endpoint_name=None if state.endpoint is None else state.endpoint.name,
            subprotocol=next((each for each in subprotocols if each in offer.subprotocols), None),
        )

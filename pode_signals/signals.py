"""Signals: the one object that an application holds. It adds to the hub what turns HTTP requests into connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.components import Componentized
from werkzeug.exceptions import NotFound

from .core.environment import FAST
from .core.model import Scope
from .core.request_record import HandshakeRecord, header_text
from .core.settings import Settings, SettingsArguments
from .errors import ClientIdInvalid, ClientIdRefused, NameInvalid, NameRefused, TooManyConnections, UpgradeRefused
from .hub.connection import SignalConnection
from .hub.events import name_for
from .hub.fence import Place
from .hub.hub import Hub
from .hub.identities import Identity
from .transports.websocket import SignalFactory
from .web.hand_over import hand_over, response_header_lines
from .web.reference import referenced_connection
from .web.requests import request_state
from .web.resource import SignalsResource
from .web.targets import unrouted_path
from .web.upgrade import check_upgrade, handshake_record, is_handshake

if TYPE_CHECKING:
    from twisted.web.resource import IResource

    from .ports.endpoints import Listener

__all__ = ["Signals"]

# What exists only for speed may be missing: the folder can be deleted.
FastFactory: type[SignalFactory] | None = None
if FAST:
    try:
        from .fast.websocket import FastFactory
    except ModuleNotFoundError as missing:
        if missing.name not in (f"{__package__}.fast", f"{__package__}.fast.websocket"):
            raise

F = TypeVar("F", bound=Callable[..., Any])


class Signals(Hub):
    """Named, grouped, addressable WebSocket connections.

    Args:
        clock: an ``IReactorTime`` that time is taken from; None is the reactor that runs when it is first needed. On
            a reactor time is counted by a clock that nobody sets.
        random: where new client ids and random schedule times come from; None is the system's source.
        settings: every setting of :class:`~pode_signals.core.settings.Settings`, by its name.

    Raises:
        ValueError: a setting makes no sense; the sentence names it.
        TypeError: there is no such setting.

    Attributes:
        reference_check: ``reference_check(request, connection)`` is asked about each request that refers to a
            connection by X-PODE-SIGNAL-CLIENT-ID; anything but True refuses it. None asks nobody.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime | None = None,
        random: Random | None = None,
        **settings: Unpack[SettingsArguments],
    ) -> None:
        super().__init__(Settings(**settings), clock=clock, random=random)
        self.reference_check: Callable[[Any, SignalConnection], bool] | None = None
        self._factory: SignalFactory | None = None
        self._auto_upgrade_used = False
        self._restricted: set[str] = set()

    def convert(
        self,
        request: Any,
        name: str,
        *,
        group: str | None = None,
        client_id: str | int | None = None,
        scope: Scope | None = None,
        subprotocols: Sequence[str] = (),
    ) -> SignalConnection:
        """Turn a request into a WebSocket connection, now (Pode: ``ConvertTo-PodeSignalConnection``).

        When it returns, the 101 was written and the connection is open. The route may go on; what it returns or
        writes is discarded. A client that goes away cancels it.

        Args:
            request: the ``twisted.web`` request that a Klein route or a resource is handling.
            name: what the connection joins.
            group: its group within the name, or None.
            client_id: its id within the name; None is a random version-4 UUID. Signed either way where signing is
                on. Never pass on what an unauthenticated client chose: it would replace the owner of that id.
            scope: None is ``default_scope``.
            subprotocols: WebSocket subprotocols, the preferred first, of which the first that the client offers is
                agreed on; none where it offers none of them.

        Returns:
            The open connection.

        Raises:
            UpgradeRefused: the request can't be upgraded; nothing was written, and Klein renders the answer.
            NameRefused, ClientIdRefused: refusals for the name, the group or the client id; a ``NameInvalid`` and a
                ``ClientIdInvalid`` too.
            AlreadyConverted: the second call for a request.
            ResponseStarted: the route has begun to answer.
            ClientGone: the client went away.
            ValueError: a response header that the route set can't be sent.
            NotInReactorThread: called from another thread.
        """
        self.check_thread("convert")
        try:
            return self._convert(request, name, group, client_id, Scope(scope or self.default_scope), subprotocols)
        except UpgradeRefused as refused:
            self.count_refusal(request, refused)
            raise

    def connection_of(self, request: Any) -> SignalConnection | None:
        """The connection that a request became or refers to (Pode: ``$WebEvent.Signal``).

        Returns:
            The connection; None where nothing was converted and no X-PODE-SIGNAL-CLIENT-ID came.

        Raises:
            ClientIdRefused: a bad reference, outside of ``signals.resource(…)``, which refuses it before any route; a
                ``ClientIdInvalid`` too.
        """
        state = request_state(request)
        for connection in (state.connection, state.reference):
            if connection is not None and connection.hub is self:
                return connection
        return None if state.slot is not None else self.checked_reference(request)

    def resource(
        self, root: IResource, *, listener: Listener | None = None, auto_upgrade: bool = False
    ) -> SignalsResource:
        """An ``IResource`` around an application's own, for any ``Site``.

        It renders refusals for plain resources, makes ``signals.send`` reach a route's local connection, and checks
        the X-PODE-SIGNAL-* headers of requests that refer to a connection before any route runs.

        Args:
            root: the application's resource: Klein's ``app.resource()`` or any other.
            listener: the port that it serves, which ``SignalsService`` gives; None in a foreign server.
            auto_upgrade: whether every upgrade becomes a connection named after its path, before any route.
        """
        return SignalsResource(self, root, listener=listener, auto_upgrade=auto_upgrade)

    def only_on(self, *endpoints: str) -> Callable[[F], F]:
        """A decorator for Klein routes: they serve these endpoints alone, and others get 404.

        It stands below Klein's own: ``@app.route("/admin")``, then ``@signals.only_on("admin")``.

        Args:
            endpoints: names of endpoints. In a server of one's own (``signals.resource(…)`` in a foreign ``Site``)
                requests come in by no endpoint, so such a route serves nobody.
        """

        def restrict(function: F) -> F:
            @wraps(function)
            def restricted(*args: Any, **kwargs: Any) -> Any:
                request = next(each for each in args if isinstance(each, Componentized))  # a Plating passes self first
                endpoint = request_state(request).endpoint
                if endpoint is None or endpoint.name not in endpoints:
                    raise NotFound
                return function(*args, **kwargs)

            # Klein tells its routes apart by this name.
            restricted.__name__ = name_for(function, self._restricted.__contains__)
            self._restricted.add(restricted.__name__)
            return cast(F, restricted)

        return restrict

    def auto_upgrade(self, request: Any) -> SignalConnection:
        """Convert a request under the path of its URL, as ``auto_upgrade=True`` does before any route is asked."""
        if not self._auto_upgrade_used:
            self._auto_upgrade_used = True
            self._log.warn(
                "auto_upgrade is deprecated, as in Pode: it lets clients in before a route can check them;"
                " call signals.convert in a route"
            )
        state = request_state(request)
        state.unrouted_path = unrouted_path(request)
        return self.convert(request, state.unrouted_path, scope=Scope.GLOBAL)

    def count_refusal(self, request: Any, refused: UpgradeRefused) -> None:
        """One log line and one counter for a request that became no connection, as what it was: an upgrade or not."""
        kind, what = "upgrades_refused", "an upgrade of"
        if is_handshake(request):
            self.counters.upgrades_refused[refused.kind_of_refusal, refused.code] += 1
        else:
            what = "a request for"
            if refused.code == HTTPStatus.BAD_REQUEST:
                kind = "requests_malformed"
                self.counters.requests_malformed += 1
            else:
                kind = "requests_refused"
                self.counters.requests_refused[refused.code] += 1
        limit = refused.limit if isinstance(refused, TooManyConnections) else None
        self.reports.write(
            kind,
            "refused {what} {path} with {code}: {why}" + (" ({hint})" if refused.hint else ""),
            what=what,
            path=header_text(request.path),
            code=refused.code,
            why=refused.description,
            hint=refused.hint,
            limit=limit,
        )

    def checked_reference(self, request: Any) -> SignalConnection | None:
        """The connection that a request's X-PODE-SIGNAL-* headers refer to, after ``reference_check``.

        Raises:
            ClientIdRefused: forged, unknown, ambiguous or not agreed to.
        """
        connection = referenced_connection(self, request)
        if connection is not None and self.reference_check is not None:
            agreed = self.fence.run(
                Place("reference_check"), self.reference_check, (request, connection), later=lambda _: None
            )
            if agreed != (True,):
                raise ClientIdRefused
        return connection

    def _identified(
        self, name: str, group: str | None, client_id: str | int | None, record: HandshakeRecord
    ) -> Identity:
        # Everywhere else a bad name is the application's own mistake. Here it mostly is what a client has in its path.
        try:
            return self.identify(name, group, client_id, record)
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
    ) -> SignalConnection:
        state = request_state(request)
        offer = check_upgrade(request, state, self)
        record = handshake_record(request, state, self.client_address(request))
        identity = self._identified(name, group, client_id, record)
        self.check_room(identity, scope, record.address)
        connection = SignalConnection(
            self,
            name=identity.name,
            group=identity.group,
            client_id=identity.client_id,
            scope=scope,
            request=record,
            endpoint_name=None if state.endpoint is None else state.endpoint.name,
            subprotocol=next((each for each in subprotocols if each in offer.subprotocols), None),
        )
        if self._factory is None:
            fast = FastFactory if self.settings.fast else None
            self._factory = (fast or SignalFactory)(self)
        header_lines = response_header_lines(request, connection)
        hand_over(request, state, self._factory, connection, offer, header_lines)
        state.connection = connection
        if state.slot is not None:
            state.slot.connection = connection
        self.admit(connection)
        return connection

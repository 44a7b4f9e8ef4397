"""From requests to connections: converting, references, refusals, and routes for some endpoints alone.

It does not touch the transport: ``hand_over.py`` does. ``upgrade.py`` and ``core/upgrade.py`` decide which requests may
become connections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Any, NamedTuple, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.components import Componentized
from werkzeug.exceptions import NotFound

from ..core.addresses import TrustedProxies
from ..core.event_streams import asks_for_events, check_stream, stream_not_allowed
from ..core.model import Identity, Scope
from ..core.request_head import RequestHead
from ..core.request_record import RequestRecord, header_text
from ..core.resume import ResumeRequest
from ..core.signing import Caller
from ..core.text import printable
from ..core.upgrade import SIGNALS_PROTOCOL, UpgradeRules, check, chosen_subprotocol, is_handshake, is_upgrade
from ..errors import ClientIdInvalid, ClientIdRefused, NameInvalid, NameRefused, TooManyConnections, UpgradeRefused
from ..hub.connection import SignalConnection, view_of
from ..hub.dialogue import ComingBack, Dialogue, Stream
from ..hub.events import name_for
from ..hub.fence import Place
from ..hub.hub import Hub
from ..hub.identities import caller_of
from ..hub.link import Link
from ..hub.profile import Profile
from ..hub.recent import MOST_CHARACTERS, Refusal
from ..transports.websocket import SignalFactory
from ..wire.events import PLAIN_EVENTS, SIGNALS_EVENTS
from ..wire.message import PLAIN_WEBSOCKET, Encoding
from ..wire.session import Session
from ..wire.v1 import SIGNALS_WEBSOCKET
from .hand_over import HandOver, Way
from .reference import referenced_link
from .requests import RequestState, check_is_request, read_request, request_state
from .streams import Streams
from .targets import routed_path, unrouted_path
from .upgrade import check_convertible
from .ways import AsEvents, AsWebSocket

__all__ = ["Converter"]

F = TypeVar("F", bound=Callable[..., Any])

# A stream whose client is gone without a word, behind a proxy that does not tell, ends after this time at the latest.
_STREAM_SECONDS, _SPREAD = 600.0, 0.1
_STREAM_ID_BYTES = 16
_EVENTS = {
    "upgrades_refused": "upgrade.refused",
    "requests_malformed": "request.malformed",
    "requests_refused": "request.refused",
}


class _Wanted(NamedTuple):
    """What a request asks for that was checked, whatever its way is.

    Attributes:
        way: how the connection goes on.
        encoding: how its client gets messages.
        resume: the position and the token that the client offers; None for neither.
        subprotocol: the agreed WebSocket subprotocol; None for none.
        stream: what is kept of a stream; None for a WebSocket.
    """

    way: Way
    encoding: Encoding
    resume: ResumeRequest | None
    subprotocol: str | None = None
    stream: Stream | None = None


class Converter:
    """Turns requests into connections of one hub.

    Args:
        hub: the hub that opens the connections.
        new_factory: makes the factory of the protocols of the hub's WebSockets.

    Attributes:
        hub: the hub that opens the connections.
        proxies: the proxies whose X-Forwarded-* headers count.
        reference_check: ``reference_check(request, connection)`` is asked about each request that refers to a
            connection, and the request is refused unless it returns True. None: no function is asked.
        streams: answers what clients of server-sent events send.
    """

    _log = Logger()

    def __init__(self, hub: Hub, new_factory: Callable[[Hub], SignalFactory] = SignalFactory) -> None:
        self.hub = hub
        self.proxies = TrustedProxies(hub.settings.trusted_proxies)
        self.reference_check: Callable[[Any, SignalConnection], bool] | None = None
        self._new_factory = new_factory
        # Made with the first connection: a factory asks for the hub's clock, and so for the reactor.
        self._factory: SignalFactory | None = None
        self._rules = _upgrade_rules(hub)
        self.streams = Streams(hub, self._rules, self.count_refusal)
        self._auto_upgrade_used = False
        self._restricted: set[str] = set()

    def convert(
        self,
        request: Any,
        name: str,
        group: str | Sequence[str] | None,
        client_id: str | int | None,
        scope: Scope,
        subprotocols: Sequence[str] = (),
        profile: Profile | None = None,
    ) -> Link:
        """``signals.convert``. Refused requests are counted and logged here."""
        state = request_state(request)
        head = read_request(request, self.proxies, state)
        try:
            return self._convert(request, state, head, name, group, client_id, scope, subprotocols, profile)
        except UpgradeRefused as refused:
            self.count_refusal(head, refused)
            raise

    def receive(self, request: Any) -> Deferred[None]:
        """``signals.receive``."""
        head = read_request(request, self.proxies, request_state(request))
        self.streams.allow_page(request, head)
        return self.streams.receive(request, head) or succeed(None)

    def link_of(self, request: Any) -> Link | None:
        """The connection that a request became or refers to; None where it did neither.

        Raises:
            ClientIdRefused: a bad reference.
        """
        state = request_state(request)
        # Several hubs may serve one resource: a connection of another hub is none of this one.
        for link in (state.link, state.reference):
            if link is not None and link.hub is self.hub:
                return link
        # With a slot ``signals.resource`` has rendered the request, and has looked for a reference before the route.
        if state.slot is not None:
            return None
        return self.checked_reference(request, read_request(request, self.proxies, state))

    def only_on(self, endpoints: tuple[str, ...]) -> Callable[[F], F]:
        """``signals.only_on``."""

        def restrict(function: F) -> F:
            @wraps(function)
            def restricted(*args: Any, **kwargs: Any) -> Any:
                # Where routes are methods, Klein passes the instance as the first argument, before the request.
                request = next(each for each in args if isinstance(each, Componentized))
                endpoint = request_state(request).endpoint
                if endpoint is None or endpoint.name not in endpoints:
                    raise NotFound
                return function(*args, **kwargs)

            # Klein tells its routes apart by this name, so two routes must not share one.
            restricted.__name__ = name_for(function, self._restricted.__contains__)
            self._restricted.add(restricted.__name__)
            return cast(F, restricted)

        return restrict

    def auto_upgrade(self, request: Any) -> Link:
        """Convert a request, with the path of its URL as the name: for ``auto_upgrade=True``, before any route runs."""
        if not self._auto_upgrade_used:
            self._auto_upgrade_used = True
            self._log.warn(
                "auto_upgrade is deprecated, as in Pode: it lets clients in before a route can check them;"
                " call signals.convert in a route",
                event="auto_upgrade.used",
            )
        state = request_state(request)
        state.unrouted_path = unrouted_path(request)
        return self.convert(request, state.unrouted_path, None, None, Scope.GLOBAL)

    def count_refusal(self, head: RequestHead, refused: UpgradeRefused) -> None:
        """Write one log line and count one, for a request that was refused.

        Handshakes and other requests are counted apart: a scanner's page requests must not look like clients that are
        refused.
        """
        kind, what = "upgrades_refused", "an upgrade of"
        if is_handshake(head):
            self.count_handshake(head, refused)
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
            path=header_text(head.path),
            code=refused.code,
            why=refused.description,
            hint=refused.hint,
            limit=limit,
            event=_EVENTS[kind],
            address=head.address or "-",
            request=head.request_id,
        )

    def count_handshake(self, head: RequestHead, refused: UpgradeRefused) -> None:
        """Count and keep a handshake that was refused, without a line in the log."""
        self.hub.counters.upgrades_refused[refused.kind_of_refusal, refused.code] += 1
        origin = head.first(b"origin")
        self.hub.reports.recent.refusals.append(
            Refusal(
                self.hub.wall_time(),
                refused.kind_of_refusal,
                refused.code,
                head.address,
                printable(header_text(head.path))[:MOST_CHARACTERS],
                None if origin is None else printable(header_text(origin))[:MOST_CHARACTERS],
            )
        )

    def checked_reference(self, request: Any, head: RequestHead) -> Link | None:
        """The connection that a request's X-PODE-SIGNAL-* headers refer to, after ``reference_check``.

        Args:
            request: the request, for ``reference_check``.
            head: the head of that request, as it was read.

        Returns:
            None where the request has no such headers.

        Raises:
            ClientIdRefused: the reference is forged, unknown or ambiguous, or ``reference_check`` did not return True.
        """
        link = referenced_link(self.hub, head)
        if link is not None and self.reference_check is not None:
            # Only a True that is there now counts. A function that raises or returns a Deferred refuses: nobody can
            # wait for an answer while a request is being read.
            agreed = self.hub.fence.run(
                Place("reference_check", kind="check"),
                self.reference_check,
                (request, view_of(link)),
                later=lambda _: None,
            )
            if agreed is None or agreed[0] is not True:
                raise ClientIdRefused
        return link

    def _identified(
        self,
        name: str,
        group: str | Sequence[str] | None,
        client_id: str | int | None,
        back: ComingBack | None,
        record: RequestRecord,
    ) -> Identity:
        known = None if back is None else back.resumption.identity
        # Elsewhere a bad name is a mistake of the application, and raises a ValueError. Here names mostly come from the
        # paths of clients, so the request is refused.
        try:
            return self.hub.identities.identify(
                name, group, client_id, record, known=None if known is None else known.client_id
            )
        except NameInvalid as invalid:
            raise NameRefused(invalid) from invalid
        except ClientIdInvalid as invalid:
            raise ClientIdRefused from invalid

    def caller_of(self, call: str, request: Any) -> Caller | None:
        """The client that sent a request, or whose request was recorded; None where there is no request."""
        if request is None:
            return None
        if isinstance(request, RequestRecord):
            return caller_of(request)
        check_is_request(call, request)
        return read_request(request, self.proxies).caller

    def address_of(self, request: Any) -> str:
        """``signals.client_address``."""
        check_is_request("client_address", request)
        return read_request(request, self.proxies).address

    def _half_open(self, identity: Identity, back: ComingBack | None) -> Link | None:
        """The connection that a client has lost that comes back, while the hub has not seen the end of it."""
        if back is None or not back.is_known:
            return None
        return self.hub.registry.get(identity.name, identity.client_id)

    def _convert(
        self,
        request: Any,
        state: RequestState,
        head: RequestHead,
        name: str,
        group: str | Sequence[str] | None,
        client_id: str | int | None,
        scope: Scope,
        subprotocols: Sequence[str],
        profile: Profile | None,
    ) -> Link:
        check_convertible(request, state)
        is_stream = self.hub.settings.allow_sse and asks_for_events(head) and not is_upgrade(head)
        wanted = self._as_stream(request, state, head) if is_stream else self._as_websocket(head, subprotocols)
        path, http_route = routed_path(request) if state.unrouted_path is None else (state.unrouted_path, None)
        record = head.record(path, http_route)
        back = self._coming_back(wanted.resume, name, client_id, scope, profile, record)
        identity = self._identified(name, group, client_id, back, record)
        dialogue = None
        if wanted.encoding is not PLAIN_WEBSOCKET:
            settings = self.hub.settings
            session = Session(settings.max_json_depth, settings.max_json_keys)
            dialogue = Dialogue(session, identity.groups, wanted.stream)
            identity, back = self.hub.identities.with_joined(identity, back, self._half_open(identity, back))
        if is_stream:
            self.streams.allow_page(request, head)
        return self.hub.open(
            identity,
            record,
            HandOver(request, state, wanted.way).connect,
            scope=scope,
            endpoint_name=None if state.endpoint is None else state.endpoint.name,
            subprotocol=wanted.subprotocol,
            encoding=wanted.encoding,
            dialogue=dialogue,
            profile=profile,
            back=back,
        )

    def _as_websocket(self, head: RequestHead, subprotocols: Sequence[str]) -> _Wanted:
        try:
            offer = check(head, self._rules)
        except UpgradeRefused as refused:
            raise stream_not_allowed(head) or refused from None
        allowed = self.hub.settings.signals_protocol
        subprotocol = chosen_subprotocol(offer.subprotocols, subprotocols, signals_protocol=allowed)
        if self._factory is None:
            self._factory = self._new_factory(self.hub)
        way = AsWebSocket(self._factory, offer)
        if subprotocol == SIGNALS_PROTOCOL:
            return _Wanted(way, SIGNALS_WEBSOCKET, offer.resume, subprotocol)
        return _Wanted(way, PLAIN_WEBSOCKET, None, subprotocol)

    def _as_stream(self, request: Any, state: RequestState, head: RequestHead) -> _Wanted:
        # With a slot ``signals.resource`` has done so, before the route.
        if state.slot is None:
            self.streams.allow_refusals(request, head)
        offer = check_stream(head, self._rules, signals_protocol=self.hub.settings.signals_protocol)
        spread = self.hub.runtime.random.uniform(1 - _SPREAD, 1 + _SPREAD)
        stream = Stream(token_urlsafe(_STREAM_ID_BYTES), self.hub.clock.seconds() + _STREAM_SECONDS * spread)
        encoding = SIGNALS_EVENTS if offer.is_signals else PLAIN_EVENTS
        return _Wanted(AsEvents(), encoding, offer.resume, stream=stream)

    def _coming_back(
        self,
        offered: ResumeRequest | None,
        name: str,
        client_id: str | int | None,
        scope: Scope,
        profile: Profile | None,
        record: RequestRecord,
    ) -> ComingBack | None:
        """What a client offered that comes back; None where it does not."""
        if offered is None:
            return None
        user = None if profile is None else profile.user
        return self.hub.resumes.coming_back(offered, name, user, client_id, scope, record)


def _upgrade_rules(hub: Hub) -> UpgradeRules:
    """The rules of a hub. Its own ports are known when its services have bound them, and change within the one set."""
    settings = hub.settings
    return UpgradeRules(
        allowed_origins=settings.allowed_origins,
        allow_null_origin=settings.allow_null_origin,
        allow_missing_origin=settings.allow_missing_origin,
        own_ports=hub.own_ports,
        compression=settings.compression,
    )

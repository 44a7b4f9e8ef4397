"""The hub: wires the parts together and sees connections come, go and be closed. No HTTP and no WebSocket in here."""

from __future__ import annotations

from collections import Counter
from contextvars import Context, copy_context
from datetime import datetime
from functools import cached_property
from itertools import islice
from random import Random, SystemRandom
from threading import get_ident
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python import threadable

from ..core.addresses import TrustedProxies, limit_key
from ..core.counters import Counters
from ..core.model import ClosedBy, Scope, Target, Unrouted
from ..core.registry import Registry
from ..core.settings import Settings
from ..errors import ClientIdInUse, NotInReactorThread, TooManyConnections
from ..scheduling.schedules import Schedules
from ..wire.frames import CloseCode, check_close_code
from .asking import Asking
from .clocks import clock_for, wall_time
from .connection import ConnectionState, SignalConnection
from .context import current_event, current_route
from .dispatch import Dispatch
from .events import Events
from .fanout import FanOut
from .fence import Fence
from .heartbeat import Heartbeat
from .identities import Identities, Identity
from .inboxes import Inboxes
from .reports import Reports
from .sending import Sending, Several, several
from .signal_routes import RouteRegistrations
from .turns import Turns

__all__ = ["Hub"]

_REPLACED = CloseCode.REPLACED
_RESERVED_DESCRIPTORS = 64
_PING_BYTES = 8


class Hub(Sending, Asking, RouteRegistrations, Events, Identities, Schedules):
    """Everything of :class:`~pode_signals.Signals` that needs no HTTP.

    Args:
        settings: limits and defaults.
        clock: what time is taken from; None is the reactor that runs when it is first needed. Of a reactor the hub
            uses a clock that holds when the machine's clock is set.
        random: where client ids, payloads of pings and random schedule times come from; None is the system's source.

    Attributes:
        settings: limits and defaults.
        counters: what happened so far.
        fence: runs functions of the user.
        lockable: a mapping with a lock that all functions share.
        reports: log lines about what clients do.
        inboxes: what clients have sent and no function has taken yet.
        turns: how much of a turn of the reactor a client gets.
        max_pending_handshakes: ``pending_handshakes``, or what the process can hold of them.
        fresh_context: gives a copy of the context that the hub was made in: no current event, no current route.
        message_received: what connections call with a client's text message.
        own_ports: the ports of this service's http and https endpoints: pages from there may connect.
    """

    def __init__(self, settings: Settings, *, clock: IReactorTime | None = None, random: Random | None = None) -> None:
        self.settings = settings
        self.counters = Counters()
        self.own_ports: set[int] = set()
        if clock is not None:
            self.clock = clock_for(clock)
        self._thread = get_ident()
        self.fresh_context = _without_current(copy_context()).copy
        self._default_scope = settings.default_scope
        self._unrouted = settings.unrouted
        self._open: set[SignalConnection] = set()
        self._by_address: Counter[str] = Counter()  # by limit_key; who has no address is not counted
        self._connecting: set[SignalConnection] = set()
        # Their transports are not gone yet; the oldest first, in all and of each address.
        self._replaced: dict[SignalConnection, None] = {}
        self._replaced_of: dict[str, dict[SignalConnection, None]] = {}
        descriptors = _descriptor_limit()
        self.max_pending_handshakes = min(settings.pending_handshakes, max(1, descriptors // 4))
        fitting = max(1, descriptors - _RESERVED_DESCRIPTORS - self.max_pending_handshakes)
        self._max_connections = settings.max_connections or fitting
        self.turns = Turns(lambda: self.clock)
        registry: Registry[SignalConnection] = Registry()
        self.reports = Reports(lambda: self.clock, self.counters)
        self.fence = Fence(lambda: self.clock, self.counters, settings.handler_timeout_seconds, self.reports)
        self.inboxes = Inboxes(settings, self.reports, self.open_connections)
        fan_out = FanOut(lambda: self.clock, self.fresh_context, settings, self.counters, self.reports)
        self._heartbeat = Heartbeat(self)
        most = settings.max_outgoing_bytes
        Sending.__init__(self, registry, fan_out, self.counters, self.reports, most, self.check_thread)
        Asking.__init__(self, registry)
        RouteRegistrations.__init__(self, self.check_thread)
        Events.__init__(self, self.fence, self.fresh_context, self.check_thread, self.wall_time)
        random = random or SystemRandom()
        self._random = random
        proxies = TrustedProxies(settings.trusted_proxies)
        Identities.__init__(self, random, proxies, lambda: not self._open, self.check_thread)
        Schedules.__init__(
            self, lambda: self.clock, self.fence, self.counters, random, self.check_thread, self.fresh_context
        )
        self._dispatch = Dispatch(self, self._signal_routes)
        self.message_received = self._dispatch.received

    @cached_property
    def clock(self) -> IReactorTime:
        """What time is taken from: on a real reactor a clock that nobody sets, otherwise what was given."""
        from twisted.internet import reactor

        return clock_for(reactor)

    def wall_time(self, seconds: float | None = None) -> datetime:
        """When the hub's clock showed so many seconds, as the wall clock is set now (aware, UTC); None is now."""
        return wall_time(self.clock, self.clock.seconds() if seconds is None else seconds)

    @property
    def default_scope(self) -> Scope:
        """The scope of a conversion that names none (Pode: ``Set-PodeSignalDefaultScope``)."""
        return self._default_scope

    @default_scope.setter
    def default_scope(self, scope: Scope) -> None:
        self._default_scope = Scope(scope)

    @property
    def unrouted(self) -> Unrouted:
        """What becomes of a client's message for whose path there is no signal route."""
        return self._unrouted

    @unrouted.setter
    def unrouted(self, unrouted: Unrouted) -> None:
        self._unrouted = Unrouted(unrouted)

    def close(
        self,
        name: str,
        *,
        group: Several = None,
        client_id: Several = None,
        code: int = CloseCode.NORMAL,
        reason: str = "",
    ) -> None:
        """Close every connection of a name that matches (Pode: ``Close-PodeSignalConnection``); none is no error.

        Args:
            name: the name.
            group: only connections in this group or one of these; None is any. An empty list, or ``""``, is nobody,
                whereas for ``send`` it is as good as None.
            client_id: only connections with this client id or one of these; None is any, and an empty list nobody.
            code: a :class:`~pode_signals.CloseCode`, or a number of the application's own from 3000 to 4999.
            reason: text for the clients, cut to 123 bytes of UTF-8.

        Raises:
            ValueError: the code may not be sent: 1005, 1006, 1015, under 1000, 5000 and up.
            NotInReactorThread: called from another thread.
        """
        self.check_thread("close")
        check_close_code(code)
        groups, client_ids = several(group), several(client_id)
        if (group is not None and not groups) or (client_id is not None and not client_ids):
            return
        for connection in self._registry.select(Target((name,), groups, client_ids)):
            connection.shut(code, reason, ClosedBy.SERVER)

    def open_connections(self) -> tuple[SignalConnection, ...]:
        """Every connection whose transport is not gone yet, local ones too."""
        return tuple(self._open)

    # What the web layer and the service call.

    def check_thread(self, call: str) -> None:
        """Raise NotInReactorThread unless this is the reactor's thread; before it runs, the hub's maker's."""
        wanted = threadable.ioThread
        if get_ident() != (self._thread if wanted is None else wanted):
            raise NotInReactorThread(call)

    def check_room(self, identity: Identity, scope: Scope, address: str) -> None:
        """Raise a refusal where the connection would be one too many or its client id is in use.

        Whom it replaces, and whom others have replaced before, takes no place any more.
        """
        limits = self.settings
        replaced = self._registry.get(identity.name, identity.client_id) if scope is Scope.GLOBAL else None
        if replaced is not None and limits.duplicate_client_id == "refuse":
            raise ClientIdInUse
        if len(self._open) - len(self._replaced) - (replaced is not None) >= self._max_connections:
            raise TooManyConnections(503, "max_connections")
        most, key = limits.max_connections_per_address, limit_key(address)
        if most is not None and self._by_address[key] >= most:
            leaving = len(self._replaced_of.get(key, ()))
            leaving += replaced is not None and limit_key(replaced.address) == key
            if self._by_address[key] - leaving >= most:
                raise TooManyConnections(429, "max_connections_per_address")
        new_name = scope is Scope.GLOBAL and not self._registry.has_name(identity.name)
        if new_name and self._registry.name_count() >= limits.max_names:
            raise TooManyConnections(503, "max_names")

    def admit(self, connection: SignalConnection) -> None:
        """A connection is open: it enters the registry now; its Connect functions run in the next turn."""
        replaced = None
        if connection.is_global:
            replaced = self._registry.get(connection.name, connection.client_id)
            if replaced is not None:
                self._replaced[replaced] = None
                self._replaced_of.setdefault(limit_key(replaced.address), {})[replaced] = None
                replaced.shut(_REPLACED, "replaced by a newer connection", ClosedBy.SERVER)
            self._registry.add(connection)
        self._open.add(connection)
        self._heartbeat.begin()
        if key := limit_key(connection.address):
            self._by_address[key] += 1
        self._connecting.add(connection)
        self.counters.connections_opened += 1
        if self._replaced:
            self._make_room(connection.address, replaced)
        self.clock.callLater(0, self._connect, connection)

    def shut_down(self, connection: SignalConnection, code: int = CloseCode.GOING_AWAY) -> None:
        """Close a connection because the service stops."""
        connection.shut(code, "the server is going away", ClosedBy.SHUTDOWN)

    def route_ended(self, connection: SignalConnection, *, failed: bool) -> None:
        """The route that converted a connection has ended: a local one is closed."""
        if failed:
            self.reports.write(
                "routes_failed", "the route that converted {client_id} failed", client_id=connection.client_id
            )
        if connection.is_local:
            code, by = (CloseCode.INTERNAL_ERROR, ClosedBy.ERROR) if failed else (CloseCode.NORMAL, ClosedBy.SERVER)
            connection.shut(code, "", by)

    def connections_of(self, target: Target) -> tuple[SignalConnection, ...]:
        """The global connections that a target means."""
        return self._registry.select(target)

    # What connections and dispatch call.

    def congestion_changed(self, connection: SignalConnection, congested: bool) -> None:
        """A transport has more than it likes, or has it no more."""
        if not congested:
            self._fan_out.drained(connection)
        elif connection.state is ConnectionState.OPEN:
            self._fan_out.congested.add(connection)

    def connection_leaves(self, connection: SignalConnection) -> None:
        """A connection is about to close: what was sent before goes out, then it gets nothing more."""
        self.inboxes.incomplete(connection, 0)
        self._fan_out.flush(connection.name)
        self._fan_out.leave(connection)
        if connection.is_global:
            self._registry.remove(connection)

    def message_grows(self, connection: SignalConnection, size_bytes: int) -> None:
        """So much has come of a message that is not complete, 0 where none is."""
        self.inboxes.incomplete(connection, size_bytes)

    def send_close(self, connection: SignalConnection, code: int, reason: bytes) -> None:
        """A connection that left because we close it gets its close frame."""
        self._fan_out.close(connection, code, reason)

    def ping_payload(self) -> bytes:
        """Eight bytes that no client can guess: one that reads nothing would pass for alive by pongs sent blindly."""
        return self._random.randbytes(_PING_BYTES)

    def connection_gone(self, connection: SignalConnection) -> None:
        """A transport is gone."""
        self._open.remove(connection)
        if connection in self._replaced:
            del self._replaced[connection]
            key = limit_key(connection.address)
            of_address = self._replaced_of[key]
            del of_address[connection]
            if not of_address:
                del self._replaced_of[key]
        if not self._open:
            self._heartbeat.end()
        if key := limit_key(connection.address):
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]
        assert connection.closure is not None
        self.counters.connections_closed[connection.closure.by.value] += 1
        if connection not in self._connecting:
            self.fire_disconnect(connection)

    def client_ids_hold(self, client_ids: tuple[str, ...]) -> bool:
        """Whether the client ids of a client's message are valid; strictly signed ones for whoever holds them."""
        signer = self._signer
        if signer is None:
            return True
        if not signer.strict:
            return all(signer.verify(each, None) for each in dict.fromkeys(client_ids))
        return all(
            any(self.is_client_id_valid(each, holder.request) for holder in self._registry.with_client_id(each))
            for each in dict.fromkeys(client_ids)
        )

    def _make_room(self, address: str, just_replaced: SignalConnection | None) -> None:
        """Whoever was replaced may take its time over the close frame, until its place is needed."""
        most, key = self.settings.max_connections_per_address, limit_key(address)
        over = len(self._open) - self._max_connections
        over_of_address = 0 if most is None or not key else self._by_address[key] - most
        if just_replaced is not None and just_replaced in self._replaced:
            over -= 1
            over_of_address -= limit_key(just_replaced.address) == key
        going = _oldest(self._replaced_of.get(key, {}), over_of_address, {just_replaced})
        going += _oldest(self._replaced, over - len(going), {just_replaced, *going})
        for each in going:
            each.abort()

    def _connect(self, connection: SignalConnection) -> None:
        self.fire_connect(connection, lambda: self._connected(connection))

    def _connected(self, connection: SignalConnection) -> None:
        """The Connect functions have ended: messages may flow, and Disconnect may fire."""
        self._connecting.discard(connection)
        gone = connection.state is ConnectionState.CLOSED  # before its messages run: they may end it
        self._dispatch.next(connection)
        if gone:
            self.fire_disconnect(connection)


def _oldest(
    replaced: dict[SignalConnection, None], count: int, but: set[SignalConnection | None]
) -> list[SignalConnection]:
    """So many of those that were replaced, without some; no more of them are looked at than it needs."""
    return list(islice((each for each in replaced if each not in but), max(0, count)))


def _without_current(context: Context) -> Context:
    """The context without the event and the route that the hub may have been made in."""
    context.run(current_event.set, None)
    context.run(current_route.set, None)
    return context


def _descriptor_limit() -> int:
    """How many files and sockets the process may have open."""
    try:
        import resource
    except ImportError:  # not on this platform
        return 1_000_000
    soft: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft

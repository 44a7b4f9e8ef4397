"""The hub: wires its parts together and sees connections open, leave and end. No HTTP and no wire format in here."""

from __future__ import annotations

from collections.abc import Callable, Sized
from datetime import datetime
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ..backplane.contract import Backplane
from ..core.model import ClosedBy, ConnectionState, Identity, Scope, SendMode
from ..core.registry import Registry
from ..core.request_record import RequestRecord
from ..core.routes import SignalRoutes
from ..core.targets import Names, Several
from ..errors import ClientGone
from ..wire.frames import CloseCode
from ..wire.message import PLAIN_WEBSOCKET, Encoding
from ..wire.reconnect import ComesBack, comes_back
from .acknowledgements import Acknowledgements
from .answers import Answers
from .arrivals import Arrivals
from .capacity import Capacity
from .closing import Closes
from .continuity import PATIENCE_SECONDS, Continuity
from .deliveries import Deliveries
from .delivery import Delivery
from .dialogue import ComingBack, Dialogue
from .dispatch import Dispatch
from .events import Events
from .expiry import Expiry
from .fanout import FanOut
from .fence import Fence
from .forwarded_posts import ForwardedPosts
from .heartbeat import Heartbeat
from .histories import Histories
from .identities import Identities
from .inboxes import Inboxes
from .link import Link
from .memberships import Memberships
from .node import Node
from .posts import Posts
from .presence import Presences
from .profile import Profile
from .queries import Queries
from .queues import Queues
from .records import Replacements
from .resumes import Resumes
from .runtime import Runtime
from .sending import Sender
from .shared_acknowledgements import SharedAcknowledgements
from .signal_event import SignalEvent
from .transport import ClientTransport

__all__ = ["Hub"]

_REPLACED = CloseCode.REPLACED
_FOR_GOOD = (ComesBack.NO, ComesBack.CLIENT_IS_WRONG)
# A user who reloads a page replaces a connection less often than this number of times within this time.
_TOO_MANY_REPLACEMENTS = 3
_REPLACING_SECONDS = 10.0


class Hub:
    """Connections and messages of one node.

    Args:
        runtime: the surroundings.
        face: what ``connection.hub`` gives users; None is the hub itself, where there are no users.
        backplane: what this node shares with others; None is one in memory, with which the node is alone.

    Attributes:
        runtime: the surroundings.
        settings, counters, reports, turns: those of the runtime.
        registry: the global connections.
        capacity: all connections, and how many there may be.
        deliveries: the door for all that is to be delivered here.
        node: this node among the others.
        backplane: what hands a send to all nodes, this one among them.
        closes: closes what matches, on all nodes.
        queries: who is connected, over all nodes.
        sender: how it sends.
        fan_out: what writes messages.
        fence: what runs functions of the user.
        routes: the signal routes.
        events: who wants to know when connections come and go.
        identities: client ids.
        posts: what clients of server-sent events send.
        forwarded_posts: the same, for streams of other nodes.
        presence: who is connected, for clients that may know.
        arrivals: connections that are not greeted yet, since other nodes are asked.
        shows: is told of a connection of which others see something new.
        inboxes: what clients have sent and no function has taken yet.
        heartbeat: pings, and overdue messages.
        unrouted: what becomes of a client's message for whose path there is no signal route.
        own_ports: the ports of this service's http and https endpoints: pages from there may connect.
        received: what transports call with a client's text message.
        opened, closed, shook_hands, ponged: are told of what their names say; None tells nobody.
        pending_requests: for each service of the hub, its requests that are not complete.
    """

    def __init__(self, runtime: Runtime, face: Any = None, backplane: Backplane | None = None) -> None:
        self.face = self if face is None else face
        self._runtime = runtime
        self.settings = runtime.settings
        self.counters = runtime.counters
        self.reports = runtime.reports
        self.turns = runtime.turns
        self.unrouted = runtime.settings.unrouted
        self.own_ports: set[int] = set()
        self.registry: Registry[Link] = Registry()
        self.capacity = Capacity(runtime, self.registry)
        self.queues = Queues(runtime)
        self.fan_out = FanOut(runtime, self.queues)
        self.deliveries = Deliveries(runtime, self.registry, self.fan_out)
        self.node = Node(runtime, backplane)
        self.backplane = self.node.backplane
        self.histories = Histories(runtime, self.registry, self.deliveries, self.node)
        self.closes = Closes(self.deliveries, self.node)
        self.queries = Queries(self.registry, self.node)
        self.deliveries.logged = self.histories.names
        self.queues.keeps_history = self.histories.names.__contains__
        self.acknowledgements = Acknowledgements(runtime, self.registry, self.backplane.node)
        shared = SharedAcknowledgements(runtime, self.acknowledgements, self.deliveries, self.node)
        self.sender = Sender(
            runtime, self.deliveries, self.fan_out, self.backplane, self.histories, self.acknowledgements, shared
        )
        self.send_to: Callable[[Link, object, int | None, str | None], Delivery] = self.sender.send_to
        self.fence = Fence(runtime)
        self.events = Events(runtime, self.fence)
        self.lockable = self.events.lockable
        self.identities = Identities(runtime, lambda: not self.capacity.links)
        self.resumes = Resumes(runtime, self.identities, self.node)
        self.continuity = Continuity(
            runtime, self.registry, self.fan_out, self.histories, self.backplane.history, self.resumes
        )
        self.node.started = self._node_started
        self.memberships = Memberships(
            self.registry, self.fan_out, self.identities, self.resumes, self.continuity, self.links
        )
        self.presence = Presences(runtime, self.registry, self.fan_out, self.node)
        self.arrivals = Arrivals(runtime, self.registry, self.presence, self.fan_out, self.histories, self.resumes)
        self.arrivals.is_refused = self._refused
        self.node.serve(self.deliveries.deliver, self.arrivals.taken)
        self.presence.has_changed = self.continuity.tell_all
        self.continuity.shares = self.presence.per
        self.memberships.changed = self.shows = self.presence.changed
        self.join_group = self.memberships.join
        self.leave_group = self.memberships.leave
        self.expiry = Expiry(runtime)
        self.answers = Answers(runtime, self.fan_out, self.fence, self.acknowledgements, self.expiry)
        self.posts = Posts(runtime, self.resumes)
        self.forwarded_posts = ForwardedPosts(self.posts, self.resumes, self.node)
        self.answers.watch = self.presence.watch
        self.routes = SignalRoutes()
        self.inboxes = Inboxes(runtime, self.links)
        self.heartbeat = Heartbeat(runtime, self.links, self.continuity, self.expiry, self.histories)
        self._dispatch = Dispatch(runtime, self)
        self.received: Callable[[Link, bytes], None] = self._dispatch.received
        self.posts.received = self._dispatch.received_together
        self.opened: Callable[[Link], None] | None = None
        self.closed: Callable[[Link, float], None] | None = None
        self.shook_hands: Callable[[Link, float], None] | None = None
        self.ponged: Callable[[Link, float], None] | None = None
        self.pending_requests: list[Sized] = []

    @property
    def runtime(self) -> Runtime:
        """The surroundings."""
        return self._runtime

    def count_received(self) -> None:
        """Count from now on the bytes of messages."""
        if self.received == self._dispatch.received:
            self.received = self._dispatch.received_counted
            return
        # An observer that was attached before is told by way of its own function, which counting then goes around.
        inner = self.received

        def received(link: Link, payload: bytes) -> None:
            if link.state is ConnectionState.OPEN:
                self.counters.received_bytes += len(payload)
            inner(link, payload)

        self.received = received

    @property
    def max_pending_handshakes(self) -> int:
        """How many requests may be incomplete at a time."""
        return self.capacity.max_pending_handshakes

    @property
    def clock(self) -> IReactorTime:
        """What time is taken from."""
        return self._runtime.clock

    def wall_time(self, seconds: float | None = None) -> datetime:
        """The wall time at which the hub's clock showed these seconds, as the wall clock is set now (aware, UTC).

        None is now.
        """
        return self._runtime.wall_time(seconds)

    def links(self) -> tuple[Link, ...]:
        """Every connection whose transport is not gone yet, local ones too."""
        return tuple(self.capacity.links)

    def open(
        self,
        identity: Identity,
        request: RequestRecord,
        connect: Callable[[Link], ClientTransport],
        *,
        scope: Scope = Scope.GLOBAL,
        endpoint_name: str | None = None,
        subprotocol: str | None = None,
        encoding: Encoding = PLAIN_WEBSOCKET,
        dialogue: Dialogue | None = None,
        profile: Profile | None = None,
        back: ComingBack | None = None,
    ) -> Link:
        """The one door by which everything that connects comes in.

        Once this returns, the connection is open and in the registry; its Connect functions run in the next turn.

        Args:
            identity: who it is.
            request: a record of the request that became a connection.
            connect: gives the way to the client, ready to be written to. It is called when there is room; what it
                raises is passed on, and then there is no connection.
            scope: global or local.
            endpoint_name: the endpoint it came in by; None where that has no name.
            subprotocol: the agreed WebSocket subprotocol; None is none.
            encoding: how the client gets messages.
            dialogue: what is kept of a client that is told where in the log it is; None for any other.
            profile: its user; None where nothing is said of one.
            back: what a client offered that comes back; None where it does not.

        Raises:
            ClientIdInUse, TooManyConnections: there is no room.
            ClientGone: the client went away meanwhile.
        """
        self.capacity.check(identity, scope, request.address, is_back=back is not None and back.is_known)
        link = Link(
            self,
            identity,
            request,
            scope=scope,
            endpoint_name=endpoint_name,
            subprotocol=subprotocol,
            encoding=encoding,
            dialogue=dialogue,
            profile=profile,
        )
        link.attach(connect(link))
        # Nobody is told of a connection that has ended while its transport was made ready.
        if link.state is not ConnectionState.OPEN:
            raise ClientGone
        replaced = self._enter(link) if scope is Scope.GLOBAL else None
        self.heartbeat.begin()
        self.capacity.opened(link, replaced)
        self.counters.connections_opened += 1
        if dialogue is not None:
            self.posts.opened(link)
        if self.node.is_alone:
            self.presence.opened(link)
            self._greet(link, back)
        else:
            self.node.check_started()
            self.arrivals.arrive(link, back, partial(self._greet, link))
        if self.opened is not None:
            self.opened(link)
        return link

    def route_ended(self, link: Link, *, failed: bool) -> None:
        """The route that converted a connection has ended: a local one is closed."""
        if failed:
            self.reports.write(
                "routes_failed",
                "the route that converted {client_id} failed",
                event="function.raised",
                client_id=link.client_id,
            )
        if link.is_local:
            code, by = (CloseCode.INTERNAL_ERROR, ClosedBy.ERROR) if failed else (CloseCode.NORMAL, ClosedBy.SERVER)
            link.shut(code, "", by)

    # What links call.

    def leaves(self, link: Link) -> None:
        """The connection is about to close: messages that were sent before are written, and it gets no later ones."""
        self.inboxes.incomplete(link, 0)
        self.fan_out.flush(link.name)
        self.fan_out.leave(link)
        if link.is_global and self.registry.remove(link):
            self.fan_out.left(link)
            if not self.registry.has_name(link.name):
                self.histories.deserted(link.name)
        if link.dialogue is not None:
            self.acknowledgements.left(link)
            self.posts.left(link)
            self.presence.left(link)
            if not self.node.is_alone:
                self.histories.withheld.forget(link)

    def gone(self, link: Link) -> None:
        """A transport is gone; where that happens within ``open``, there never was a connection."""
        if link not in self.capacity.links:
            return
        self.capacity.gone(link)
        if not self.capacity.links:
            self.heartbeat.end()
        assert link.closure is not None
        if link.dialogue is not None and comes_back(link.closure.code) in _FOR_GOOD:
            self.acknowledgements.left(link, for_good=True)
        self.presence.gone(link)
        self.counters.connections_closed[link.closure.by.value] += 1
        if self.closed is not None:
            self.closed(link, self.clock.seconds() - link.connected_seconds)
        # Disconnect never comes before the end of Connect.
        if not link.is_connecting:
            self._fire_disconnect(link)
        elif link in self.arrivals.refused:
            self._never_connected(link)

    def close(self, link: Link, code: int, reason: bytes) -> None:
        """Write a close frame; a transport that raises is given up, and the exception goes no further."""
        # A client that leaves by itself may think better of it. And what is kept of those who may not come back is
        # bounded, so clients must not be able to fill that.
        by_client = link.closure is not None and link.closure.by is ClosedBy.CLIENT
        if comes_back(code) is ComesBack.NO and not by_client:
            self.memberships.forget(link)
        self.fan_out.close(link, code, reason)

    def congested(self, link: Link) -> None:
        """A transport's buffer is full."""
        self.fan_out.filled(link)

    def drained(self, link: Link) -> None:
        """A transport is empty again."""
        if link.dialogue is None:
            self.fan_out.drained(link)
        else:
            self.continuity.drained(link)

    def grows(self, link: Link, size_bytes: int) -> None:
        """So many bytes have come of a message that is not complete; 0 where no message is incomplete."""
        self.inboxes.incomplete(link, size_bytes)

    def expires(self, link: Link) -> None:
        """A connection has another expiry: its client is told."""
        self.continuity.tell(link)

    # What dispatch and events call.

    def client_ids_hold(self, client_ids: tuple[str, ...]) -> bool:
        """Whether the client ids of a client's message are valid; strictly signed ones for their holders."""
        return self.identities.all_hold(client_ids, self.registry.with_client_id)

    def idle(self, link: Link) -> None:
        """No function runs, and no message waits, for a connection that is gone; unless Disconnect functions do."""
        if link.is_disconnected and (link.intake is None or not link.intake.busy):
            self.capacity.over(link)

    def send_within(
        self,
        event: SignalEvent,
        data: object,
        name: Names,
        group: Several,
        client_id: Several,
        exclude: Several,
        mode: SendMode | str,
        depth: int | None,
        key: str | None,
        timeout_seconds: float | None = None,
    ) -> Delivery:
        """``signals.send`` with an event as the current one."""
        self._runtime.check_thread("send")
        sender = event.connection._link
        return self.sender.send(
            event.data, sender, None, data, name, group, client_id, exclude, mode, depth, key, timeout_seconds
        )

    def _enter(self, link: Link) -> Link | None:
        """Join the registry, in the place of a connection with the same name and client id: that is closed."""
        replaced = self.registry.get(link.name, link.client_id)
        if replaced is not None:
            self.capacity.replaces(replaced)
            replaced.shut(_REPLACED, "replaced by a newer connection", ClosedBy.SERVER)
            self._count_replacement(link, replaced)
        self.registry.add(link)
        self.fan_out.joined(link)
        self.histories.joined(link.name)
        return replaced

    def _count_replacement(self, link: Link, replaced: Link) -> None:
        """Tell once of clients that evict each other for ever, as two tabs of one user do that connect again."""
        found = link.replacements = replaced.replacements or Replacements(_TOO_MANY_REPLACEMENTS, _REPLACING_SECONDS)
        if found.window.hit(self._runtime.clock.seconds()) and not found.told:
            found.told = True
            self.reports.write(
                "replacing",
                "connections of the name {name} with the client id {client_id} take each other's place again and again:"
                " two clients use one id, such as two tabs of a user; give each an id of its own, or set"
                " duplicate_client_id to refuse",
                event="connection.replaced",
                name=link.name,
                client_id=link.client_id,
            )

    def _greet(self, link: Link, back: ComingBack | None, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Say hello, which may wait so long for the log of the name."""
        # It may have ended while other nodes were asked.
        if link.dialogue is None or link.state is not ConnectionState.OPEN:
            self._greeted(link)
        else:
            self.continuity.greet(link, back, partial(self._greeted, link), patience_seconds)

    def _node_started(self, is_restart: bool) -> None:
        if is_restart:
            self.histories.follow_again()
        if self.resumes.shared is not None:
            self.resumes.shared.renewed = lambda: self.continuity.renew_all(self.links())
            self.resumes.shared.begin()

    def _refused(self, link: Link) -> None:
        """Another node has a connection with this client id: nobody hears of this one."""
        self._dispatch.drop(link)
        if link.state is ConnectionState.CLOSED:
            self._never_connected(link)

    def _never_connected(self, link: Link) -> None:
        self.arrivals.refused.remove(link)
        self._disconnected(link)

    def _greeted(self, link: Link) -> None:
        self._runtime.clock.callLater(0, self._connect, link)

    def _connect(self, link: Link) -> None:
        self.events.fire_connect(link, partial(self._connected, link))

    def _connected(self, link: Link) -> None:
        """The Connect functions have ended: messages may flow, and Disconnect may fire."""
        link.is_connecting = False
        # Before its messages run: they may end it.
        gone = link.state is ConnectionState.CLOSED
        self._dispatch.next(link)
        if gone:
            self._fire_disconnect(link)

    def _fire_disconnect(self, link: Link) -> None:
        self.events.fire_disconnect(link, partial(self._disconnected, link))

    def _disconnected(self, link: Link) -> None:
        """The Disconnect functions have ended; functions of messages may go on."""
        link.is_disconnected = True
        self.idle(link)

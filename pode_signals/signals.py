"""Signals: the one object that an application holds. It has the parts that do the work, and does none itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from random import Random
from typing import Any, Literal, Never, TypeVar, Unpack, overload

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from .backplane.contract import Backplane, Member
from .core.choices import chosen
from .core.contracts import ClockLike, ResourceLike
from .core.counters import Counters
from .core.environment import FAST
from .core.history import HistoryLimits
from .core.mistakes import (
    answer_seconds,
    called_as,
    check_decorator,
    check_function_of_event,
    misplaced_argument,
)
from .core.model import BroadcastLevel, EventType, Scope, SendMode, Target, Unrouted
from .core.names import client_id_text
from .core.routes import IfExists, SignalRoute
from .core.settings import Settings, SettingsArguments
from .core.signing import Caller
from .core.targets import Names, Several, client_ids_of, groups_of, history_names
from .hub.connection import SignalConnection, view_of
from .hub.context import current_event, current_route, fresh_contexts
from .hub.delivery import Delivery
from .hub.events import DisconnectEvent, EventRegistration, TriggeredEvent, name_for
from .hub.hub import Hub
from .hub.profile import profile_of
from .hub.route_group import IfExistsName, RouteGroup
from .hub.runtime import Runtime
from .hub.signal_event import Lockable, SignalEvent
from .insight.insight import Insight
from .ports.listeners import Listener
from .scheduling.jobs import Runs
from .scheduling.planning import ScheduleState
from .scheduling.schedules import ScheduleOptions, Schedules
from .scheduling.timers import Timers, TimerState
from .transports.websocket import SignalFactory
from .web.arguments import check_arguments, check_resource
from .web.client_file import ClientFile
from .web.converter import Converter
from .web.requests import check_is_request
from .web.resource import SignalsResource
from .wire.frames import CloseCode, check_close_code

__all__ = ["Signals", "hub_of"]

# What exists only for speed may be missing: the folder can be deleted.
FastFactory: type[SignalFactory] | None = None
if FAST:
    try:
        from .fast.websocket import FastFactory
    except ModuleNotFoundError as missing:
        if missing.name not in (f"{__package__}.fast", f"{__package__}.fast.websocket"):
            raise

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=Callable[[SignalEvent], Any])
C = TypeVar("C", bound=Callable[[TriggeredEvent], Any])
D = TypeVar("D", bound=Callable[[DisconnectEvent], Any])


class Signals:
    """Named, grouped, addressable WebSocket connections.

    ::

        signals = Signals()

        @app.route("/chat")
        def chat(request):
            signals.convert(request, name="Chat")

        @signals.route("/chat")
        def said(event):
            signals.send(event.data.message, name="Chat")

    Args:
        clock: what time is taken from, such as ``task.Clock``; None is the reactor that runs when it is first needed.
            On a reactor time is counted by a clock that nobody sets.
        random: where new client ids and random schedule times come from; None is the system's source.
        backplane: what this node shares with the other nodes of the application; None is one in memory, with which the
            node is alone.
        settings: every setting of :class:`~pode_signals.core.settings.Settings`, by its name.

    Raises:
        ValueError: a setting makes no sense; the sentence names it.
        TypeError: there is no such setting.
    """

    def __init__(
        self,
        *,
        clock: ClockLike | None = None,
        random: Random | None = None,
        backplane: Backplane | None = None,
        **settings: Unpack[SettingsArguments],
    ) -> None:
        self._runtime = runtime = Runtime(
            Settings(**settings), clock=clock, random=random, fresh_context=fresh_contexts()
        )
        self._default_scope = runtime.settings.default_scope
        self._hub = hub = Hub(runtime, self, backplane)
        self._registry = hub.registry
        self._sender = hub.sender
        self._events = hub.events
        self._identities = hub.identities
        self._runs = Runs(runtime, hub.fence)
        self._schedules = Schedules(runtime, self._runs, hub.node)
        self._timers = Timers(runtime, self._runs)
        fast = FastFactory if runtime.settings.fast else None
        self._converter = Converter(hub, fast or SignalFactory)
        self._insight = Insight(hub, self._schedules, self._timers)

    @property
    def settings(self) -> Settings:
        """What it was made with."""
        return self._runtime.settings

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        return self._runtime.counters

    @property
    def insight(self) -> Insight:
        """Every number, rows of connections, the last refusals and errors, observers, for those who operate the hub."""
        return self._insight

    @property
    def clock(self) -> IReactorTime:
        """The source of the time, which is the given clock, or on a real reactor a clock that nobody sets."""
        return self._runtime.clock

    @property
    def lockable(self) -> Lockable:
        """A mapping with a lock that all functions share."""
        return self._hub.lockable

    @property
    def reference_check(self) -> Callable[[Any, SignalConnection], bool] | None:
        """A function that is asked about each request that refers to a connection by X-PODE-SIGNAL-CLIENT-ID.

        ``reference_check(request, connection)`` gives True where the request may; anything else refuses it. None asks
        nobody.
        """
        return self._converter.reference_check

    @reference_check.setter
    def reference_check(self, check: Callable[[Any, SignalConnection], bool] | None) -> None:
        self._converter.reference_check = check

    @property
    def refresh_check(self) -> Callable[[SignalConnection, str], Any] | None:
        """A function that is asked whether a client's new credentials are good, for a connection that expires.

        ``refresh_check(connection, token)``, plain, ``async`` or giving a Deferred, gives the new expiry (aware), or
        None to refuse. It can't change who the client is, and has to refuse the token of another user. None refuses
        every token.
        """
        return self._hub.answers.refresh_check

    @refresh_check.setter
    def refresh_check(self, check: Callable[[SignalConnection, str], Any] | None) -> None:
        if check is not None and not callable(check):
            raise TypeError(f"refresh_check has to be a function, not {type(check).__name__}")
        self._hub.answers.refresh_check = check

    # From a request to a connection.

    def convert(
        self,
        request: Any,
        name: str,
        *,
        group: str | Sequence[str] | None = None,
        client_id: str | int | None = None,
        scope: Scope | str | None = None,
        subprotocols: Sequence[str] = (),
        expires: datetime | None = None,
        user: str | None = None,
        info: object = None,
    ) -> SignalConnection:
        """Turn a request into a connection, now (Pode: ``ConvertTo-PodeSignalConnection``).

        The request is a WebSocket handshake, or with ``allow_sse`` a GET that accepts ``text/event-stream``. When it
        returns, the answer was written and the connection is open. The route may go on; what it returns or
        writes is discarded. A client that goes away cancels it.

        Args:
            request: the ``twisted.web`` request that a Klein route or a resource is handling.
            name: what the connection joins.
            group: its group within the name, or several of them; None is none. :meth:`SignalConnection.join` and
                :meth:`SignalConnection.leave` change them later.
            client_id: its id within the name; None is a random version-4 UUID. Signed either way where signing is
                on. Never pass on what an unauthenticated client chose: it would replace the owner of that id.
            scope: None is ``default_scope``.
            subprotocols: WebSocket subprotocols, the preferred first, of which the first that the client offers is
                agreed on. Where it offers none of them: ``pode.signals.v1`` if the client offers that, else none.
            expires: when the connection has to be renewed (aware), see :attr:`refresh_check`. One that is not renewed
                is closed with 4401, ``expiry_grace_seconds`` later. None is never.
            user: a label of the login, which several connections of a user may share; None is none.
            info: a JSON value of at most 1,024 bytes that other clients may see; None is none.

        Returns:
            The open connection.

        Raises:
            UpgradeRefused: the request can't be upgraded; nothing was written, and Klein renders the answer.
            NameRefused, ClientIdRefused: refusals for the name, the group or the client id; a ``NameInvalid`` and a
                ``ClientIdInvalid`` too.
            AlreadyConverted: the second call for a request.
            ResponseStarted: the route has begun to answer.
            ClientGone: the client went away.
            ValueError: a response header that the route set can't be sent, there are more groups than ``max_groups``,
                there is no such scope, ``expires`` has no time zone, or ``info`` is too large.
            TypeError: an argument is of a wrong type.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("convert")
        check_arguments(request, name, group, client_id, scope, subprotocols)
        profile = profile_of(user, info, expires)
        known_scope = chosen(Scope, scope or self._default_scope, "scope")
        link = self._converter.convert(request, name, group, client_id, known_scope, subprotocols, profile)
        return view_of(link)

    def receive(self, request: Any) -> Deferred[None]:
        """Take what a client of server-sent events sends, where :meth:`resource` is not around the application's own.

        It serves the POST and the DELETE of the path on which a route converts::

            @app.route("/rooms", methods=["POST", "DELETE"])
            def posted(request):
                return signals.receive(request)

        When it returns, the messages are taken or wait for their turn, and the status of the answer is set. Where the
        stream is another node's, that is so when the Deferred fires.

        Args:
            request: the ``twisted.web`` request that a Klein route or a resource is handling.

        Returns:
            Fires with None; has fired where the stream is this node's. It fails with UpgradeRefused, as below.

        Raises:
            UpgradeRefused: nothing was taken; Klein renders the answer.
            TypeError: it is no request.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("receive")
        check_is_request("receive", request)
        return self._converter.receive(request)

    def connection_of(self, request: Any) -> SignalConnection | None:
        """The connection that a request became or refers to (Pode: ``$WebEvent.Signal``).

        Returns:
            The connection; None where nothing was converted and no X-PODE-SIGNAL-CLIENT-ID came.

        Raises:
            ClientIdRefused: a bad reference, outside of ``signals.resource(…)``, which refuses it before any route; a
                ``ClientIdInvalid`` too.
        """
        check_is_request("connection_of", request)
        link = self._converter.link_of(request)
        return None if link is None else view_of(link)

    def resource(
        self,
        root: ResourceLike,
        *,
        listener: Listener | None = None,
        auto_upgrade: bool = False,
        client_at: str | None = None,
    ) -> SignalsResource:
        """An ``IResource`` around an application's own, for any ``Site``.

        It renders refusals for plain resources, makes ``signals.send`` reach a route's local connection, and checks
        the X-PODE-SIGNAL-* headers of requests that refer to a connection before any route runs.

        Args:
            root: the application's resource: Klein's ``app.resource()`` or any other.
            listener: the port that it serves, which ``SignalsService`` gives; None in a foreign server.
            auto_upgrade: whether every upgrade becomes a connection named after its path, before any route.
            client_at: the path of the client for browsers, ``"/signals.js"``, before any route; None serves none.

        Raises:
            ConfigurationInvalid: ``root`` is no resource.
            ValueError: ``client_at`` is no path.
            TypeError: ``client_at`` is no text.
        """
        check_resource("signals.resource", root)
        client_file = None if client_at is None else ClientFile(client_at)
        return SignalsResource(
            self._converter, root, listener=listener, auto_upgrade=auto_upgrade, client_file=client_file
        )

    @property
    def default_scope(self) -> Scope:
        """The scope of a conversion that names none.

        Pode: ``Set-PodeSignalDefaultScope``.
        """
        return self._default_scope

    @default_scope.setter
    def default_scope(self, scope: Scope | str) -> None:
        self._default_scope = chosen(Scope, scope, "default_scope")

    def only_on(self, *endpoints: str) -> Callable[[F], F]:
        """A decorator for Klein routes: they serve these endpoints alone, and others get 404.

        It stands below Klein's own: ``@app.route("/admin")``, then ``@signals.only_on("admin")``.

        Args:
            endpoints: names of endpoints. In a server of one's own (``signals.resource(…)`` in a foreign ``Site``)
                requests come in by no endpoint, so such a route serves nobody.
        """
        for each in endpoints:
            check_decorator("only_on", each, '@signals.only_on("admin")')
        return self._converter.only_on(endpoints)

    # Sending.

    def send(
        self,
        data: object,
        *misplaced: Never,
        name: Names = None,
        group: Several = None,
        client_id: Several = None,
        exclude: Several = None,
        mode: SendMode | str = SendMode.AUTO,
        depth: int | None = None,
        ignore_event: bool = False,
        key: str | None = None,
        acknowledge: bool = False,
        timeout: float = 5.0,
    ) -> Delivery:
        """Send to all connections of a name, to a group of it, or to single clients (Pode: ``Send-PodeSignal``).

        Args:
            data: a ``str`` is sent as it is, anything else as compact JSON; None, ``""`` and ``[]`` send nothing.
            misplaced: nothing: all but the data is given by keyword, and the error for what is not says how.
            name: the name or names; ``EVERY_NAME`` is every name. None is, within a signal event, what the client's
                message names, and with it the group and client id that are not given here.
            group: only connections in this group or one of these.
            client_id: only connections with this client id or one of these.
            exclude: not the connections with this client id or one of these, such as the one that sent the message.
                A send to the current connection alone reaches nobody where that connection is excluded.
            mode: whether to send to the current connection alone.
            depth: how deep the data may be nested; None is any depth.
            ignore_event: send as if outside of the current event and route.
            key: what this message tells the latest of, such as ``"price"``: with ``slow_client="latest"`` it replaces
                an older one with the same key that still waits for a slow client. None replaces nothing.
            acknowledge: whether to ask the clients of ``pode.signals.v1`` for an answer once their application has
                taken the message. ``await delivery`` then waits for the answers.
            timeout: how many seconds to wait for answers at most, 0.1 to 60.

        Returns:
            The delivery; its numbers are final.

        Raises:
            NameRequired: no name, and no current event.
            NoCurrentConnection: ``SendMode.DIRECT``, and there is none.
            BroadcastRefused: the broadcast level of a name asks for more; nothing was sent to anyone.
            TypeError, ValueError: the data can't be encoded, there is no such mode, or an argument lacks its keyword;
                nothing was sent.
            MessageTooBig: it is larger than ``max_outgoing_bytes``; nothing was sent.
            TooManyAcknowledgements: it would ask more clients than ``max_pending_acknowledgements`` allows; nothing was
                sent.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("send")
        if misplaced:
            raise misplaced_argument("send", misplaced)
        said = sender = converted = None
        if not ignore_event:
            event, slot = current_event.get(), current_route.get()
            # An event, and a route's connection, of another hub are not current for this one.
            if event is not None and event.connection._link.hub is self._hub:
                said, sender = event.data, event.connection._link
            if slot is not None and slot.link is not None and slot.link.hub is self._hub:
                converted = slot.link
        seconds = answer_seconds(timeout) if acknowledge else None
        return self._sender.send(
            said, sender, converted, data, name, group, client_id, exclude, mode, depth, key, seconds
        )

    def keep_history(
        self, name: Names, *, messages: int = 100, max_bytes: int = 1_048_576, seconds: float = 300.0
    ) -> None:
        """Keep what is sent to a name from now on, so that clients that come back get what they missed.

        A client of ``pode.signals.v1`` that lost its connection gets all that it has missed, or is told that messages
        may be lost. Choose ``messages`` for your rate: twice the messages that are sent to the name a second, times the
        seconds that a client may be away.

        ::

            signals.keep_history("Rooms", messages=10_000, max_bytes=8_388_608, seconds=600)

        Args:
            name: the name or names; ``EVERY_NAME`` is each name without limits of its own. A second call for a name
                changes its limits.
            messages: how many messages of a name are kept.
            max_bytes: how many bytes of payloads are kept.
            seconds: how long a message is kept.

        Raises:
            ValueError: a limit is not above 0, or there is no name.
            NameInvalid: a text can't be a name.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("keep_history")
        limits = HistoryLimits(messages, max_bytes, seconds)
        for each in history_names(name):
            self._hub.histories.keep(each, limits)

    def forget_history(self, name: Names) -> None:
        """Keep nothing of a name any more, and forget what was kept. Nothing happens where nothing was kept.

        Args:
            name: the name or names; ``EVERY_NAME`` is each name without limits of its own.

        Raises:
            ValueError: there is no name.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("forget_history")
        for each in history_names(name):
            self._hub.histories.forget(each)

    def presence(self, name: str, group: str | None = None) -> Deferred[tuple[Member, ...]]:
        """Who is connected to a name, or to one group of it.

        ::

            members = await signals.presence("Rooms", "kitchen")
            names = {each.user for each in members}

        Returns:
            Fires with a :class:`Member` for each client id: ``client_id``, ``groups``, ``user``, ``info``. Empty for a
            name that nobody has joined. Where the name shares its presence (:meth:`share_presence`), a client that was
            lost is a member for ``presence_grace_seconds`` more. Fails with
            :class:`~pode_signals.errors.BackplaneUnavailable` where the other nodes can't be reached.

        Raises:
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("presence")
        return self._hub.presence.members(name, group)

    def share_presence(self, name: str, *, per: Literal["name", "group"] = "name", max_members: int = 250) -> None:
        """Let the clients of ``pode.signals.v1`` of a name watch who is there, from now on.

        ::

            signals.share_presence("Rooms", per="group")

        Args:
            name: the name.
            per: ``"name"`` shows each client all members of the name; ``"group"`` those of the groups that it is in.
            max_members: over how many members nobody is listed any more, and watchers are told the number alone.

        Raises:
            NameInvalid: the text can't be a name.
            ValueError: ``per`` is something else, or ``max_members`` is no whole number of 1 or more.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("share_presence")
        self._hub.presence.share(name, per, max_members)

    def position(self, name: str) -> Deferred[str]:
        """The place in a name's history that is reached now, for a page to go on from.

        ::

            @app.route("/page")
            async def page(request):
                since = await signals.position("Rooms")
                return render(everything(), since=since)

        Returns:
            Fires with ``<epoch>.<offset>``. Fails with :class:`~pode_signals.errors.UnknownHistory` where the name
            keeps no history, and with :class:`~pode_signals.errors.BackplaneUnavailable` where this node does not know
            the place within 2 seconds.
        """
        self._runtime.check_thread("position")
        return self._hub.histories.when_position(name).addCallback(".".join)

    def set_broadcast_level(self, level: BroadcastLevel | str, name: str | None = None) -> None:
        """Say how narrow sends have to be (Pode: ``Set-PodeSignalBroadcastLevel``).

        Args:
            level: the level.
            name: the name it is for; None is every name that has no level of its own.
        """
        self._runtime.check_thread("set_broadcast_level")
        self._hub.deliveries.levels.set(chosen(BroadcastLevel, level, "level"), name)

    def broadcast_level(self, name: str) -> BroadcastLevel:
        """The level that holds for a name."""
        return self._hub.deliveries.levels.get(name)

    def allows(self, name: str, group: Several = None, client_id: Several = None) -> bool:
        """Whether a send with these arguments would pass the broadcast level of the name."""
        return self._hub.deliveries.levels.allows(name, groups_of(group), client_ids_of(client_id))

    # Who is there.

    @overload
    def names(self, *, cluster: Literal[False] = False) -> tuple[str, ...]: ...
    @overload
    def names(self, *, cluster: Literal[True]) -> Deferred[tuple[str, ...]]: ...
    def names(self, *, cluster: bool = False) -> tuple[str, ...] | Deferred[tuple[str, ...]]:
        """The names that have connections (Pode: ``Get-PodeSignalNameList``).

        With ``cluster=True`` this and the questions below give a Deferred for all nodes together; see
        :meth:`connections`.
        """
        return self._hub.queries.names() if cluster else self._registry.names()

    @overload
    def groups(self, name: str, *, cluster: Literal[False] = False) -> tuple[str, ...]: ...
    @overload
    def groups(self, name: str, *, cluster: Literal[True]) -> Deferred[tuple[str, ...]]: ...
    def groups(self, name: str, *, cluster: bool = False) -> tuple[str, ...] | Deferred[tuple[str, ...]]:
        """The groups within a name that have connections (Pode: ``Get-PodeSignalGroupList``).

        Raises:
            UnknownName: no connection has the name; with ``cluster=True`` it has no groups.
        """
        return self._hub.queries.groups(name) if cluster else self._registry.groups(name)

    @overload
    def client_ids(
        self, name: str, group: str | None = None, *, cluster: Literal[False] = False
    ) -> tuple[str, ...]: ...
    @overload
    def client_ids(
        self, name: str, group: str | None = None, *, cluster: Literal[True]
    ) -> Deferred[tuple[str, ...]]: ...
    def client_ids(
        self, name: str, group: str | None = None, *, cluster: bool = False
    ) -> tuple[str, ...] | Deferred[tuple[str, ...]]:
        """The client ids within a name, in order of their coming (Pode: ``Get-PodeSignalClientIdList``).

        A group restricts them.

        Raises:
            UnknownName: no connection has the name; with ``cluster=True`` it has no client ids.
        """
        return self._hub.queries.client_ids(name, group) if cluster else self._registry.client_ids(name, group)

    @overload
    def has_name(self, name: str, *, cluster: Literal[False] = False) -> bool: ...
    @overload
    def has_name(self, name: str, *, cluster: Literal[True]) -> Deferred[bool]: ...
    def has_name(self, name: str, *, cluster: bool = False) -> bool | Deferred[bool]:
        """Whether a connection has the name (Pode: ``Test-PodeSignalName``)."""
        return self._hub.queries.has_name(name) if cluster else self._registry.has_name(name)

    @overload
    def has_client_id(
        self, name: str, client_id: str | int, group: str | None = None, *, cluster: Literal[False] = False
    ) -> bool: ...
    @overload
    def has_client_id(
        self, name: str, client_id: str | int, group: str | None = None, *, cluster: Literal[True]
    ) -> Deferred[bool]: ...
    def has_client_id(
        self, name: str, client_id: str | int, group: str | None = None, *, cluster: bool = False
    ) -> bool | Deferred[bool]:
        """Whether a connection of the name, and of a given group, has the id (Pode: ``Test-PodeSignalClientId``).

        Raises:
            TypeError: the client id is neither a ``str`` nor an ``int``, which is taken as its text.
        """
        asked = self._hub.queries if cluster else self._registry
        return asked.has_client_id(name, client_id_text(client_id), group)

    @overload
    def connection(
        self, name: str, client_id: str | int, *, cluster: Literal[False] = False
    ) -> SignalConnection | None: ...
    @overload
    def connection(self, name: str, client_id: str | int, *, cluster: Literal[True]) -> Deferred[Member | None]: ...
    def connection(
        self, name: str, client_id: str | int, *, cluster: bool = False
    ) -> SignalConnection | Deferred[Member | None] | None:
        """The connection of a name with a client id; None where there is none.

        With ``cluster=True`` a Deferred of it as a :class:`Member`, whatever node has the connection; see
        :meth:`connections`.

        Raises:
            TypeError: the client id is neither a ``str`` nor an ``int``, which is taken as its text.
        """
        if cluster:
            return self._hub.queries.connection(name, client_id_text(client_id))
        link = self._registry.get(name, client_id_text(client_id))
        return None if link is None else view_of(link)

    @overload
    def connections(
        self, name: str, group: str | None = None, *, cluster: Literal[False] = False
    ) -> tuple[SignalConnection, ...]: ...
    @overload
    def connections(
        self, name: str, group: str | None = None, *, cluster: Literal[True]
    ) -> Deferred[tuple[Member, ...]]: ...
    def connections(
        self, name: str, group: str | None = None, *, cluster: bool = False
    ) -> tuple[SignalConnection, ...] | Deferred[tuple[Member, ...]]:
        """The connections of a name, in order of their coming; a group restricts them. An unknown name has none.

        Args:
            name: the name.
            group: only connections in this group; None is any.
            cluster: whether to ask all nodes. The connections of other nodes are no objects of this one, so there is a
                :class:`Member` for each connection then.

        Returns:
            The connections of this node; or with ``cluster`` a Deferred of the members of all nodes. That Deferred
            leaves out nodes that are silent for 2 seconds, and fails with
            :class:`~pode_signals.errors.BackplaneUnavailable` where the nodes can't be reached.
        """
        if cluster:
            return self._hub.queries.connections(name, group)
        target = Target((name,), () if group is None else (group,))
        return tuple(map(view_of, self._registry.select(target)))

    @overload
    def count(self, name: str | None = None, *, cluster: Literal[False] = False) -> int: ...
    @overload
    def count(self, name: str | None = None, *, cluster: Literal[True]) -> Deferred[int]: ...
    def count(self, name: str | None = None, *, cluster: bool = False) -> int | Deferred[int]:
        """How many connections a name has; None is all names together."""
        return self._hub.queries.count(name) if cluster else self._registry.count(name)

    def open_connections(self) -> tuple[SignalConnection, ...]:
        """Every connection whose transport is not gone yet, local ones too."""
        return tuple(map(view_of, self._hub.links()))

    def close(
        self,
        name: str,
        *,
        group: Several = None,
        client_id: Several = None,
        code: int = CloseCode.NORMAL,
        reason: str = "",
    ) -> Deferred[int]:
        """Close every connection of a name that matches (Pode: ``Close-PodeSignalConnection``); none is no error.

        Those of this node leave before it returns. Nobody has to wait for the others.

        Args:
            name: the name.
            group: only connections in this group or one of these; None is any. An empty list, or ``""``, is nobody,
                whereas for ``send`` it is as good as None.
            client_id: only connections with this client id or one of these; None is any, and an empty list nobody.
            code: a :class:`~pode_signals.CloseCode`, or a number of the application's own from 3000 to 4999.
            reason: text for the clients, cut to 123 bytes of UTF-8.

        Returns:
            Fires with how many were closed, on all nodes; nodes that are silent for 2 seconds are not counted. It never
            fails.

        Raises:
            ValueError: the code may not be sent: 1005, 1006, 1015, under 1000, 5000 and up.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("close")
        check_close_code(code)
        groups, client_ids = groups_of(group), client_ids_of(client_id)
        if (group is not None and not groups) or (client_id is not None and not client_ids):
            return succeed(0)
        return self._hub.closes.close(Target((name,), groups, client_ids), code, reason)

    # Signal routes.

    def route(self, path: str, *, endpoint: str | None = None, if_exists: IfExistsName = "error") -> Callable[[R], R]:
        """A decorator: :meth:`add_route`."""
        check_decorator("route", path, '@signals.route("/path")')

        def register(function: R) -> R:
            self.add_route(path, function, endpoint=endpoint, if_exists=if_exists)
            return function

        return register

    def add_route(
        self,
        path: str,
        function: Callable[[SignalEvent], Any],
        *,
        endpoint: str | None = None,
        if_exists: IfExistsName = "error",
    ) -> None:
        """Give the messages of clients on a path to a function (Pode: ``Add-PodeSignalRoute``).

        With a route nothing is sent unless the function sends.

        Args:
            path: the path of the WebSocket's URL, with parameters as Klein writes them: ``/room/<int:number>``.
            function: plain, ``async def`` or giving a Deferred; gets a :class:`~pode_signals.SignalEvent`.
            endpoint: the name of the endpoint whose connections it is for; None is every endpoint.
            if_exists: what to do where the path has a route: ``error``, ``overwrite`` it, or ``skip`` this call.

        Raises:
            RouteAlreadyExists: the path has a route, and ``if_exists`` is ``error``.
            ValueError: the path can't be read.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("add_route")
        check_function_of_event("add_route", function)
        self._hub.routes.add(path, function, endpoint=endpoint, if_exists=chosen(IfExists, if_exists, "if_exists"))

    def remove_route(self, path: str, *, endpoint: str | None = None) -> None:
        """Remove a route (Pode: ``Remove-PodeSignalRoute``); one that is not there is no error."""
        self._runtime.check_thread("remove_route")
        self._hub.routes.remove(path, endpoint=endpoint)

    def clear_routes(self) -> None:
        """Remove every route (Pode: ``Clear-PodeSignalRoutes``)."""
        self._runtime.check_thread("clear_routes")
        self._hub.routes.clear()

    def has_route(self, path: str, *, endpoint: str | None = None) -> bool:
        """Whether this very path was registered (Pode: ``Test-PodeSignalRoute``)."""
        return self._hub.routes.has(path, endpoint=endpoint)

    def routes(self) -> tuple[SignalRoute, ...]:
        """All routes, in the order of their registration (Pode: ``Get-PodeSignalRoute``)."""
        return self._hub.routes.all()

    def route_group(self, prefix: str, *, endpoint: str | None = None, if_exists: IfExistsName = "error") -> RouteGroup:
        """Routes below a common path (Pode: ``Add-PodeSignalRouteGroup``).

        Args:
            prefix: what their paths begin with: ``/rooms``.
            endpoint: the endpoint of those that name none.
            if_exists: the ``if_exists`` of those that name none.
        """
        return RouteGroup(self, prefix, endpoint, if_exists)

    @property
    def unrouted(self) -> Unrouted:
        """What becomes of a client's message for whose path there is no signal route."""
        return self._hub.unrouted

    @unrouted.setter
    def unrouted(self, unrouted: Unrouted | str) -> None:
        self._hub.unrouted = chosen(Unrouted, unrouted, "unrouted")

    # Connect and Disconnect.

    def register_event(
        self,
        name: str | Iterable[str],
        type: EventType | str,
        event_name: str,
        function: Callable[..., Any],
        *args: Any,
    ) -> None:
        """Call a function whenever a connection of a name comes or goes (Pode: ``Register-PodeSignalEvent``).

        Args:
            name: the name, or several; with auto-upgrade the URL's path.
            type: connect or disconnect.
            event_name: tells this registration from others of the same name and type.
            function: plain, ``async def`` or giving a Deferred; gets a :class:`TriggeredEvent`, then ``args``.
            args: further arguments for the function.

        Raises:
            EventAlreadyRegistered: one of the names has such a registration; then none is made.
            ValueError: there is no such type.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("register_event")
        check_function_of_event("register_event", function, len(args))
        self._events.register(name, type, event_name, function, *args)

    def unregister_event(self, name: str | Iterable[str], type: EventType | str, event_name: str) -> None:
        """Undo :meth:`register_event` (Pode: ``Unregister-PodeSignalEvent``).

        Raises:
            EventNotRegistered: one of the names has no such registration; then none is removed.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("unregister_event")
        self._events.unregister(name, type, event_name)

    def has_event(
        self, name: str | None = None, type: EventType | str | None = None, event_name: str | None = None
    ) -> bool:
        """Whether there is such a registration (Pode: ``Test-PodeSignalEvent``); None matches all."""
        return any(True for _ in self._events.matching(name, type, event_name))

    def events(
        self, name: str | None = None, type: EventType | str | None = None, event_name: str | None = None
    ) -> tuple[EventRegistration, ...]:
        """The registrations (Pode: ``Get-PodeSignalEvent``); None matches all."""
        return tuple(self._events.matching(name, type, event_name))

    def on_connect(self, name: str | Iterable[str]) -> Callable[[C], C]:
        """A decorator: :meth:`register_event` for connect, under the function's name.

        What has none of its own (a lambda, a partial, an object that can be called) gets one that is not taken yet.
        """
        return self._on(name, EventType.CONNECT)

    def on_disconnect(self, name: str | Iterable[str]) -> Callable[[D], D]:
        """A decorator: :meth:`register_event` for disconnect, under the function's name, as :meth:`on_connect`."""
        return self._on(name, EventType.DISCONNECT)

    def when_connected(self, name: str) -> Deferred[SignalConnection]:
        """Wait for the next connection of a name.

        Returns:
            A new Deferred that fires with it, just before the Connect functions run. Cancelling it affects no other.

        Raises:
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("when_connected")
        return self._events.when_connected(name)

    # Client ids.

    @property
    def default_secret(self) -> str:
        """A random secret, another one at each start.

        Pode: ``Get-PodeServerDefaultSecret``.
        """
        return self._identities.default_secret

    @property
    def is_signing(self) -> bool:
        """Whether client ids are signed."""
        return self._identities.is_signing

    def enable_signing(self, secret: str | bytes | Sequence[str | bytes], *, strict: bool = False) -> None:
        """Sign every client id (Pode: ``Enable-PodeSignalSigning``).

        Args:
            secret: the secret, at least 32 bytes; or several: the first signs, each verifies.
            strict: whether the client's User-Agent and address become part of the secret. Then no id is valid that a
                client without an address shows (one on a UNIX socket, unless a trusted proxy reports its address).

        Raises:
            ValueError: a secret is empty, or none was given.
            SigningInUse: a connection is open.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("enable_signing")
        self._identities.enable_signing(secret, strict=strict)

    def replace_secrets(self, secret: str | bytes | Sequence[str | bytes]) -> None:
        """Sign with other secrets from now on, while connections are open; signing stays as strict as it is.

        Ids that none of the new secrets verifies are no longer valid, those of open connections included: keep the old
        secret behind the new one for as long as its ids are in use.

        Args:
            secret: as for :meth:`enable_signing`.

        Raises:
            ValueError: signing is off, a secret is empty, or none was given; then the old ones stay.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("replace_secrets")
        self._identities.replace_secrets(secret)

    def disable_signing(self) -> None:
        """Sign no client ids (Pode: ``Disable-PodeSignalSigning``).

        Raises:
            SigningInUse: a connection is open.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("disable_signing")
        self._identities.disable_signing()

    def new_client_id(self, client_id: str | int | None = None, request: Any = None) -> str:
        """A client id as ``convert`` issues it (Pode: ``New-PodeSignalClientId``).

        Args:
            client_id: the bare id, an ``int`` as its text; None is a random version-4 UUID. One that is signed has to
                be validly so.
            request: the request it is for, which strict signing needs; None is that of the current event.

        Raises:
            NameInvalid: the id is empty, over 128 characters or has control characters.
            ClientIdInvalid: it is signed, but not validly; or begins with ``s:`` while signing is off.
            ValueError: signing is strict, and there is neither a request nor a current event.
            TypeError: it is neither a ``str`` nor an ``int``.
        """
        return self._identities.issue(client_id, self._caller("new_client_id", request))

    def is_client_id_signed(self, client_id: str | int, request: Any = None) -> bool:
        """Whether an id has a valid signature (Pode: ``Test-PodeSignalClientIdSigned``); False where signing is off.

        Raises:
            ValueError: signing is strict, and there is neither a request nor a current event.
            TypeError: the id is neither a ``str`` nor an ``int``, which is taken as its text.
        """
        return self._identities.is_signed(client_id, self._caller("is_client_id_signed", request))

    def is_client_id_valid(self, client_id: str | int, request: Any = None) -> bool:
        """Whether an id could be one of ours (Pode: ``Test-PodeSignalClientIdValid``).

        With signing on it has to be signed validly; with signing off it must not begin with ``s:``.

        Raises:
            ValueError: signing is strict, and there is neither a request nor a current event.
            TypeError: the id is neither a ``str`` nor an ``int``, which is taken as its text.
        """
        return self._identities.is_valid(client_id, self._caller("is_client_id_valid", request))

    def client_address(self, request: Any) -> str:
        """The address of a request's client.

        Args:
            request: a ``twisted.web`` request.

        Returns:
            The socket's address, or the one that trusted proxies report; ``""`` where there is neither, on a UNIX
            socket.
        """
        return self._converter.address_of(request)

    # Schedules.

    @called_as('@signals.schedule("Name", cron="* * * * *")')
    def schedule(self, name: str, cron: str | Iterable[str], **options: Unpack[ScheduleOptions]) -> Callable[[F], F]:
        """Register the decorated function as a schedule; see :meth:`add_schedule` for the options.

        Returns:
            A decorator that gives the function back as it is.
        """

        def register(function: F) -> F:
            self.add_schedule(name, cron, function, **options)
            return function

        return register

    def add_schedule(
        self,
        name: str,
        cron: str | Iterable[str],
        function: Callable[..., Any],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 0,
        on_start: bool = False,
        timezone: tzinfo | str | None = None,
        once_per_cluster: bool = False,
    ) -> None:
        """Run a function whenever a cron expression fires (Pode: ``Add-PodeSchedule``).

        One run at a time: a trigger that comes while the last run is not over is skipped and counted. A function that
        raises is logged and goes on at its next trigger. Where the clock jumps forward or the reactor was busy for
        minutes, the triggers that were passed over are counted as skipped (at most 1,440 of them at once); where it
        jumps back, nothing that ran runs again.

        Args:
            name: the schedule's name.
            cron: a cron expression (:func:`pode_signals.cron` builds them), or several, each of which triggers it;
                two in the same minute are one trigger.
            function: plain, ``async def`` or giving a Deferred; it has no time limit.
            args: what the function is called with.
            kwargs: what else it is called with, by name.
            start: no trigger before this time; aware.
            end: no trigger after this time; aware.
            limit: after so many runs the schedule is completed; 0 is no limit.
            on_start: whether it also runs once when schedules start, at once if they run already, whatever ``cron``
                and ``start`` say; that counts as a run.
            timezone: the time zone of the expression, or its name (``Europe/Berlin``); None is the machine's. Zones of
                pytz and dateutil do as well.
            once_per_cluster: whether each trigger runs on one of the nodes of the application, whichever is first; all
                nodes have to add the schedule, with the same time zone. ``on_start`` runs on each node. A trigger whose
                node dies in the middle of its run is not repeated; one for which no node can be chosen before the next
                trigger is skipped.

        Raises:
            ScheduleAlreadyExists: there is a schedule of this name.
            CronInvalid: an expression that can't be read; one that never fires is logged, not refused.
            ValueError: an empty name, a naive time, an end that is not after the start, a negative limit, an unknown
                time zone, one whose offset has seconds, or a tzinfo that can't tell the two passes of a repeated hour
                apart (PEP 495); or an ``R`` in an expression with ``once_per_cluster``.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("add_schedule")
        self._schedules.add(
            name,
            cron,
            function,
            args=args,
            kwargs=kwargs,
            start=start,
            end=end,
            limit=limit,
            on_start=on_start,
            timezone=timezone,
            once_per_cluster=once_per_cluster,
        )

    def remove_schedule(self, name: str) -> None:
        """Forget a schedule; a run that is under way goes on to its end (Pode: ``Remove-PodeSchedule``).

        Raises:
            UnknownSchedule: there is none of this name.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("remove_schedule")
        self._schedules.remove(name)

    def clear_schedules(self) -> None:
        """Forget all schedules (Pode: ``Clear-PodeSchedules``)."""
        self._runtime.check_thread("clear_schedules")
        self._schedules.clear()

    def edit_schedule(
        self,
        name: str,
        *,
        cron: str | Iterable[str] | None = None,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given and keep the rest (Pode: ``Edit-PodeSchedule``). A run under way is not touched.

        Raises:
            UnknownSchedule: there is no schedule of this name.
            CronInvalid: an expression that can't be read; then nothing changes.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("edit_schedule")
        self._schedules.edit(name, cron=cron, function=function, args=args, kwargs=kwargs)

    def has_schedule(self, name: str) -> bool:
        """Whether there is a schedule of this name (Pode: ``Test-PodeSchedule``)."""
        return self._schedules.has(name)

    def schedules(self) -> tuple[ScheduleState, ...]:
        """All schedules, completed ones too, in the order in which they were added (Pode: ``Get-PodeSchedule``)."""
        return self._schedules.states()

    def next_trigger(self, name: str, after: datetime | None = None) -> datetime | None:
        """When a schedule is triggered next (Pode: ``Get-PodeScheduleNextTrigger``).

        Args:
            name: the schedule's name.
            after: the first trigger after this time, aware; None is now. What a random field draws later is not
                known: the answer is for the values that it has now.

        Returns:
            A time in the schedule's time zone; None where there is none.

        Raises:
            UnknownSchedule: there is no schedule of this name.
            ValueError: ``after`` is naive, or has an offset that its time zone has not.
        """
        return self._schedules.next_trigger(name, after)

    def invoke_schedule(self, name: str) -> bool:
        """Run a schedule's function now; it does not count against the limit (Pode: ``Invoke-PodeSchedule``).

        Returns:
            False where it did not run, because its last run is not over.

        Raises:
            UnknownSchedule: there is no schedule of this name.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("invoke_schedule")
        return self._schedules.invoke(name)

    def start_schedules(self) -> None:
        """Start schedules and timers; the service does it. The first trigger is in the next minute. Twice is once."""
        self._runtime.check_thread("start_schedules")
        if self._schedules.start():
            self._timers.start()
            self._schedules.run_those_on_start()

    def stop_schedules(self) -> Deferred[None]:
        """Stop schedules and timers; the service does it. They can be started again.

        Returns:
            Fires with None when the functions that still run have ended. Cancelling it cancels them, and fires it.
        """
        self._runtime.check_thread("stop_schedules")
        self._schedules.stop()
        self._timers.stop()
        return self._runs.when_over()

    # Other nodes.

    def start_backplane(self) -> None:
        """Begin to share with the other nodes; the service does it. Nothing happens where the node is alone.

        It does not wait: until the others are reached, what is sent reaches the clients of this node at once.
        """
        self._runtime.check_thread("start_backplane")
        self._hub.node.start()

    def stop_backplane(self) -> Deferred[None]:
        """End what :meth:`start_backplane` has begun; the service does it, after its clients are gone.

        Returns:
            Fires once the other nodes know, after 5 seconds at the latest.
        """
        self._runtime.check_thread("stop_backplane")
        return self._hub.node.stop()

    # Timers.

    @called_as('@signals.timer("Name", interval=5)')
    def timer(
        self, name: str, interval: float, *, limit: int = 0, skip: int = 0, on_start: bool = False
    ) -> Callable[[F], F]:
        """Register the decorated function as a timer; see :meth:`add_timer`.

        Returns:
            A decorator that gives the function back as it is.
        """

        def register(function: F) -> F:
            self.add_timer(name, interval, function, limit=limit, skip=skip, on_start=on_start)
            return function

        return register

    def add_timer(
        self,
        name: str,
        interval: float,
        function: Callable[..., Any],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        limit: int = 0,
        skip: int = 0,
        on_start: bool = False,
    ) -> None:
        """Run a function every so many seconds, from the start of the service on (Pode: ``Add-PodeTimer``).

        One run at a time: a trigger that comes while the last run is not over is skipped and counted. A function that
        raises is logged and goes on at its next trigger. Where the clock jumps forward or the reactor was busy, the
        triggers that were passed over are counted as skipped too.

        Args:
            name: the timer's name.
            interval: seconds between two triggers, above 0; fractions are fine.
            function: plain, ``async def`` or giving a Deferred; it has no time limit.
            args: what the function is called with.
            kwargs: what else it is called with, by name.
            limit: after so many runs the timer is completed; 0 is no limit.
            skip: so many of the first triggers do nothing: with an interval of 10 and ``skip=5`` it first runs after
                60 seconds.
            on_start: whether it also runs once when timers start, at once if they run already; that counts as a run.

        Raises:
            ScheduleAlreadyExists: there is a timer of this name.
            ValueError: an empty name, an interval that is no number above 0, a negative limit or skip.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("add_timer")
        self._timers.add(name, interval, function, args=args, kwargs=kwargs, limit=limit, skip=skip, on_start=on_start)

    def remove_timer(self, name: str) -> None:
        """Forget a timer; a run that is under way goes on to its end (Pode: ``Remove-PodeTimer``).

        Raises:
            UnknownSchedule: there is none of this name.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("remove_timer")
        self._timers.remove(name)

    def clear_timers(self) -> None:
        """Forget all timers (Pode: ``Clear-PodeTimers``)."""
        self._runtime.check_thread("clear_timers")
        self._timers.clear()

    def edit_timer(
        self,
        name: str,
        *,
        interval: float | None = None,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given and keep the rest (Pode: ``Edit-PodeTimer``).

        A new interval counts from now. A run that is under way is not touched.

        Raises:
            UnknownSchedule: there is no timer of this name.
            ValueError: the interval is no number above 0.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("edit_timer")
        self._timers.edit(name, interval=interval, function=function, args=args, kwargs=kwargs)

    def has_timer(self, name: str) -> bool:
        """Whether there is a timer of this name (Pode: ``Test-PodeTimer``)."""
        return self._timers.has(name)

    def timers(self) -> tuple[TimerState, ...]:
        """All timers, completed ones too, in the order in which they were added (Pode: ``Get-PodeTimer``)."""
        return self._timers.states()

    def invoke_timer(self, name: str) -> bool:
        """Run a timer's function now; it does not count against the limit (Pode: ``Invoke-PodeTimer``).

        Returns:
            False where it did not run, because its last run is not over.

        Raises:
            UnknownSchedule: there is no timer of this name.
            NotInReactorThread: called from another thread.
        """
        self._runtime.check_thread("invoke_timer")
        return self._timers.invoke(name)

    def _on(self, name: str | Iterable[str], type: EventType) -> Callable[[Any], Any]:
        check_decorator(f"on_{type.value}", name, f'@signals.on_{type.value}("Name")')
        names = (name,) if isinstance(name, str) else tuple(name)

        def register(function: Any) -> Any:
            taken = {each.event_name for each in self._events.matching(None, type, None) if each.name in names}
            self.register_event(names, type, name_for(function, taken.__contains__), function)
            return function

        return register

    def _caller(self, call: str, request: Any) -> Caller | None:
        """The client that an id is for; where no request is given, that of the current event."""
        if request is None:
            event = current_event.get()
            request = event.request if event is not None and event.connection._link.hub is self._hub else None
        return self._converter.caller_of(call, request)


def hub_of(signals: Signals) -> Hub:
    """The parts behind a Signals object, for the rest of this package."""
    return signals._hub

"""Doubles for tests of the hub: a wire that records what a client would get, and connections without HTTP.

Time is a ``task.Clock``; nothing here has a socket or waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from pode_signals import Scope, SignalConnection, SignalEvent, Signals
from pode_signals.core.model import ClosedBy, Closure
from pode_signals.core.request_record import RequestRecord
from pode_signals.core.settings import Settings
from pode_signals.hub.connection import view_of
from pode_signals.hub.fence import Fence
from pode_signals.hub.link import Link
from pode_signals.hub.runtime import Runtime
from pode_signals.hub.transport import ClientTransport
from pode_signals.signals import hub_of
from pode_signals.wire.message import PLAIN_WEBSOCKET, Encoding


class Close(NamedTuple):
    """A close frame."""

    code: int
    reason: str = ""


class FakeTransport(ClientTransport):
    """A client and its wire.

    Args:
        clock: whose next turn reports the end of the transport.
        received: what takes the client's text messages.
        answers_close: whether the client answers a close frame, upon which the transport ends.
        at_once: report the end before ``write_close`` or ``abort`` returns, as no real transport does.

    Attributes:
        link: the connection on this end, as the machine sees it.
        raises: what each write raises from now on; None is a wire that works.
        close_raises: what a close frame raises.
        congested_by_writing: whether each write fills the wire.
        written: what came in, unread: frames as they were written, and :class:`Close`.
        aborts: how often the transport was dropped.
        reading: "pause" and "resume" in their order.
        pings: the payloads of the pings that came in.
        answers_pings: whether the client answers them.
    """

    link: Link

    def __init__(
        self,
        clock: Clock,
        received: Callable[[Link, bytes], None],
        *,
        answers_close: bool = True,
        at_once: bool = False,
    ) -> None:
        self.raises: Exception | None = None
        self.close_raises: Exception | None = None
        self.congested_by_writing = False
        self.written: list[bytes | Close] = []
        self.aborts = 0
        self.reading: list[str] = []
        self.pings: list[bytes] = []
        self.answers_pings = True
        self._clock = clock
        self._received = received
        self._answers_close = answers_close
        self._at_once = at_once

    # The server's side.

    def write(self, data: bytes) -> bool:
        if self.raises is not None:
            raise self.raises
        self.written.append(data)
        if self.congested_by_writing:
            self.link.congested()
        return True

    def write_close(self, code: int, reason: bytes) -> None:
        if self.close_raises is not None:
            raise self.close_raises
        assert len(reason) <= 123
        self.written.append(Close(code, reason.decode("utf-8")))
        if self._answers_close:
            self._end()

    def abort(self) -> None:
        self.aborts += 1
        self._end()

    def write_ping(self, payload: bytes) -> None:
        self.pings.append(payload)
        if self.answers_pings:
            self._clock.callLater(0, self.link.pong, payload)

    def pause_reading(self) -> None:
        self.reading.append("pause")

    def resume_reading(self) -> None:
        self.reading.append("resume")

    # The client's side.

    @property
    def connection(self) -> SignalConnection:
        """The connection on this end, as users see it."""
        return view_of(self.link)

    @property
    def got(self) -> list[str | Close]:
        """Texts and close frames in the order of their arrival."""
        found: list[str | Close] = []
        for item in self.written:
            found.extend([item] if isinstance(item, Close) else texts_of(item))
        return found

    @property
    def client_id(self) -> str:
        """The client id of the connection."""
        return self.connection.client_id

    def says(self, message: Any, **keys: Any) -> None:
        """The client sends a message, with ``path``, ``group``, ``clientId`` or ``direct`` where given."""
        self.writes(json.dumps({"message": message, **keys}).encode("utf-8"))

    def writes(self, payload: bytes) -> None:
        """The client sends a text frame."""
        self._received(self.link, payload)

    def closes(self, code: int = 1000, reason: str = "") -> None:
        """The client sends a close frame; the transport goes on until it vanishes."""
        self.link.left(Closure(code, reason, ClosedBy.CLIENT))

    def vanishes(self) -> None:
        """The transport is gone, however."""
        self.link.lost()

    def _end(self) -> None:
        if self._at_once:
            self.vanishes()
        else:
            self._clock.callLater(0, self.vanishes)


def texts_of(wire: bytes) -> list[str]:
    """The texts of whole, unmasked, unfragmented text frames."""
    found = []
    at = 0
    while at < len(wire):
        assert wire[at] == 0x81
        size, at = wire[at + 1], at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(wire[at : at + width], "big"), at + width
        assert at + size <= len(wire), "part of a frame"
        found.append(wire[at : at + size].decode("utf-8"))
        at += size
    return found


def new_signals(**settings: Any) -> Signals:
    """Signals on a clock of their own, which starts at some time of this century."""
    clock = Clock()
    clock.advance(1_700_000_000)
    return Signals(clock=clock, **settings)


def new_runtime(clock: IReactorTime, **settings: Any) -> Runtime:
    """The surroundings of a hub, without one."""
    return Runtime(Settings(**settings), clock=clock)


def fence_of(clock: IReactorTime) -> Fence:
    """A fence with 30 s, without a hub."""
    return Fence(new_runtime(clock))


def clock_of(signals: Signals) -> Clock:
    """The clock of ``new_signals``."""
    return cast(Clock, signals.clock)


def turn(*several: Signals, seconds: float = 0) -> None:
    """Let time pass, at least until the next turn of the reactor."""
    for signals in several:
        clock_of(signals).advance(seconds)


def timers(signals: Signals) -> list[Any]:
    """The timers of connections and functions: all but the sweep of the heartbeat, and the reports' of what to tell."""
    calls = clock_of(signals).getDelayedCalls()
    others = {"Heartbeat._sweep", "Reports._tell_those_over"}
    return [call for call in calls if getattr(call.func, "__qualname__", "") not in others]


def connect(
    signals: Signals,
    name: str = "Msg",
    *,
    group: str | Sequence[str] | None = None,
    client_id: str | int | None = None,
    scope: Scope | None = None,
    path: str = "/ws",
    headers: Iterable[tuple[str, str]] = (("Host", "example.com"),),
    address: str = "192.0.2.1",
    is_secure: bool = False,
    endpoint_name: str | None = None,
    answers_close: bool = True,
    at_once: bool = False,
    encoding: Encoding = PLAIN_WEBSOCKET,
) -> FakeTransport:
    """Make a connection as ``convert`` does, with a fake wire. Its Connect functions run in the next turn."""
    raw_headers = [(key.encode("ascii"), value.encode("utf-8")) for key, value in headers]
    record = RequestRecord(b"GET", path.encode("ascii"), raw_headers, address, is_secure)
    hub = hub_of(signals)
    transport = FakeTransport(clock_of(signals), hub.received, answers_close=answers_close, at_once=at_once)

    def open_to(link: Link) -> FakeTransport:
        transport.link = link
        return transport

    hub.open(
        hub.identities.identify(name, group, client_id, record),
        record,
        open_to,
        scope=scope or signals.default_scope,
        endpoint_name=endpoint_name,
        encoding=encoding,
    )
    return transport


def connected(signals: Signals, name: str = "Msg", **details: Any) -> FakeTransport:
    """A connection whose Connect functions have run."""
    transport = connect(signals, name, **details)
    turn(signals)
    return transport


def link_of(connection: SignalConnection) -> Link:
    """A connection as the machine sees it, as long as its transport is there."""
    (link,) = (each for each in hub_of(cast(Signals, connection.hub)).links() if view_of(each) is connection)
    return link


class WaitingRoute:
    """A signal route whose runs end when a test says so.

    Attributes:
        runs: the message and the Deferred of each run so far.
        running: how many run at this moment, and at most did.
    """

    def __init__(self, signals: Signals, path: str = "/ws") -> None:
        self.runs: list[tuple[Any, Deferred[None]]] = []
        self.running = self.most = 0
        signals.add_route(path, self.route)

    @property
    def messages(self) -> list[Any]:
        """The messages of the runs so far."""
        return [message for message, _ in self.runs]

    async def route(self, event: SignalEvent) -> None:
        """The function of the route."""
        self.running += 1
        self.most = max(self.most, self.running)
        self.runs.append((event.data.message, Deferred()))
        try:
            await self.runs[-1][1]
        finally:
            self.running -= 1

    def end(self, number: int = -1) -> None:
        """Let a run end: the last one, unless its number is given."""
        self.runs[number][1].callback(None)


class FakeRequest:
    """What is read of a ``twisted.web`` request: headers and address; the rest is that of a good one.

    Args:
        headers: name and value of each header line.
        address: the socket's address; None is a unix socket.
    """

    method, uri, clientproto = b"GET", b"/", b"HTTP/1.1"

    def __init__(self, headers: Sequence[tuple[str, str]] = (), address: str | None = "192.0.2.1") -> None:
        self.requestHeaders = Headers()
        for name, value in headers:
            self.requestHeaders.addRawHeader(name, value)
        self._address = address

    def isSecure(self) -> bool:
        return False

    def getHost(self) -> Any:
        return self.getClientAddress()

    def getClientAddress(self) -> Any:
        return self if self._address is not None else UNIXAddress(None)

    @property
    def host(self) -> str | None:
        """The host of the address."""
        return self._address


def result_of(deferred: Any) -> Any:
    """What a Deferred has fired with, raising what it failed with; ``None`` and still waiting differ."""
    outcomes: list[Any] = []
    deferred.addBoth(outcomes.append)
    assert outcomes, "it has not fired"
    if isinstance(outcomes[0], Failure):
        outcomes[0].raiseException()
    return outcomes[0]

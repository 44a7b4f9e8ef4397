"""A program's hub and routes in memory, on a clock that the test moves. It opens no port, and never waits."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.web.resource import IResource
from twisted.web.server import Site

from ..backplane.memory_presence import MemoryPresence
from ..client.place import Place
from ..core.contracts import ResourceLike
from ..core.model import EVERY_NAME, EveryName, Target
from ..hub.delivery import Delivery
from ..hub.observing import Observer
from ..signals import Signals, hub_of
from ..web.resource import SignalsResource
from .client import ClientProtocol, ClientTransport, TestClient
from .event_wire import stream_request
from .handshake import Refused, read_answer, upgrade_request
from .sockets import ClientEnd
from .wire import Record

__all__ = ["RecordedSend", "SignalTester"]

_FIRST_PORT = 50_000


@frozen
class RecordedSend:
    """One send of the program.

    Attributes:
        data: what clients get: the JSON value, or the text where it is no JSON.
        name: the name; a tuple of several names; ``EVERY_NAME``.
        group: the group, or a tuple of several; None where the send named none.
        client_id: the client id, or a tuple of several; None where the send named none.
        delivery: what the send gave back.
    """

    data: Any
    name: str | tuple[str, ...] | EveryName
    group: str | tuple[str, ...] | None
    client_id: str | tuple[str, ...] | None
    delivery: Delivery


class SignalTester:
    """A hub whose clients, time and network are a test's.

    ::

        signals = Signals(clock=Clock())
        tester = SignalTester(signals, app.resource())
        ada = tester.connect("/rooms", protocol="signals")
        signals.send({"text": "soup"}, name="Rooms")
        assert ada.receive() == {"text": "soup"}

    Args:
        signals: the hub, made with ``Signals(clock=Clock())`` and ``twisted.internet.task.Clock``. Nobody has connected
            to it yet.
        root: the application's resource: Klein's ``app.resource()`` or any other; None where nobody connects.

    Attributes:
        clock: the clock of the hub; it stands still until :meth:`advance` is called.
        signals: the hub.
        sent: every send that had something to say, in order.

    Raises:
        ValueError: the hub has no clock of its own.
        RuntimeError: somebody has connected to the hub before.
    """

    __test__ = False

    def __init__(self, signals: Signals, root: ResourceLike | None = None) -> None:
        hub = hub_of(signals)
        # A hub without a clock would go and install a reactor to have one.
        clock = vars(hub.runtime).get("clock")
        if not isinstance(clock, Clock):
            raise ValueError(
                "a hub to be tested has a clock that stands still: Signals(clock=Clock()), with Clock from"
                " twisted.internet.task"
            )
        self.clock = clock
        self.signals = signals
        self.sent: list[RecordedSend] = []
        self._clients: list[TestClient] = []
        self._site: Site | None = None
        if root is not None:
            resource = root if isinstance(root, SignalsResource) else signals.resource(root)
            self._site = Site(IResource(resource), timeout=None, reactor=clock)
        signals.insight.attach(_Recorder(self.sent))

    def connect(
        self,
        url: str,
        *,
        protocol: ClientProtocol = "plain",
        transport: ClientTransport = "websocket",
        headers: Mapping[str, str | None] | None = None,
        since: str | None = None,
        auto_acknowledge: bool = True,
    ) -> TestClient:
        """Connect a client through the routes of the application.

        Args:
            url: path and query, such as ``"/rooms?floor=2"``.
            protocol: ``"plain"`` for a client that gets bare payloads, ``"signals"`` for one of ``pode.signals.v1``.
            transport: ``"websocket"``, or ``"sse"`` for server-sent events, where the hub has ``allow_sse``.
            headers: further headers. By itself a client says that it comes from a page of ``http://localhost``; a
                ``Host``, an ``Origin`` or another header takes the place of the client's own, and None leaves one out.
            since: the position that a signals client begins at, as ``signals.position(…)`` gives it; None is now.
            auto_acknowledge: whether the client acknowledges each signal that the test receives and that wants that.

        Returns:
            The client; it is connected, and Connect functions have run as far as they can without time passing.

        Raises:
            Refused: the request did not become a connection.
            AssertionError: the route has not answered yet; or the server does not agree on ``pode.signals.v1``.
            ValueError: an argument makes no sense.
        """
        if protocol not in ("plain", "signals"):
            raise ValueError(f"protocol has to be 'plain' or 'signals', not {protocol!r}")
        if transport not in ("websocket", "sse"):
            raise ValueError(f"transport has to be 'websocket' or 'sse', not {transport!r}")
        if not url.startswith("/"):
            raise ValueError(f"url has to be a path with its query, such as '/rooms?floor=2', not {url!r}")
        if since is not None and protocol == "plain":
            raise ValueError('only a client with protocol="signals" can begin at a position')
        return self._connect(url, protocol, transport, dict(headers or {}), Place(since), deque(), auto_acknowledge)

    def reconnect(self, client: TestClient, *, cut_after: int | None = None) -> TestClient:
        """Connect a client again whose connection has ended, here or at the tester of another hub.

        After a restart the program has another hub, so a test makes another tester, and reconnects its clients there.

        Args:
            client: the client.
            cut_after: as for :meth:`TestClient.reconnect`.

        Returns:
            The new client.

        Raises:
            Refused: as for :meth:`connect`.
            AssertionError: the connection is still open; or as for :meth:`connect`.
        """
        # No turn ends here: what has not arrived would arrive, and be known to the client.
        if client.wire.closure is None:
            raise AssertionError("this client is connected: cut(), vanish() or close() comes before reconnect()")
        return self._connect(
            client.url,
            client.protocol,
            client.transport,
            client.headers,
            client.place,
            client.unread,
            client.auto_acknowledge,
            cut_after,
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next: clients answer pings meanwhile, as they do in real time.

        Args:
            seconds: how much; 0 ends the turn of the reactor.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back by {-seconds} seconds")
        end = self.clock.seconds() + seconds
        self.clock.advance(0)
        while (due := self._next_call()) is not None and due <= end:
            self.clock.advance(due - self.clock.seconds())
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def end(self) -> None:
        """Close all clients, and assert that nothing is left to be done.

        Raises:
            AssertionError: a timer is set, or an acknowledged send waits for answers; the sentence tells which.
        """
        for each in self._clients:
            each.ends()
        self.clock.advance(0)
        presence = hub_of(self.signals).backplane.presence
        # Those that the test has cut off would count as present for some seconds more.
        if isinstance(presence, MemoryPresence):
            presence.clear()
        left = [f"the timer {_shown(each, self.clock)}" for each in self.clock.getDelayedCalls()]
        waiting = len(hub_of(self.signals).acknowledgements)
        if waiting:
            left.insert(0, f"{waiting} acknowledged sends that wait for answers")
        if left:
            raise AssertionError(
                "all clients are gone, and this is left: "
                + "; ".join(left)
                + ". Let the time pass with advance(…), or cancel what is not needed any more"
            )

    def _connect(
        self,
        url: str,
        protocol: ClientProtocol,
        transport: ClientTransport,
        headers: Mapping[str, str | None],
        place: Place,
        unread: deque[Record],
        auto_acknowledge: bool,
        cut_after: int | None = None,
    ) -> TestClient:
        site = self._site
        if site is None:
            raise ValueError("nobody can connect without routes: SignalTester(signals, root)")
        client = TestClient(
            url,
            protocol,
            transport,
            turn=partial(self.clock.advance, 0),
            open_socket=partial(ClientEnd, self.clock, site, _FIRST_PORT + len(self._clients)),
            reconnect=lambda ended, frames: self.reconnect(ended, cut_after=frames),
            headers=headers,
            place=place,
            unread=unread,
            auto_acknowledge=auto_acknowledge,
            cut_after=cut_after,
        )
        self._clients.append(client)
        client.wire.socket.write(_request(client))
        self.clock.advance(0)
        answer = read_answer(bytes(client.wire.socket.unread))
        if answer is None:
            client.cut()
            raise AssertionError(
                f"the route of {url} has not answered: it waits for time to pass, or for something that the test does"
            )
        if not answer.is_open:
            client.cut()
            raise Refused(answer.status, answer.body, answer.headers)
        client.opens(answer)
        return client

    def _next_call(self) -> float | None:
        calls = self.clock.getDelayedCalls()
        return min(each.getTime() for each in calls) if calls else None


def _request(client: TestClient) -> bytes:
    """The request with which a client connects."""
    if client.transport == "websocket":
        return upgrade_request(client.url, client.headers, client.offered)
    is_signals = client.protocol == "signals"
    resume = client.place.resume if is_signals else client.place.last_event_id
    return stream_request(client.url, client.headers, is_signals=is_signals, resume=resume)


class _Recorder(Observer):
    """Keeps what the program has sent.

    Args:
        sent: the list to add to.
    """

    def __init__(self, sent: list[RecordedSend]) -> None:
        self._sent = sent

    def sent(self, target: Target, payload: bytes, delivery: Delivery) -> None:
        """A send went out."""
        text = payload.decode("utf-8")
        try:
            data = json.loads(text)
        except ValueError:
            data = text
        names = EVERY_NAME if target.names is None else _one_or_all(target.names)
        self._sent.append(
            RecordedSend(data, names or (), _one_or_all(target.groups), _one_or_all(target.client_ids), delivery)
        )


def _one_or_all(texts: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """The one text as such, several as they are, None for none."""
    return None if not texts else texts[0] if len(texts) == 1 else texts


def _shown(call: IDelayedCall, clock: Clock) -> str:
    function = getattr(call, "func", None)
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"in {call.getTime() - clock.seconds():g} s: {name}"

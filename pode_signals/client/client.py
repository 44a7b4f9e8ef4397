"""``SignalClient``: what users hold. Its session decides and its driver acts; it does neither itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from itertools import count
from random import Random
from types import TracebackType
from typing import Any, Self

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from ..wire.client_texts import send_text
from ..wire.v1 import Hello
from .comebacks import Comebacks
from .driver import Driver, Ways
from .events import ClientEvent
from .inbox import Acknowledgement
from .place import Place
from .session import Session, State
from .targets import checked_headers, read_url

__all__ = ["SignalClient"]

_SEND_SECONDS = 10.0

Several = str | Sequence[str] | None
SeveralIds = str | int | Sequence[str | int] | None


class SignalClient(Service):
    """A client that comes back by itself and loses nothing where the server can help it.

    ::

        async with SignalClient("ws://localhost:8091/rooms") as client:
            print(await client.request({"join": "kitchen"}))
            async for event in client:
                match event:
                    case SignalReceived(data=data, group=group):
                        print(group, data)
                    case Lost():
                        print("something is missing: load the state again")

    It is a service of Twisted: give it a parent, or start and stop it by ``async with``. All of it runs in the
    reactor's thread. Its coroutines can be awaited by coroutines that Twisted runs and, on the reactor of asyncio, by
    tasks of asyncio.

    Args:
        url: ``ws://…`` or ``wss://…``, or a function that gives the URL for each attempt, itself or by a coroutine or
            Deferred. Over TLS the server needs a certificate that the platform trusts.
        reactor: the reactor; None is Twisted's own, once the client is started or used.
        since: a position of the name to begin at, ``<epoch>.<offset>``, as a page or another program was given it; None
            begins with the present.
        refresh: a function that gives new credentials for a connection that expires, itself or by a coroutine or
            Deferred. None: such a connection ends.
        headers: further headers for each handshake, ``{"Authorization": …}``.
        watch: whether to ask who is connected, where the server shares that.
        base_seconds: the first wait after a lost connection is up to so long, the next ones up to twice as long each.
        cap_seconds: no wait is longer.
        random: where waits are drawn from; None is a generator of its own.
        max_waiting_signals: how many events may wait for the loop. When so many wait, the client reads no further,
            which delays replies as well. 0 keeps none, for a program that only sends and asks.
        connect: a function that gives the endpoint for a URL: for a proxy, a UNIX socket, certificates of one's own, or
            a test. None connects to the URL's host.

    Raises:
        ValueError: an argument can't be what it is.
    """

    def __init__(
        self,
        url: str | Callable[[], str | Awaitable[str]],
        *,
        reactor: Any = None,
        since: str | None = None,
        refresh: Callable[[], str | Awaitable[str]] | None = None,
        headers: Mapping[str, str] = {},
        watch: bool = False,
        base_seconds: float = 1.0,
        cap_seconds: float = 30.0,
        random: Random | None = None,
        max_waiting_signals: int = 1_000,
        connect: Callable[[str], IStreamClientEndpoint] | None = None,
    ) -> None:
        if not callable(url):
            read_url(url)
        if base_seconds <= 0 or cap_seconds < base_seconds:
            raise ValueError("base_seconds has to be more than 0, and cap_seconds no less")
        if max_waiting_signals < 0:
            raise ValueError("max_waiting_signals has to be 0 or more")
        can_renew = callable(url) or refresh is not None
        comebacks = Comebacks(base_seconds, cap_seconds, can_renew, Random() if random is None else random)  # noqa: S311
        self._session = Session(
            Place(since),
            comebacks,
            watch=watch,
            renews=refresh is not None,
            max_waiting_events=max_waiting_signals,
        )
        self._driver = Driver(self._session, Ways(url, refresh, checked_headers(headers), connect), reactor)
        self._ids = count(1)

    @property
    def hello(self) -> Hello | None:
        """Who the client is, as the last hello of its open connection says; None while there is none."""
        return self._session.hello

    @property
    def is_open(self) -> bool:
        """Whether a connection is open now."""
        return self._session.state is State.OPEN

    # The service.

    def startService(self) -> None:
        """Connect. A client that was closed begins anew, and goes on where it was."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted
        self._driver.start()

    def stopService(self) -> Deferred[None]:
        """End the connection with 1000, and come back no more.

        Returns:
            A Deferred that fires when the connection has ended, 5 seconds later at most. The loop gets
            :class:`~pode_signals.client.Closed` and ends.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted
        return self._driver.stop()

    async def __aenter__(self) -> Self:
        """Start."""
        self.startService()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stopService()

    # What the application calls.

    def when_open(self) -> Deferred[Hello]:
        """Who the client is, as soon as a connection is open; at once where one is.

        Returns:
            A Deferred that fires with the :class:`~pode_signals.wire.v1.Hello`, or fails with
            :class:`~pode_signals.errors.ReplyError` ``closed`` where the client closes before. It can be cancelled.
        """
        return self._driver.when_open()

    async def send(
        self,
        message: object,
        *,
        path: str | None = None,
        group: Several = None,
        client_id: SeveralIds = None,
        direct: bool = False,
    ) -> None:
        """Send a message to the server, and wait until it is written. Whether the server takes it is not told.

        While no connection is open it waits, at most 10 seconds, and at most 100 messages do. What was written is never
        written again.

        Args:
            message: the data: anything that has a JSON form, see :func:`~pode_signals.wire.json.encode`, but None.
            path: the name whose connections get the message, where no signal route takes it; None is the client's own.
            group: the group or groups that get it; None is everybody.
            client_id: the client id or ids that get it; None is everybody.
            direct: whether it goes back to this client alone.

        Raises:
            ReplyError: ``timeout``: no connection was open in time; ``lost``: 100 messages wait already; ``closed``:
                the client is closed.
            MessageTooBig: the frame is larger than the server takes.
            TypeError: a value in the data has no JSON form.
            ValueError: the data has NaN, Infinity or a lone surrogate, or is None.
        """
        text = send_text(message, path=path, group=group, client_id=client_id, direct=direct)
        await self._driver.send(text, None, _SEND_SECONDS)

    async def request(
        self,
        message: object,
        *,
        timeout: float = 10.0,
        path: str | None = None,
        group: Several = None,
        client_id: SeveralIds = None,
    ) -> Any:
        """Send a message to the server, and wait for the reply.

        Args:
            message: the data, as in :meth:`send`.
            timeout: for how many seconds to wait, those for a connection included.
            path: the name, as in :meth:`send`.
            group: the group or groups, as in :meth:`send`.
            client_id: the client id or ids, as in :meth:`send`.

        Returns:
            What the signal route returned; None also where no signal route took the message, and it was sent on.

        Raises:
            ReplyError: the server's error, or the client's own: ``lost``, the connection ended, and whether the message
                was taken is unknown; ``timeout``; ``closed``.
            MessageTooBig: the frame is larger than the server takes.
            TypeError: a value in the data has no JSON form.
            ValueError: the data has NaN, Infinity or a lone surrogate, or is None.
        """
        request_id = str(next(self._ids))
        text = send_text(message, id=request_id, path=path, group=group, client_id=client_id)
        return await self._driver.send(text, request_id, timeout)

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        """What happens, in order: ``SignalReceived``, ``Opened``, ``Lost``, ``PresenceChanged``, at last ``Closed``.

        Events wait from the start of the client on, whether a loop runs or not. A signal that asks for it is
        acknowledged when the loop asks for the next event: a loop that is left meanwhile has not taken it.
        """
        return _Loop(self._driver)


class _Loop:
    """One loop over the events of a client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        # The answer to the signal that the loop has now.
        self._owed: Acknowledgement | None = None

    def __aiter__(self) -> Self:
        """This very loop."""
        return self

    async def __anext__(self) -> ClientEvent:
        """The next event, as soon as there is one."""
        owed, self._owed = self._owed, None
        if owed is not None:
            self._driver.acknowledge(owed)
        found = await self._driver.event()
        if found is None:
            raise StopAsyncIteration
        event, self._owed = found
        return event

"""The way to one Redis: a connection for commands and one for subscriptions, which live and end together.

Where either is lost, both are dropped and made again: the subscriptions of a connection that was lost have gaps, and
those of a Redis that is a replica by now go on without a sign. ``ClientService`` of Twisted keeps one connection, and
writes a log line for each try; here the two come and go as one, and a line is written when the state changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, fail, gatherResults, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.logger import Logger
from twisted.python.failure import Failure

from .address import RedisAddress
from .connection import Argument, RedisConnection, RedisLost, RedisRefused
from .scripts import WRITABLE, Script

__all__ = ["RedisClient"]

_DEADLINE_SECONDS = 2.0
"""How long an answer may take."""
_TRY_SECONDS = 1.8
"""The same for each step of a try to connect. Whoever was tried when an outage ended is tried anew within 2 seconds."""
_PING_SECONDS = 5.0
"""How often the connection of the subscriptions, on which nothing else may be asked, is tried out."""
_SHORTEST_PAUSE_SECONDS = 0.1
_PAUSE_SECONDS = 1.0
_QUICK_TRIES = 10
_LONG_PAUSE_SECONDS = 5.0
# Answers that say that this is not, or not yet, the Redis that can be written to, or that it has forgotten the scripts:
# all of it is mended by connecting again.
_AWAY = frozenset({"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOSCRIPT", "UNKILLABLE", "BUSY"})

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)

log = Logger()


@define
class _Pair:
    """Both connections, as far as they are made."""

    commands: RedisConnection
    subscriptions: RedisConnection


class RedisClient:
    """Keeps the way to a Redis, for ever.

    Args:
        address: the Redis.
        reactor: connects, and measures time.
        scripts: what is loaded on each connect, since a restart of Redis forgets scripts.
        random: for the pauses between tries.
        changed: called with each new state: ``"up"``, or the reason why Redis can't be asked.
        authorities: a file with the certificates, PEM, of those who may vouch for Redis; None is whom the system
            trusts.

    Attributes:
        is_up: whether commands are taken.
        told_time: called with the time of Redis at each connect, before anything else is told or asked.
        connected: called after each connect, when the scripts are loaded and all channels are subscribed to.
        disconnected: called when the connections are lost, before what waits for an answer fails.
    """

    def __init__(
        self,
        address: RedisAddress,
        reactor: Any,
        scripts: tuple[Script, ...],
        random: Random,
        changed: Callable[[str], None],
        authorities: Path | None = None,
    ) -> None:
        self._address = address
        self._authorities = authorities
        self._reactor = reactor
        self._scripts = scripts
        self._random = random
        self._changed = changed
        self.is_up = False
        self.told_time: Callable[[list[bytes]], None] = lambda _time: None
        self.connected: list[Callable[[], None]] = []
        self.disconnected: list[Callable[[], None]] = []
        self._state = ""
        self._is_running = False
        self._failed_tries = 0
        self._pair: _Pair | None = None
        self._connecting: Deferred[Any] | None = None
        # When the last try began.
        self._began = 0.0
        # The next try, or the next ping.
        self._timer: IDelayedCall | None = None
        self._channels: dict[bytes, Callable[[bytes], None]] = {}

    @property
    def state(self) -> str:
        """``"up"``, or why Redis can't be asked."""
        return self._state or "not connected yet"

    @property
    def pending_bytes(self) -> int:
        """The size of the commands without an answer."""
        return 0 if self._pair is None else self._pair.commands.pending_bytes

    def start(self) -> None:
        """Connect, and stay connected from now on."""
        self._is_running = True
        self._connect()

    def stop(self) -> None:
        """End both connections. What waits for an answer fails."""
        self._is_running = False
        self._drop("this node has stopped")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def call(self, *words: Argument) -> Deferred[Any]:
        """Send a command; see :meth:`~.connection.RedisConnection.call`."""
        pair = self._pair
        if pair is None or not self.is_up:
            return fail(RedisLost(self.state, was_sent=False))
        return pair.commands.call(*words).addErrback(self._refused)

    def run(self, script: Script, keys: tuple[str, ...], *words: Argument) -> Deferred[Any]:
        """Run a script with keys and arguments."""
        return self.call("EVALSHA", script.sha, len(keys), *keys, *words)

    def subscribe(self, channel: str, received: Callable[[bytes], None]) -> Deferred[None]:
        """Have a function called with each message of a channel. A second call for a channel replaces the first.

        Returns:
            Fires when Redis has confirmed, and fails with :class:`~.connection.RedisLost` where it can't be asked; the
            channel is subscribed to with the next connect all the same.
        """
        key = channel.encode()
        is_new = key not in self._channels
        self._channels[key] = received
        pair = self._pair
        if pair is None or not self.is_up:
            return fail(RedisLost(self.state, was_sent=False))
        word = "SUBSCRIBE" if is_new else "PING"
        words = (word, key) if is_new else (word,)
        return pair.subscriptions.call(*words).addCallbacks(lambda _: None, self._refused)

    def unsubscribe(self, channel: str) -> None:
        """No longer hear of a channel."""
        key = channel.encode()
        if self._channels.pop(key, None) is not None and self._pair is not None and self.is_up:
            self._pair.subscriptions.call("UNSUBSCRIBE", key).addErrback(_ignore_lost)

    def reset(self, why: str) -> None:
        """Drop both connections, and connect again."""
        if self._pair is not None:
            self._pair.commands.drop(why)

    # Connecting.

    def _connect(self) -> None:
        self._timer = None
        self._began = self._reactor.seconds()
        self._connecting = self._make().addCallbacks(self._made, self._failed)

    @inlineCallbacks
    def _make(self) -> Any:
        """Both connections, with the scripts loaded and the channels subscribed to."""
        commands = yield self._open()
        try:
            subscriptions = yield self._open()
        except BaseException:
            commands.drop("the other connection can't be made")
            raise
        self._pair = pair = _Pair(commands, subscriptions)
        subscriptions.received = self._received
        yield _all(commands.call("SCRIPT", "LOAD", script.text) for script in (WRITABLE, *self._scripts))
        # A replica takes all of that, and would refuse the first command that writes: the state would change with each
        # try.
        yield commands.call("EVALSHA", WRITABLE.sha, 0).addErrback(_unless_away)
        self.told_time((yield commands.call("TIME")))
        subscribed: set[bytes] = set()
        # Others may be wanted meanwhile.
        while missing := self._channels.keys() - subscribed:
            subscribed |= missing
            yield _all(subscriptions.call("SUBSCRIBE", channel) for channel in missing)
        return pair

    @inlineCallbacks
    def _open(self) -> Any:
        """One connection that Redis has let in."""
        connection = yield self._endpoint().connect(_Factory(self._reactor, self._lost))
        address = self._address
        try:
            if address.password is not None:
                user = () if address.username is None else (address.username,)
                yield connection.call("AUTH", *user, address.password)
            if address.database:
                yield connection.call("SELECT", address.database)
            # A Redis that wants a password says so here, and so does one that loads its data.
            yield connection.call("PING")
        except BaseException:
            connection.drop("it does not let this node in")
            raise
        return connection

    def _endpoint(self) -> IStreamClientEndpoint:
        address = self._address
        if address.path:
            return UNIXClientEndpoint(self._reactor, address.path, timeout=_TRY_SECONDS)
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=_TRY_SECONDS
        )
        if address.is_tls:
            endpoint = wrapClientTLS(optionsForClientTLS(address.host, self._trust_root()), endpoint)
        return endpoint

    def _trust_root(self) -> Any:
        if self._authorities is None:
            return None
        # Read anew for each connection, since the file may be replaced.
        return trustRootFromCertificates(
            [Certificate.loadPEM(each) for each in _PEM.findall(self._authorities.read_bytes())]
        )

    def _made(self, pair: _Pair) -> None:
        self._connecting = None
        self._failed_tries = 0
        self.is_up = True
        pair.commands.deadline_seconds = pair.subscriptions.deadline_seconds = _DEADLINE_SECONDS
        self._ping_later()
        self._is("up")
        for function in tuple(self.connected):
            function()

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        if self._pair is not None:
            pair, self._pair = self._pair, None
            pair.commands.drop("a new connection is made")
            pair.subscriptions.drop("a new connection is made")
        self._is(_reason(failure))
        self._try_later(self._reactor.seconds() - self._began)

    def _lost(self, why: str) -> None:
        """One connection is gone; while both are being made, that is told by what fails."""
        if self._connecting is None and self._pair is not None:
            self._drop(why)
            self._is(why)
            self._try_later()

    def _drop(self, why: str) -> None:
        was_up, self.is_up = self.is_up, False
        pair, self._pair = self._pair, None
        if was_up:
            for function in tuple(self.disconnected):
                function()
        if self._connecting is not None:
            self._connecting.cancel()
        if pair is not None:
            pair.commands.drop(why)
            pair.subscriptions.drop(why)

    def _try_later(self, took_seconds: float = 0.0) -> None:
        """Try again after a pause, which began with the try that failed: a try that hangs is none of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_running:
            return
        self._failed_tries += 1
        longest = _PAUSE_SECONDS if self._failed_tries <= _QUICK_TRIES else _LONG_PAUSE_SECONDS
        pause = self._random.uniform(_SHORTEST_PAUSE_SECONDS, longest)
        # Nodes whose tries hung together do not come together.
        shortest = self._random.uniform(0.0, _SHORTEST_PAUSE_SECONDS)
        self._timer = self._reactor.callLater(max(pause - took_seconds, shortest), self._connect)

    def _is(self, state: str) -> None:
        if state != self._state and self._is_running:
            self._state = state
            self._changed(state)

    # While connected.

    def _ping_later(self) -> None:
        self._timer = self._reactor.callLater(_PING_SECONDS, self._ping)

    def _ping(self) -> None:
        self._timer = None
        if self._pair is not None:
            self._pair.subscriptions.call("PING").addErrback(_ignore_lost)
            self._ping_later()

    def _received(self, channel: bytes, content: bytes) -> None:
        received = self._channels.get(channel)
        if received is not None:
            received(content)

    def _refused(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, RedisRefused) and error.code in _AWAY:
            why = f"Redis answers {error.code}"
            self.reset(why)
            # Nothing was done, and with the next connection it may be.
            raise RedisLost(why, was_sent=False)
        return failure


class _Factory(Factory):
    """Makes connections."""

    noisy = False

    def __init__(self, clock: Any, lost: Callable[[str], None]) -> None:
        self._clock = clock
        self._connection_lost = lost

    def buildProtocol(self, addr: IAddress | None) -> RedisConnection:
        """A connection."""
        return RedisConnection(self._clock, _TRY_SECONDS, self._connection_lost)


def _all(answers: Iterable[Deferred[Any]]) -> Deferred[list[Any]]:
    return gatherResults(list(answers), consumeErrors=True)


def _unless_away(failure: Failure) -> None:
    """Other refusals, such as that of a full disk, are told where they come."""
    failure.trap(RedisRefused)
    if getattr(failure.value, "code", None) in _AWAY:
        failure.raiseException()


def _ignore_lost(failure: Failure) -> None:
    failure.trap(RedisLost, RedisRefused)


def _reason(failure: Failure) -> str:
    """Why no connection was made, in a few words. Redis does not repeat passwords in its errors."""
    error = failure.value
    if isinstance(error, RedisRefused):
        return f"Redis answers {error.code}"
    if isinstance(error, RedisLost):
        return error.why
    return f"no connection: {failure.getErrorMessage()}"

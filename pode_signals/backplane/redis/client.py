"""The way to Redis: a connection for commands and one for subscriptions, which live and end together.

Where either is lost, both are dropped and made again: the subscriptions of a connection that was lost have gaps, and
those of a Redis that is a replica by now go on without a sign. ``ClientService`` of Twisted keeps one connection, and
writes a log line for each try; here the two come and go as one, and a line is written when the state changes. To a
cluster there are two connections for each master, and all of them come and go as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from .address import RedisAddress
from .connection import Argument, RedisLost, RedisRefused
from .opening import Opening
from .scripts import WRITABLE, Script
from .slots import SlotsUnknown
from .way import Way

__all__ = ["RedisClient"]

_DEADLINE_SECONDS = 2.0
"""How long an answer may take."""
_PING_SECONDS = 5.0
"""How often the connection of the subscriptions, on which nothing else may be asked, is tried out."""
_SHORTEST_PAUSE_SECONDS = 0.1
_PAUSE_SECONDS = 1.0
_QUICK_TRIES = 10
_LONG_PAUSE_SECONDS = 5.0
# Answers that say that this is not, or not yet, the Redis that can be written to, or that it has forgotten the scripts:
# all of it is mended by connecting again.
_AWAY = frozenset({"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOSCRIPT", "UNKILLABLE", "BUSY"})
# Answers of a cluster whose slots, or masters, are no longer what they were. None of it has done anything.
_ELSEWHERE = frozenset({"MOVED", "ASK", "TRYAGAIN"})
# What a script is told that finds a key gone to another master, of those that it was not called with.
_GONE_KEY = "access a non local key"


class RedisClient:
    """Keeps the way to a Redis, or to a cluster, for ever.

    Args:
        address: the Redis, or the cluster.
        reactor: connects, and measures time.
        scripts: what is loaded on each connect, since a restart of Redis forgets scripts.
        random: for the pauses between tries.
        changed: called with each new state: ``"up"``, or the reason why Redis can't be asked.
        authorities: a file with the certificates, PEM, of those who may vouch for Redis; None is whom the system
            trusts.
        home: a key. In a cluster the master that has it tells the time, and gets the commands that have no key.

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
        home: str = "",
    ) -> None:
        self._is_cluster = address.is_cluster
        self._opening = Opening(address, reactor, random, authorities)
        self._home = home
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
        self._way: Way | None = None
        # Why one of the connections has ended while the others are made.
        self._lost_meanwhile: str | None = None
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
        return 0 if self._way is None else self._way.pending_bytes

    def start(self) -> None:
        """Connect, and stay connected from now on."""
        self._is_running = True
        self._connect()

    def stop(self) -> None:
        """End all connections. What waits for an answer fails."""
        self._is_running = False
        way = None if self._way is None else self._forget()
        if self._connecting is not None:
            self._connecting.cancel()
        if way is not None:
            way.drop("this node has stopped")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Who starts it again is told its state again.
        self._state = ""

    def call(self, *words: Argument) -> Deferred[Any]:
        """Send a command; see :meth:`~.connection.RedisConnection.call`. Its key, or channel, is its second word."""
        way = self._way
        if way is None or not self.is_up:
            return fail(RedisLost(self.state, was_sent=False))
        key = words[1] if len(words) > 1 else self._home
        return way.of(key).commands.call(*words).addErrback(self._refused)

    def run(self, script: Script, keys: tuple[str, ...], *words: Argument) -> Deferred[Any]:
        """Run a script with keys, which are all in one slot, and arguments."""
        way = self._way
        if way is None or not self.is_up:
            return fail(RedisLost(self.state, was_sent=False))
        answer = way.of(keys[0]).commands.call("EVALSHA", script.sha, len(keys), *keys, *words)
        return answer.addErrback(self._refused)

    def subscribe(self, channel: str, received: Callable[[bytes], None]) -> Deferred[None]:
        """Have a function called with each message of a channel. A second call for a channel replaces the first.

        Returns:
            Fires when Redis has confirmed, and fails with :class:`~.connection.RedisLost` where it can't be asked; the
            channel is subscribed to with the next connect all the same.
        """
        key = channel.encode()
        is_new = key not in self._channels
        self._channels[key] = received
        way = self._way
        if way is None or not self.is_up:
            return fail(RedisLost(self.state, was_sent=False))
        word = "SUBSCRIBE" if is_new else "PING"
        words = (word, key) if is_new else (word,)
        return way.of(key).subscriptions.call(*words).addCallbacks(lambda _: None, self._refused)

    def unsubscribe(self, channel: str) -> None:
        """No longer hear of a channel."""
        key = channel.encode()
        if self._channels.pop(key, None) is not None and self._way is not None and self.is_up:
            self._way.of(key).subscriptions.call("UNSUBSCRIBE", key).addErrback(_ignore_lost)

    def reset(self, why: str) -> None:
        """Drop all connections, and connect again."""
        self._lost(why)

    # Connecting.

    def _connect(self) -> None:
        self._timer = None
        self._began = self._reactor.seconds()
        self._connecting = self._make().addCallbacks(self._made, self._failed)

    @inlineCallbacks
    def _make(self) -> Any:
        """All connections, with the scripts loaded and the channels subscribed to."""
        self._lost_meanwhile = None
        self._way = way = yield self._opening.open(self._lost)
        for pair in way.pairs:
            pair.subscriptions.received = self._received
        scripts = (WRITABLE, *self._scripts)
        loaded = _all(pair.commands.call("SCRIPT", "LOAD", script.text) for pair in way.pairs for script in scripts)
        yield loaded.addErrback(_too_old)
        # A replica takes all else of this. The node would be up, and away with its first write, again and again.
        yield _all(pair.commands.call("EVALSHA", WRITABLE.sha, 0).addErrback(_unless_away) for pair in way.pairs)
        self.told_time((yield way.of(self._home).commands.call("TIME")))
        subscribed: set[bytes] = set()
        # Others may be wanted meanwhile.
        while missing := self._channels.keys() - subscribed:
            subscribed |= missing
            yield _all(way.of(channel).subscriptions.call("SUBSCRIBE", channel) for channel in missing)
        if self._lost_meanwhile is not None:
            raise RedisLost(self._lost_meanwhile, was_sent=False)
        return way

    def _made(self, way: Way) -> None:
        self._connecting = None
        self._failed_tries = 0
        self.is_up = True
        for pair in way.pairs:
            pair.commands.deadline_seconds = pair.subscriptions.deadline_seconds = _DEADLINE_SECONDS
        self._ping_later()
        self._is("up")
        for function in tuple(self.connected):
            function()

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        way, self._way = self._way, None
        if way is not None:
            way.drop("a new connection is made")
        self._is(_reason(failure))
        self._try_later(self._reactor.seconds() - self._began)

    def _lost(self, why: str) -> None:
        """One connection is gone."""
        if self._connecting is not None:
            self._lost_meanwhile = why
        elif self._way is not None:
            way = self._forget()
            self._is(why)
            self._try_later()
            # Last: those who wait for answers are told by this, and may ask for the state.
            way.drop(why)

    def _forget(self) -> Way:
        """Take no more commands."""
        way, self._way = self._way, None
        assert way is not None
        was_up, self.is_up = self.is_up, False
        if was_up:
            for function in tuple(self.disconnected):
                function()
        return way

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
        if self._way is not None:
            for pair in self._way.pairs:
                pair.subscriptions.call("PING").addErrback(_ignore_lost)
            self._ping_later()

    def _received(self, channel: bytes, content: bytes) -> None:
        received = self._channels.get(channel)
        if received is not None:
            received(content)

    def _refused(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, RedisRefused):
            code = error.code
            if self._is_cluster and _GONE_KEY in error.text:
                # The script has done nothing that the next try would not do.
                code = "TRYAGAIN"
            if code in _AWAY or (self._is_cluster and code in _ELSEWHERE):
                why = f"Redis answers {code}"
                self.reset(why)
                # Nothing was done, and with the next connection it may be.
                raise RedisLost(why, was_sent=False)
        return failure


def _all(answers: Iterable[Deferred[Any]]) -> Deferred[list[Any]]:
    return gatherResults(list(answers), consumeErrors=True)


def _first(failure: Failure) -> BaseException | None:
    """The error of the first command that failed of several."""
    error: BaseException | None = failure.value
    return error.subFailure.value if isinstance(error, FirstError) else error


def _too_old(failure: Failure) -> Failure:
    error = _first(failure)
    if isinstance(error, RedisRefused) and "compiling" in error.text:
        raise RedisLost("Redis can't read the scripts: it has to be 7.0 or newer", was_sent=True)
    return failure


def _unless_away(failure: Failure) -> None:
    """A Redis that refuses the command for another reason takes some commands, and says so itself."""
    error = failure.value
    if not isinstance(error, RedisRefused) or error.code in _AWAY:
        failure.raiseException()


def _ignore_lost(failure: Failure) -> None:
    failure.trap(RedisLost, RedisRefused)


def _reason(failure: Failure) -> str:
    """Why no connection was made, in a few words."""
    error = _first(failure)
    if isinstance(error, RedisRefused):
        return f"Redis answers {error.told}"
    if isinstance(error, RedisLost | SlotsUnknown):
        return error.why
    return f"no connection: {failure.getErrorMessage()}"

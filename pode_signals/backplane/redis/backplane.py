"""The backplane of many nodes, which share a Redis. Nothing here waits for Redis on the way of a local delivery."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from ...core.envelope import Envelopes
from ...core.signing import secret_bytes
from ...wire.message import Outgoing
from ..contract import Answers, Question
from .address import RedisAddress, read_url
from .client import RedisClient
from .history import RedisHistoryLog, unavailable
from .keys import Keys
from .live import LiveSends
from .node import RedisNode
from .presence import RedisPresence
from .questions import Questions
from .scripts import LOG_SCRIPTS, NODE_SCRIPTS

__all__ = ["RedisBackplane"]

_SHARED_SALT = "pode.signals shared secret"
_TICK_SECONDS = 1.0
_CLOCK_TICKS = 5
_STOP_SECONDS = 2.0
"""How long a node that stops waits until Redis has what was sent to names with a history."""


class RedisBackplane:
    """Follows the contract :class:`~pode_signals.backplane.contract.Backplane` with a Redis that all nodes share.

        Signals(backplane=RedisBackplane("rediss://:password@redis.example", key=os.environ["CHAT_KEY"]))

    What a node sends is delivered on that node at once, whatever the state of Redis is; other nodes get what Redis
    passes on. What names keep a history of goes by way of Redis on all nodes, in one order, and nothing of that is lost
    or doubled without a word. See docs/scaling.md for what is promised, and for how Redis is to be set up.

    Args:
        url: ``redis://[[user]:password@]host[:port][/database]``, ``rediss://…`` for TLS, which verifies the
            certificate, ``unix:///path``, or ``redis+cluster://host[:port],…`` with some nodes of a Redis Cluster.
        key: the secret that the nodes of an application have in common, 32 bytes or more; or several secrets, of which
            the first one signs and all verify, while the secret is changed. Nodes drop what none of their keys
            verifies.
        application: the name of the application, ``[a-z0-9_-]{1,32}``, which its keys in Redis begin with.
        max_waiting: how many messages of names that keep a history may wait for Redis.
        max_waiting_bytes: how many bytes these messages may have; and how many bytes of all other messages may wait
            for the answer of Redis.
        waiting_seconds: how long such a message may wait. Then its delivery fails.
        ca_file: for ``rediss://``, a file with the certificates, PEM, of those who may vouch for Redis; None is
            whom the system trusts.
        reactor: connects and measures time; None is the reactor of the process.

    Raises:
        ValueError, TypeError: an argument makes no sense. No message has the password.

    Attributes:
        node: the random name of this node.
        history: the logs of names.
        presence: the connected clients of all nodes.
        counters: what happened, by name: ``sends_not_passed_on``, ``appends_refused``, ``appends_unknown``,
            ``breaks``, ``commands_refused``, and ``envelopes_forged`` and the like.
    """

    is_alone = False

    def __init__(
        self,
        url: str,
        *,
        key: str | bytes | Sequence[str | bytes],
        application: str = "pode",
        max_waiting: int = 10_000,
        max_waiting_bytes: int = 8_388_608,
        waiting_seconds: float = 30.0,
        ca_file: str | Path | None = None,
        reactor: Any = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._address: RedisAddress = read_url(url)
        keys = Keys(application)
        secrets = secret_bytes(key if not isinstance(key, (str, bytes)) else (key,))
        self._reactor = reactor
        self._told: Callable[[str], None] = lambda _state: None
        self._client = RedisClient(
            self._address,
            reactor,
            (*LOG_SCRIPTS, *NODE_SCRIPTS),
            SystemRandom(),
            self._changed,
            None if ca_file is None else Path(ca_file),
            # The time that nodes have in common is that by which they live.
            home=keys.nodes,
        )
        self._node = RedisNode(self._client, keys, Envelopes(secrets, application), reactor)
        self._secret = hmac.digest(secrets[0], f"{_SHARED_SALT} {application}".encode(), "sha256")
        self.node = self._node.name
        self.counters = self._node.counters
        self.history = RedisHistoryLog(
            self._node,
            max_waiting=max_waiting,
            max_waiting_bytes=max_waiting_bytes,
            waiting_seconds=waiting_seconds,
        )
        self.presence = RedisPresence(self._node, reactor)
        self._live = LiveSends(self._node, max_waiting_bytes)
        self._questions = Questions(self._node, self.presence, reactor)
        self._started: Deferred[None] | None = None
        self._tick: IDelayedCall | None = None
        self._ticks = 0
        self._client.disconnected += [self.history.lost, self.presence.lost]
        self._client.connected.append(self._connected)
        self._client.told_time = self._node.set_clock

    def __repr__(self) -> str:
        return f"<RedisBackplane {self.node} at {self._address}: {self._client.state}>"

    @property
    def secret(self) -> bytes:
        """A secret that all nodes have in common; made of the first key."""
        return self._secret

    @property
    def state(self) -> str:
        """``"up"``, or why Redis can't be asked."""
        return self._client.state

    def start(
        self,
        deliver: Callable[[Outgoing], None],
        changed: Callable[[str], None],
        answer: Callable[[Question], Deferred[bytes | None]],
        taken: Callable[[str, str], None],
    ) -> Deferred[None]:
        """Begin. The Deferred waits for Redis however long that takes; local delivery does not."""
        if self._tick is not None:
            raise RuntimeError("the backplane has been started already: each Signals needs a backplane of its own")
        self._told = changed
        self.presence.taken = taken
        self._started = Deferred(lambda _: None)
        self._live.start(deliver)
        self._questions.start(answer)
        self._client.start()
        self._tick = self._reactor.callLater(_TICK_SECONDS, self._look)
        return self._started

    def stop(self) -> Deferred[None]:
        """End: what waits for the logs goes out, for a moment, and the other nodes hear that the clients are gone."""
        self._live.stop()
        self._questions.stop()
        self.history.unfollow_all()

        def written(_: object) -> Deferred[None]:
            self.history.stop()
            if self._tick is not None:
                self._tick.cancel()
                self._tick = None
            return self.presence.stop()

        def ended(_: object) -> None:
            self._client.stop()
            if self._started is not None and not self._started.called:
                self._started.cancel()

        written_in_time = self.history.when_written().addTimeout(_STOP_SECONDS, self._reactor)
        return written_in_time.addBoth(written).addBoth(ended)

    def publish(self, outgoing: Outgoing) -> None:
        """Deliver on this node, and pass on to the others."""
        self._live.publish(outgoing)

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask nodes."""
        return self._questions.ask(question, timeout_seconds)

    def once(self, key: str, seconds: float) -> Deferred[bool]:
        """Whether this node is the first that asked."""
        me = self.node
        return (
            self._client.call("SET", self._node.keys.once(key), me, "NX", "GET", "PX", max(1, round(seconds * 1_000)))
            .addErrback(unavailable)
            .addCallback(lambda holder: holder is None or holder == me.encode())
        )

    def remember(self, key: str, value: bytes, seconds: float) -> Deferred[None]:
        """Keep a value for all nodes."""
        milliseconds = max(1, round(seconds * 1_000))
        return (
            self._client.call("SET", self._node.keys.value(key), value, "PX", milliseconds)
            .addErrback(unavailable)
            .addCallback(lambda _: None)
        )

    def recall(self, key: str) -> Deferred[bytes | None]:
        """The value of a key."""
        return self._client.call("GET", self._node.keys.value(key)).addErrback(unavailable)

    def _connected(self) -> None:
        """Both connections are there: what this node missed comes first."""
        if self._started is not None and not self._started.called:
            self._started.callback(None)
        self.presence.connected()
        self.history.connected()

    def _changed(self, state: str) -> None:
        self._told(state if state == "up" else f"{state} ({self._address})")

    def _look(self) -> None:
        self._tick = self._reactor.callLater(_TICK_SECONDS, self._look)
        self.history.look()
        self.presence.look()
        self._ticks += 1
        if self._client.is_up and self._ticks % _CLOCK_TICKS == 0:
            # Somebody may have set the clock of Redis, by which nodes tell what is old.
            self._client.call("TIME").addCallbacks(
                self._node.set_clock, lambda failure: self._node.failed(failure, "Redis does not tell its time")
            )

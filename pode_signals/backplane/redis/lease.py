"""How a node says in Redis that it lives, and takes out the members of nodes that do not. It knows no member.

The name of a node stays; each time it registers it is another *incarnation*, the name and a number. Redis does nothing
for an incarnation that has ended, so a command that was held up on its way can do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.python.failure import Failure

from .connection import RedisRefused
from .members import INCARNATION
from .node import RedisNode
from .scripts import BEAT, LIVING, REAP

__all__ = ["VERSION_MS", "Lease"]

VERSION_MS = 24 * 3_600_000
"""How long the version of a name's members is kept after the last change. Nodes look at versions far more often, and
the next version is never one that was before."""
_LEASE_MS = 15_000
"""How long a node lives without a beat; also the grace of the members of a node that has died."""
_BEAT_SECONDS = 5.0
_REAP_SECONDS = 5.0
_REAP_MEMBERS = 100
_PATIENCE_SECONDS = 20.0
"""How long after its own connect a node takes nobody for dead: after an outage the time of all is over. By then each
has had the time to connect again."""
_MOST_EARLIER = 50
_PAUSE_SECONDS = 5.0
"""Where a node has not looked at the clock for that long, it has not run, and maybe others have not either."""


class Lease:
    """The lease of this node.

    Args:
        node: this node.
        registered: called each time that Redis has taken a new incarnation, which has no members yet.

    Attributes:
        incarnation: the one that Redis knows; None where there is none.
        looks: how often this node has asked who lives.
    """

    def __init__(self, node: RedisNode, registered: Callable[[], None]) -> None:
        self._node = node
        self._registered = registered
        self.incarnation: str | None = None
        self.looks = 0
        # The nodes that lived when this node asked last, with the number of that question.
        self._alive: tuple[int, frozenset[str]] | None = None
        self._number = 0
        # Incarnations that Redis may know.
        self._earlier: list[str] = []
        self._is_registering = False
        self._is_reaping = False
        self._next_beat = self._next_scan = 0.0
        self._looked_at = 0.0
        # Since when everybody has had the time to be here.
        self._begin = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether those who are not here by now are dead."""
        return self._node.now() - self._begin >= _PATIENCE_SECONDS

    def register(self) -> None:
        """Begin a new incarnation."""
        self.incarnation = None
        self._begin = self._looked_at = self._node.now()
        if self._is_registering:
            return
        self._is_registering = True
        self._number += 1
        new = f"{self._node.name}-{self._number}"
        earlier = tuple(self._earlier)
        self._earlier = [*self._earlier[-_MOST_EARLIER:], new]

        def known(_: object) -> None:
            self._is_registering = False
            self._earlier = [new]
            self.incarnation = new
            self._next_beat = self._node.now() + _BEAT_SECONDS
            self._look_who_lives()
            self._registered()

        def failed(failure: Failure) -> None:
            self._is_registering = False
            if failure.check(RedisRefused):
                # Nothing was done.
                self._earlier.remove(new)
            self._node.failed(failure, "this node can't say that it lives")

        self._run(BEAT, new, _LEASE_MS, "new", *earlier).addCallbacks(known, failed)

    def lost(self) -> None:
        """Redis can't be asked."""
        self.incarnation = None
        self._is_registering = False

    def fenced(self, incarnation: str) -> None:
        """Redis does not know an incarnation any more."""
        if incarnation == self.incarnation:
            self._node.count("leases_lost")
            self.register()

    def check(self) -> None:
        """Find out whether Redis still knows this node, before what is asked next is answered."""
        if self.incarnation is not None:
            self._beat(self.incarnation)

    def look(self) -> None:
        """Do what is due; called each second while Redis can be asked."""
        now = self._node.now()
        if now - self._looked_at >= _PAUSE_SECONDS:
            self._begin = now
        self._looked_at = now
        if self.incarnation is None:
            self.register()
            return
        if now >= self._next_beat:
            self._next_beat = now + _BEAT_SECONDS
            self._beat(self.incarnation)
        if now >= self._next_scan and self.is_settled:
            self._next_scan = now + _REAP_SECONDS
            self._reap_the_dead()

    def living(self) -> Deferred[tuple[str, ...]]:
        """Fires with the names of the nodes that live."""
        self.looks += 1
        number = self.looks

        def known(found: list[bytes]) -> tuple[str, ...]:
            names = tuple({each[1].decode(): None for each in map(INCARNATION.fullmatch, found) if each})
            self._alive = number, frozenset(names)
            return names

        return self._run(LIVING).addCallback(known)

    def alive(self, looks: int) -> frozenset[str] | None:
        """The names of the nodes that lived after so many looks; None where a later one has no answer yet."""
        return None if self._alive is None or self._alive[0] <= looks else self._alive[1]

    def release(self) -> Deferred[None]:
        """End, and take out all members. Fires when that is done; cancelling ends it."""
        incarnation, self.incarnation = self.incarnation, None
        return self._reap(incarnation) if incarnation else succeed(None)

    def _beat(self, incarnation: str) -> None:
        self._run(BEAT, incarnation, _LEASE_MS, "").addCallbacks(
            lambda lives: None if lives else self.fenced(incarnation),
            lambda failure: self._node.failed(failure, "this node can't say that it lives"),
        )
        self._look_who_lives()

    def _look_who_lives(self) -> None:
        self.living().addErrback(lambda failure: self._node.failed(failure, "this node can't find out who lives"))

    def _reap_the_dead(self) -> None:
        if self._is_reaping:
            return
        self._is_reaping = True

        def done(result: Any) -> None:
            self._is_reaping = False
            if isinstance(result, Failure):
                self._node.failed(result, "members of nodes that are gone can't be taken out")

        self._reap("").addBoth(done)

    @inlineCallbacks
    def _reap(self, incarnation: str) -> Any:
        while (yield self._run(REAP, self._node.keys.application, _REAP_MEMBERS, VERSION_MS, incarnation)):
            pass

    def _run(self, *words: Any) -> Deferred[Any]:
        script, *rest = words
        return self._node.client.run(script, (self._node.keys.nodes,), *rest)

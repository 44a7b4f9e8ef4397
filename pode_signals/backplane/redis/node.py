"""What the parts of one node on Redis have in common: the way there, keys, the clock, envelopes and counts."""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...core.envelope import Envelope, Envelopes, Unopened
from ...core.model import Target
from .channels import NameChannels
from .client import RedisClient
from .connection import RedisLost, RedisRefused
from .keys import Keys
from .own_envelopes import OwnEnvelopes

__all__ = ["RedisNode"]

_NAME_BYTES = 6
_OLDEST_MS = 60_000
"""How old an envelope may be that is delivered, by the clock of Redis."""
_MOST_REMEMBERED = 65_536
"""How many envelopes are known again that somebody publishes twice."""
_MOST_SENDERS = 4_096
"""Of how many nodes, with those that have ended, it is known which envelopes are not new."""
_LINE_SECONDS = 60.0
"""How far apart two log lines of one kind are at least."""

log = Logger()


class RedisNode:
    """One node.

    Args:
        client: the way to Redis.
        keys: the keys of the application.
        envelopes: seals and opens.
        reactor: gives the time.

    Attributes:
        name: the name of the node, at random.
        channels: the channels of names.
        own: the envelopes of this node that may come back.
        counters: what happened, by what it is called in the documentation of the backplane.
    """

    def __init__(self, client: RedisClient, keys: Keys, envelopes: Envelopes, reactor: Any) -> None:
        self.client = client
        self.keys = keys
        self.envelopes = envelopes
        self.name = secrets.token_hex(_NAME_BYTES)
        self.own = OwnEnvelopes()
        self.counters: Counter[str] = Counter()
        self.channels = NameChannels(client, keys, lambda: self.count("callbacks_failed"))
        self._reactor = reactor
        self._numbers = count(1)
        # By how many milliseconds the clock of Redis is ahead of the reactor's.
        self._ahead_ms: int | None = None
        self._lines: dict[str, float] = {}
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()
        # For each sender, the highest number of those that are not in that any more. Envelopes come in their order, so
        # none up to that number is new.
        self._forgotten: OrderedDict[str, int] = OrderedDict()

    def now(self) -> float:
        """The time of this node, in seconds of a clock that does not run backwards."""
        seconds: float = self._reactor.seconds()
        return seconds

    def call_later(self, seconds: float, function: Callable[[], object]) -> IDelayedCall:
        """Call a function later."""
        call: IDelayedCall = self._reactor.callLater(seconds, function)
        return call

    def redis_ms(self) -> int:
        """The time of Redis, in milliseconds since 1970; 0 where it is not known yet."""
        return 0 if self._ahead_ms is None else self._ahead_ms + round(self.now() * 1_000)

    def set_clock(self, answer: list[bytes]) -> None:
        """Redis has told its time."""
        seconds, microseconds = map(int, answer)
        self._ahead_ms = seconds * 1_000 + microseconds // 1_000 - round(self.now() * 1_000)

    def seal(self, kind: str, target: Target, payload: bytes, **more: Any) -> tuple[Envelope, bytes]:
        """An envelope of this node, and its bytes."""
        envelope = Envelope(kind, self.name, next(self._numbers), self.redis_ms(), target, payload, **more)
        return envelope, self.envelopes.sealed(envelope)

    def opened(self, content: bytes, kinds: tuple[str, ...], where: str) -> Envelope | None:
        """An envelope of one of these kinds, not older than a minute; None for anything else, which is counted."""
        found = self.envelopes.opened(content)
        if not isinstance(found, Unopened):
            if found.kind not in kinds:
                found = Unopened.MISPLACED
            elif abs(self.redis_ms() - found.at_ms) > _OLDEST_MS:
                found = Unopened.REPLAYED
        if isinstance(found, Unopened):
            self.refuse(found, where)
            return None
        return found

    def is_new(self, envelope: Envelope, where: str, *, is_told: bool = True) -> bool:
        """Whether an envelope comes for the first time.

        Args:
            envelope: the envelope.
            where: where it came.
            is_told: whether one that comes again was published again by somebody else, which is counted.
        """
        sender, number = key = envelope.sender, envelope.number
        if key in self._seen or number <= self._forgotten.get(sender, 0):
            if is_told:
                self.refuse(Unopened.REPLAYED, where)
            return False
        self._seen[key] = None
        if len(self._seen) > _MOST_REMEMBERED:
            (sender, number), _ = self._seen.popitem(last=False)
            self._forgotten[sender] = max(number, self._forgotten.get(sender, 0))
            if len(self._forgotten) > _MOST_SENDERS:
                self._forgotten.popitem(last=False)
        return True

    def count(self, what: str, number: int = 1) -> None:
        """Count something."""
        self.counters[what] += number

    def refuse(self, why: Unopened, where: str, **fields: Any) -> None:
        """Count an envelope that is not delivered, and tell of it once a minute."""
        self.count(f"envelopes_{why}")
        self.warn(f"envelope {why}", f"a message by way of {where} was dropped: {{why}}", why=str(why), **fields)

    def failed(self, failure: Failure, text: str, **fields: Any) -> None:
        """A command has failed. That Redis is away is told once, where the state changes."""
        if failure.check(RedisLost):
            return
        if failure.check(RedisRefused):
            error = failure.value
            assert isinstance(error, RedisRefused)
            self.count("commands_refused")
            line = f"{text}: Redis answers {{answer}}; see docs/scaling.md"
            self.warn(f"refused {error.code}", line, answer=error.told, **fields)
            return
        self.count("callbacks_failed")
        log.failure(text, failure, event="defect", **fields)

    def warn(self, kind: str, text: str, **fields: Any) -> None:
        """Write a line, unless one of its kind was written within a minute."""
        now = self.now()
        if now - self._lines.get(kind, -_LINE_SECONDS) >= _LINE_SECONDS:
            self._lines[kind] = now
            log.warn(text, event="backplane.rejected", **fields)

    def why_away(self, otherwise: str) -> str:
        """Why Redis can't be asked, or another reason where it can."""
        return otherwise if self.client.is_up else self.client.state

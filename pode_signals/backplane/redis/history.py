"""The logs of names in Redis. Each entry is appended once, and delivered once and in order on every node."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.python.failure import Failure

from ...core.history import HistoryLimits, LoggedSignal, Missed, Position
from ...core.log_writer import Outcome, Pending
from ...core.model import Target
from ...errors import BackplaneUnavailable, HistoryUnavailable, UnknownHistory
from .channels import LOGGED
from .connection import RedisLost, RedisRefused
from .name_log import PAGE_ENTRIES, NameLog, data_of, entry_of, is_position, opened, signal_of
from .node import RedisNode
from .recent_answers import RecentAnswers
from .scripts import FORGET, RESUME

__all__ = ["RedisHistoryLog", "unavailable"]

_LOOK_SECONDS = 25
"""How often the log of each name is looked at, in case a message of Redis did not come."""
_MOST_RESTING = 1_000
"""How many names are kept that nobody follows here and no entry waits for."""
_PATIENCE_SECONDS = 2.0
"""How long who follows a name waits for the first position."""


class RedisHistoryLog:
    """Follows the contract :class:`~pode_signals.backplane.contract.HistoryLog`, over all nodes.

    Args:
        node: this node.
        max_waiting: how many entries may wait until the log has taken them.
        max_waiting_bytes: how many bytes these entries may have.
        waiting_seconds: how long an entry may wait.
    """

    def __init__(self, node: RedisNode, *, max_waiting: int, max_waiting_bytes: int, waiting_seconds: float) -> None:
        self._node = node
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_seconds = waiting_seconds
        self._names: dict[str, NameLog] = {}
        # Of those the ones that nobody follows and no entry waits for, the one that was used last at the end.
        self._resting: OrderedDict[str, None] = OrderedDict()
        # The names that are followed, the one that is to be looked at next first.
        self._line: deque[str] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._when_written: list[Deferred[None]] = []
        self._questions: dict[tuple[str, Position, Position, int | None], list[Deferred[Missed]]] = {}
        self._recent = RecentAnswers()
        node.channels.on(LOGGED, self._published)

    def follow(
        self,
        name: str,
        limits: HistoryLimits,
        deliver: Callable[[LoggedSignal], None],
        broken: Callable[[Position], None],
    ) -> Deferred[Position]:
        """Deliver entries from now on."""
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = NameLog(self._node, name, limits, self._recent)
        self._resting.pop(name, None)
        if found.deliver_to is None:
            self._line.append(name)
        found.limits = limits
        found.deliver_to, found.broken_to = deliver, broken
        position = found.position
        if position is not None and found.is_heard:
            return succeed(position)
        known: Deferred[Position] = Deferred(lambda _: None)
        found.waiting.append(known)
        if found.patience is None:
            found.patience = self._node.call_later(_PATIENCE_SECONDS, found.give_up_waiting)
        if not found.is_heard:
            found.is_heard = True
            self._node.channels.listen(name, LOGGED).addCallback(found.heard)
        return known

    def unfollow(self, name: str) -> None:
        """Deliver no more entries of a name; its limits stay."""
        found = self._names.get(name)
        if found is not None and found.deliver_to is not None:
            self._line.remove(name)
            found.unfollow()
            self._recent.forget(name)
            self._rest(name, found)

    def forget(self, name: str) -> None:
        """Deliver no more entries of a name, and drop its log for all nodes."""
        self.unfollow(name)
        self._resting.pop(name, None)
        if self._names.pop(name, None) is not None:
            self._node.client.run(FORGET, self._node.keys.log(name)).addErrback(_ignore)

    def append(
        self, target: Target, data: bytes, acknowledgement: str | None = None, *, is_text: bool = False
    ) -> Deferred[Position]:
        """Add an entry, which every node delivers when the log has it."""
        if target.names is None or len(target.names) != 1:
            raise ValueError(f"an entry is for the log of one name, not for {target.names!r}")
        name = target.names[0]
        envelope, sealed = self._node.seal("log", target, data, is_text=is_text, acknowledgement=acknowledgement)
        full = self._waiting >= self._max_waiting or self._waiting_bytes + len(sealed) > self._max_waiting_bytes
        if full and self._waiting:
            self._node.count("appends_refused")
            return fail(HistoryUnavailable("too many messages wait for Redis", "refused"))
        found = self._names.get(name)
        if found is None:
            # Other nodes may follow it.
            found = self._names[name] = NameLog(self._node, name, None, self._recent)
        settled: Deferred[Position] = Deferred(lambda _: None)
        self._waiting += 1
        self._waiting_bytes += len(sealed)

        def settle(outcome: Position | Outcome) -> None:
            self._settled(len(sealed))
            self._rest(name, found)
            if settled.called:
                return
            if isinstance(outcome, Position):
                settled.callback(outcome)
            elif outcome == "no log":
                settled.errback(UnknownHistory(name))
            else:
                self._node.count(f"appends_{outcome}")
                settled.errback(HistoryUnavailable(self._node.why_away("Redis does not take the message"), outcome))

        self._node.own.keep(sealed, envelope)
        self._resting.pop(name, None)
        now = self._node.now()
        found.writer.add(Pending(envelope.id, sealed, len(data), now + self._waiting_seconds, settle), now)
        return settled

    def position(self, name: str) -> Position | None:
        """The position of the last entry that was delivered on this node."""
        found = self._names.get(name)
        return None if found is None or found.deliver_to is None else found.position

    def missed(self, name: str, since: Position, until: Position, limit: int | None = None) -> Deferred[Missed]:
        """The entries after a position. Those who ask the same, at the same time or soon after, share one answer."""
        if not (is_position(since) and is_position(until)) or since.epoch != until.epoch:
            return succeed(_INCOMPLETE)
        key = (name, since, until, limit)
        found = self._names.get(name)
        # Only who is told of each entry knows that an answer is the last one.
        follows = found is not None and found.deliver_to is not None
        recent = self._recent.get(name, key[1:], self._node.now()) if follows else None
        if recent is not None:
            return succeed(recent)
        asked = self._questions.get(key)
        answer: Deferred[Missed] = Deferred()
        if asked is not None:
            asked.append(answer)
            return answer
        asked = self._questions[key] = [answer]

        def answered(result: Missed | Failure) -> None:
            del self._questions[key]
            if isinstance(result, Missed) and follows:
                self._recent.keep(name, key[1:], result, self._node.now())
            for each in asked:
                if not each.called:
                    each.callback(result)

        ready = found.when_known() if found is not None else succeed(True)
        ready.addCallback(lambda _: self._missed(name, since, until, limit)).addBoth(answered)
        return answer

    @inlineCallbacks
    def read(self, name: str, since: Position | None, limit: int) -> Any:
        """A page of a log."""
        keys = self._node.keys.log(name)
        if limit < 1:
            return ()
        if since is None:
            (epoch,) = yield self._asked("HMGET", keys[1], "e")
            if epoch is None:
                raise UnknownHistory(name)
            pages = yield self._asked("XRANGE", keys[0], "-", "+", "COUNT", limit)
            return self._signals(name, epoch.decode(), pages)
        if not is_position(since):
            raise UnknownHistory(name)
        code, epoch, pages = yield self._ran(RESUME, keys, *since, "+", limit)
        if code != 1:
            raise UnknownHistory(name)
        return self._signals(name, epoch.decode(), pages)

    @inlineCallbacks
    def size(self, name: str) -> Any:
        """The number of a log's entries, and the size of their payloads in bytes."""
        stream, meta = self._node.keys.log(name)
        entries = yield self._asked("XLEN", stream)
        size = yield self._asked("HMGET", meta, "b")
        return entries, int(size[0] or 0) if entries else 0

    @property
    def held(self) -> tuple[int, int]:
        """The entries that wait until the log has them. All others are in Redis."""
        return self._waiting, self._waiting_bytes

    # What the node tells.

    def connected(self) -> None:
        """Redis can be asked again: first where each log is, then all that has waited."""
        for found in tuple(self._names.values()):
            found.back()

    def lost(self) -> None:
        """Redis can't be asked."""
        for found in self._names.values():
            found.writer.lost()

    def look(self) -> None:
        """Called once a second: give up what has waited too long, and look at some logs."""
        now, is_up = self._node.now(), self._node.client.is_up
        self._recent.drop_old(now)
        for found in tuple(self._names.values()):
            if len(found.writer):
                found.writer.give_up(now)
            # Redis could be asked all the time, and has refused to say where the log is.
            if is_up and found.writer.is_away and not found.reader.is_asking:
                found.back()
        if is_up:
            for _ in range(-(-len(self._line) // _LOOK_SECONDS)):
                self._names[self._line[0]].reader.look()
                self._line.rotate(-1)

    def when_written(self) -> Deferred[None]:
        """Fires when no entry waits for Redis."""
        if not self._waiting:
            return succeed(None)
        written: Deferred[None] = Deferred()
        self._when_written.append(written)
        return written

    def unfollow_all(self) -> None:
        """Deliver nothing any more."""
        for name in tuple(self._names):
            self.unfollow(name)

    def stop(self) -> None:
        """Deliver nothing any more, and fail what waits."""
        for found in tuple(self._names.values()):
            found.let_go()
            found.deliver_to = found.broken_to = None
            found.writer.lost()
            found.writer.give_up(float("inf"))
        self._names.clear()
        self._resting.clear()
        self._line.clear()

    def _rest(self, name: str, found: NameLog) -> None:
        """Keep a name that is not needed now for a while: the log remembers each writer that is new."""
        if found.deliver_to is not None or len(found.writer) or self._names.get(name) is not found:
            return
        self._resting[name] = None
        self._resting.move_to_end(name)
        if len(self._resting) > _MOST_RESTING:
            oldest, _ = self._resting.popitem(last=False)
            self._names.pop(oldest).let_go()

    def _settled(self, size_bytes: int) -> None:
        self._waiting -= 1
        self._waiting_bytes -= size_bytes
        if not self._waiting:
            waiting, self._when_written = self._when_written, []
            for written in waiting:
                if not written.called:
                    written.callback(None)

    def _published(self, name: str, content: bytes) -> None:
        found = self._names.get(name)
        parts = content.split(b" ", 2)
        if found is None or found.deliver_to is None or len(parts) != 3:
            return
        epoch, offset = parts[0].decode("latin-1"), parts[1].decode("latin-1")
        if is_position(Position(epoch, offset)):
            found.reader.published(entry_of(self._node, name, offset, parts[2]), epoch)

    @inlineCallbacks
    def _missed(self, name: str, since: Position, until: Position, limit: int | None) -> Any:
        keys = self._node.keys.log(name)
        signals: list[LoggedSignal] = []
        while True:
            wanted = PAGE_ENTRIES if limit is None else min(limit - len(signals), PAGE_ENTRIES)
            code, _, page = yield self._ran(RESUME, keys, *since, until.offset, wanted)
            if code != 1:
                return _INCOMPLETE
            try:
                found = self._signals(name, since.epoch, page)
            except BackplaneUnavailable:
                # An entry that can't be read is a message that the client lacks.
                return _INCOMPLETE
            signals += found
            if len(found) < wanted or len(signals) == limit:
                return Missed(complete=True, signals=tuple(signals))
            since = signals[-1].position

    def _signals(self, name: str, epoch: str, page: list[Any]) -> tuple[LoggedSignal, ...]:
        signals = []
        for offset, fields in page:
            envelope = opened(self._node, name, data_of(fields))
            if envelope is None:
                raise BackplaneUnavailable("an entry of the log can't be read")
            signals.append(signal_of(Position(epoch, offset.decode()), envelope))
        return tuple(signals)

    def _ran(self, script: Any, keys: tuple[str, ...], *words: Any) -> Deferred[Any]:
        return self._node.client.run(script, keys, *words).addErrback(unavailable)

    def _asked(self, *words: Any) -> Deferred[Any]:
        return self._node.client.call(*words).addErrback(unavailable)


_INCOMPLETE = Missed(complete=False, signals=())


def unavailable(failure: Failure) -> NoReturn:
    """Raise the error of the contract in place of the client's."""
    error = failure.trap(RedisLost, RedisRefused) and failure.value
    why = error.why if isinstance(error, RedisLost) else f"Redis answers {getattr(error, 'code', '?')}"
    raise BackplaneUnavailable(why)


def _ignore(failure: Failure) -> None:
    failure.trap(RedisLost, RedisRefused)

"""Several nodes in one process: a backplane whose store and network are a test's. Nothing in here is a test.

A :class:`Cluster` is what the nodes share, and gives each node a :class:`ClusterBackplane`. Commands of a node go to
the store, and answers and messages come back, each on a way of its own that a test can make slow, hold back or cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.internet.task import Clock

from pode_signals.backplane.contract import (
    Answers,
    HistoryLimits,
    LoggedSignal,
    Member,
    Missed,
    Position,
    PresenceChange,
    Question,
)
from pode_signals.backplane.memory_history import MemoryHistoryLog
from pode_signals.backplane.memory_presence import MemoryPresence
from pode_signals.backplane.memory_values import KeptValues
from pode_signals.core.model import Target
from pode_signals.errors import BackplaneUnavailable, HistoryUnavailable
from pode_signals.wire.message import Message, Outgoing

__all__ = ["Cluster", "ClusterBackplane"]

T = TypeVar("T")
Key = tuple[str, str]

PATIENCE_SECONDS = 2.0
APPEND_SECONDS = 30.0
GRACE_SECONDS = 15.0


class Way:
    """One direction between a node and the rest, which keeps the order.

    Attributes:
        late_seconds: how long what goes this way takes; 0 is the same turn, None is at once.
        is_held: whether what goes this way waits for :meth:`release`.
    """

    def __init__(self, clock: Clock, late_seconds: float | None) -> None:
        self._clock = clock
        self.late_seconds = late_seconds
        self.is_held = False
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()

    def take(self, function: Callable[[], object]) -> None:
        """Have something done at the other end."""
        if self.late_seconds is None and not self.is_held and not self._waiting:
            function()
            return
        late_seconds = self.late_seconds or 0.0
        self._waiting.append((self._clock.seconds() + late_seconds, function))
        self._clock.callLater(late_seconds, self._arrive)

    def release(self) -> None:
        """Let all that was held back go, at once."""
        self.is_held = False
        self._arrive()

    def lose(self) -> None:
        """What is on its way never arrives."""
        self._waiting.clear()

    def _arrive(self) -> None:
        while self._waiting and not self.is_held and self._waiting[0][0] <= self._clock.seconds():
            self._waiting.popleft()[1]()


class Cluster:
    """What the nodes share.

    Args:
        clock: the clock of all nodes, and of the store.
        late_seconds: how long each way takes; 0 is the same turn, None is at once.
        secret: the secret of the application.
        remembered_bytes: how much the store remembers.

    Attributes:
        nodes: the nodes that live, in the order of their making.
        holders: which node holds a name and client id.
        logs: is told of each entry that the store has logged.
    """

    def __init__(
        self,
        clock: Clock,
        late_seconds: float | None = 0.0,
        *,
        secret: bytes | None = b"the secret of the application...",
        remembered_bytes: int = 1 << 20,
    ) -> None:
        self.clock = clock
        self.late_seconds = late_seconds
        self.secret = secret
        self.nodes: list[ClusterBackplane] = []
        self.holders: dict[Key, ClusterBackplane] = {}
        self.log = MemoryHistoryLog(clock)
        self.values = KeptValues(remembered_bytes)
        self.chosen: dict[str, tuple[ClusterBackplane, float]] = {}
        self.joins = 0
        self.logs: Callable[[LoggedSignal], object] = lambda _signal: None
        self._made = 0

    def node(self) -> ClusterBackplane:
        """Another node, not started yet."""
        self._made += 1
        made = ClusterBackplane(self, f"n{self._made}")
        self.nodes.append(made)
        return made

    def kill(self, node: ClusterBackplane) -> None:
        """A node dies without a word, and its lease is over: its members leave after their grace."""
        self.nodes.remove(node)
        node.dies()
        for name, client_id in [key for key, holder in self.holders.items() if holder is node]:
            self.leaves(node, name, client_id, GRACE_SECONDS)

    def break_log(self, name: str, limits: HistoryLimits) -> None:
        """The log of a name goes back: another epoch begins, and each node that follows is told."""
        self.log.forget(name)
        for node in self.nodes:
            node.history.breaks(name, limits)

    # The store.

    def follows(self, name: str, limits: HistoryLimits) -> Position:
        """A node follows a name."""
        fired: list[Position] = []
        self.log.follow(name, limits, partial(self._logged, name), lambda _position: None).addCallback(fired.append)
        return fired[0]

    def joins_as(self, node: ClusterBackplane, member: Member, replace: bool) -> tuple[bool, int]:
        """A member joins: whether another node held it, and the number of the join."""
        key = member.name, member.client_id
        holder = self.holders.get(key)
        was_held = holder is not None and holder is not node
        if was_held and not replace:
            return True, self.joins
        self.joins += 1
        self.holders[key] = node
        for each in self.nodes:
            each.presence.members_here.join(member)
        if was_held:
            assert holder is not None
            holder.hears(partial(holder.presence.was_taken, key, self.joins))
        return was_held, self.joins

    def leaves(self, node: ClusterBackplane, name: str, client_id: str, grace_seconds: float) -> None:
        """A member leaves, if the node holds it."""
        if self.holders.get((name, client_id)) is node:
            del self.holders[name, client_id]
            for each in self.nodes:
                each.presence.members_here.leave(name, client_id, grace_seconds)

    def chooses(self, node: ClusterBackplane, key: str, seconds: float) -> bool:
        """Whether a node is the one."""
        found = self.chosen.get(key)
        if found is None or found[1] <= self.clock.seconds():
            found = self.chosen[key] = node, self.clock.seconds() + seconds
        return found[0] is node

    def remembers(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value."""
        if not self.values.put(key, value, seconds, self.clock.seconds()):
            raise BackplaneUnavailable("there is no room for another value")

    def _logged(self, name: str, signal: LoggedSignal) -> None:
        self.logs(signal)
        for node in self.nodes:
            node.history.reaches(name, signal)


class ClusterBackplane:
    """Follows the contract of a backplane for one node of a cluster.

    Attributes:
        commands: the way from the node to the store, and back for the store's answers.
        answers: the way of the store's answers.
        messages: the way of what other nodes say, and of entries of logs.
        is_cut: whether the node reaches nobody.
        is_deaf: whether what other nodes say is lost on its way here; entries of logs are not.
        counted: how many messages were lost on their way here.
    """

    is_alone = False
    counters: Mapping[str, int] = MappingProxyType({"appends_refused": 2, "envelopes_forged": 1})

    def __init__(self, cluster: Cluster, node: str) -> None:
        self.cluster = cluster
        self.node = node
        self.commands, self.answers, self.messages = (Way(cluster.clock, cluster.late_seconds) for _ in range(3))
        self.history = _History(self)
        self.presence = _Presence(self)
        self.is_cut = self.is_deaf = False
        self.counted = 0
        self.is_up = False
        self._deliver: Callable[[Outgoing], None] | None = None
        self._changed: Callable[[str], None] = lambda _state: None
        self._answer: Callable[[Question], Deferred[bytes | None]] | None = None
        self.taken: Callable[[str, str], None] = lambda _name, _client_id: None
        self._starting: Deferred[None] | None = None
        # What waits for the start, or for the end of a cut.
        self._later: list[Callable[[], None]] = []
        self._open: dict[_Asked, None] = {}

    @property
    def secret(self) -> bytes | None:
        """That of the cluster."""
        return self.cluster.secret

    def start(
        self,
        deliver: Callable[[Outgoing], None],
        changed: Callable[[str], None],
        answer: Callable[[Question], Deferred[bytes | None]],
        taken: Callable[[str, str], None],
    ) -> Deferred[None]:
        """Begin."""
        self._deliver, self._changed, self._answer, self.taken = deliver, changed, answer, taken
        if self not in self.cluster.nodes:
            self.cluster.nodes.append(self)
        started = self._starting = Deferred()
        if not self.is_cut:
            self.commands.take(self._connected)
        return started

    def stop(self) -> Deferred[None]:
        """End."""
        if self in self.cluster.nodes:
            self.cluster.nodes.remove(self)
        self.dies()
        for key in [key for key, holder in self.cluster.holders.items() if holder is self]:
            self.cluster.leaves(self, *key, 0)
        return succeed(None)

    def dies(self) -> None:
        """Nothing comes to the node, and nothing goes out of it, any more."""
        self._deliver = self._answer = None
        self._changed, self.taken = (lambda _state: None), (lambda _name, _client_id: None)
        self.is_up = False
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.callback(None)
        for way in (self.commands, self.answers, self.messages):
            way.lose()
        for asked in tuple(self._open):
            asked.end(knows_who_is_gone=False)
        self._later.clear()
        self.history.clear()
        self.presence.members_here.clear()

    def cut(self, why: str = "the store is away") -> None:
        """The node reaches nobody from now on."""
        self.is_cut, self.is_up = True, False
        self._changed(why)

    def mend(self) -> None:
        """The node reaches the others again."""
        self.is_cut = False
        self.commands.take(self._connected)

    def _connected(self) -> None:
        if self.is_cut or self.is_up or self._deliver is None:
            return
        self.is_up = True
        self._changed("up")
        later, self._later = self._later, []
        for each in later:
            each()
        self.presence.looks()
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.callback(None)

    def publish(self, outgoing: Outgoing) -> None:
        """Here at once, elsewhere once it has come there."""
        if self._deliver is None:
            return
        self._deliver(outgoing)
        if not self.is_up:
            return
        for node in self.cluster.nodes:
            if node is not self:
                self.commands.take(partial(node.hears, partial(node.gets, outgoing.target, outgoing.message)))

    def gets(self, target: Target, message: Message) -> None:
        """Deliver what another node has published."""
        if self._deliver is not None:
            copy = Message(
                message.payload,
                message.key,
                is_text=message.is_text,
                groups=message.groups,
                acknowledgement=message.acknowledgement,
            )
            self._deliver(Outgoing(target, copy))

    def hears(self, function: Callable[[], object]) -> None:
        """Another node, or the store, tells this one something."""
        if self.is_cut or self.is_deaf:
            self.counted += 1
        else:
            self.messages.take(function)

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask nodes; those that are no nodes any more are gone."""
        nodes = {each.node: each for each in self.cluster.nodes}
        asked = tuple(nodes) if question.nodes is None else question.nodes
        if self._answer is None:
            return succeed(Answers({}, asked))
        if not self.is_up and question.nodes != (self.node,):
            return self._unavailable()
        open_question = _Asked(self, asked, [each for each in asked if each in nodes])
        self._open[open_question] = None
        open_question.timer = self.cluster.clock.callLater(timeout_seconds, open_question.end)
        for name in tuple(open_question.silent):
            node = nodes[name]
            reaches = partial(open_question.reaches, node, question)
            if node is self:
                reaches()
            else:
                self.commands.take(partial(node.hears, reaches))
        if not open_question.silent and not open_question.over.called:
            open_question.end()
        return open_question.over

    def is_over(self, asked: _Asked) -> None:
        """A question is over."""
        self._open.pop(asked, None)

    def answer(self, question: Question) -> Deferred[bytes | None]:
        """What the hub of this node answers."""
        return succeed(None) if self._answer is None else self._answer(question)

    def once(self, key: str, seconds: float) -> Deferred[bool]:
        """Whether this node is the one."""
        return self.command(partial(self.cluster.chooses, self, key, seconds))

    def remember(self, key: str, value: bytes, seconds: float) -> Deferred[None]:
        """Keep a value in the store."""
        return self.command(partial(self.cluster.remembers, key, value, seconds))

    def recall(self, key: str) -> Deferred[bytes | None]:
        """Read a value from the store."""
        return self.command(lambda: self.cluster.values.get(key, self.cluster.clock.seconds()))

    def command(self, function: Callable[[], T]) -> Deferred[T]:
        """Have the store do something, and fire with what it gives."""
        if self._deliver is None:
            return self._waits_for_start(function)
        if self.is_cut:
            return self._unavailable()
        fired: Deferred[T] = Deferred()

        def reply(succeeded: bool, result: Any) -> None:
            if not fired.called:
                (fired.callback if succeeded else fired.errback)(result)

        def do() -> None:
            try:
                result = True, function()
            except BackplaneUnavailable as unavailable:
                result = False, unavailable
            self.answers.take(partial(reply, *result))

        self.commands.take(do)
        return _patient(fired, self.cluster.clock)

    def later(self, function: Callable[[], None]) -> None:
        """Call a function now, or once the node can reach the others."""
        if self.is_up:
            function()
        else:
            self._later.append(function)

    def _waits_for_start(self, function: Callable[[], T]) -> Deferred[T]:
        fired: Deferred[T] = Deferred()
        self._later.append(lambda: self.command(function).chainDeferred(fired) and None)
        return fired

    def _unavailable(self) -> Deferred[Any]:
        fired: Deferred[Any] = Deferred()
        return _patient(fired, self.cluster.clock)


def _patient(deferred: Deferred[T], clock: Clock) -> Deferred[T]:
    """A Deferred that fails where its answer takes too long."""
    if deferred.called:
        return deferred

    def over(failure: Any) -> Any:
        failure.trap(DeferTimeout)
        raise BackplaneUnavailable("the store does not answer")

    return deferred.addTimeout(PATIENCE_SECONDS, clock).addErrback(over)


class _Asked:
    """A question under way."""

    def __init__(self, node: ClusterBackplane, asked: tuple[str, ...], silent: list[str]) -> None:
        self._node = node
        self._asked = asked
        self.silent = set(silent)
        self._given: dict[str, bytes] = {}
        self._running: list[Deferred[bytes | None]] = []
        self.over: Deferred[Answers] = Deferred(lambda _over: self._stop())
        self.timer: Any = None
        self.is_over = False

    def reaches(self, node: ClusterBackplane, question: Question) -> None:
        """The question has come to a node."""
        answer = node.answer(question)
        self._running.append(answer)
        if node is self._node:
            answer.addCallbacks(partial(self._answered, node.node), lambda _: self._answered(node.node, None))
        else:

            def back(body: bytes | None) -> None:
                if node.is_up:
                    node.commands.take(partial(self._node.hears, partial(self._answered, node.node, body)))

            answer.addCallbacks(back, lambda _failure: back(None))

    def end(self, *, knows_who_is_gone: bool = True) -> None:
        """Nobody is waited for any longer."""
        if self.is_over:
            return
        self._stop()
        missing = tuple(each for each in self._asked if each not in self._given)
        live = {each.node for each in self._node.cluster.nodes}
        gone = tuple(each for each in missing if each not in live) if knows_who_is_gone else ()
        self.over.callback(Answers(self._given, missing, gone))

    def _answered(self, name: str, body: bytes | None) -> None:
        if self.is_over:
            return
        self.silent.discard(name)
        if body is not None:
            self._given[name] = body
        if not self.silent:
            self.end()

    def _stop(self) -> None:
        self.is_over = True
        self._node.is_over(self)
        if self.timer is not None and self.timer.active():
            self.timer.cancel()
        for each in self._running:
            each.cancel()


class _Followed:
    """A name that a node follows."""

    def __init__(self, limits: HistoryLimits, deliver: Any, broken: Any) -> None:
        self.limits = limits
        self.deliver: Callable[[LoggedSignal], None] = deliver
        self.broken: Callable[[Position], None] = broken
        self.position: Position | None = None
        # Whether the store sends entries, and those that came before the node knew its position.
        self.is_subscribed = False
        self.early: list[LoggedSignal] = []


class _History:
    """Follows the contract of logs for one node."""

    def __init__(self, node: ClusterBackplane) -> None:
        self._node = node
        self._names: dict[str, _Followed] = {}

    @property
    def held(self) -> tuple[int, int]:
        return self._node.cluster.log.held

    def clear(self) -> None:
        self._names.clear()

    def follow(self, name: str, limits: HistoryLimits, deliver: Any, broken: Any) -> Deferred[Position]:
        before = self._names.get(name)
        followed = self._names[name] = _Followed(limits, deliver, broken)
        if before is not None:
            # No entry is lost while the limits are changed.
            followed.position, followed.is_subscribed = before.position, before.is_subscribed

        def at_the_store() -> Position:
            found = self._node.cluster.follows(name, limits)
            followed.is_subscribed = True
            return found

        def known(position: Position) -> Position:
            if followed.position is None:
                followed.position = position
                early, followed.early = followed.early, []
                for signal in early:
                    self._entry(name, followed, signal)
            return followed.position

        def failed(failure: Any) -> Any:
            self._node.later(lambda: self._follow_again(name, followed))
            return failure

        return self._node.command(at_the_store).addCallbacks(known, failed)

    def unfollow(self, name: str) -> None:
        self._names.pop(name, None)
        if not any(name in each.history._names for each in self._node.cluster.nodes):
            self._node.cluster.log.unfollow(name)

    def forget(self, name: str) -> None:
        self._names.pop(name, None)
        self._node.cluster.log.forget(name)

    def append(
        self, target: Target, data: bytes, acknowledgement: str | None = None, *, is_text: bool = False
    ) -> Deferred[Position]:
        if target.names is None or len(target.names) != 1:
            raise ValueError("an entry is for the log of one name")
        fired: Deferred[Position] = Deferred()

        def at_the_store() -> None:
            # It was given up meanwhile.
            if not fired.called:
                added = self._node.cluster.log.append(evolve(target), data, acknowledgement, is_text=is_text)
                self._node.answers.take(lambda: added.addBoth(reply))

        def reply(result: Any) -> None:
            if not fired.called:
                fired.callback(result)

        def over(failure: Any) -> Any:
            if failure.check(DeferTimeout):
                raise HistoryUnavailable("the store is away", "refused")
            return failure

        if self._node.is_up:
            self._node.commands.take(at_the_store)
        else:
            self._node.later(at_the_store)
        if fired.called:
            return fired
        return fired.addTimeout(APPEND_SECONDS, self._node.cluster.clock).addErrback(over)

    def position(self, name: str) -> Position | None:
        followed = self._names.get(name)
        return None if followed is None else followed.position

    def missed(self, name: str, since: Position, until: Position, limit: int | None = None) -> Deferred[Missed]:
        return self._read(lambda: self._node.cluster.log.missed(name, since, until, limit))

    def read(self, name: str, since: Position | None, limit: int) -> Deferred[tuple[LoggedSignal, ...]]:
        return self._read(lambda: self._node.cluster.log.read(name, since, limit))

    def size(self, name: str) -> Deferred[tuple[int, int]]:
        return self._read(lambda: self._node.cluster.log.size(name))

    def _read(self, function: Callable[[], Deferred[T]]) -> Deferred[T]:
        def unpacked(answer: Deferred[T]) -> Deferred[T]:
            return answer

        return self._node.command(function).addCallback(unpacked)

    def reaches(self, name: str, signal: LoggedSignal) -> None:
        """An entry is on its way to the node; it is not lost while the node is cut off."""
        followed = self._names.get(name)
        if followed is None or not followed.is_subscribed:
            return
        if self._node.is_up:
            self._node.messages.take(lambda: self._arrives(name, followed, signal))
        else:
            self._node.later(lambda: self._node.messages.take(lambda: self._arrives(name, followed, signal)))

    def breaks(self, name: str, limits: HistoryLimits) -> None:
        """The log of a name began anew."""
        followed = self._names.get(name)
        if followed is None:
            return
        position = self._node.cluster.follows(name, limits)

        def tell() -> None:
            if self._names.get(name) is followed:
                followed.position = position
                followed.broken(position)

        self._node.messages.take(tell)

    def _follow_again(self, name: str, followed: _Followed) -> None:
        if self._names.get(name) is followed:
            followed.is_subscribed = True
            followed.position = self._node.cluster.follows(name, followed.limits)
            followed.broken(followed.position)

    def _arrives(self, name: str, followed: _Followed, signal: LoggedSignal) -> None:
        current = self._names.get(name)
        if current is None:
            return
        if current.position is None:
            current.early.append(signal)
        else:
            self._entry(name, current, signal)

    def _entry(self, name: str, followed: _Followed, signal: LoggedSignal) -> None:
        assert followed.position is not None
        same_epoch = signal.position.epoch == followed.position.epoch
        if same_epoch and _sequence(signal.position) > _sequence(followed.position):
            followed.position = signal.position
            followed.deliver(evolve(signal))


class _Presence:
    """Follows the contract of presence for one node: a copy of the members, which the store keeps the same everywhere.

    Attributes:
        members_here: the copy.
    """

    def __init__(self, node: ClusterBackplane) -> None:
        self._node = node
        self.members_here = MemoryPresence(node.cluster.clock)
        # The number of the last join of this node that was answered, and of takes that came while one was under way.
        self._joined: dict[Key, int] = {}
        self._under_way: dict[Key, int] = {}
        self._takes: dict[Key, int] = {}

    def join(self, member: Member, *, replace: bool = True) -> Deferred[bool]:
        key = member.name, member.client_id
        self._under_way[key] = self._under_way.get(key, 0) + 1

        def known(answer: tuple[bool, int]) -> bool:
            was_held, number = answer
            if replace or not was_held:
                self._joined[key] = number
            ended()
            return was_held

        def ended() -> None:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]
                take = self._takes.pop(key, 0)
                if take > self._joined.get(key, 0):
                    self._node.taken(*key)

        def failed(failure: Any) -> Any:
            ended()
            if not replace or self._node.is_up:
                return failure
            self._node.later(lambda: self.join(member).addErrback(lambda _failure: None) and None)
            return failure

        return self._node.command(partial(self._node.cluster.joins_as, self._node, member, replace)).addCallbacks(
            known, failed
        )

    def was_taken(self, key: Key, number: int) -> None:
        """Another node has joined a client id that this one held."""
        if key in self._under_way:
            self._takes[key] = max(number, self._takes.get(key, 0))
        elif number > self._joined.get(key, 0):
            self._node.taken(*key)

    def looks(self) -> None:
        """After a cut: which client ids of this node are held by others now."""
        for key in tuple(self._joined):
            holder = self._node.cluster.holders.get(key)
            if holder is not None and holder is not self._node:
                del self._joined[key]
                self._node.taken(*key)

    def leave(self, name: str, client_id: str, grace_seconds: float) -> None:
        self._joined.pop((name, client_id), None)
        leaves = partial(self._node.cluster.leaves, self._node, name, client_id, grace_seconds)
        self._node.later(lambda: self._node.commands.take(leaves))

    def members(self, name: str, group: str | None = None) -> Deferred[tuple[Member, ...]]:
        return self._node.command(lambda: self.members_here.members(name, group)).addCallback(_opened)

    def count(self, name: str, group: str | None = None) -> Deferred[int]:
        return self._node.command(lambda: self.members_here.count(name, group)).addCallback(_opened)

    def watch(self, name: str, changed: Callable[[PresenceChange], None]) -> Deferred[tuple[Member, ...]]:
        return self._node.command(lambda: self.members_here.watch(name, changed)).addCallback(_opened)

    def unwatch(self, name: str) -> None:
        self.members_here.unwatch(name)


def _opened(answer: Deferred[T]) -> Deferred[T]:
    return answer


def _sequence(position: Position) -> int:
    return int(position.offset.partition("-")[0])

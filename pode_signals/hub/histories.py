"""The names that keep a history: what is sent to them goes by way of their logs. It greets and replays nothing.

All nodes read a log in the same order, so each message of the log is delivered where the log hands it out, and not
where it was sent. The log in memory hands it out before :meth:`Histories.send` returns.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.python.failure import Failure

from ..backplane.contract import Answers
from ..core.history import HistoryLimits, LoggedSignal, Position
from ..core.model import EveryName, Target
from ..core.registry import Registry
from ..errors import BackplaneUnavailable, HistoryUnavailable, UnknownHistory
from ..wire.message import Message, Outgoing
from ..wire.nodes import from_bytes, to_bytes
from .appends import Appends
from .deliveries import Deliveries
from .delivery import Delivery
from .link import Link
from .node import Node
from .progress import Progress
from .runtime import Runtime
from .waiters import Waiters
from .withheld import Withheld

__all__ = ["Histories"]

_KIND = "histories"
_PATIENCE_SECONDS = 2.0
_MOST_DESERTED_NAMES = 10_000
"""How many names keep a history that nobody is connected to and that no call has named."""


class Histories:
    """The histories of one hub.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        deliveries: delivers what the logs hand out.
        node: this node, whose backplane has the logs.

    Attributes:
        names: the names that keep a history, and how much of it.
        began: is told of a name that has begun or ended to keep a history, or whose log broke: with whether clients may
            have lost messages.
        progress: the names whose clients may be behind the log.
        withheld: the connections that do not get all entries of their log.
        logs: is told whether any name may keep a history, each time that a name begins or ends to.
    """

    def __init__(self, runtime: Runtime, registry: Registry[Link], deliveries: Deliveries, node: Node) -> None:
        self._runtime = runtime
        self._registry = registry
        self._deliveries = deliveries
        self._node = node
        self._log = node.backplane.history
        self.names: dict[str, HistoryLimits] = {}
        self.progress = Progress(runtime, registry, self.names)
        self.began: Callable[[str, bool], None] = lambda _name, _lost: None
        self.logs: Callable[[bool], None] = lambda _logs: None
        self.withheld = Withheld()
        # Those who wait until this node knows its position in the log of a name.
        self._unplaced: dict[str, Waiters[bool]] = {}
        self._appends = Appends(deliveries.new_tally, self._log.position)
        node.answers[_KIND] = lambda _body: succeed(to_bytes([*self.names]))
        deliveries.misplaced = self._misplaced
        # What was said of names; None is "no history" where every other name keeps one.
        self._own: dict[str, HistoryLimits | None] = {}
        self._every: HistoryLimits | None = None
        # Names that keep a history because every name does, and that nobody is connected to: the first one longest.
        # Each has the number of messages that were not logged for such names up to then.
        self._deserted: dict[str, int] = {}
        self._not_logged = 0
        # The message that is being logged, with its delivery, while the log in memory hands it out.
        self._sending: tuple[Target, Message, Delivery] | None = None

    def keep(self, name: str | EveryName, limits: HistoryLimits) -> None:
        """``signals.keep_history`` for one name, or for every name without limits of its own."""
        if not isinstance(name, str):
            self._every = limits
            self.logs(True)
            for each in {*self._registry.names(), *self.names} - self._own.keys() - self._deserted.keys():
                self._follow(each)
        else:
            self._own[name] = limits
            self._is_wanted_again(name)
            self._follow(name)

    def forget(self, name: str | EveryName) -> None:
        """``signals.forget_history``."""
        if not isinstance(name, str):
            self._every = None
            self.logs(bool(self.names))
            self._own = {each: limits for each, limits in self._own.items() if limits is not None}
            ended = [each for each in self.names if each not in self._own]
        else:
            self._own.pop(name, None)
            if self._every is not None:
                self._own[name] = None
            ended = [name] if name in self.names else []
        for each in ended:
            self._end(each, for_all=True)
            self.began(each, False)

    def position(self, name: str) -> Position | None:
        """This node's place in the log of a name; None where the name keeps no history, and where none is known yet."""
        return self._log.position(name) if name in self.names else None

    def place(self, link: Link) -> Position | None:
        """A connection's place in the log of its name, before which it gets no entries; None for none."""
        if not link.is_global:
            return None
        # A client that comes from another node may be ahead of this one.
        return (self.withheld.place(link) if self.withheld.names else None) or self.position(link.name)

    def when_placed(self, name: str) -> Deferred[bool] | None:
        """Fires with True once this node knows its position in the log of a name; None where it does, or has none."""
        waiters = self._unplaced.get(name)
        return None if waiters is None else waiters.wait()

    def when_position(self, name: str) -> Deferred[Position]:
        """Fires with this node's place in the log of a name, once it is known.

        Fails with UnknownHistory where the name keeps no history, and with BackplaneUnavailable where the place is not
        known in time.
        """

        def known(_is_placed: bool) -> Position:
            place = self.position(name)
            if place is None:
                raise UnknownHistory(name)
            return place

        def unknown(failure: Failure) -> Failure:
            if failure.check(DeferTimeout):
                raise BackplaneUnavailable("the place in a history is not known yet")
            return failure

        placed = self.when_placed(name)
        if placed is None:
            return maybeDeferred(known, True)
        return placed.addTimeout(_PATIENCE_SECONDS, self._runtime.clock).addErrback(unknown).addCallback(known)

    def follow_again(self) -> None:
        """The logs know nothing any more of who follows them."""
        for each in self.names.keys() - self._deserted.keys():
            self._follow(each)

    def joined(self, name: str) -> None:
        """A connection has joined a name: where every name keeps a history, this one does from now on."""
        if self._every is not None and name not in self._own:
            if self._is_wanted_again(name) or name not in self.names:
                self._follow(name)

    def deserted(self, name: str) -> None:
        """The last connection of a name has left. Its log stays as long as its limits say."""
        if name not in self.names:
            return
        self.progress.everybody_knows(name)
        if name not in self._own:
            self._log.unfollow(name)
            self._appends.give_up(name)
            self._deserted[name] = self._not_logged
            # What is dropped here has to be dropped in the log as well: a message that is not logged any more would be
            # missing there.
            if len(self._deserted) > _MOST_DESERTED_NAMES:
                self._end(next(iter(self._deserted)))

    def send(
        self,
        target: Target,
        message: Message,
        delivery: Delivery,
        publish: Callable[[Outgoing], None],
        *,
        asked_by_client: bool = False,
    ) -> None:
        """Log a message for each of its names that keeps a history, and publish it for the others.

        Args:
            target: the connections.
            message: the message.
            delivery: counts recipients.
            publish: gives the rest to all nodes.
            asked_by_client: whether it goes to every name because the message of a client names none. Such a message
                is not logged for names that are deserted: clients leave any number of these, and each message would
                cost an entry in each of their logs.
        """
        names = target.names
        if names is not None and len(names) == 1:
            if self._keeps(names[0]):
                self._append(target, message, delivery, publish)
            else:
                publish(Outgoing(target, message, delivery))
            return
        if names is None:
            every = self._inhabited() if asked_by_client and self._node.is_alone else tuple(self.names)
            logged = [each for each in every if self._allows(each, target)]
        else:
            logged = [each for each in names if self._keeps(each)]
            target = evolve(target, names=tuple(each for each in names if not self._keeps(each)))

        def append(name: str) -> None:
            # The place in the log is another one for each name, and so the message is.
            own = Message(
                message.payload,
                message.key,
                is_text=message.is_text,
                groups=message.groups,
                acknowledgement=message.acknowledgement,
            )
            self._append(evolve(target, names=(name,)), own, delivery, publish)

        for each in logged:
            append(each)
        if names is None and self._every is not None and not self._node.is_alone:
            known = frozenset(every)
            delivery.follows_log(self._elsewhere(lambda name: name in known or not self._allows(name, target), append))
        # Deliveries leave the names that keep a history out of every name.
        if target.names != ():
            publish(Outgoing(target, message, delivery))

    def _keeps(self, name: str) -> bool:
        """Whether a name keeps a history. Where every name does, it may have clients on other nodes alone."""
        if name in self.names:
            return True
        return self._every is not None and name not in self._own and not self._node.is_alone

    def _elsewhere(
        self, is_left_out: Callable[[str], bool], append: Callable[[str], None]
    ) -> Deferred[Position | None]:
        """Append to the logs that only other nodes know, since every name keeps one."""

        def known(answers: Answers) -> None:
            names = dict.fromkeys(chain.from_iterable(map(from_bytes, answers.given.values())))
            for each in names:
                if not is_left_out(each):
                    append(each)
            if set(answers.missing) - set(answers.gone):
                raise HistoryUnavailable("nodes that may know of more names are silent", "unknown")

        return self._node.ask(_KIND, b"", _PATIENCE_SECONDS).addCallback(known)

    def _misplaced(self, name: str) -> None:
        """Another node has sent to a name past its log: its clients can't find that message again."""
        self._runtime.reports.write(
            "history",
            "another node keeps no history of {name}: all nodes have to keep the same histories",
            event="history.differs",
            name=name,
        )
        self.began(name, True)

    def _is_wanted_again(self, name: str) -> bool:
        """Whether a name was deserted, which it is no longer. Where its log lacks a message, the log ends."""
        missing_from = self._deserted.pop(name, None)
        if missing_from is None:
            return False
        if missing_from != self._not_logged:
            # Whoever comes back has to be told.
            self._end(name)
        return True

    def _inhabited(self) -> tuple[str, ...]:
        """The names that keep a history, without the deserted ones, whose logs will lack a message."""
        self._not_logged += 1
        connected = self._registry.names()
        own = (each for each in self._own if each in self.names and not self._registry.has_name(each))
        return (*(each for each in connected if each in self.names), *own)

    def _allows(self, name: str, target: Target) -> bool:
        return self._deliveries.levels.allows(name, target.groups, target.client_ids)

    def _follow(self, name: str) -> None:
        limits = self._own.get(name) or self._every
        assert limits is not None
        is_new = name not in self.names
        self.names[name] = limits
        if is_new:
            self.logs(True)
        if not self._node.is_alone and self._log.position(name) is None:
            self._unplaced.setdefault(name, Waiters())
        followed = self._log.follow(
            name,
            limits,
            self._node.fenced(lambda signal: self._deliver(name, signal)),
            self._node.fenced(lambda _position: self._broke(name)),
        )
        followed.addCallback(lambda _position: self._placed(name)).addErrback(self._not_followed, name)
        if is_new and self._node.is_alone:
            self.began(name, False)

    def _placed(self, name: str) -> None:
        """This node knows its position in the log of a name, before which its clients may have missed entries."""
        waiters = self._unplaced.pop(name, None)
        if waiters is not None and name in self.names:
            self.began(name, True)
            waiters.fire(True, self._runtime.fresh_context)

    def _not_followed(self, failure: Failure, name: str) -> None:
        # The backplane goes on trying, and its state is told elsewhere.
        if failure.check(BackplaneUnavailable) is None:
            self._runtime.reports.failure("history", "the history of {name} can't be followed", failure, name=name)

    def _broke(self, name: str) -> None:
        self._appends.give_up(name)
        self.withheld.forget_positions(name)
        waiters = self._unplaced.pop(name, None)
        self.began(name, True)
        if waiters is not None:
            waiters.fire(True, self._runtime.fresh_context)

    def _end(self, name: str, *, for_all: bool = False) -> None:
        del self.names[name]
        self.progress.everybody_knows(name)
        self.logs(bool(self.names) or self._every is not None)
        self._deserted.pop(name, None)
        waiters = self._unplaced.pop(name, None)
        if waiters is not None:
            waiters.fire(False, self._runtime.fresh_context)
        self._appends.give_up(name)
        # Other nodes may have clients of the name.
        if for_all or self._node.is_alone:
            self._log.forget(name)
        else:
            self._log.unfollow(name)

    def _append(
        self, target: Target, message: Message, delivery: Delivery, publish: Callable[[Outgoing], None]
    ) -> None:
        assert target.names is not None
        (name,) = target.names

        def append() -> Deferred[Position]:
            return self._log.append(target, message.payload, message.acknowledgement, is_text=message.is_text)

        if self._node.is_alone:
            before, self._sending = self._sending, (target, message, delivery)
            try:
                logged = append()
            finally:
                self._sending = before
        else:
            logged = self._appends.under(name, delivery, append)

        def not_logged(failure: Failure) -> None:
            failure.trap(UnknownHistory)
            # The log has forgotten a name whose log was empty and that nobody was connected to: nobody can have missed
            # anything.
            if name in self.names:
                self._end(name)
            publish(Outgoing(target, message, delivery))

        delivery.follows_log(logged.addErrback(not_logged))

    def _deliver(self, name: str, signal: LoggedSignal) -> None:
        """An entry of a log: give it to the connections of this node."""
        sending, self._sending = self._sending, None
        delivery = None
        if sending is not None and sending[0] is signal.target:
            _, message, delivery = sending
            message.position = signal.position
        else:
            message = message_of(signal)
            delivery = None if self._node.is_alone else self._appends.tally(name, signal.position)
        target = self.withheld.target(signal) if self.withheld.names else signal.target
        self._deliveries.deliver(Outgoing(target, message, delivery))
        if not self._node.is_alone:
            self._appends.delivered(name, signal.position)
        if name not in self.names:
            return
        if not signal.target.is_everybody:
            self.progress.logged_for_part(name, len(signal.data))
        elif name in self.progress.behind:
            self.progress.everybody_knows(name)


def message_of(signal: LoggedSignal) -> Message:
    """The message of an entry of a log: the same bytes as when it was sent."""
    return Message(
        signal.data,
        is_text=signal.is_text,
        groups=signal.target.groups,
        position=signal.position,
        acknowledgement=signal.acknowledgement,
    )

"""Who has answered an acknowledged send. It sends nothing, and keeps nothing once the send is settled."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from itertools import count

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from ..core.model import ConnectionState
from ..core.registry import Registry
from ..errors import TooManyAcknowledgements
from .link import Link
from .runtime import Runtime
from .waiters import Waiters

__all__ = ["Acknowledgements", "Collection"]

# A name, a client id, and whether its connection is global. Client ids are counted, and not connections: a client may
# come back and answer. A local connection never does, and is another client than a global one with its id.
Recipient = tuple[str, str, bool]


class Collection:
    """The answers to one send.

    Attributes:
        id: what clients answer with.
        acknowledged, unanswered, gone: the client ids, as far as it is known.
        is_settled: whether no answer counts any more.
        silent_nodes: 0: these are the answers of this node's clients.
    """

    silent_nodes = 0
    __slots__ = (
        "_waiters",
        "acknowledged",
        "gone",
        "id",
        "is_settled",
        "logged",
        "open",
        "timer",
        "unanswered",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.acknowledged: list[str] = []
        self.unanswered: list[str] = []
        self.gone: list[str] = []
        self.is_settled = False
        # Each recipient that has not answered, with its connection.
        self.open: dict[Recipient, Link] = {}
        # The names whose recipients may get the message once more, by a replay.
        self.logged: frozenset[str] = frozenset()
        self.timer: IDelayedCall | None = None
        self._waiters: Waiters[None] = Waiters()

    def when_settled(self) -> Deferred[None]:
        """A new Deferred that fires when no answer counts any more."""
        return succeed(None) if self.is_settled else self._waiters.wait()

    def settle(self, runtime: Runtime) -> None:
        """Tell all who wait, in the next turn: the end of one recipient may come in the middle of a send to others."""
        self.is_settled = True
        if self._waiters:
            runtime.clock.callLater(0, self._waiters.fire, None, runtime.fresh_context)


class Acknowledgements:
    """The acknowledged sends of one hub that are under way.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        node: the name of this node, which its ids begin with.

    Attributes:
        elsewhere: is told of an answer that this node did not ask for; False where no other node did.
        ended: called when the hub stops.
    """

    def __init__(self, runtime: Runtime, registry: Registry[Link], node: str) -> None:
        self._runtime = runtime
        self._registry = registry
        self._node = node
        self._numbers = count(1)
        self._collections: dict[str, Collection] = {}
        self._of: dict[Recipient, dict[Collection, None]] = {}
        self._pending = 0
        self.elsewhere: Callable[[Link, str], bool] = lambda _link, _id: False
        self.ended: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._collections)

    def begin(
        self, links: Iterable[Link], timeout_seconds: float, *, logged: Container[str], id: str | None = None
    ) -> Collection:
        """Collect the answers to a send that is about to be sent.

        Args:
            links: the recipients.
            timeout_seconds: how long to wait for answers.
            logged: the names that keep a history. Their recipients get the message once more where they come back and
                have missed it, and are waited for.
            id: what clients answer with; None makes one.

        Raises:
            TooManyAcknowledgements: with these recipients more than ``max_pending_acknowledgements`` would be asked.
        """
        recipients = list(links)
        # Clients of the plain protocol can't answer, and are not waited for.
        asked = [each for each in recipients if each.is_signals]
        most = self._runtime.settings.max_pending_acknowledgements
        if self._pending + len(asked) > most:
            self._runtime.reports.limit(
                "max_pending_acknowledgements",
                "a send to {count} recipients was refused: {pending} others have not answered yet",
                count=len(asked),
                pending=self._pending,
            )
            raise TooManyAcknowledgements(most)
        collection = Collection(id or f"{self._node}.{next(self._numbers)}")
        collection.unanswered += (each.client_id for each in recipients if not each.is_signals)
        self._count("unanswered", len(collection.unanswered))
        collection.logged = frozenset(each.name for each in asked if each.name in logged)
        for each in asked:
            recipient = _recipient(each)
            collection.open[recipient] = each
            self._of.setdefault(recipient, {})[collection] = None
        self._pending += len(asked)
        if not collection.open:
            collection.settle(self._runtime)
            return collection
        self._collections[collection.id] = collection
        collection.timer = self._runtime.clock.callLater(timeout_seconds, self._timed_out, collection)
        return collection

    def answered(self, link: Link, id: str) -> None:
        """A client has answered. An answer that is unknown, late or a second one is ignored, and counted."""
        collection = self._collections.get(id)
        recipient = _recipient(link)
        if collection is None or recipient not in collection.open:
            if not self.elsewhere(link, id):
                self._runtime.counters.acknowledgements_ignored += 1
            return
        collection.acknowledged.append(link.client_id)
        self._count("acknowledged", 1)
        self._close(collection, recipient)

    def answered_elsewhere(self, id: str, name: str, client_id: str) -> bool:
        """A recipient of this node has answered on another one; False where it is no recipient that is waited for."""
        collection, recipient = self._collections.get(id), (name, client_id, True)
        if collection is None or recipient not in collection.open:
            return False
        collection.acknowledged.append(client_id)
        self._count("acknowledged", 1)
        self._close(collection, recipient)
        return True

    def wait_for(self, collection: Collection, timeout_seconds: float) -> None:
        """Wait so long for the answers of a collection, from now on."""
        if collection.timer is not None:
            collection.timer.reset(timeout_seconds)

    def left(self, link: Link, *, for_good: bool = False) -> None:
        """A connection has ended. Its client may come back, and answer what is replayed.

        Args:
            link: the connection.
            for_good: whether it is known that its client does not come back.
        """
        recipient = _recipient(link)
        for collection in tuple(self._of.get(recipient, ())):
            if for_good or not (link.is_global and link.name in collection.logged):
                collection.gone.append(link.client_id)
                self._count("gone", 1)
                self._close(collection, recipient)

    def end(self) -> None:
        """The hub stops: nobody is waited for any longer."""
        for collection in tuple(self._collections.values()):
            self._settle(collection)
        self.ended()

    def _timed_out(self, collection: Collection) -> None:
        collection.timer = None
        self._settle(collection)

    def _settle(self, collection: Collection) -> None:
        for (name, client_id, is_global), link in tuple(collection.open.items()):
            is_there = link.state is ConnectionState.OPEN
            if not is_there and not (is_global and self._registry.get(name, client_id) is not None):
                collection.gone.append(client_id)
                self._count("gone", 1)
            else:
                collection.unanswered.append(client_id)
                self._count("unanswered", 1)
        self._end(collection)

    def _close(self, collection: Collection, recipient: Recipient) -> None:
        self._forget(collection, recipient)
        del collection.open[recipient]
        if not collection.open:
            self._end(collection)

    def _end(self, collection: Collection) -> None:
        self._collections.pop(collection.id, None)
        for each in collection.open:
            self._forget(collection, each)
        collection.open.clear()
        if collection.timer is not None:
            collection.timer.cancel()
            collection.timer = None
        collection.settle(self._runtime)

    def _forget(self, collection: Collection, recipient: Recipient) -> None:
        self._pending -= 1
        of = self._of[recipient]
        del of[collection]
        if not of:
            del self._of[recipient]

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self._runtime.counters.acknowledgements[outcome] += number


def _recipient(link: Link) -> Recipient:
    return link.name, link.client_id, link.is_global

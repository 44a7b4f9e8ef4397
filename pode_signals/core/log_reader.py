"""Follows a log that other nodes write, without a gap and without a double. It sends nothing and opens no entry.

Entries are heard of as they are published, which may fail without a sign; the log itself is asked where something does
not fit. What is published while the log is asked is not kept: the answer has it, or the log is asked once more.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import IntEnum
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar

from .history import Position

__all__ = ["CaughtUp", "Entry", "Found", "LogReader", "sequence"]

_MOST_REMEMBERED = 4_096
"""How many entries are known again that come twice."""
_MOST_IDS_TOLD = 1_000
"""How many ids of entries are told to a log that went back."""

T = TypeVar("T")
Content_contra = TypeVar("Content_contra", contravariant=True)


class Found(IntEnum):
    """What a log says to a node's position."""

    BEGINS = 0
    """The node had none."""
    FOLLOWS = 1
    """The log has all that came after it."""
    OTHER = -1
    """The log went back, or it is another one."""
    TRIMMED = -2
    """Entries that the node has not seen were dropped."""
    TELL_IDS = -4
    """The log went back. It has to be asked again, with the ids that the node has seen."""


class Entry(NamedTuple, Generic[T]):
    """An entry of a log.

    Attributes:
        offset: its place.
        id: what its sender called it, the same however often it was written; None where it can't be read.
        content: what is delivered; None where it can't be read.
    """

    offset: str
    id: str | None
    content: T | None


class CaughtUp(NamedTuple, Generic[T]):
    """The answer of a log.

    Attributes:
        found: what it says to the position.
        epoch: its epoch.
        top: the offset of its last entry.
        since: the offset after which the entries come.
        entries: the entries, in log order.
        is_all: whether these are all there are.
    """

    found: Found
    epoch: str
    top: str
    since: str
    entries: tuple[Entry[T], ...]
    is_all: bool


class Reads(Protocol[Content_contra]):
    """What a reader wants to have done."""

    def ask(self, position: Position | None, witness: str, offsets: tuple[str, ...]) -> None:
        """Ask the log what came after a position.

        Args:
            position: the position; None where this node begins.
            witness: an offset of the same epoch that the log has told this node of; ``""`` for none. Where the log has
                it no longer, the log went back.
            offsets: those of the entries that were delivered last, the latest first; none where the log did not want
                them.

        The answer comes by :meth:`LogReader.answered` or :meth:`LogReader.unanswered`.
        """

    def deliver(self, position: Position, content: Content_contra) -> None:
        """Deliver an entry."""

    def broken(self, position: Position) -> None:
        """Entries before a position may be lost for this node."""


class LogReader(Generic[T]):
    """One node's place in the log of one name.

    Args:
        reads: does what is wanted.

    Attributes:
        position: the place of the last entry that was delivered; None as long as the log has not answered.
        is_asking: whether an answer of the log is awaited.
    """

    __slots__ = ("_again", "_highest", "_offsets", "_promised", "_reads", "_seen", "is_asking", "on_answer", "position")

    def __init__(self, reads: Reads[T]) -> None:
        self._reads = reads
        self.position: Position | None = None
        self.is_asking = False
        # Called once each, when the log has been asked and nothing more has to be asked.
        self.on_answer: deque[Callable[[bool], None]] = deque()
        # Whether the log has to be asked once more, and the highest place that was heard of while it is asked.
        self._again = False
        self._highest: Position | None = None
        # The highest place that the log itself has told of, by its answers to a writer of this node.
        self._promised: Position | None = None
        # The ids of the entries that were delivered, and their offsets, the latest last.
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._offsets: deque[str] = deque(maxlen=_MOST_IDS_TOLD)

    def look(self) -> None:
        """Ask the log: after each connect, now and then, and where something does not fit."""
        if self.is_asking:
            self._again = True
            return
        self.is_asking = True
        self._again = False
        self._highest = None
        self._ask(())

    def promised(self, place: Position) -> None:
        """The log has told a writer of this node that an entry is in the log."""
        before = self._promised
        if before is None or before.epoch != place.epoch or sequence(before.offset) < sequence(place.offset):
            self._promised = place

    @property
    def witness(self) -> Position | None:
        """The highest place that this node knows of; None where it knows none."""
        position, promised = self.position, self._promised
        if position is None or promised is None or promised.epoch != position.epoch:
            return position
        return promised if sequence(promised.offset) > sequence(position.offset) else position

    def published(self, entry: Entry[T], epoch: str) -> None:
        """An entry was published."""
        place = Position(epoch, entry.offset)
        if self.is_asking:
            highest = self._highest
            if highest is None or epoch != highest.epoch or sequence(entry.offset) > sequence(highest.offset):
                self._highest = place
            return
        position = self.position
        if position is None or place == position:
            return
        follows = epoch == position.epoch and sequence(entry.offset) == sequence(position.offset) + 1
        # What was delivered before, and what can't be read, has perhaps been published by somebody else than a node.
        # The log itself tells.
        if follows and entry.id is not None and entry.content is not None and entry.id not in self._seen:
            self._took(epoch, entry)
        else:
            self.look()

    def answered(self, answer: CaughtUp[T]) -> None:
        """The log has answered."""
        if answer.found is Found.TELL_IDS:
            # The place itself is the latest; there is always one.
            last = () if self.position is None else (self.position.offset,)
            self._ask((*last, *islice(reversed(self._offsets), _MOST_IDS_TOLD - 1)))
            return
        is_first = self.position is None
        self.position = Position(answer.epoch, answer.since)
        if answer.found in (Found.OTHER, Found.TRIMMED) and not is_first:
            self._reads.broken(self.position)
        for entry in answer.entries:
            if entry.id is None or entry.content is None:
                # Other nodes may be able to read it.
                self.position = Position(answer.epoch, entry.offset)
                self._reads.broken(self.position)
            elif entry.id in self._seen:
                self.position = Position(answer.epoch, entry.offset)
                self._offsets.append(entry.offset)
            else:
                self._took(answer.epoch, entry)
        if not answer.is_all:
            self._ask(())
            return
        self.position = Position(answer.epoch, answer.top)
        self._settled()

    def unanswered(self) -> None:
        """The log can't be asked now; with the next connection it is asked again."""
        self.is_asking = False
        self._tell(False)

    def _ask(self, offsets: tuple[str, ...]) -> None:
        witness = self.witness
        self._reads.ask(self.position, "" if witness is None else witness.offset, offsets)

    def _settled(self) -> None:
        self.is_asking = False
        highest, position = self._highest, self.position
        assert position is not None
        missed = highest is not None and (
            highest.epoch != position.epoch or sequence(highest.offset) > sequence(position.offset)
        )
        if missed or self._again:
            self.look()
        else:
            self._tell(True)

    def _tell(self, is_known: bool) -> None:
        waiting, self.on_answer = self.on_answer, deque()
        for function in waiting:
            function(is_known)

    def _took(self, epoch: str, entry: Entry[T]) -> None:
        assert entry.id is not None
        assert entry.content is not None
        self.position = position = Position(epoch, entry.offset)
        self._seen[entry.id] = None
        self._offsets.append(entry.offset)
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        self._reads.deliver(position, entry.content)


def sequence(offset: str) -> int:
    """The number of an offset. Numbers of two epochs have nothing to do with each other."""
    return int(offset.partition("-")[0])

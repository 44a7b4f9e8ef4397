"""One name's log in Redis: what the reader and the writer of a node want is asked there. It decides nothing itself."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ...core.envelope import Envelope, Unopened
from ...core.history import HistoryLimits, LoggedSignal, Position
from ...core.log_reader import CaughtUp, Entry, Found, LogReader
from ...core.log_writer import Appended, LogWriter, Taken
from ...errors import BackplaneUnavailable
from .channels import LOGGED
from .connection import RedisRefused
from .node import RedisNode
from .recent_answers import RecentAnswers
from .scripts import APPEND, CATCH_UP, OPEN

__all__ = ["PAGE_ENTRIES", "NameLog", "data_of", "entry_of", "is_position", "opened", "signal_of"]

PAGE_ENTRIES = 500
"""How many entries are asked for at a time."""
_OFFSET = re.compile(r"(?:0|[1-9][0-9]{0,15})-(?:0|[1-9][0-9]{0,15})")
_EPOCH = re.compile(r"[a-z0-9]{6,16}")
_HIGHEST_SEQUENCE = 2**53 - 10**6
"""Lua counts in floating-point numbers."""
_ENDED = re.compile(rb"([0-9]{1,15}):([0-9]{1,16}-[0-9]{1,16}):[0-9]{1,15}")
_UNREADABLE = b"?"
"""Stands for an entry that no node has written: none opens it."""
_SALT_BITS = 50
_TOKEN_BYTES = 6
_META_MS = 7 * 24 * 3_600_000
"""How long the hash of a log is kept after the last call beside the time that entries are kept. Without that time, the
clients of a quiet name would be told that messages are lost."""


class NameLog:
    """The log of one name: this node's way into it and out of it.

    Args:
        node: this node.
        name: the name.
        limits: as above.
        recent: the answers of logs that still count.

    Attributes:
        limits: how much of it is kept; None where this node has not followed it, and so does not know.
        deliver_to, broken_to: the functions of who follows; None where nobody does.
        waiting: who waits for the first position.
        patience: the call that ends that wait; None where nobody waits.
        is_heard: whether the channel of the name is listened to.
    """

    def __init__(self, node: RedisNode, name: str, limits: HistoryLimits | None, recent: RecentAnswers) -> None:
        self._node = node
        self._recent = recent
        self._name = name
        self._keys = node.keys.log(name)
        self._channel = node.keys.channel(name)
        self.limits = limits
        self.deliver_to: Callable[[LoggedSignal], None] | None = None
        self.broken_to: Callable[[Position], None] | None = None
        self.waiting: list[Deferred[Position]] = []
        self.patience: IDelayedCall | None = None
        self.is_heard = False
        self.reader: LogReader[Envelope] = LogReader(self)
        self.writer = LogWriter(self, lambda: secrets.token_hex(_TOKEN_BYTES), node.now(), is_up=node.client.is_up)

    @property
    def position(self) -> Position | None:
        """The position of this node."""
        return self.reader.position

    def heard(self, is_confirmed: bool) -> None:
        """The channel is listened to; where Redis is away, that is so with the next connect."""
        if is_confirmed:
            self.reader.look()

    def give_up_waiting(self) -> None:
        """The first position does not come in time. When it comes, who follows is told as of a break."""
        self.patience = None
        waiting, self.waiting = self.waiting, []
        for known in waiting:
            if not known.called:
                known.errback(BackplaneUnavailable(self._node.why_away("Redis does not answer")))

    def back(self) -> None:
        """Redis can be asked again."""
        if self.deliver_to is None:
            self.writer.back()
        else:
            self.catch_up(lambda is_known: self.writer.back() if is_known else None)

    def when_known(self) -> Deferred[bool]:
        """Fires when the log is not being asked."""
        if not self.reader.is_asking:
            return succeed(True)
        known: Deferred[bool] = Deferred()
        self.reader.on_answer.append(known.callback)
        return known

    def unfollow(self) -> None:
        """Deliver no more. The next one who follows begins at the top."""
        self.deliver_to = self.broken_to = None
        self.is_heard = False
        self._node.channels.end(self._name, LOGGED)
        self.reader = LogReader(self)

    def let_go(self) -> None:
        """Nobody needs this any more, and nobody waits for the first position."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    # What the reader wants.

    def ask(self, position: Position | None, witness: str, offsets: tuple[str, ...]) -> None:
        """Ask the log what came after a position."""
        reader = self.reader
        place = ("", "") if position is None else position
        self._node.client.run(
            CATCH_UP,
            self._keys,
            self._channel,
            *place,
            secrets.token_hex(_TOKEN_BYTES),
            PAGE_ENTRIES,
            self._meta_ms(),
            self._limits_text(),
            witness,
            *offsets,
        ).addCallbacks(partial(self._answered, reader), partial(self._unanswered, reader))

    def deliver(self, position: Position, content: Envelope) -> None:
        """An entry comes."""
        self._recent.forget(self._name)
        if content.sender == self._node.name:
            self.writer.seen(content.id, position)
        if self.deliver_to is not None:
            self.deliver_to(signal_of(position, content))

    def broken(self, position: Position) -> None:
        """Entries may be lost for this node."""
        self._recent.forget(self._name)
        self._node.count("breaks")
        if self.broken_to is not None:
            self.broken_to(position)

    def _answered(self, reader: LogReader[Envelope], answer: list[Any]) -> None:
        code, epoch, *places, page = answer
        top, since = (_position(epoch, each) for each in places)
        if not (top and since):
            # Clients are told epochs and offsets, so neither may be any text that somebody else has written.
            self._malformed()
            reader.unanswered()
            return
        entries = tuple(entry_of(self._node, self._name, offset.decode(), data_of(fields)) for offset, fields in page)
        is_all = len(entries) < PAGE_ENTRIES
        is_late = reader.position is None and self.patience is None
        reader.answered(CaughtUp(Found(code), top.epoch, top.offset, since.offset, entries, is_all))
        if reader is self.reader and reader.position is not None:
            if self.patience is not None:
                self.patience.cancel()
                self.patience = None
            waiting, self.waiting = self.waiting, []
            for known in waiting:
                if not known.called:
                    known.callback(reader.position)
            if is_late:
                self.broken(reader.position)

    def _unanswered(self, reader: LogReader[Envelope], failure: Failure) -> None:
        reader.unanswered()
        self._node.failed(failure, "the log of {name} can't be read", name=self._name)

    # What the writer wants.

    def append(self, incarnation: str, number: int, data: bytes, size_bytes: int) -> None:
        """Send an entry."""
        limits, writer = self.limits, self.writer
        seen = None if self.deliver_to is None else self.reader.witness
        witness = ("", "") if seen is None else seen
        self._node.client.run(
            APPEND,
            self._keys,
            self._channel,
            secrets.token_hex(_TOKEN_BYTES),
            incarnation,
            number,
            secrets.randbits(_SALT_BITS),
            data,
            *_words(limits),
            self._meta_ms(),
            *witness,
            size_bytes,
        ).addCallbacks(
            partial(self._appended, writer, incarnation, number),
            partial(self._not_appended, writer, incarnation, number),
        )

    def end(self, incarnation: str) -> None:
        """End an incarnation."""
        writer = self.writer

        def ended(answer: bytes) -> None:
            found = _ENDED.fullmatch(answer)
            if answer and not found:
                self._malformed()
                writer.not_ended(incarnation)
                return
            position = self.position
            epoch = "" if position is None else position.epoch
            taken = Taken(int(found[1]), Position(epoch, found[2].decode())) if found else Taken(0, None)
            writer.ended(incarnation, taken)

        self._node.client.run(OPEN, self._keys, incarnation, self._meta_ms()).addCallbacks(
            ended, partial(self._not_ended, writer, incarnation)
        )

    def catch_up(self, then: Callable[[bool], None]) -> None:
        """Find out where the log is."""
        if self.deliver_to is None:
            then(True)
            return
        self.reader.on_answer.append(then)
        self.reader.look()

    def _appended(self, writer: LogWriter, incarnation: str, number: int, answer: list[Any]) -> None:
        code, epoch, offset = answer
        place = _position(epoch, offset)
        if code in (Appended.IN.value, Appended.SEEN.value):
            if place is None:
                # It is in the log, at a place that says nothing; it is found when the log is read.
                self._malformed()
                return
            self.reader.promised(place)
        writer.appended(incarnation, number, Appended(code), place or Position("", ""))

    def _not_appended(self, writer: LogWriter, incarnation: str, number: int, failure: Failure) -> None:
        self._node.failed(failure, "the log of {name} does not take a message", name=self._name)
        if failure.check(RedisRefused):
            writer.refused(incarnation, number)

    def _not_ended(self, writer: LogWriter, incarnation: str, failure: Failure) -> None:
        self._node.failed(failure, "the log of {name} can't be written", name=self._name)
        if failure.check(RedisRefused):
            writer.not_ended(incarnation)

    def _malformed(self) -> None:
        """What Redis has of this log no node has written. The log is asked again, as where it can't be read."""
        self._node.count("logs_malformed")
        self._node.warn("log", "the log of {name} has what no node has written there", name=self._name)

    def _limits_text(self) -> str:
        return " ".join(map(str, _words(self.limits)))

    def _meta_ms(self) -> int:
        return _META_MS + (0 if self.limits is None else round(self.limits.seconds * 1_000))


def _words(limits: HistoryLimits | None) -> tuple[int | str, ...]:
    """How much is kept, as the scripts take it."""
    return (
        ("", "", "") if limits is None else (limits.messages, limits.max_bytes, max(1, round(limits.seconds * 1_000)))
    )


def is_position(position: Position) -> bool:
    """Whether this can be a place in a log. Clients may offer any text, and so may whoever writes to Redis."""
    return (
        _EPOCH.fullmatch(position.epoch) is not None
        and _OFFSET.fullmatch(position.offset) is not None
        and int(position.offset.partition("-")[0]) <= _HIGHEST_SEQUENCE
    )


def _position(epoch: bytes, offset: bytes) -> Position | None:
    """A place as Redis tells it; None where it can be none."""
    place = Position(epoch.decode("latin-1"), offset.decode("latin-1"))
    return place if is_position(place) else None


def data_of(fields: list[bytes]) -> bytes:
    """The envelope of an entry of a stream, by the entry's fields; of one that no node has written, what is none."""
    return fields[3] if len(fields) == 6 and fields[3] else _UNREADABLE


def opened(node: RedisNode, name: str, data: bytes) -> Envelope | None:
    """An entry of a name's log; None where this node can't read it."""
    found = node.own.take(data) or node.envelopes.opened(data)
    if not isinstance(found, Unopened) and (found.kind != "log" or found.target.names != (name,)):
        found = Unopened.MISPLACED
    if isinstance(found, Unopened):
        node.refuse(found, "the log of {name}", name=name)
        return None
    return found


def entry_of(node: RedisNode, name: str, offset: str, data: bytes) -> Entry[Envelope]:
    """An entry as a reader takes it."""
    # A log that begins anew tells its place without an entry.
    envelope = opened(node, name, data) if data else None
    return Entry(offset, None if envelope is None else envelope.id, envelope)


def signal_of(position: Position, envelope: Envelope) -> LoggedSignal:
    """An entry as a hub takes it."""
    return LoggedSignal(position, envelope.target, envelope.payload, envelope.acknowledgement, is_text=envelope.is_text)

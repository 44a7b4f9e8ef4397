"""A log that several nodes write and read, with all that goes wrong between them. Nothing in here is a test.

The log does what the scripts in ``pode_signals/backplane/redis/lua`` do. Nodes talk to it by connections, which end
at any moment: what was sent by one that has ended may be carried out later. The log may go back to an earlier state.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from pode_signals.core.history import Position
from pode_signals.core.log_reader import CaughtUp, Entry, Found, LogReader, sequence
from pode_signals.core.log_writer import Appended, LogWriter, Outcome, Pending, Taken

__all__ = ["Log", "Node", "World"]


class Log:
    """The log, as the scripts keep it."""

    def __init__(self, random: Random, most: int) -> None:
        self._random = random
        self._most = most
        self.epoch: str | None = None
        self.seq = 0
        self.top = self.floor = "0-0"
        self.entries: list[tuple[str, str]] = []
        self.began_anew: Callable[[], None] = lambda: None
        self.writers: dict[str, Any] = {}

    def copied(self) -> Log:
        """A copy, which will have other epochs and salts from now on."""
        copied = copy.copy(self)
        copied.entries = list(self.entries)
        copied.writers = dict(self.writers)
        return copied

    def append(self, incarnation: str, number: int, data: str, witness: Position | None) -> tuple[int, str, str]:
        was = self.writers.get(incarnation)
        last, epoch = 0, self.epoch or ""
        if was is not None:
            if was[0] == "closed":
                return -3, epoch, self.top
            last = was[0]
            if number <= last:
                return 0, epoch, was[1]
        if number != last + 1:
            return -1, epoch, self.top
        if witness is not None and self._lacks(witness):
            return -1, epoch, self.top
        if self.epoch is None:
            self.epoch = self._new_epoch()
        if not self.entries:
            self.floor = self.top
        self.seq += 1
        self.top = f"{self.seq}-{self._random.randrange(10**6)}"
        self.entries.append((self.top, data))
        while len(self.entries) > self._most:
            offset = self.entries.pop(0)[0]
            if sequence(offset) > sequence(self.floor):
                self.floor = offset
        self.writers[incarnation] = (number, self.top)
        return 1, self.epoch, self.top

    def _lacks(self, witness: Position) -> bool:
        seen = sequence(witness.offset)
        return (
            witness.epoch != (self.epoch or "")
            or seen > self.seq
            or (seen == self.seq and seen > 0 and witness.offset != self.top)
        )

    def open(self, incarnation: str) -> tuple[int, str]:
        was = self.writers.get(incarnation)
        if was is not None and was[0] == "closed":
            found: tuple[int, str] = was[1]
            return found
        self.writers[incarnation] = ("closed", was or (0, ""))
        return was or (0, "")

    def catch_up(
        self, position: Position | None, witness: str, ids: tuple[str, ...]
    ) -> tuple[int, str, str, str, list[Any]]:
        if self.epoch is None:
            self.epoch = self._new_epoch()
            self._begin(0)
            return (0 if position is None else -1), self.epoch, self.top, self.top, []
        if position is None:
            return 0, self.epoch, self.top, self.top, []
        if not self.entries:
            self.floor = self.top
        offset = position.offset
        known = self._knows(offset)
        if position.epoch != self.epoch:
            since = offset if known else self.floor
            return -1, self.epoch, self.top, since, self._after(since)
        if self._knows(witness) or sequence(witness) < sequence(self.floor):
            if known:
                return 1, self.epoch, self.top, offset, self._after(offset)
            if sequence(offset) < sequence(self.floor):
                return -2, self.epoch, self.top, self.floor, self._after(self.floor)
        if not ids:
            return -4, self.epoch, self.top, self.floor, []
        self.epoch = self._new_epoch()
        self._begin(max(self.seq, sequence(offset), sequence(witness)) + 1000)
        self.began_anew()
        since = next((each for each in ids if self._has(each)), self.top)
        return -1, self.epoch, self.top, since, self._after(since)

    def _begin(self, seq: int) -> None:
        self.seq = seq
        self.top = self.floor = f"{seq}-0"

    def _new_epoch(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def _knows(self, offset: str) -> bool:
        return offset in (self.top, self.floor) or self._has(offset)

    def _has(self, offset: str) -> bool:
        return any(offset == each for each, _ in self.entries)

    def _after(self, offset: str) -> list[Any]:
        def key(each: str) -> tuple[int, int]:
            seq, _, salt = each.partition("-")
            return int(seq), int(salt)

        return [each for each in self.entries if key(each[0]) > key(offset)]


class Connection:
    """What a node has sent and not been answered: commands, answers, and messages that were published."""

    def __init__(self) -> None:
        self.commands: deque[tuple[Callable[[Log], Any], Callable[[Any], None]]] = deque()
        self.answers: deque[tuple[Callable[[Any], None], Any]] = deque()
        self.published: deque[tuple[str, str, str | None]] = deque()


class Node:
    """One node, which follows the log and writes to it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.connection: Connection | None = None
        self.delivered: list[str] = []
        self.breaks = 0
        # Whether a message of the connection was lost without a sign; and whether the node lacks something though
        # none was.
        self.lacks_messages = False
        self.is_late = False
        self.settled: dict[str, Position | Outcome] = {}
        self.sent = 0
        self.reader: LogReader[str] = LogReader(self)
        self._incarnations = 0
        self.writer = LogWriter(self, self._new_incarnation, 0.0, is_up=False)

    def _new_incarnation(self) -> str:
        self._incarnations += 1
        return f"{self.name}{self._incarnations}"

    def connect(self) -> None:
        self.connection = Connection()
        self.lacks_messages = False
        self.reader.on_answer.append(lambda is_known: self.writer.back() if is_known else None)
        self.reader.look()

    def lose(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            # What was sent may be carried out whenever Redis comes to it; nobody hears of the answers.
            self.world.ghosts += (command for command, _ in connection.commands)
            self.writer.lost()
            if self.reader.is_asking:
                self.reader.unanswered()

    def send(self) -> None:
        self.sent += 1
        entry_id = f"{self.name}.{self.sent}"
        due = self.world.now + self.world.random.choice([5, 50])

        def settled(outcome: Position | Outcome) -> None:
            assert entry_id not in self.settled
            self.settled[entry_id] = outcome

        self.writer.add(Pending(entry_id, entry_id.encode(), 1, due, settled), self.world.now)

    # What the reader wants.

    def ask(self, position: Position | None, witness: str, offsets: tuple[str, ...]) -> None:
        reader = self.reader

        def answered(answer: Any) -> None:
            found, epoch, top, since, entries = answer
            reader.answered(
                CaughtUp(
                    Found(found), epoch, top, since, tuple(Entry(offset, data, data) for offset, data in entries), True
                )
            )

        if self.connection is None:
            reader.unanswered()
        else:
            self.connection.commands.append((lambda log: log.catch_up(position, witness, offsets), answered))

    def deliver(self, position: Position, content: str) -> None:
        self.delivered.append(content)
        if content.startswith(self.name):
            self.writer.seen(content, position)

    def broken(self, position: Position) -> None:
        self.breaks += 1

    # What the writer wants.

    def append(self, incarnation: str, number: int, data: bytes, size_bytes: int) -> None:
        witness, text = self.reader.witness, data.decode()

        def append(log: Log) -> Any:
            answer = log.append(incarnation, number, text, witness)
            if answer[0] == 1:
                self.world.publish(answer[1], answer[2], text)
            return answer

        def answered(answer: Any) -> None:
            code, epoch, offset = answer
            if code in (0, 1):
                self.reader.promised(Position(epoch, offset))
            self.writer.appended(incarnation, number, Appended(code), Position(epoch, offset))

        if self.connection is not None:
            self.connection.commands.append((append, answered))

    def end(self, incarnation: str) -> None:
        def answered(answer: Any) -> None:
            number, offset = answer
            self.writer.ended(incarnation, Taken(number, Position("any", offset) if number else None))

        if self.connection is not None:
            self.connection.commands.append((lambda log: log.open(incarnation), answered))

    def catch_up(self, then: Callable[[bool], None]) -> None:
        self.reader.on_answer.append(then)
        self.reader.look()


class World:
    """Some nodes and a log.

    Args:
        seed: for all that is at random.
        goes_back: whether the log may lose what it had.
        most: how many entries it keeps.
    """

    def __init__(self, seed: int, *, goes_back: bool = False, most: int = 10_000) -> None:
        self.random = Random(seed)
        self.log = Log(self.random, most)
        self.goes_back = goes_back
        self.now = 0.0
        self.went_back = 0
        self._is_busy = True
        self.ghosts: list[Callable[[Log], Any]] = []
        self.log.began_anew = lambda: self.publish(self.log.epoch or "", self.log.top, None)
        self._kept = self.log.copied()
        self.nodes = [Node(self, name) for name in "abc"]

    def publish(self, epoch: str, offset: str, text: str | None) -> None:
        """Tell all nodes of an entry, or without a text of the place where the log begins anew."""
        for node in self.nodes:
            if node.connection is not None:
                node.connection.published.append((epoch, offset, text))

    def run(self, steps: int) -> None:
        """Let anything happen, and then all that is under way come to its end."""
        for number in range(steps):
            # Where nobody sends for a while, nothing that comes later shows a node what it lacks.
            self._is_busy = number % 100 < 50
            self._step()
            if self.random.random() < 0.02:
                self._quiet()
                self._see_who_is_late()
        self.ghosts.clear()
        for _ in range(4):
            self._quiet()
            self.now += 1_000
            for node in self.nodes:
                node.writer.give_up(self.now)
                if node.connection is None:
                    node.connect()
                else:
                    node.reader.look()
        self._quiet()

    def _see_who_is_late(self) -> None:
        """A node that has lost no message has all that is in the log as soon as nothing is under way."""
        for node in self.nodes:
            position = node.reader.position
            if node.connection is not None and not node.lacks_messages and position is not None:
                node.is_late = node.is_late or position.offset != self.log.top

    # A list of what may happen.
    def _step(self) -> None:  # noqa: C901
        random = self.random
        node = random.choice(self.nodes)
        connection = node.connection
        self.now += 0.1
        match random.choices(range(9), (30, 30, 25, 20, 3, 2, 1, 1, 1))[0]:
            case 0 if self._is_busy:
                node.send()
            case 1 if connection is not None and connection.commands:
                self._carry_out(connection)
            case 2 if connection is not None and connection.answers:
                answered, answer = connection.answers.popleft()
                answered(answer)
            case 3 if connection is not None and connection.published:
                self._hear(node, connection)
            case 4:
                if connection is None:
                    node.connect()
                else:
                    node.lose()
            case 5 if self.ghosts:
                self.ghosts.pop(0)(self.log)
            case 6:
                node.writer.give_up(self.now)
            case 7 if connection is not None and connection.published:
                connection.published.popleft()
                node.lacks_messages = True
            case 8 if self.goes_back:
                self._go_back()

    def _go_back(self) -> None:
        """Keep the state of the log, or bring the one back that was kept; then all connections are lost."""
        if self.random.random() < 0.5:
            self._kept = self.log.copied()
            return
        self.went_back += 1
        self.log = self._kept.copied()
        for each in self.nodes:
            each.lose()
        self.ghosts.clear()

    def _carry_out(self, connection: Connection) -> None:
        command, answered = connection.commands.popleft()
        connection.answers.append((answered, command(self.log)))

    def _hear(self, node: Node, connection: Connection) -> None:
        epoch, offset, text = connection.published.popleft()
        node.reader.published(Entry(offset, text, text), epoch)

    def _quiet(self) -> None:
        while True:
            busy = False
            for node in self.nodes:
                connection = node.connection
                if connection is None:
                    continue
                while connection.commands:
                    self._carry_out(connection)
                    busy = True
                while connection.answers:
                    answered, answer = connection.answers.popleft()
                    answered(answer)
                    busy = True
                while connection.published:
                    self._hear(node, connection)
                    busy = True
            if not busy:
                return

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest
from core.log_world import Connection, Log, Node, World

from pode_signals.core import log_reader
from pode_signals.core.history import Position
from pode_signals.core.log_reader import Found, LogReader
from pode_signals.core.log_writer import Taken

SCHEDULES = 400
STEPS = 250


def faults_of(world: World) -> list[str]:
    """What went wrong that nobody was told of."""
    refused = {key for node in world.nodes for key, outcome in node.settled.items() if outcome == "refused"}
    faults = [fault for node in world.nodes for fault in _faults_of_any(node, refused)]
    # Who was told that entries may be lost may get some of them later, behind others that it had before the log lost
    # both.
    whole = [node for node in world.nodes if not node.breaks]
    faults += [fault for node in whole for fault in _faults_of_whole(node)]
    for one, other in combinations(whole, 2):
        # Whoever followed first has all that the other one has.
        short, long = sorted((one.delivered, other.delivered), key=len)
        if short != long[len(long) - len(short) :]:
            faults.append(f"{one.name} and {other.name} differ")
    return faults


def _faults_of_any(node: Node, refused: set[str]) -> Iterator[str]:
    if len(set(node.delivered)) != len(node.delivered):
        yield f"{node.name} has doubles"
    if len(node.writer):
        yield f"{node.name} has entries left"
    if node.is_late:
        yield f"{node.name} has not all that was published to it"
    if refused.intersection(node.delivered):
        yield f"{node.name} has what was refused"


def _faults_of_whole(node: Node) -> Iterator[str]:
    for sender in node.world.nodes:
        numbers = [int(each.partition(".")[2]) for each in node.delivered if each.startswith(sender.name)]
        if numbers != sorted(numbers):
            yield f"{node.name} has {sender.name} out of order"
    taken = {key for key, outcome in node.settled.items() if isinstance(outcome, Position)}
    if taken - set(node.delivered):
        yield f"{node.name} lacks what it was told to be in the log"


def runs_with_faults(schedules: int = SCHEDULES, **options: Any) -> list[tuple[int, list[str]]]:
    """The seeds of the random schedules that end with a fault."""
    found = []
    for seed in range(schedules):
        world = World(seed, **options)
        world.run(STEPS)
        faults = faults_of(world)
        if faults:
            found.append((seed, faults))
    return found


@pytest.mark.parametrize(
    "options", [{}, {"most": 5}, {"goes_back": True}, {"goes_back": True, "most": 5}], ids=["", "few", "back", "both"]
)
def test_nothing_is_lost_without_a_word(options: dict[str, Any]) -> None:
    """S17.2: whatever becomes of connections, of answers and of the log, each node has every entry once and in order,
    or is told that it may lack some.
    """
    assert runs_with_faults(**options) == []


def _ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer sends anew what has no answer, and does not ask what the log took."""

    def end(self: Node, incarnation: str) -> None:
        self.writer.ended(incarnation, Taken(0, None))

    monkeypatch.setattr(Node, "end", end)


def _closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log tells what it took of an incarnation, and takes more of it later."""
    monkeypatch.setattr(Log, "open", lambda self, incarnation: self.writers.get(incarnation) or (0, ""))


def _has_no_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says what the log had."""
    append, catch_up = Log.append, Log.catch_up
    monkeypatch.setattr(Log, "append", lambda self, *given: append(self, *given[:3], None))
    monkeypatch.setattr(Log, "catch_up", lambda self, position, _, ids: catch_up(self, position, "0-0", ids))


def _forgets_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log has told a writer is not known to the reader."""
    monkeypatch.setattr(LogReader, "promised", lambda self, place: None)


def _takes_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that were delivered are not known again."""
    took = LogReader._took

    def forgetful(self: LogReader[str], epoch: str, entry: Any) -> None:
        took(self, epoch, entry)
        self._seen.clear()

    monkeypatch.setattr(LogReader, "_took", forgetful)


def _sees_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any later entry follows."""
    monkeypatch.setattr(log_reader, "sequence", lambda offset: _Any(int(offset.partition("-")[0])))


class _Any(int):
    """A number that is equal to all higher ones."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and int(self) >= int(other)

    def __hash__(self) -> int:
        return 0

    def __add__(self, other: int) -> int:
        return _Any(int(self) + other)


def _tells_no_breaks(kind: Found) -> Callable[[pytest.MonkeyPatch], None]:
    def tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
        answered = LogReader.answered

        def quiet(self: LogReader[str], answer: Any) -> None:
            answered(self, answer._replace(found=Found.FOLLOWS) if answer.found is kind else answer)

        monkeypatch.setattr(LogReader, "answered", quiet)

    return tells_none


def _does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that has connected again goes on with what is published."""

    def connect(self: Node) -> None:
        self.connection = Connection()
        if self.reader.position is None:
            self.reader.look()
        self.writer.back()

    monkeypatch.setattr(Node, "connect", connect)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (_ends_nothing, {}),
        (_closes_nothing, {}),
        (_has_no_witness, {"goes_back": True}),
        (_forgets_promises, {"goes_back": True}),
        (_takes_doubles, {"goes_back": True}),
        (_sees_no_gap, {}),
        (_tells_no_breaks(Found.OTHER), {"goes_back": True}),
        (_tells_no_breaks(Found.TRIMMED), {"most": 5}),
        (_does_not_look, {}),
    ],
    ids=lambda value: getattr(value, "__name__", "") if callable(value) else "",
)
def test_each_rule_is_needed(
    rule: Callable[[pytest.MonkeyPatch], None], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S17.2: without any one of its rules the protocol between nodes and log fails, and the test above sees that."""
    rule(monkeypatch)
    assert runs_with_faults(**options)

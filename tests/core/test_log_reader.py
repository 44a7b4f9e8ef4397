from __future__ import annotations

import pytest

from pode_signals.core.history import Position
from pode_signals.core.log_reader import CaughtUp, Entry, Found, LogReader


class Reads:
    """Keeps what a reader wants."""

    def __init__(self) -> None:
        self.asked: list[tuple[Position | None, str, tuple[str, ...]]] = []
        self.delivered: list[str] = []
        self.breaks: list[Position] = []
        self.reader = LogReader(self)

    def ask(self, position: Position | None, witness: str, offsets: tuple[str, ...]) -> None:
        self.asked.append((position, witness, offsets))

    def deliver(self, position: Position, content: str) -> None:
        self.delivered.append(content)

    def broken(self, position: Position) -> None:
        self.breaks.append(position)

    def answer(
        self, found: Found, top: str, *entries: Entry[str], epoch: str = "first", since: str = "", is_all: bool = True
    ) -> None:
        """The log answers."""
        self.reader.answered(CaughtUp(found, epoch, top, since or top, entries, is_all))

    def hear(self, offset: str, content: str | None = "", epoch: str = "first") -> None:
        """An entry is published."""
        self.reader.published(entry(offset, content), epoch)


def entry(offset: str, content: str | None = "") -> Entry[str]:
    """An entry whose content says its place, unless another one is given; None can't be read."""
    text = offset if content == "" else content
    return Entry(offset, text, text)


@pytest.fixture
def reads() -> Reads:
    """A node that is at the third entry."""
    reads = Reads()
    reads.reader.look()
    reads.answer(Found.BEGINS, "3-3")
    reads.asked.clear()
    return reads


def test_it_begins_at_the_top() -> None:
    """S17.2: a node that begins asks without a position, delivers nothing of what was before, and is told no break."""
    reads = Reads()
    reads.hear("1-1")
    reads.reader.look()
    assert reads.asked == [(None, "", ())]
    reads.answer(Found.BEGINS, "3-3")
    assert (reads.reader.position, reads.delivered, reads.breaks) == (Position("first", "3-3"), [], [])


def test_what_follows_is_delivered(reads: Reads) -> None:
    """S17.2: entries that follow one another are delivered as they are published, and the log is not asked."""
    reads.hear("4-4")
    reads.hear("5-5")
    assert (reads.delivered, reads.asked) == (["4-4", "5-5"], [])
    assert reads.reader.position == Position("first", "5-5")


def test_the_same_place_again(reads: Reads) -> None:
    """S17.2: the place where the node is means nothing new."""
    reads.hear("3-3")
    assert (reads.delivered, reads.asked) == ([], [])


@pytest.mark.parametrize(
    ("offset", "content", "epoch"),
    [("5-5", "", "first"), ("4-4", "", "other"), ("2-2", "", "first"), ("3-9", "", "first"), ("4-4", None, "first")],
    ids=["gap", "other epoch", "back", "other salt", "unreadable"],
)
def test_what_does_not_fit_makes_it_ask(reads: Reads, offset: str, content: str | None, epoch: str) -> None:
    """S17.2: an entry that does not follow, or can't be read, is not delivered: the log itself is asked."""
    reads.hear(offset, content, epoch)
    assert (reads.delivered, reads.asked) == ([], [(Position("first", "3-3"), "3-3", ())])


def test_what_was_delivered_and_is_published_again(reads: Reads) -> None:
    """S17.2: somebody who publishes an old entry as the next one is not believed: the log is asked."""
    reads.hear("4-4")
    reads.hear("5-5", "4-4")
    assert (reads.delivered, len(reads.asked)) == (["4-4"], 1)
    reads.answer(Found.FOLLOWS, "4-4")
    assert (reads.delivered, reads.breaks, reads.reader.position) == (["4-4"], [], Position("first", "4-4"))


def test_a_gap_is_filled(reads: Reads) -> None:
    """S17.2: what was not heard of comes from the log, in order and once."""
    reads.hear("6-6")
    reads.answer(Found.FOLLOWS, "6-6", entry("4-4"), entry("5-5"), entry("6-6"), since="3-3")
    assert (reads.delivered, reads.breaks, len(reads.asked)) == (["4-4", "5-5", "6-6"], [], 1)


def test_what_is_published_while_it_asks(reads: Reads) -> None:
    """S17.2: an entry that is published while the log is asked, and is not in the answer, makes it ask once more."""
    reads.reader.look()
    reads.hear("4-4")
    reads.answer(Found.FOLLOWS, "3-3")
    assert (len(reads.asked), reads.reader.is_asking) == (2, True)
    reads.answer(Found.FOLLOWS, "4-4", entry("4-4"), since="3-3")
    assert (reads.delivered, len(reads.asked), reads.reader.is_asking) == (["4-4"], 2, False)


def test_what_is_published_while_it_asks_and_is_in_the_answer(reads: Reads) -> None:
    """S17.2: an entry that is in the answer as well is delivered once, and the log is not asked again."""
    reads.reader.look()
    reads.hear("4-4")
    reads.hear("5-5", "5-5", "other")
    reads.hear("4-4")
    reads.answer(Found.FOLLOWS, "4-4", entry("4-4"), since="3-3")
    assert (reads.delivered, len(reads.asked)) == (["4-4"], 1)


def test_another_look_while_it_asks(reads: Reads) -> None:
    """S17.2: who wants to look while the log is asked gets an answer to a later question."""
    told: list[bool] = []
    reads.reader.look()
    reads.reader.on_answer.append(told.append)
    reads.reader.look()
    assert len(reads.asked) == 1
    reads.answer(Found.FOLLOWS, "3-3")
    assert (len(reads.asked), told) == (2, [])
    reads.answer(Found.FOLLOWS, "3-3")
    assert (len(reads.asked), told) == (2, [True])


def test_pages(reads: Reads) -> None:
    """S17.2: where the log has more than it gives at once, it is asked again from there."""
    reads.reader.look()
    reads.answer(Found.FOLLOWS, "5-5", entry("4-4"), since="3-3", is_all=False)
    assert reads.asked[1:] == [(Position("first", "4-4"), "4-4", ())]
    reads.answer(Found.FOLLOWS, "5-5", entry("5-5"), since="4-4")
    assert (reads.delivered, reads.breaks) == (["4-4", "5-5"], [])


def test_trimmed(reads: Reads) -> None:
    """S17.2: where entries were dropped that the node has not seen, it is told first, and gets what there is."""
    reads.reader.look()
    reads.answer(Found.TRIMMED, "9-9", entry("8-8"), entry("9-9"), since="7-7")
    assert (reads.breaks, reads.delivered) == ([Position("first", "7-7")], ["8-8", "9-9"])


def test_the_log_went_back(reads: Reads) -> None:
    """S17.2: a log that lacks what the node has seen is told the ids that the node has, and gives what others wrote."""
    reads.hear("4-4")
    reads.hear("5-5")
    reads.reader.look()
    reads.answer(Found.TELL_IDS, "4-4")
    assert reads.asked[1] == (Position("first", "5-5"), "5-5", ("5-5", "5-5", "4-4"))
    reads.answer(Found.OTHER, "1005-0", entry("5-8", "theirs"), epoch="second", since="4-4")
    assert (reads.breaks, reads.delivered[2:]) == ([Position("second", "4-4")], ["theirs"])
    assert reads.reader.position == Position("second", "1005-0")


def test_a_log_that_forgot_a_promise(reads: Reads) -> None:
    """S17.2: what the log has told a writer of this node is a witness as well, before the reader has read that far."""
    reads.reader.promised(Position("first", "5-5"))
    reads.reader.promised(Position("first", "4-4"))
    reads.reader.look()
    assert reads.asked == [(Position("first", "3-3"), "5-5", ())]
    assert reads.reader.witness == Position("first", "5-5")
    reads.reader.promised(Position("other", "1-1"))
    assert reads.reader.witness == Position("first", "3-3")


def test_an_entry_of_the_log_that_cannot_be_read(reads: Reads) -> None:
    """S17.2: an entry that is in the log and can't be opened is a break, and the next ones are delivered."""
    reads.reader.look()
    reads.answer(Found.FOLLOWS, "5-5", entry("4-4", None), entry("5-5"), since="3-3")
    assert (reads.breaks, reads.delivered) == ([Position("first", "4-4")], ["5-5"])


def test_entries_that_a_new_epoch_has_again(reads: Reads) -> None:
    """S17.2: an entry that was delivered and is written again after the log went back is not delivered twice."""
    reads.hear("4-4", "mine")
    reads.reader.look()
    reads.answer(
        Found.OTHER, "1002-2", entry("1001-1", "mine"), entry("1002-2", "next"), epoch="second", since="1000-0"
    )
    assert reads.delivered == ["mine", "next"]
    assert reads.reader.position == Position("second", "1002-2")


def test_no_answer(reads: Reads) -> None:
    """S17.2: who waits for the log is told that it can't be asked, and it is asked again later."""
    told: list[bool] = []
    reads.reader.look()
    reads.reader.on_answer.append(told.append)
    reads.reader.unanswered()
    assert (told, reads.reader.is_asking) == ([False], False)
    reads.reader.look()
    assert len(reads.asked) == 2


def test_what_is_remembered_is_bounded(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: a node remembers the last some thousand entries, and not all."""
    monkeypatch.setattr("pode_signals.core.log_reader._MOST_REMEMBERED", 2)
    for number in range(4, 10):
        reads.hear(f"{number}-{number}")
    assert len(reads.reader._seen) == 2


def test_ids_are_told_where_there_is_no_position() -> None:
    """S17.2: a log that wants ids of a node that has none is asked without them."""
    reads = Reads()
    reads.reader.look()
    reads.answer(Found.TELL_IDS, "3-3")
    assert reads.asked == [(None, "", ()), (None, "", ())]

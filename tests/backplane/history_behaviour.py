"""What the logs of every backplane have to do: entries in order, once, and all that was missed or nothing."""

from __future__ import annotations

import pytest
from backplane.node import FEW, Node, not_broken

from pode_signals.backplane.contract import HistoryLimits, LoggedSignal, Position
from pode_signals.core.model import Target
from pode_signals.errors import UnknownHistory


class HistoryBehaviour:
    def test_in_order_and_once(self, node: Node) -> None:
        """S17.2: each entry is delivered once, in log order, to who follows its name."""
        room, hall = node.follow(), node.follow("Hall")
        for number in range(10):
            node.append(b"%d" % number)
        node.append(b'"elsewhere"', Target(("Hall",)))
        assert room == [b"%d" % number for number in range(10)]
        assert hall == [b'"elsewhere"']

    def test_what_is_delivered(self, node: Node) -> None:
        """S17.2: an entry is delivered as it was appended, with its position."""
        signals: list[LoggedSignal] = []
        node.result(node.backplane.history.follow("Room", FEW, signals.append, not_broken))
        target = Target(("Room",), ("red", "blue"), ("ada",))
        position = node.result(node.backplane.history.append(target, b'{"a":"\xc3\xa9"}', "n1.7"))
        assert signals == [LoggedSignal(position, target, b'{"a":"\xc3\xa9"}', "n1.7")]

    def test_the_position_follows(self, node: Node) -> None:
        """S17.2: the position is that of the last entry delivered, from where follow found it on."""
        history = node.backplane.history
        assert history.position("Room") is None
        begin = node.result(history.follow("Room", FEW, lambda signal: None, not_broken))
        assert node.now_at() == begin
        position = node.append(b"1")
        assert node.now_at() == position != begin
        assert position.epoch == begin.epoch

    def test_positions_are_those_of_the_protocol(self, node: Node) -> None:
        """S17.2: an offset is a sequence that counts up by 1 and a random salt, both decimal; an epoch is short."""
        node.follow()
        begin = node.now_at()
        positions = [node.append(b"1") for _ in range(4)]
        offsets = [position.offset.split("-") for position in positions]
        assert [int(sequence) for sequence, _ in offsets] == [1, 2, 3, 4]
        assert all(salt.isdecimal() and int(salt) < 1 << 50 for _, salt in offsets)
        assert len({salt for _, salt in offsets}) == 4
        assert begin.offset == "0-0"
        assert 6 <= len(begin.epoch) <= 16
        assert set(begin.epoch) <= set("abcdefghijklmnopqrstuvwxyz0123456789")

    def test_as_many_as_the_cap(self, node: Node) -> None:
        """S17.2: who missed as many messages as are kept gets all of them; who missed one more gets none."""
        node.follow()
        positions = [node.now_at(), *(node.append(b"%d" % number) for number in range(4))]
        assert node.missed(positions[1], positions[4]) == [b"1", b"2", b"3"]
        assert node.missed(positions[0], positions[4]) is None

    def test_as_many_bytes_as_the_cap(self, node: Node) -> None:
        """S17.2: the same holds for bytes."""
        node.follow(limits=HistoryLimits(messages=100, max_bytes=10))
        begin = node.now_at()
        first = node.append(b"1" * 5)
        second = node.append(b"2" * 5)
        assert node.missed(begin, second) == [b"1" * 5, b"2" * 5]
        third = node.append(b"3")
        assert node.missed(begin, third) is None
        assert node.missed(first, third) == [b"2" * 5, b"3"]

    def test_one_larger_than_the_cap(self, node: Node) -> None:
        """S17.2: the last entry is kept even where it alone is larger than the bytes that are kept."""
        node.follow(limits=HistoryLimits(messages=100, max_bytes=10))
        first, second = node.append(b"1"), node.append(b"2" * 11)
        assert node.missed(first, second) == [b"2" * 11]
        assert node.result(node.backplane.history.size("Room")) == (1, 11)

    def test_age(self, node: Node) -> None:
        """S17.2: what is too old goes not before its time, and is gone at the next append."""
        node.follow()
        begin, first = node.now_at(), node.append(b"1")
        node.advance(59)
        assert node.missed(begin, first) == [b"1"]
        node.advance(2)
        second = node.append(b"2")
        assert node.missed(begin, second) is None
        assert node.missed(first, second) == [b"2"]

    def test_quiet_for_long(self, node: Node) -> None:
        """S17.2: who has seen the last entry has missed nothing, however long ago it was and went."""
        node.follow()
        position = node.append(b"1")
        node.advance(3_600)
        assert node.missed(position, position) == []
        assert node.now_at() == position
        assert node.missed(position, node.append(b"2")) == [b"2"]

    def test_nothing_yet(self, node: Node) -> None:
        """S17.2: who came before the first message has missed nothing, or all of it."""
        node.follow()
        begin = node.now_at()
        assert node.missed(begin, begin) == []
        assert node.missed(begin, node.append(b"1")) == [b"1"]

    def test_up_to_a_position(self, node: Node) -> None:
        """S17.2: nothing after ``until`` is given; where ``since`` is known and not before it, nothing was missed."""
        node.follow()
        first, second, third = (node.append(b"%d" % number) for number in (1, 2, 3))
        assert node.missed(first, second) == [b"2"]
        assert node.missed(third, second) == []
        assert node.missed(second, second) == []

    def test_ahead_of_a_position_that_has_gone(self, node: Node) -> None:
        """S17.2: who has what is kept has missed nothing up to a position from before that."""
        node.follow()
        positions = [node.append(b"%d" % number) for number in range(6)]
        assert node.missed(positions[5], positions[0]) == []

    @pytest.mark.parametrize(
        "offset",
        [
            "", "-", "2", "2-", "2-1", "-2-1", "02", "99-1", "9999999999999999-1", "9" * 10_000 + "-1", "٢-1", "²-1",
            "2-1-1", "+2-1", " 2-1", "2_0-1", "x", "\x00", "\ud800",
        ],
    )  # fmt: skip
    def test_unknown_offsets(self, node: Node, offset: str) -> None:
        """S17.2: what is no offset of the log, or has another salt, is not complete and harms nobody."""
        node.follow()
        positions = [node.append(b"%d" % number) for number in range(3)]
        forged = Position(positions[0].epoch, offset)
        assert node.missed(forged, positions[2]) is None
        assert node.missed(positions[0], forged) is None
        assert node.missed(positions[0], positions[2]) == [b"1", b"2"]
        assert node.now_at() == positions[2]

    @pytest.mark.parametrize("offset", ["02-{}", "2-0{}", "2-{}-", " 2-{}"])
    def test_other_spellings(self, node: Node, offset: str) -> None:
        """S17.2: an offset is known as it was told alone, in no other spelling of its numbers."""
        node.follow()
        salts = [node.append(b"1").offset.split("-")[1] for _ in range(3)]
        forged = Position(node.now_at().epoch, offset.format(salts[1]))
        assert node.missed(forged, node.now_at()) is None

    def test_another_epoch(self, node: Node) -> None:
        """S17.2: a position of another epoch is not complete, on either side."""
        node.follow()
        position = node.append(b"1")
        for epoch in ("", "zzzzzz", position.epoch.upper() + "!"):
            assert node.missed(Position(epoch, position.offset), position) is None
            assert node.missed(position, Position(epoch, position.offset)) is None

    def test_the_position_of_another_name(self, node: Node) -> None:
        """S17.2: each name has an epoch of its own."""
        node.follow()
        node.follow("Hall")
        position, elsewhere = node.append(b"1"), node.append(b"1", Target(("Hall",)))
        assert position.epoch != elsewhere.epoch
        assert node.missed(elsewhere, position) is None

    def test_unfollow(self, node: Node) -> None:
        """S17.2: a name that nobody follows delivers nothing, and its log goes on."""
        room = node.follow()
        first = node.append(b"1")
        node.backplane.history.unfollow("Room")
        assert node.backplane.history.position("Room") is None
        second = node.append(b"2")
        assert room == [b"1"]
        assert node.missed(first, second) == [b"2"]
        again = node.follow()
        assert node.now_at() == second
        node.append(b"3")
        assert (room, again) == ([b"1"], [b"3"])

    def test_unfollow_nothing(self, node: Node) -> None:
        """S17.2: a name that is not followed can be unfollowed, and one without a log be forgotten."""
        node.backplane.history.unfollow("Room")
        node.backplane.history.forget("Room")
        node.follow()
        for _ in range(2):
            node.backplane.history.unfollow("Room")
        assert node.backplane.history.position("Room") is None

    def test_follow_again(self, node: Node) -> None:
        """S17.2: following again takes the place of what followed, and its limits hold."""
        before = node.follow()
        node.append(b"1")
        position = node.now_at()
        after = node.follow(limits=HistoryLimits(messages=1))
        assert node.now_at() == position
        node.append(b"2")
        node.append(b"3")
        assert (before, after) == ([b"1"], [b"2", b"3"])
        assert node.missed(position, node.now_at()) is None

    @pytest.mark.parametrize("followed", [True, False])
    def test_forget(self, node: Node, followed: bool) -> None:
        """S17.2: a log that was forgotten delivers nothing and never returns; the next one is another epoch."""
        room = node.follow()
        position = node.append(b"1")
        if not followed:
            node.backplane.history.unfollow("Room")
        node.backplane.history.forget("Room")
        assert node.backplane.history.position("Room") is None
        assert node.missed(position, position) is None
        assert node.result(node.backplane.history.size("Room")) == (0, 0)
        node.follow()
        assert node.now_at().epoch != position.epoch
        assert node.missed(position, node.append(b"2")) is None
        assert room == [b"1"]

    def test_no_log_by_a_message(self, node: Node) -> None:
        """S17.2: a message makes no log: an append where none is fails, and nothing is kept."""
        with pytest.raises(UnknownHistory):
            node.append(b"1")
        assert node.backplane.history.position("Room") is None
        assert node.result(node.backplane.history.size("Room")) == (0, 0)
        assert node.missed(Position("abcdef", "0-0"), Position("abcdef", "0-0")) is None

    @pytest.mark.parametrize("names", [None, (), ("Room", "Hall")])
    def test_one_name(self, node: Node, names: tuple[str, ...] | None) -> None:
        """S17.2: an entry is for the log of one name."""
        node.follow()
        with pytest.raises(ValueError, match="one name"):
            node.backplane.history.append(Target(names), b"1", None)
        assert node.result(node.backplane.history.size("Room")) == (0, 0)

    def test_size(self, node: Node) -> None:
        """S17.2: a log tells how many entries and bytes of payload it has."""
        node.follow()
        for data in (b"1", b"22", b"333", b"4444"):
            node.append(data)
        assert node.result(node.backplane.history.size("Room")) == (3, 9)

    def test_what_is_held(self, node: Node) -> None:
        """S17.2: a node tells how many entries it holds for all names, and their bytes: at least the payloads."""
        assert node.backplane.history.held == (0, 0)
        for name in ("Room", "Hall"):
            node.follow(name)
            for data in (b"1", b"22", b"333", b"4444"):
                node.append(data, Target((name,)))
        entries, size_bytes = node.backplane.history.held
        assert entries == 6
        assert size_bytes >= 18
        node.backplane.history.forget("Room")
        assert node.backplane.history.held[0] == 3
        assert node.backplane.history.held[1] < size_bytes
        node.backplane.history.forget("Hall")
        assert node.backplane.history.held == (0, 0)

    def test_read(self, node: Node) -> None:
        """S17.2: a log can be read in pages, from its oldest entry or from any that is kept."""
        node.follow(limits=HistoryLimits(messages=5))
        for number in range(7):
            node.append(b"%d" % number)
        read = node.backplane.history.read
        pages, since = [], None
        while page := node.result(read("Room", since, 2)):
            pages.append([signal.data for signal in page])
            since = page[-1].position
        assert pages == [[b"2", b"3"], [b"4", b"5"], [b"6"]]
        assert node.result(read("Room", None, 0)) == ()

    def test_read_what_has_gone(self, node: Node) -> None:
        """S17.2: a reader whose place has gone is told, and so is one of a name without a log."""
        node.follow()
        positions = [node.append(b"%d" % number) for number in range(5)]
        read = node.backplane.history.read
        assert [signal.data for signal in node.result(read("Room", positions[1], 9))] == [b"2", b"3", b"4"]
        for name, since in (("Room", positions[0]), ("Room", Position("abcdef", "1-1")), ("Hall", None)):
            with pytest.raises(UnknownHistory):
                node.result(read(name, since, 9))

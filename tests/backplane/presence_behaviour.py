"""What the presence of every backplane has to do: who is a member of a name, and who is told of changes."""

from __future__ import annotations

import pytest
from backplane.node import ADA, BOB, EVE, Node, told

from pode_signals.backplane.contract import Member, PresenceChange


class PresenceBehaviour:
    def test_members(self, node: Node) -> None:
        """S17.1: the members of a name are those that have joined it, with all that was said of them."""
        member = Member("Room", "ada", ("red", "blue"), "lovelace", {"color": ["red", None, 1.5]})
        node.join(member, Member("Hall", "bob"))
        assert node.result(node.backplane.presence.members("Room")) == (member,)
        assert node.ids(name="Hall") == ["bob"]
        assert node.ids(name="Nowhere") == []

    def test_groups(self, node: Node) -> None:
        """S17.1: a member of several groups is in each of them, and one without groups in none."""
        node.join(ADA, Member("Room", "bob", ("red", "blue")), Member("Room", "eve", ("red",)))
        assert (node.ids(), node.ids("red"), node.ids("blue")) == (["ada", "bob", "eve"], ["bob", "eve"], ["bob"])
        assert node.ids("green") == []

    def test_replace(self, node: Node) -> None:
        """S17.1: a client id is one member of a name; its last join says who it is."""
        node.join(Member("Room", "ada", ("red",)), Member("Hall", "ada"))
        node.join(Member("Room", "ada", ("blue",)))
        assert (node.ids(), node.ids("red"), node.ids("blue"), node.ids(name="Hall")) == (["ada"], [], ["ada"], ["ada"])

    def test_leave_at_once(self, node: Node) -> None:
        """S17.1: without a grace who leaves is gone."""
        node.join(ADA, BOB)
        node.leave("ada")
        assert node.ids() == ["bob"]
        node.leave("bob", -1)
        assert node.ids() == []

    def test_grace(self, node: Node) -> None:
        """S17.1: who leaves is a member until the grace is over, and is told to have left then, once."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(14)
        assert (node.ids(), changes) == (["ada"], [])
        node.advance(2)
        assert node.ids() == []
        assert changes == [PresenceChange(left=(ADA,))]
        node.advance(60)
        assert len(changes) == 1

    def test_back_within_the_grace(self, node: Node) -> None:
        """S17.1: of a member that joins again within the grace nobody is told that it was away."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(10)
        node.join(Member("Room", "ada"))
        node.advance(60)
        assert (node.ids(), changes) == (["ada"], [])

    def test_back_as_another(self, node: Node) -> None:
        """S17.1: one that comes back within the grace as another than before is told as such."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(1)
        now = Member("Room", "ada", ("red",))
        node.join(now)
        node.advance(60)
        assert changes == [PresenceChange(joined=(now,))]

    def test_the_grace_of_an_earlier_leave(self, node: Node) -> None:
        """S17.1: a leave that was undone takes no part in the next one."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(10)
        node.join(ADA)
        node.leave("ada", 15)
        node.advance(10)
        assert (node.ids(), changes) == (["ada"], [])
        node.advance(6)
        assert (node.ids(), len(changes)) == ([], 1)

    def test_leave_what_is_not_there(self, node: Node) -> None:
        """S17.1: a leave of a client id that this node does not hold, or that is leaving already, changes nothing."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("bob")
        node.leave("ada", name="Hall")
        node.leave("ada", 15)
        node.leave("ada", 60)
        node.leave("ada", 0)
        assert node.ids() == ["ada"]
        node.advance(16)
        node.leave("ada")
        node.leave("ada", 5)
        node.advance(60)
        assert (node.ids(), changes) == ([], [PresenceChange(left=(ADA,))])

    def test_watch(self, node: Node) -> None:
        """S17.1: a watch begins with the members, and every later change is told once, in order, with the members."""
        node.join(ADA, BOB)
        members, changes = node.watch()
        assert members == ["ada", "bob"]
        node.join(EVE)
        node.advance(0)
        node.leave("ada")
        node.advance(0)
        assert changes == [PresenceChange(joined=(EVE,)), PresenceChange(left=(ADA,))]

    def test_batches(self, node: Node) -> None:
        """S17.1: the changes of one turn are told together."""
        node.join(ADA)
        _, changes = node.watch()
        node.join(BOB, EVE)
        node.leave("ada")
        node.advance(0)
        assert [told(change) for change in changes] == [(["bob", "eve"], ["ada"])]

    def test_changes_that_undo_each_other(self, node: Node) -> None:
        """S17.1: an id is told to have joined or to have left, not both; and not at all where all is as it was."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada")
        node.join(ADA)
        node.join(BOB)
        node.leave("bob")
        node.join(ADA)
        node.advance(0)
        assert changes == []
        node.leave("ada")
        other = Member("Room", "ada", user="lovelace")
        node.join(other)
        node.advance(0)
        assert changes == [PresenceChange(joined=(other,))]

    @pytest.mark.parametrize(
        ("before", "after"), [(1, True), (0, False), (1, 1.0), ([1], [True]), ({"a": 0}, {"a": False}), (None, "None")]
    )
    def test_equal_in_python_alone(self, node: Node, before: object, after: object) -> None:
        """S17.1: a change of a member's info from one JSON value to another is told, though Python calls both equal."""
        node.join(Member("Room", "ada", info=before))
        _, changes = node.watch()
        node.join(Member("Room", "ada", info=after))
        node.advance(0)
        assert changes == [PresenceChange(joined=(Member("Room", "ada", info=after),))]
        assert repr(changes[0].joined[0].info) == repr(after)

    def test_watch_of_what_has_just_changed(self, node: Node) -> None:
        """S17.1: what the members of a watch contain is not told as a change after them."""
        _, before = node.watch()
        node.join(ADA)
        members, after = node.watch()
        node.advance(0)
        assert (members, before, after) == (["ada"], [], [])

    def test_watch_again(self, node: Node) -> None:
        """S17.1: another watch of a name takes the place of the first."""
        _, before = node.watch()
        _, after = node.watch()
        node.join(ADA)
        node.advance(0)
        assert (before, after) == ([], [PresenceChange(joined=(ADA,))])

    def test_unwatch(self, node: Node) -> None:
        """S17.1: who watches no more is told nothing, of changes that have already happened neither."""
        _, changes = node.watch()
        node.join(ADA)
        node.backplane.presence.unwatch("Room")
        node.advance(0)
        node.join(BOB)
        node.advance(60)
        assert changes == []
        node.backplane.presence.unwatch("Room")

    def test_only_the_name(self, node: Node) -> None:
        """S17.1: a watch tells of one name."""
        _, changes = node.watch()
        node.join(Member("Hall", "ada"))
        node.advance(0)
        assert changes == []

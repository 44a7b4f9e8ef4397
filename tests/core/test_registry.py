from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pode_signals.core.groups import with_group, without_group
from pode_signals.core.model import Target
from pode_signals.core.registry import Registry
from pode_signals.core.targets import matches
from pode_signals.errors import UnknownName


@define(eq=False, slots=True, weakref_slot=True)
class Member:
    """An entry, compared by identity. Its groups are given as one text, several texts or None."""

    name: str
    client_id: str
    groups: tuple[str, ...] = field(
        default=(), converter=lambda given: (given,) if isinstance(given, str) else tuple(given or ())
    )


@pytest.fixture
def registry() -> Registry[Member]:
    """An empty registry."""
    return Registry()


def joined(registry: Registry[Member], *members: tuple[Any, ...]) -> list[Member]:
    """Add members, each given as name, client id and perhaps groups."""
    found = [Member(*member) for member in members]
    for member in found:
        registry.add(member)
    return found


def test_an_empty_registry(registry: Registry[Member]) -> None:
    """S10.1: where nobody is, nothing is found and nothing raises but the questions about one name."""
    assert (registry.names(), registry.count(), registry.count("Msg"), registry.name_count()) == ((), 0, 0, 0)
    assert not registry.has_name("Msg")
    assert not registry.has_client_id("Msg", "a")
    assert registry.get("Msg", "a") is None
    assert registry.with_client_id("a") == ()
    assert not registry.remove(Member("Msg", "a"))
    for target in (Target(None), Target(("Msg",)), Target(None, ("g",), ("a",)), Target(("Msg",), ("g",))):
        assert registry.select(target) == ()


def test_asking(registry: Registry[Member]) -> None:
    """S10.1: names, groups, client ids and counts, by name and by group."""
    a, b, *_ = joined(registry, ("Msg", "a"), ("Msg", "b", "red"), ("Msg", "c", "blue"), ("Other", "a", "red"))
    assert registry.names() == ("Msg", "Other")
    assert registry.groups("Msg") == ("red", "blue")
    assert registry.client_ids("Msg") == ("a", "b", "c")
    assert registry.client_ids("Msg", "red") == ("b",)
    assert registry.client_ids("Msg", "green") == ()
    assert registry.get("Msg", "b") is b
    assert registry.get("Msg", "z") is None
    assert registry.has_name("Msg")
    assert registry.has_client_id("Msg", "a")
    assert registry.has_client_id("Msg", "b", "red")
    assert not registry.has_client_id("Msg", "b", "blue")
    assert not registry.has_client_id("Msg", "a", "red")
    assert registry.with_client_id("b") == (b,)
    assert [entry.name for entry in registry.with_client_id("a")] == ["Msg", "Other"]
    assert registry.with_client_id("a")[0] is a
    assert (registry.count(), registry.count("Msg"), registry.count("Other"), registry.name_count()) == (4, 3, 1, 2)


def test_unknown_names(registry: Registry[Member]) -> None:
    """S10.1: groups and client ids of a name that nobody has are UnknownName."""
    joined(registry, ("Msg", "a"))
    for ask in (registry.groups, registry.client_ids, lambda name: registry.client_ids(name, "red")):
        with pytest.raises(UnknownName) as caught:
            ask("Other")
        assert caught.value.name == "Other"


def test_a_taken_client_id(registry: Registry[Member]) -> None:
    """S2.4: a name and client id are taken once; the second is a ValueError and changes nothing."""
    (a,) = joined(registry, ("Msg", "a", "red"))
    with pytest.raises(ValueError, match="already"):
        registry.add(Member("Msg", "a", "blue"))
    assert registry.get("Msg", "a") is a
    assert (registry.count(), registry.groups("Msg"), registry.with_client_id("a")) == (1, ("red",), (a,))


def test_removal_is_by_identity(registry: Registry[Member]) -> None:
    """S2.4: the late removal of an entry that was replaced leaves the one that replaced it."""
    old = Member("Msg", "a", "red")
    new = Member("Msg", "a", "red")
    registry.add(old)
    assert registry.remove(old)
    registry.add(new)
    assert not registry.remove(old)
    assert registry.get("Msg", "a") is new
    assert registry.select(Target(("Msg",), ("red",))) == (new,)
    assert registry.remove(new)
    assert not registry.remove(new)
    assert registry.count() == 0


def texts_in(container: object) -> set[str]:
    """Every text that a container holds, however deep, apart from what its types hold."""
    texts, waiting = set(), [container]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.add(value)
        elif not isinstance(value, type):
            waiting.extend(gc.get_referents(value))
    return texts


def test_nothing_is_left(registry: Registry[Member]) -> None:
    """S10.3: when the last one leaves, neither its name nor its group nor any reference to it is left."""
    members = joined(registry, ("Msg", "a", "red"), ("Msg", "b", "blue"), ("Msg", "c"), ("Other", "a", "red"))
    targets = [Target(None), Target(("Msg",)), Target(("Msg",), ("red",)), Target(None, ("red",))]
    for target in targets:
        registry.select(target)
    registry.remove(members[0])
    assert registry.groups("Msg") == ("blue",)
    assert registry.with_client_id("a") == (members[3],)
    references = list(map(weakref.ref, members))
    for member in members[1:]:
        assert registry.remove(member)
    assert (registry.names(), registry.count(), registry.name_count()) == ((), 0, 0)
    assert [registry.select(target) for target in targets] == [()] * 4
    del member, members
    gc.collect()
    assert [reference() for reference in references] == [None] * 4
    assert texts_in(registry) == set()


def put_into(registry: Registry[Member], member: Member, group: str) -> None:
    """Have a member join a group, as the hub does."""
    member.groups = with_group(member.groups, group)
    registry.join(member, group)


def take_out_of(registry: Registry[Member], member: Member, group: str) -> None:
    """Have a member leave a group, as the hub does."""
    member.groups = without_group(member.groups, group)
    registry.leave(member, group)


def test_nothing_is_left_of_a_group(registry: Registry[Member]) -> None:
    """S10.3: a group that its last member leaves is forgotten; that member stays in its name and its other groups."""
    a, b = joined(registry, ("Msg", "a", ["red", "blue"]), ("Other", "b", "red"))
    registry.select(Target(None, ("red", "blue")))
    take_out_of(registry, a, "red")
    assert (registry.groups("Msg"), registry.names(("red",))) == (("blue",), ("Other",))
    take_out_of(registry, b, "red")
    take_out_of(registry, a, "blue")
    assert (registry.groups("Msg"), registry.groups("Other")) == ((), ())
    assert texts_in(registry) == {"Msg", "Other", "a", "b"}
    assert registry.select(Target(None)) == (a, b)


def test_several_groups(registry: Registry[Member]) -> None:
    """P89: one that is in two groups of a send is selected once, and stands where it stands first."""
    a, b, c = joined(registry, ("Msg", "a", "red"), ("Msg", "b", ["blue", "red"]), ("Msg", "c", ["green", "blue"]))
    put_into(registry, a, "blue")
    for target, expected in [
        (Target(("Msg",), ("red", "blue")), [a, b, c]),
        (Target(("Msg",), ("blue", "red")), [b, c, a]),
        (Target(None, ("green", "blue", "red")), [c, b, a]),
        (Target(("Msg",), ("red", "blue"), ("c", "a")), [c, a]),
        (Target(("Msg",), ("red",), ("c", "a")), [a]),
        (Target(("Msg", "Other"), ("red", "blue")), [a, b, c]),
    ]:
        assert registry.select(target) == tuple(expected), target
    assert registry.groups("Msg") == ("red", "blue", "green")
    assert registry.client_ids("Msg", "blue") == ("b", "c", "a")
    assert registry.has_client_id("Msg", "a", "blue")
    assert registry.has_client_id("Msg", "a", "red")
    assert registry.remove(b)
    assert registry.select(Target(("Msg",), ("red", "blue"))) == (a, c)


def test_exclusions(registry: Registry[Member]) -> None:
    """S4.1: whoever has an excluded client id is left out, in whatever name; the others keep their order."""
    a, b, c, d, e = joined(
        registry, ("Msg", "a"), ("Msg", "b", "red"), ("Msg", "c", "red"), ("Other", "a", "red"), ("Other", "e")
    )
    for target, expected in [
        (Target(("Msg",), exclude=("a",)), [b, c]),
        (Target(("Msg",), exclude=("z", "c", "a", "b")), []),
        (Target(("Msg",), ("red",), exclude=("b",)), [c]),
        (Target(("Other", "Msg"), exclude=("a", "c")), [e, b]),
        (Target(None, exclude=("a",)), [b, c, e]),
        (Target(None, ("red",), exclude=("a", "b")), [c]),
        (Target(("Msg",), (), ("b", "a"), ("a",)), [b]),
        (Target(None, (), ("a", "b"), ("a", "b")), []),
        (Target(("Msg", "Other"), ("red",), ("a", "c"), ("c",)), [d]),
        (Target(("Unknown",), exclude=("a",)), []),
    ]:
        assert registry.select(target) == tuple(expected), target
    assert registry.select(Target(None)) == (a, b, c, d, e)


def test_exclusions_that_leave_nobody_out(registry: Registry[Member]) -> None:
    """S4.5: an audience that none of the excluded is in stays the same tuple, so messages of a turn stay together."""
    joined(registry, ("Msg", "a", "red"), ("Msg", "b"), ("Other", "c"))
    for target in (Target(("Msg",)), Target(("Msg",), ("red",))):
        excluding = Target(target.names, target.groups, (), ("c", "z"))
        assert registry.select(excluding) is registry.select(target)
    audiences = dict(registry.audiences(None, (), ("c",)))
    assert audiences["Msg"] is registry.audience("Msg")
    assert audiences["Other"] == ()


def test_selections(registry: Registry[Member]) -> None:
    """S4.2: a send reaches the connections of its names which are in one of its groups and have one of its ids."""
    a, b, c, d, e = joined(
        registry, ("Msg", "a"), ("Msg", "b", "red"), ("Msg", "c", "blue"), ("Other", "a", "red"), ("Other", "e")
    )
    for target, expected in [
        (Target(None), [a, b, c, d, e]),
        (Target(("Msg",)), [a, b, c]),
        (Target(("Other", "Msg")), [d, e, a, b, c]),
        (Target(("Msg", "Msg")), [a, b, c]),
        (Target(("Msg", "Unknown")), [a, b, c]),
        (Target(()), []),
        (Target(("Msg",), ("red",)), [b]),
        (Target(("Msg",), ("blue", "red", "blue")), [c, b]),
        (Target(("Msg",), ("green",)), []),
        (Target(None, ("red",)), [b, d]),
        (Target(("Msg", "Other"), ("red", "blue")), [b, c, d]),
        (Target(("Msg",), (), ("b", "a", "b", "z")), [b, a]),
        (Target(("Msg", "Other", "Msg"), (), ("a",)), [a, d]),
        (Target(None, (), ("a", "a")), [a, d]),
        (Target(None, ("red",), ("a", "b", "c")), [d, b]),
        (Target(("Msg",), ("red", "blue"), ("a", "c")), [c]),
        (Target((), (), ("a",)), []),
        (Target(("",), ("",), ("",)), []),
    ]:
        assert registry.select(target) == tuple(expected), target


def test_selections_are_kept_until_a_change(registry: Registry[Member]) -> None:
    """S4.5: the recipients of a name or group are not gathered anew for each send while nobody comes or goes."""
    joined(registry, ("Msg", "a", "red"), ("Msg", "b"), ("Other", "c"))
    targets = [Target(None), Target(("Msg",)), Target(("Msg",), ("red",))]
    before = [registry.select(target) for target in targets]
    assert all(registry.select(target) is found for target, found in zip(targets, before, strict=True))
    (late,) = joined(registry, ("Msg", "d", "red"))
    after = [registry.select(target) for target in targets]
    assert all(new == (*old, late) or set(new) == {*old, late} for new, old in zip(after, before, strict=True))
    registry.remove(late)
    assert [registry.select(target) for target in targets] == before


def test_a_change_of_groups_changes_that_group_alone(registry: Registry[Member]) -> None:
    """P89: who joins or leaves a group changes the audience of that group, not of its name nor of another group."""
    a, b = joined(registry, ("Msg", "a", ["red", "blue"]), ("Msg", "b", ["red", "blue"]))
    everyone, blue, red = (registry.audience("Msg", groups) for groups in ((), ("blue",), ("red",)))
    take_out_of(registry, a, "red")
    assert registry.audience("Msg", ("red",)) == (b,)
    put_into(registry, a, "red")
    assert registry.audience("Msg", ("red",)) == (b, a)
    assert registry.audience("Msg", ("red",)) != red
    assert registry.audience("Msg") is everyone
    assert registry.audience("Msg", ("blue",)) is blue


def test_other_names_keep_theirs(registry: Registry[Member]) -> None:
    """S4.5: who joins one name does not change what was gathered for another, nor for another group."""
    joined(registry, ("Msg", "a", "red"), ("Other", "b"))
    other = registry.select(Target(("Other",)))
    red = registry.select(Target(("Msg",), ("red",)))
    joined(registry, ("Msg", "c", "blue"), ("Msg", "d"))
    assert registry.select(Target(("Other",))) is other
    assert registry.select(Target(("Msg",), ("red",))) is red


def test_members_may_leave_while_someone_goes_over_them(registry: Registry[Member]) -> None:
    """S4.5: everyone selected is still gone over when members leave or join meanwhile."""
    joined(registry, *(("Msg", str(number), "red") for number in range(10)))
    for target in (Target(None), Target(("Msg",)), Target(("Msg",), ("red",)), Target(None, (), ("3", "4", "5"))):
        seen = []
        selected = registry.select(target)
        for member in selected:
            assert registry.remove(member)
            seen.append(member)
        assert tuple(seen) == selected
        for member in selected:
            registry.add(member)


def test_a_client_id_is_looked_up() -> None:
    """S4.2: a send to client ids looks these up and goes over nobody else."""

    class Untouchable(Member):
        """Raises where its client id is read after it joined."""

        def __getattribute__(self, name: str) -> object:
            if name in {"name", "client_id", "groups"} and armed:
                raise AssertionError(name)
            return super().__getattribute__(name)

    armed = False
    registry: Registry[Member] = Registry()
    for number in range(50):
        registry.add(Untouchable("Msg", str(number), "red"))
        registry.add(Untouchable(f"Name {number}", "x"))
    (wanted,) = joined(registry, ("Msg", "wanted", "red"))
    armed = True
    assert registry.select(Target(("Msg",), (), ("wanted",))) == (wanted,)
    assert registry.select(Target(("Msg",), ("red",), ("wanted",))) == (wanted,)
    assert registry.select(Target(None, ("red",), ("wanted",))) == (wanted,)
    assert registry.with_client_id("wanted") == (wanted,)


NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
NAMES, GROUPS, IDS = ("n1", "n2", "n3"), ("g1", "g2", "g3"), ("a", "b", "c", "d")

some_groups = st.lists(st.sampled_from((*GROUPS, "nobody's")), max_size=3).map(tuple)
some_ids = st.lists(st.sampled_from(IDS), max_size=3).map(tuple)


class RegistryMachine(RuleBasedStateMachine):
    """The registry beside plain lists of members and of their groups, which are searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.registry: Registry[Member] = Registry()
        self.members: list[Member] = []
        # Each member of each group, in the order of joining the group.
        self.places: list[tuple[Member, str]] = []
        self.gone: list[Member] = []

    def members_of(self, name: str, group: str) -> list[Member]:
        """Those of a name that are in a group."""
        return [member for member, each in self.places if (member.name, each) == (name, group)]

    @rule(
        name=st.sampled_from(NAMES),
        client_id=st.sampled_from(IDS),
        groups=st.lists(st.sampled_from(GROUPS), unique=True).map(tuple),
    )
    def come(self, name: str, client_id: str, groups: tuple[str, ...]) -> None:
        """Someone comes, if the id is free."""
        member = Member(name, client_id, groups)
        if any((other.name, other.client_id) == (name, client_id) for other in self.members):
            with pytest.raises(ValueError, match="already"):
                self.registry.add(member)
        else:
            self.registry.add(member)
            self.members.append(member)
            self.places += [(member, group) for group in groups]

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """Someone goes, out of all groups."""
        member = data.draw(st.sampled_from(self.members))
        assert self.registry.remove(member)
        self.members.remove(member)
        self.places = [place for place in self.places if place[0] is not member]
        self.gone.append(member)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def go_again(self, data: st.DataObject) -> None:
        """Someone who went is removed again."""
        assert not self.registry.remove(data.draw(st.sampled_from(self.gone)))

    @precondition(lambda self: any(len(member.groups) < len(GROUPS) for member in self.members))
    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        """Someone joins one more group."""
        places = [(member, group) for member in self.members for group in GROUPS if group not in member.groups]
        member, group = data.draw(st.sampled_from(places))
        member.groups = with_group(member.groups, group)
        self.registry.join(member, group)
        self.places.append((member, group))

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Someone leaves one of several groups, or the only one."""
        member, group = data.draw(st.sampled_from(self.places))
        member.groups = without_group(member.groups, group)
        self.registry.leave(member, group)
        self.places.remove((member, group))

    @rule(
        names=st.none() | st.lists(st.sampled_from(NAMES), max_size=4).map(tuple),
        groups=some_groups,
        client_ids=some_ids,
        exclude=some_ids,
    )
    def select(
        self,
        names: tuple[str, ...] | None,
        groups: tuple[str, ...],
        client_ids: tuple[str, ...],
        exclude: tuple[str, ...],
    ) -> None:
        """Whatever the target, the same ones are selected, each once, and those of each name in the same order."""
        target = Target(names, groups, client_ids, exclude)
        selected = self.registry.select(target)
        for name in NAMES:
            of_name = [member for member in self.members if member.name == name]
            ordered = [member for group in groups for member in self.members_of(name, group)] if groups else of_name
            if client_ids:
                of_ids = [member for client_id in client_ids for member in of_name if member.client_id == client_id]
                ordered = [member for member in of_ids if member in ordered]
            left = [member for member in dict.fromkeys(ordered) if member.client_id not in exclude]
            expected = left if names is None or name in names else []
            assert [member for member in selected if member.name == name] == expected
            if names is None or name in names:
                assert {id(member) for member in expected} == {
                    id(member) for member in of_name if matches(target, member.groups, member.client_id)
                }
            if not client_ids:
                assert self.registry.audience(name, groups, exclude) == tuple(left)

    @invariant()
    def agrees(self) -> None:
        """Every question has the answer that the lists give."""
        registry, members = self.registry, self.members
        assert registry.count() == len(members)
        assert set(registry.names()) == {member.name for member in members}
        assert registry.name_count() == len(registry.names())
        for group in GROUPS:
            assert set(registry.names((group,))) == {member.name for member, each in self.places if each == group}
        for name in NAMES:
            of_name = [member for member in members if member.name == name]
            assert registry.count(name) == len(of_name)
            assert registry.has_name(name) is bool(of_name)
            assert registry.select(Target((name,))) == tuple(of_name)
            for group in GROUPS:
                of_group = self.members_of(name, group)
                assert registry.select(Target((name,), (group,))) == tuple(of_group)
                for member in of_name:
                    assert registry.has_client_id(name, member.client_id, group) is (member in of_group)
                if of_name:
                    assert registry.client_ids(name, group) == tuple(member.client_id for member in of_group)
            if of_name:
                assert set(registry.groups(name)) == {group for member in of_name for group in member.groups}
                assert registry.client_ids(name) == tuple(member.client_id for member in of_name)
        for client_id in IDS:
            of_id = [member for member in members if member.client_id == client_id]
            assert set(registry.with_client_id(client_id)) == set(of_id)
            assert len(registry.with_client_id(client_id)) == len(of_id)


# HYPOTHESIS_PROFILE=nightly: 10,000 sequences of 50 steps, see conftest.py.
RegistryMachine.TestCase.settings = settings() if NIGHTLY else settings(max_examples=60, stateful_step_count=40)


class TestRegistryAgreesWithAList(RegistryMachine.TestCase):  # type: ignore[misc, name-defined]
    """The machine as a test."""

from __future__ import annotations

import gc
import os
import weakref

import pytest
from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pode_signals.core.model import Target
from pode_signals.core.registry import Registry
from pode_signals.errors import UnknownName


@define(eq=False, slots=True, weakref_slot=True)
class Member:
    """An entry: three texts, compared by identity."""

    name: str
    client_id: str
    group: str | None = None


@pytest.fixture
def registry() -> Registry[Member]:
    """An empty registry."""
    return Registry()


def joined(registry: Registry[Member], *members: tuple[str, str] | tuple[str, str, str]) -> list[Member]:
    """Add members, each given as name, client id and perhaps group."""
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
            if name in {"name", "client_id", "group"} and armed:
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
NAMES, GROUPS, IDS = ("n1", "n2", "n3"), (None, "g1", "g2"), ("a", "b", "c", "d")


class RegistryMachine(RuleBasedStateMachine):
    """The registry beside a plain list of members, which is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.registry: Registry[Member] = Registry()
        self.members: list[Member] = []
        self.gone: list[Member] = []

    @rule(name=st.sampled_from(NAMES), client_id=st.sampled_from(IDS), group=st.sampled_from(GROUPS))
    def join(self, name: str, client_id: str, group: str | None) -> None:
        """Someone joins, if the id is free."""
        member = Member(name, client_id, group)
        if any((other.name, other.client_id) == (name, client_id) for other in self.members):
            with pytest.raises(ValueError, match="already"):
                self.registry.add(member)
        else:
            self.registry.add(member)
            self.members.append(member)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Someone leaves."""
        member = data.draw(st.sampled_from(self.members))
        assert self.registry.remove(member)
        self.members.remove(member)
        self.gone.append(member)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def leave_again(self, data: st.DataObject) -> None:
        """Someone who left is removed again."""
        assert not self.registry.remove(data.draw(st.sampled_from(self.gone)))

    @rule(
        names=st.none() | st.lists(st.sampled_from(NAMES), max_size=4).map(tuple),
        groups=st.lists(st.sampled_from(("g1", "g2", "g3")), max_size=3).map(tuple),
        client_ids=st.lists(st.sampled_from(IDS), max_size=3).map(tuple),
    )
    def select(self, names: tuple[str, ...] | None, groups: tuple[str, ...], client_ids: tuple[str, ...]) -> None:
        """Whatever the target, the same ones are selected, each once."""
        selected = self.registry.select(Target(names, groups, client_ids))
        assert sorted(map(id, selected)) == sorted(
            id(member)
            for member in self.members
            if (names is None or member.name in names)
            and (not groups or member.group in groups)
            and (not client_ids or member.client_id in client_ids)
        )

    @invariant()
    def agrees(self) -> None:
        """Every question has the answer that the list gives."""
        registry, members = self.registry, self.members
        assert registry.count() == len(members)
        assert set(registry.names()) == {member.name for member in members}
        assert registry.name_count() == len(registry.names())
        for name in NAMES:
            of_name = [member for member in members if member.name == name]
            assert registry.count(name) == len(of_name)
            assert registry.has_name(name) is bool(of_name)
            assert registry.select(Target((name,))) == tuple(of_name)
            for group in ("g1", "g2"):
                of_group = [member for member in of_name if member.group == group]
                assert registry.select(Target((name,), (group,))) == tuple(of_group)
                if of_name:
                    assert registry.client_ids(name, group) == tuple(member.client_id for member in of_group)
            if of_name:
                assert set(registry.groups(name)) == {member.group for member in of_name} - {None}
                assert registry.client_ids(name) == tuple(member.client_id for member in of_name)
        for client_id in IDS:
            of_id = [member for member in members if member.client_id == client_id]
            assert set(registry.with_client_id(client_id)) == set(of_id)
            assert len(registry.with_client_id(client_id)) == len(of_id)


# HYPOTHESIS_PROFILE=nightly: 10,000 sequences of 50 steps, see conftest.py.
RegistryMachine.TestCase.settings = settings() if NIGHTLY else settings(max_examples=60, stateful_step_count=40)


class TestRegistryAgreesWithAList(RegistryMachine.TestCase):  # type: ignore[misc, name-defined]
    """The machine as a test."""

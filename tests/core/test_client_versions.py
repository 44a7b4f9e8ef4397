from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pode_signals.core.client_versions import MOST_CLIENT_VERSIONS, ClientVersions

LIFE_SECONDS = 10


def versions(most: int = MOST_CLIENT_VERSIONS) -> ClientVersions:
    """Those of a hub, with generations that are told apart."""
    numbers = count()
    return ClientVersions(lambda: f"generation{next(numbers)}", LIFE_SECONDS, most)


class Token(NamedTuple):
    """What a token says of its client, and when it was made."""

    client_id: str
    generation: str
    version: int
    made_at: int
    leaves_before: int


def token(of: ClientVersions, client_id: str, made_at: int = 0, leaves_before: int = 0) -> Token:
    return Token(client_id, of.generation, of.version, made_at, leaves_before)


def holds(of: ClientVersions, it: Token) -> bool:
    return of.hold("Room", it.client_id, it.generation, it.version)


def test_a_group_that_was_left() -> None:
    """P47: a token from before a client left a group does not hold, and one from afterwards does."""
    it = versions()
    before = token(it, "ada")
    assert holds(it, before)
    assert not it.left("Room", "ada", 0)
    after = token(it, "ada")
    assert not holds(it, before)
    assert holds(it, after)


def test_others_keep_theirs() -> None:
    """P47: where one client leaves a group, the tokens of others hold, and its own for another name."""
    it = versions()
    others = [token(it, "bob"), token(it, "bobby")]
    of_ada = token(it, "ada")
    it.left("Room", "ada", 0)
    assert all(holds(it, other) for other in others)
    assert it.hold("Hall", "ada", of_ada.generation, of_ada.version)


def test_left_and_joined_in_one_second() -> None:
    """P47: leaving, joining and leaving at the same time makes each token before the last leave void."""
    it, made = versions(), []
    for _ in range(3):
        made.append(token(it, "ada"))
        it.left("Room", "ada", 5)
    assert not any(holds(it, each) for each in made)
    assert holds(it, token(it, "ada"))
    assert len(it) == 1


def test_a_restart() -> None:
    """P47: no token of a process holds in the next one."""
    before, numbers = versions(), count(100)
    after = ClientVersions(lambda: f"generation{next(numbers)}", LIFE_SECONDS)
    assert not holds(after, token(before, "ada"))


def test_signatures() -> None:
    """P47: a client id is the same with another signature, as after a change of the secret."""
    it = versions()
    before = token(it, "s:ada.old")
    it.left("Room", "s:ada.new", 0)
    assert not holds(it, before)
    assert holds(it, token(it, "s:ada.old"))


def test_they_are_kept_as_long_as_a_token_is_good() -> None:
    """P47: a version is kept for the life of a token, counted from the last leave, and then makes room."""
    it = versions()
    it.left("Room", "ada", 0)
    it.left("Room", "bob", 1)
    it.left("Room", "ada", 5)
    for now, kept in ((10.9, 3), (11, 2), (14.9, 2), (15, 1)):
        it.left("Room", "eve", now)
        assert len(it) == kept


def test_a_token_that_is_younger_than_its_clients_version() -> None:
    """P47: a token holds for its whole life, also when the version that its client had before is dropped meanwhile."""
    it = versions()
    for client_id in ("bob", "ada"):
        it.left("Room", client_id, 0)
    of_bob = token(it, "bob")
    it.left("Room", "ada", LIFE_SECONDS)
    assert len(it) == 1
    assert holds(it, of_bob)


def test_when_there_would_be_too_many() -> None:
    """P47: past the bound all versions go, a new generation begins and is told, and no older token holds."""
    it = versions(most=3)
    others = [token(it, "ada"), token(it, "zoe")]
    assert [it.left("Room", client_id, 0) for client_id in ("ada", "bob", "eve", "ada", "eve")] == [False] * 5
    assert len(it) == 3
    others += [token(it, "ada"), token(it, "bob")]
    assert it.left("Room", "zoe", 0)
    assert len(it) == 0
    assert not any(holds(it, each) for each in others)
    assert holds(it, token(it, "zoe"))


def test_memory() -> None:
    """P47: however many clients leave groups, the versions take a few megabytes."""
    it = versions()
    tracemalloc.start()
    try:
        for number in range(30_000):
            it.left("Room", f"{number:0128}", 0)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(it) <= MOST_CLIENT_VERSIONS == 10_000
    assert taken < 8_000_000


steps = st.lists(
    st.tuples(st.sampled_from(["token", "leave", "leave"]), st.sampled_from("abcd"), st.integers(-12, 12)),
    max_size=30,
)


def agrees(plan: list[tuple[str, str, int]], make: Callable[[int], Any]) -> None:
    """Follow a plan, and compare with a list of all that ever happened. The clock goes both ways."""
    it = make(3)
    made: list[Token] = []
    leaves: dict[str, int] = dict.fromkeys("abcd", 0)
    now, generation, is_steady, begins = 100, it.generation, True, 0
    for what, client_id, wait in plan:
        now += wait
        is_steady = is_steady and wait >= 0
        if what == "token":
            made.append(token(it, client_id, now, leaves[client_id]))
        else:
            leaves[client_id] += 1
            is_new = it.left("Room", client_id, now)
            begins += is_new
            assert is_new is (it.generation != generation)
            generation = it.generation
        assert len(it) <= 3
        for each in made:
            has_left = leaves[each.client_id] > each.leaves_before
            if has_left:
                assert not holds(it, each), "a left group is back"
            elif each.generation == it.generation and is_steady and now < each.made_at + LIFE_SECONDS:
                assert holds(it, each), "a group was taken from a client that left none"


@given(steps)
def test_agrees_with_a_list(plan: list[tuple[str, str, int]]) -> None:
    """P47: after any leaves, at any times, the tokens that hold are those whose client has left nothing since."""
    agrees(plan, versions)


class ForgetsWithoutATrace(ClientVersions):
    """Without the version that was dropped last."""

    def left(self, name: str, client_id: str, now: float) -> bool:
        is_new = super().left(name, client_id, now)
        self._forgotten = 0
        return is_new


class KeepsTheGeneration(ClientVersions):
    """Without a new generation where all versions are dropped."""

    def hold(self, name: str, client_id: str, generation: str, version: int) -> bool:
        return super().hold(name, client_id, self.generation, version)


class TakesAnyVersion(ClientVersions):
    """Without a look at the version that a client id has."""

    def hold(self, name: str, client_id: str, generation: str, version: int) -> bool:
        return generation == self.generation


class DropsTooEarly(ClientVersions):
    """Without the time that versions are kept."""

    def __init__(self, new_generation: Callable[[], str], kept_seconds: float, most: int) -> None:
        super().__init__(new_generation, kept_seconds / 10, most)


@pytest.mark.parametrize("broken", [ForgetsWithoutATrace, KeepsTheGeneration, TakesAnyVersion, DropsTooEarly])
def test_every_rule_is_needed(broken: type[ClientVersions]) -> None:
    """P47: without any one of its rules a left group is back, or a group is taken from a client that left none."""

    def make(most: int) -> ClientVersions:
        numbers = count()
        return broken(lambda: f"generation{next(numbers)}", LIFE_SECONDS, most)

    @settings(
        max_examples=5_000,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(steps)
    def check(plan: list[tuple[str, str, int]]) -> None:
        agrees(plan, make)

    with pytest.raises(AssertionError, match=r"is back|was taken"):
        check()

from __future__ import annotations

from random import Random

import pytest
from backplane.machines import PresenceMachine, machine_of
from backplane.node import ADA, BOB, EVE, told
from backplane.presence_behaviour import PresenceBehaviour
from backplane.redis_node import Machines, NodeOnRedis, World, clocked_server, machines, world

from pode_signals.backplane.contract import Member, PresenceChange
from pode_signals.errors import BackplaneUnavailable

__all__ = ["clocked_server", "machines", "world"]


@pytest.fixture
def node(world: World) -> NodeOnRedis:
    """A node that has been started."""
    return world.node()


class TestPresence(PresenceBehaviour):
    pass


class TestPresenceAgreesWithADict(machine_of(PresenceMachine, Machines.make)):  # type: ignore[misc]
    """The machine as a test."""


class Watched:
    """What a watch of one node makes of what it is told."""

    def __init__(self, node: NodeOnRedis, name: str = "Room") -> None:
        self.node = node
        self.changes: list[PresenceChange] = []
        members = node.result(node.backplane.presence.watch(name, self._changed))
        self.view = {member.client_id: member for member in members}

    def _changed(self, change: PresenceChange) -> None:
        self.changes.append(change)
        joined, left = told(change)
        assert joined or left
        assert not set(joined) & set(left)
        for member in change.left:
            assert self.view.pop(member.client_id) == member
        for member in change.joined:
            assert self.view.get(member.client_id) != member
            self.view[member.client_id] = member

    @property
    def told(self) -> list[tuple[list[str], list[str]]]:
        """The client ids that came and that went, change by change."""
        return [told(change) for change in self.changes]


def nodes_of(world: World, number: int = 3) -> list[NodeOnRedis]:
    world.turns_end = True
    return [world.node() for _ in range(number)]


def taken_of(node: NodeOnRedis) -> list[str]:
    """The client ids that the node is told that others have taken, from now on."""
    taken: list[str] = []
    node.backplane.presence.taken = lambda name, client_id: taken.append(client_id)
    return taken


def test_random_joins_and_leaves(world: World) -> None:
    """S17.1: after 1,000 random joins and leaves over three nodes members, counts and watches are the same on each."""
    random = Random(7)
    nodes = nodes_of(world)
    watched = [Watched(node) for node in nodes]
    model: dict[str, tuple[int, Member]] = {}
    for number in range(1_000):
        client_id, at = f"client{random.randrange(150)}", random.randrange(3)
        if random.random() < 0.5:
            member = Member("Room", client_id, ("red",) * random.randrange(2), info=random.randrange(2))
            held = client_id in model and model[client_id][0] != at
            joining = nodes[at].backplane.presence.join(member)
            if random.random() < 0.1:
                assert nodes[at].result(joining) == held
            model[client_id] = (at, member)
        else:
            nodes[at].leave(client_id)
            if model.get(client_id, (None,))[0] == at:
                del model[client_id]
        # Which of two nodes Redis hears first is not known otherwise.
        world.settle()
        if number % 100 == 0:
            world.advance(random.choice([0, 1, 30]))
    world.advance(0)
    members = {client_id: member for client_id, (_, member) in model.items()}
    red = sorted(client_id for client_id, member in members.items() if member.groups)
    for node, watch in zip(nodes, watched, strict=True):
        assert (node.ids(), node.ids("red")) == (sorted(members), red)
        assert watch.view == members
        assert node.backplane.counters["members_missed"] == 0


def test_another_node_takes_a_client_id(world: World) -> None:
    """S17.1: a client id that joins on another node is that node's; the one before is told, and watches are not."""
    one, other = nodes_of(world, 2)
    taken = taken_of(one)
    one.join(ADA)
    watches = [Watched(one), Watched(other)]
    assert other.result(other.backplane.presence.join(ADA))
    world.advance(0)
    assert taken == ["ada"]
    one.leave("ada")
    world.advance(1)
    assert other.ids() == ["ada"]
    assert [watch.changes for watch in watches] == [[], []]
    other.leave("ada")
    world.advance(0)
    assert [watch.told for watch in watches] == [[([], ["ada"])]] * 2


def test_back_on_another_node_within_the_grace(world: World) -> None:
    """S17.1: a member that comes back on another node within the grace was never away, and was no other node's."""
    one, other = nodes_of(world, 2)
    taken = taken_of(one)
    one.join(ADA)
    watches = [Watched(one), Watched(other)]
    one.leave("ada", 15)
    world.advance(10)
    assert other.ids() == ["ada"]
    other.join(ADA)
    world.advance(60)
    assert (taken, [watch.changes for watch in watches], one.ids()) == ([], [[], []], ["ada"])


def test_a_node_that_is_killed(world: World) -> None:
    """S17.1: the members of a node that is killed leave once, within 30 seconds, after the grace from its last beat."""
    one, other, third = nodes_of(world)
    watches = [Watched(other), Watched(third)]
    third.join(BOB)
    for number in range(250):
        one.backplane.presence.join(Member("Room", f"client{number}"))
    one.backplane.presence.join(Member("Hall", "ada"))
    world.advance(20)
    for watch in watches:
        watch.changes.clear()
    one.die()
    world.advance(9)
    assert [watch.changes for watch in watches] == [[], []]
    assert len(other.ids()) == 251
    assert world.until(lambda: all(set(watch.view) == {"bob"} for watch in watches), 21) > 0
    world.advance(60)
    for watch in watches:
        left = [member.client_id for change in watch.changes for member in change.left]
        assert sorted(left) == sorted(f"client{number}" for number in range(250))
        assert not any(change.joined for change in watch.changes)
    assert (other.ids(), third.ids(), other.ids(name="Hall")) == (["bob"], ["bob"], [])
    assert other.result(other.backplane.presence.nodes()) == third.result(third.backplane.presence.nodes())
    assert set(other.result(other.backplane.presence.nodes())) == {other.backplane.node, third.backplane.node}


def test_back_after_the_node_was_killed(world: World) -> None:
    """S17.1: a client of a node that is killed that is back on another before it is missed was never away."""
    one, other = nodes_of(world, 2)
    one.join(ADA, BOB)
    watch = Watched(other)
    one.die()
    world.advance(10)
    other.result(other.backplane.presence.join(ADA))
    world.advance(60)
    assert watch.told == [([], ["bob"])]
    assert other.ids() == ["ada"]


def test_a_node_that_stops(world: World) -> None:
    """S17.1: the members of a node that stops are gone when it has stopped, those in their grace too."""
    one, other = nodes_of(world, 2)
    one.join(ADA, BOB, Member("Hall", "ada"))
    one.leave("bob", 15)
    watch = Watched(other)
    one.stop()
    assert (other.ids(), other.ids(name="Hall")) == ([], [])
    world.advance(0)
    assert watch.told == [([], ["ada", "bob"])]
    assert other.result(other.backplane.presence.nodes()) == (other.backplane.node,)


def test_a_node_that_stalls(world: World) -> None:
    """S17.1: a node that stalls is taken for dead; when it goes on, its members are back, but for those of others."""
    one, other = nodes_of(world, 2)
    taken = taken_of(one)
    one.join(ADA, BOB, EVE)
    watch = Watched(other)
    world.advance(25)
    one.stall()
    world.advance(30)
    assert watch.told == [([], ["ada", "bob", "eve"])]
    other.join(EVE)
    one.go_on()
    one.leave("bob")
    world.advance(6)
    assert one.backplane.counters["leases_lost"] == 1
    assert (one.ids(), other.ids(), sorted(watch.view), taken) == (["ada", "eve"],) * 2 + (["ada", "eve"], ["eve"])
    one.join(BOB)
    world.advance(0)
    assert sorted(watch.view) == ["ada", "bob", "eve"]


def test_a_short_stall(world: World) -> None:
    """S17.1: a node that stalls, and goes on before it is taken for dead, has lost nothing."""
    one, other = nodes_of(world, 2)
    one.join(ADA)
    watch = Watched(other)
    world.advance(25)
    one.stall()
    world.advance(9)
    one.go_on()
    world.advance(60)
    assert (watch.changes, one.backplane.counters["leases_lost"], one.ids()) == ([], 0, ["ada"])


def test_all_stall(world: World) -> None:
    """S17.1: after a pause of the machine that all nodes run on nobody is taken for dead."""
    one, other = nodes_of(world, 2)
    one.join(ADA)
    watch = Watched(other)
    world.advance(25)
    for node in (one, other):
        node.stall()
    world.advance(100)
    other.go_on()
    world.advance(10)
    one.go_on()
    world.advance(60)
    assert (watch.changes, one.ids()) == ([], ["ada"])


@pytest.mark.parametrize("after", [0.5, 4.5, 20.5, 24.5])
def test_everything_is_lost(world: World, after: float) -> None:
    """S17.3: where Redis has lost everything, members are there again within seconds, and no watch sees them go."""
    nodes = []
    for member in (ADA, BOB, EVE):
        nodes.append(world.node())
        nodes[-1].join(member)
        # So that they do not look at the same times.
        world.advance(1.5)
    watches = [Watched(node) for node in nodes]
    world.turns_end = True
    world.advance(30 + after)
    world.server.ask("FLUSHALL")
    # Others hear of it by what the first one tells again.
    world.advance(30)
    assert [node.ids() for node in nodes] == [["ada", "bob", "eve"]] * 3
    assert [watch.changes for watch in watches] == [[], [], []]
    nodes[0].leave("ada")
    world.advance(0)
    assert [watch.told for watch in watches] == [[([], ["ada"])]] * 3


def test_redis_is_killed(world: World) -> None:
    """S17.3: what happens while Redis is away is told when it is back, also where it has lost everything."""
    nodes = nodes_of(world)
    one, other, third = nodes
    one.join(ADA, BOB)
    third.join(Member("Room", "max"))
    watches = [Watched(node) for node in nodes]
    world.server.kill()
    world.until(lambda: not any(node.backplane._client.is_up for node in nodes))
    for asked in (
        one.backplane.presence.members("Room"),
        one.backplane.presence.count("Room"),
        one.backplane.presence.watch("Hall", lambda change: None),
        one.backplane.presence.nodes(),
        other.backplane.presence.join(EVE),
    ):
        with pytest.raises(BackplaneUnavailable):
            one.result(asked)
    one.leave("bob")
    third.leave("max", 60)
    world.advance(20)
    world.server.start()
    world.until(lambda: all(node.backplane._client.is_up for node in nodes))
    world.advance(30)
    assert [node.ids() for node in nodes] == [["ada", "eve", "max"]] * 3
    assert [sorted(watch.view) for watch in watches] == [["ada", "eve", "max"]] * 3
    assert all(not change.left or told(change)[1] == ["bob"] for watch in watches for change in watch.changes)
    world.advance(30)
    assert [sorted(watch.view) for watch in watches] == [["ada", "eve"]] * 3


def test_no_answer_to_a_join(world: World) -> None:
    """S17.3: a join that Redis does not answer fails after two seconds; the member is one when Redis is back."""
    one, other = nodes_of(world, 2)
    one.join(BOB)
    world.server.pause()
    failed: list[BackplaneUnavailable] = []
    one.backplane.presence.join(ADA).addErrback(lambda failure: failed.append(failure.value))
    for _ in range(30):
        one.reactor.advance(0.1)
        world.reactor.iterate(0)
    assert [type(each) for each in failed] == [BackplaneUnavailable]
    world.server.go_on()
    world.until(lambda: one.backplane._client.is_up)
    world.advance(0)
    assert other.ids() == ["ada", "bob"]


def test_a_missed_difference(world: World) -> None:
    """S17.1: a node that misses a difference reads all members with the next one, or at the latest after 25 seconds."""
    one, other = nodes_of(world, 2)
    one.join(EVE)
    watch = Watched(other)
    hear = other.backplane.presence._heard
    lost: list[bytes] = []
    channels = other.backplane._node.channels
    channels.on(ord("p"), lambda name, content: lost.append(content))
    one.join(ADA)
    world.advance(0)
    assert (len(lost), watch.changes) == (1, [])
    channels.on(ord("p"), hear)
    one.join(BOB)
    world.advance(0)
    assert watch.told == [(["ada", "bob"], [])]
    channels.on(ord("p"), lambda name, content: lost.append(content))
    one.leave("bob")
    world.advance(0)
    channels.on(ord("p"), hear)
    world.advance(26)
    assert watch.told[1:] == [([], ["bob"])]
    assert other.backplane.counters["members_missed"] == 1


def test_a_large_name(world: World) -> None:
    """S17.1: a name with thousands of members is read in pages, also while members come and go."""
    one, other = nodes_of(world, 2)
    for number in range(2_500):
        one.backplane.presence.join(Member("Room", f"client{number}"))
    world.settle()
    assert len(other.ids()) == 2_500
    watching = other.backplane.presence.watch("Room", lambda change: None)
    for number in range(0, 2_500, 5):
        one.leave(f"client{number}")
    members = other.result(watching)
    assert 2_000 <= len(members) <= 2_500
    world.advance(0)
    assert len(other.ids()) == 2_000
    assert len(Watched(other).view) == 2_000
    assert other.backplane._client._channels.keys() >= {f"{world.application}:{{n:Room}}:ch".encode()}


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "a-1 h", "a-1 h[]", "a-1 h{", 'a-1 h{"g":"red"}', 'a-1 h{"g":[1]}', 'a-1 h{"u":1}', 'a-1 h{"x":1}'),
        *("A-1 h{}", "a-1 z{}", "a h{}", "a-1 h{}x", 'a-1 h{"i":NaN}', 'a-1 h{"i":' + "[" * 5_000 + "}"),
    ],
)
def test_malformed_members(world: World, value: str) -> None:
    """S17.3: a value in Redis that is no member is none, and is counted."""
    one = world.node()
    one.join(ADA)
    world.server.ask("HSET", f"{world.application}:{{nodes}}:m:Room", "bob", value)
    members = one.result(one.backplane.presence.members("Room"))
    assert members == (ADA,)
    assert one.backplane.counters["members_malformed"] == 1
    one.result(one.backplane.presence.join(BOB))
    assert one.ids() == ["ada", "bob"]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "[1]", '["x"]', '["1","a"]', '["-1","a",""]', '["1","a",{}]', "\udcff"]
)
def test_malformed_differences(world: World, content: str) -> None:
    """S17.3: what is published and is no difference changes nothing, and is counted."""
    one = world.node()
    watch = Watched(one)
    one.backplane._node.channels._received("Room", b"p" + content.encode("utf-8", "surrogateescape"))
    one.join(ADA)
    world.advance(0)
    assert watch.told == [(["ada"], [])]
    assert one.backplane.counters["members_malformed"] == 1
    assert one.backplane.counters["callbacks_failed"] == 0


def test_channels_end_with_their_members(world: World) -> None:
    """S17.1: a node hears of a name from its first member, or its first watch, to the last."""
    one = world.node()
    names = one.backplane._node.channels._names
    one.join(ADA, BOB)
    assert names == {"Room": {ord("p"), ord("e")}}
    one.leave("ada")
    one.leave("bob", 5)
    world.advance(4)
    assert names == {"Room": {ord("p"), ord("e")}}
    world.advance(2)
    assert names == {}
    Watched(one)
    assert names == {"Room": {ord("p")}}
    one.backplane.presence.unwatch("Room")
    assert names == {}
    assert one.backplane.presence._rooms == {}


def test_a_member_that_is_not_to_replace_another(world: World) -> None:
    """S17.1: a member that may not take the place of one on another node does not, and one of its own node it does."""
    one, other = world.node(), world.node()
    one.join(ADA)
    assert other.result(other.backplane.presence.join(Member("Room", "ada", ("red",)), replace=False)) is True
    world.settle()
    assert (other.result(other.backplane.presence.members("Room")), one.taken, other.taken) == ((ADA,), [], [])
    newer = Member("Room", "ada", ("blue",))
    assert one.result(one.backplane.presence.join(newer, replace=False)) is False
    assert other.result(other.backplane.presence.members("Room")) == (newer,)
    # One that is leaving holds nothing.
    one.leave("ada", 15)
    assert other.result(other.backplane.presence.join(ADA, replace=False)) is False
    assert one.result(one.backplane.presence.members("Room")) == (ADA,)

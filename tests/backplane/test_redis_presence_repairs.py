from __future__ import annotations

from unittest.mock import patch

import pytest
from backplane.node import ADA, BOB, EVE, told
from backplane.redis_node import NodeOnRedis, World, clocked_server, world

from pode_signals.backplane.contract import Member, PresenceChange
from pode_signals.backplane.redis import telling
from pode_signals.backplane.redis.scripts import CHANGE
from pode_signals.errors import BackplaneUnavailable

__all__ = ["clocked_server", "world"]


def key(world: World, kind: str, name: str = "Room") -> str:
    return f"{world.application}:{{nodes}}:{kind}:{name}"


def taken_of(node: NodeOnRedis) -> list[str]:
    """The client ids that the node is told that others have taken, from now on."""
    taken: list[str] = []
    node.backplane.presence.taken = lambda name, client_id: taken.append(client_id)
    return taken


def deaf(node: NodeOnRedis) -> None:
    """Have a node hear of no difference any more."""
    node.backplane._node.channels.on(ord("p"), lambda name, content: None)


def test_away_and_back_again(world: World) -> None:
    """S17.1: who left and came back while Redis was away is there when it is back, and who came and left is not."""
    one, other = world.node(), world.node()
    one.join(ADA)
    world.server.kill()
    world.until(lambda: not one.backplane._client.is_up)
    for _ in range(2):
        one.leave("ada")
        with pytest.raises(BackplaneUnavailable):
            one.join(ADA)
    with pytest.raises(BackplaneUnavailable):
        one.join(BOB)
    one.leave("bob")
    world.server.start()
    world.until(lambda: one.backplane._client.is_up and other.backplane._client.is_up)
    world.advance(1)
    assert other.ids() == ["ada"]


def test_a_watch_without_an_answer(world: World) -> None:
    """S17.3: what waits for a Redis that does not answer fails after two seconds, and may be asked again."""
    one = world.node()
    one.join(ADA)
    world.server.pause()
    failed: list[type[BaseException] | None] = []
    presence = one.backplane.presence
    presence.join(BOB).addErrback(lambda failure: failed.append(failure.type))
    for asked in (
        presence.watch("Hall", lambda change: None),
        presence.members("Room"),
        presence.members("Hall"),
        presence.count("Room"),
    ):
        asked.addErrback(lambda failure: failed.append(failure.type))
    for _ in range(30):
        one.reactor.advance(0.1)
        world.reactor.iterate(0)
    world.server.go_on()
    assert failed == [BackplaneUnavailable] * 5
    world.until(lambda: one.backplane._client.is_up)
    world.advance(0)
    assert one.watch("Hall") == ([], [])
    assert one.ids() == ["ada", "bob"]


def test_redis_refuses(world: World) -> None:
    """S17.3: a join that Redis refuses fails; it is told again later."""
    one, other = world.node(), world.node()
    one.join(ADA)
    world.server.ask("ACL", "SETUSER", "default", "-evalsha")
    try:
        with pytest.raises(BackplaneUnavailable, match="NOPERM"):
            one.join(BOB)
        one.leave("ada")
        world.advance(30)
    finally:
        world.server.ask("ACL", "SETUSER", "default", "+evalsha")
    world.advance(30)
    assert other.ids() == ["bob"]
    assert one.backplane.counters["commands_refused"] > 0


def test_a_node_that_can_not_register(world: World) -> None:
    """S17.3: where Redis does not take a node, its joins fail in time; they are told as soon as Redis does."""
    one = world.node()
    world.server.kill()
    world.until(lambda: not one.backplane._client.is_up)
    world.server.start()
    world.server.ask("ACL", "SETUSER", "default", "-evalsha")
    try:
        world.until(lambda: one.backplane._client.is_up)
        failed: list[type[BaseException] | None] = []
        one.backplane.presence.join(ADA).addErrback(lambda failure: failed.append(failure.type))
        world.advance(1)
        assert failed == []
        world.advance(3)
        assert failed == [BackplaneUnavailable]
        assert one.backplane.presence._lease._earlier == [f"{one.backplane.node}-1"]
    finally:
        world.server.ask("ACL", "SETUSER", "default", "+evalsha")
    world.advance(2)
    assert one.ids() == ["ada"]


def test_back_after_a_lost_connection(world: World) -> None:
    """S17.1: a node whose connection was lost tells its watch what it missed as soon as it is connected again."""
    one, other = world.node(), world.node()
    one.join(ADA)
    other.join(BOB)
    world.advance(25)
    _, changes = one.watch()
    _, others_changes = other.watch()
    one.backplane._client.reset("a test")
    other.leave("bob")
    other.join(EVE)
    world.until(lambda: one.backplane._client.is_up)
    world.advance(0)
    assert changes == [PresenceChange(joined=(EVE,))]
    # Who is not there may still come, as long as others may have lost their connections, too.
    world.advance(22)
    assert changes[1:] == [PresenceChange(left=(BOB,))]
    assert [told(change) for change in others_changes] == [(["eve"], ["bob"])]


def test_redis_goes_back(world: World) -> None:
    """S17.1: a Redis that has lost what it confirmed is told again who is there, and who is not."""
    one, other = world.node(), world.node()
    one.join(ADA, BOB)
    _, changes = other.watch()
    world.server.ask("HDEL", key(world, "m"), "ada")
    world.server.ask("HSET", key(world, "m"), "max", f"{one.backplane.node}-1 h{{}}")
    world.server.ask("SET", key(world, "v"), "5")
    world.advance(26)
    assert other.ids() == one.ids() == ["ada", "bob"]
    world.advance(26)
    view = {"ada", "bob"}
    for change in changes:
        view = (view | set(told(change)[0])) - set(told(change)[1])
    assert view == {"ada", "bob"}


def test_a_take_that_was_not_heard(world: World) -> None:
    """S17.1: a node that does not hear that another has taken a client id finds that out within 25 seconds."""
    one, other = world.node(), world.node()
    taken = taken_of(one)
    one.join(ADA, BOB)
    deaf(one)
    assert other.result(other.backplane.presence.join(ADA))
    world.advance(26)
    assert taken == ["ada"]
    one.leave("ada")
    assert other.ids() == ["ada", "bob"]


def test_a_member_that_others_took_out(world: World) -> None:
    """S17.1: a node that hears that its member has left, and holds it, tells of it again at once."""
    one, other = world.node(), world.node()
    one.join(ADA, BOB)
    version = world.server.ask("GET", key(world, "v")).split()[1].decode()
    world.server.ask("HDEL", key(world, "m"), "ada")
    world.server.ask("SET", key(world, "v"), str(int(version) + 1))
    world.server.ask("PUBLISH", f"{world.application}:{{n:Room}}:ch", f'p["{int(version) + 1}","ada",""]')
    world.settle()
    assert other.ids() == ["ada", "bob"]


def test_taken_before_the_answer(world: World) -> None:
    """S17.1: a node whose join is answered after another node has taken the client id is told of both."""
    one, other = world.node(), world.node()
    taken = taken_of(one)
    one.join(BOB)
    one.stalls = True
    commands = one.backplane._client._way.commands
    commands.transport.pauseProducing()
    answers: list[bool] = []
    one.backplane.presence.join(ADA).addCallback(answers.append)
    world.settle()
    assert other.result(other.backplane.presence.join(ADA))
    world.settle()
    assert (answers, taken) == ([], [])
    commands.transport.resumeProducing()
    one.stalls = False
    world.settle()
    assert (answers, taken) == ([False], ["ada"])


def test_an_earlier_incarnation(world: World) -> None:
    """S17.1: when a node has registered anew, a command of before that comes late does nothing."""
    one = world.node()
    one.join(ADA)
    lease = one.backplane.presence._lease
    before = lease.incarnation
    lease.register()
    world.settle()
    assert lease.incarnation != before
    keys = (one.backplane._node.keys.nodes, key(world, "m"), key(world, "v"))
    late = one.backplane._client.run(CHANGE, keys, "c", "Room", before, 1_000, "x", "ada", "")
    assert one.result(late) == [-1]
    assert one.ids() == ["ada"]
    world.advance(60)
    assert one.ids() == ["ada"]
    assert world.server.ask("ZCARD", one.backplane._node.keys.nodes) == b":1\r\n"
    names = f"{one.backplane._node.keys.nodes}:names:{before}"
    assert world.server.ask("EXISTS", names) == b":0\r\n"


def test_time_to_tell_again(world: World) -> None:
    """S17.1: the members of a node that has just registered anew are not taken out before it could tell them again."""
    one, other = world.node(), world.node()
    one.join(ADA)
    world.advance(25)
    _, changes = other.watch()
    with patch.object(telling, "_CALLS", 0):
        one.backplane._client.reset("a test")
        world.until(lambda: one.backplane._client.is_up)
        world.advance(6)
    one.backplane.presence._telling.flush()
    world.advance(30)
    assert (changes, other.ids()) == ([], ["ada"])


def test_many_at_once(world: World) -> None:
    """S17.1: a node with much to tell has a bounded number of calls on their way, and tells everything."""
    one, other = world.node(), world.node()
    presence = one.backplane.presence
    joins = [presence.join(Member(f"Room{number % 7}", f"client{number}")) for number in range(3_000)]
    most = 0
    while not all(join.called for join in joins):
        world.reactor.iterate(0.01)
        most = max(most, presence._telling._calls)
    assert 0 < most <= 16
    assert sum(other.result(other.backplane.presence.count(f"Room{number}")) for number in range(7)) == 3_000


def test_a_replaced_watch(world: World) -> None:
    """S17.1: a watch that another one has replaced before it was answered is told nothing."""
    one = world.node()
    one.join(Member("Hall", "bob"))
    before: list[PresenceChange] = []
    after: list[PresenceChange] = []
    first = one.backplane.presence.watch("Room", before.append)
    second = one.backplane.presence.watch("Room", after.append)
    third = one.backplane.presence.watch("Hall", before.append)
    one.backplane.presence.unwatch("Hall")
    assert (one.result(first), one.result(second), one.result(third)) == ((), (), (Member("Hall", "bob"),))
    one.join(ADA, Member("Hall", "ada"))
    one.advance(0)
    assert (before, after) == ([], [PresenceChange(joined=(ADA,))])


def test_told_again_as_leaving(world: World) -> None:
    """S17.1: a member that is leaving is told again as such, and stays with another node that has it."""
    one, other = world.node(), world.node()
    one.join(ADA, BOB)
    one.leave("ada", 60)
    one.leave("bob", 60)
    one.backplane._client.reset("a test")
    world.until(lambda: one.backplane._client.is_up)
    world.advance(0)
    other.join(ADA)
    deaf(one)
    other.join(BOB)
    other.leave("bob", 60)
    one.backplane._client.reset("a test")
    world.until(lambda: one.backplane._client.is_up)
    world.advance(1)
    assert other.backplane.node.encode() in world.server.ask("HGET", key(world, "m"), "bob")
    assert other.ids() == ["ada", "bob"]


def test_before_the_channel_is_heard(world: World) -> None:
    """S17.1: a node tells of members when it hears of their name, and not before: it would not hear who takes them."""
    one, other = world.node(), world.node()
    one.stalls = True
    subscriptions = one.backplane._client._way.subscriptions
    subscriptions.transport.pauseProducing()
    joining = one.backplane.presence.join(ADA)
    world.settle()
    assert other.ids() == []
    subscriptions.transport.resumeProducing()
    one.stalls = False
    assert one.result(joining) is False
    assert other.ids() == ["ada"]


def test_what_nobody_sees(world: World) -> None:
    """S17.1: that a member is leaving, is back, or was told again is published to nobody."""
    one = world.node()
    one.join(ADA)
    before = world.server.ask("GET", key(world, "v"))
    one.leave("ada", 15)
    one.join(ADA)
    one.backplane._client.reset("a test")
    world.until(lambda: one.backplane._client.is_up)
    world.advance(1)
    assert world.server.ask("GET", key(world, "v")) == before
    one.leave("ada")
    assert one.ids() == []
    assert world.server.ask("GET", key(world, "v")) > before


def test_versions_of_a_redis_that_lost_them(world: World) -> None:
    """S17.1: where a version is lost or is none, the next one is higher all the same."""
    one = world.node()
    one.join(ADA)
    before = world.server.ask("GET", key(world, "v"))
    for value in ("", "x", "-1", "nan", "inf", "1e300"):
        world.advance(0.001)
        world.server.ask("SET", key(world, "v"), value)
        one.join(BOB)
        one.leave("bob")
        assert one.ids() == ["ada"]
        after = world.server.ask("GET", key(world, "v"))
        assert len(after) == len(before)
        assert after > before
        before = after


def test_nothing_is_left(world: World) -> None:
    """S17.1: of members that are gone nothing is left in Redis but the version of their name, for a day."""
    one, other = world.node(), world.node()
    one.join(ADA, Member("Hall", "ada"))
    other.result(other.backplane.presence.join(ADA))
    other.leave("ada")
    one.leave("ada", name="Hall")
    assert other.ids() == []
    assert one.ids(name="Hall") == []
    keys = world.server.ask("KEYS", f"{world.application}*").split(b"\r\n")[2::2]
    left = [f"{world.application}:{{nodes}}{end}".encode() for end in ("", ":v:Hall", ":v:Room")]
    assert sorted(keys) == left
    assert world.server.ask("PTTL", key(world, "v")).startswith(b":86")
    one.stop()
    other.stop()
    assert sorted(world.server.ask("KEYS", f"{world.application}*").split(b"\r\n")[2::2]) == left[1:]


def test_a_change_during_a_reading(world: World) -> None:
    """S17.1: a difference that is heard before the members that it is not in is in what a watch begins with."""
    one, other = world.node(), world.node()
    other.join(BOB)
    one.join(ADA)
    one.stalls = True
    commands = one.backplane._client._way.commands
    commands.transport.pauseProducing()
    watching = one.backplane.presence.watch("Room", lambda change: None)
    world.settle()
    other.leave("bob")
    other.join(EVE)
    world.settle()
    commands.transport.resumeProducing()
    one.stalls = False
    assert sorted(member.client_id for member in one.result(watching)) == ["ada", "eve"]
    world.advance(0)
    assert one.backplane.counters["members_missed"] == 0


def test_a_name_that_ends_during_a_check(world: World) -> None:
    """S17.1: a name that nobody needs any more when its version is known is not listened to again."""
    one, other = world.node(), world.node()
    one.watch()
    deaf(one)
    other.join(ADA)
    presence = one.backplane.presence
    presence._versions.check(tuple(presence._rooms.values()))
    presence.unwatch("Room")
    world.settle()
    assert (one.backplane._node.channels._names, presence._rooms) == ({}, {})

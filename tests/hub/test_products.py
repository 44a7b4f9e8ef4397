"""What one client causes costs what it reaches: no two bounds of a client multiply, whatever is in the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fakes import Close, FakeTransport, connect, connected, new_signals, turn
from queue_model import slowed
from steps import steps
from twisted.internet.defer import Deferred
from web_fakes import World, plain

from pode_signals import BroadcastLevel, Signals
from pode_signals.core.model import Target
from pode_signals.signals import hub_of

FEW, MANY = 20, 320
GROUPS = [f"g{number}" for number in range(100)]
IDS = [f"i{number}" for number in range(100)]


def crowd(names: int, *, group: str | None = None, client_id: str | None = None) -> tuple[Signals, FakeTransport]:
    """So many names with one connection each, and a client of another name."""
    signals = new_signals(messages_per_second=1e9, message_burst=10**9)
    sender = connect(signals, "Sender")
    for number in range(names):
        connect(signals, f"n{number}", group=group, client_id=client_id)
    turn(signals)
    return signals, sender


def settled(signals: Signals, step: Callable[[], object]) -> int:
    """The steps of something that was done once before, so that what is kept is there; turns are ended outside."""
    step()
    turn(signals)
    found = steps(step)
    turn(signals)
    return found


UNREACHED: dict[str, dict[str, Any]] = {
    "groups": {"group": GROUPS},
    "ids": {"clientId": IDS},
    "groups and ids": {"group": GROUPS, "clientId": IDS},
    "one id many times": {"clientId": ["x"] * 100},
    "a path": {"path": "nobody", "group": GROUPS, "clientId": IDS},
}


@pytest.mark.parametrize("said", UNREACHED.values(), ids=UNREACHED)
@pytest.mark.parametrize("own", [None, "g", "own group"], ids=["no groups", "one group of all", "a group each"])
def test_a_message_to_nobody(said: dict[str, Any], own: str | None) -> None:
    """S4.2: a message that names groups or client ids that nobody has costs the same among 20 names and among 320."""
    counts = []
    for names in (FEW, MANY):
        signals, sender = crowd(names, group=own)
        counts.append(settled(signals, partial(sender.says, "x", **said)))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("level", list(BroadcastLevel))
@pytest.mark.parametrize("said", [{"group": GROUPS}, {"path": "nobody"}])
def test_levels(level: BroadcastLevel, said: dict[str, Any]) -> None:
    """S7.2: the levels of names that a message does not reach cost it nothing, whatever they are."""
    counts = []
    for names in (FEW, MANY):
        signals, sender = crowd(names)
        signals.set_broadcast_level(BroadcastLevel.GROUP)
        for number in range(names):
            signals.set_broadcast_level(level, f"n{number}")
        counts.append(settled(signals, partial(sender.says, "x", **said)))
    assert counts[0] == counts[1]


def test_a_broadcast_that_every_name_refuses() -> None:
    """S7.2: a message to everybody costs nothing for names that are left out because of the level of all."""
    counts = []
    for names in (FEW, MANY):
        signals, sender = crowd(names)
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID)
        counts.append(settled(signals, partial(sender.says, "x")))
        assert signals.counters.messages_refused == 2
    assert counts[0] == counts[1]


def test_what_is_reached() -> None:
    """S4.2: a message to a group that each name has costs each recipient once, not once for each group it names."""
    costs = []
    for names in (0, MANY):
        signals, sender = crowd(names, group="g")
        said = (["g"], ["g", *GROUPS[1:]])
        costs.append([settled(signals, partial(sender.says, "x", group=to)) for to in said])
    (to_one, to_all), (one, all_of_them) = costs
    assert all_of_them - one == to_all - to_one


def test_selections_of_the_application() -> None:
    """S4.2: many names beside many groups, or beside many client ids, are looked up once each."""
    signals, _ = crowd(FEW, group="g", client_id="i")
    registry = hub_of(signals).registry
    names = tuple(f"n{number}" for number in range(500))

    def cost(count: int, groups: list[str], ids: list[str]) -> int:
        target = Target(names[:count], tuple(groups), tuple(ids))
        registry.select(target)
        return steps(lambda: registry.select(target))

    for groups, ids in ((GROUPS, []), ([], IDS), (GROUPS, IDS)):
        # 480 names more, a few steps for each of them; not 100 times that.
        assert cost(500, groups, ids) - cost(20, groups, ids) < 480 * 12


def test_one_id_in_many_names() -> None:
    """S15.1: an id that many names have is refused at the same cost as one that few have, where names are given."""
    counts = []
    for names in (FEW, MANY):
        world = World().converting()
        for number in range(names):
            connect(world.signals, f"n{number}", client_id="x")
        listed = ",".join(f"m{number}" for number in range(FEW // 2))
        request = plain("/", ("X-PODE-SIGNAL-CLIENT-ID", "x"), ("X-PODE-SIGNAL-NAME", listed))
        clients = [world.client(), world.client()]
        clients[0].send(request)
        counts.append(steps(partial(clients[1].send, request)))
        assert clients[1].answers[0].status == 400
    assert counts[0] == counts[1]


def test_changes_of_groups() -> None:
    """P89: joining and leaving a group, and going out of several, cost the same among 20 connections and among 320."""
    costs = []
    for count in (FEW, MANY):
        signals = new_signals()
        for _ in range(count):
            connect(signals, "Msg", group=["g", "h", "i"])
        client = connect(signals, "Msg", group=["g", "h"])
        turn(signals)
        signals.send("x", name="Msg", group=["g", "h", "i"])
        turn(signals)
        connection = client.connection
        changes = [partial(connection.join, "i"), partial(connection.leave, "g"), partial(connection.join, "new")]
        costs.append([steps(change) for change in (*changes, partial(connection.leave, "new"), connection.close)])
    assert costs[0] == costs[1]


def test_whom_a_send_leaves_out() -> None:
    """S4.1: many excluded client ids beside many names are looked up once each, whether or not somebody has them."""
    for own in (None, "i"):
        signals, _ = crowd(FEW, client_id=own)
        registry = hub_of(signals).registry
        names = tuple(f"n{number}" for number in range(500))

        def cost(count: int, exclude: int) -> int:
            target = Target(names[:count], exclude=("i", *IDS)[:exclude])  # noqa: B023
            registry.select(target)  # noqa: B023
            return steps(lambda: registry.select(target))  # noqa: B023

        assert cost(500, 100) - cost(20, 100) < 480 * 20
        assert cost(500, 100) - cost(500, 1) < 99 * 12


# The places of those who were replaced.


def replaced(count: int, address: str) -> Signals:
    """So many connections that were replaced, and do not answer their close frames: five of them of an address."""
    signals = new_signals(max_connections=10_000, max_connections_per_address=10)
    for number in range(count):
        where = address if number % (count // 5) == 0 else f"192.0.2.{number}"
        for _ in range(2):
            connect(signals, client_id=f"{number}", answers_close=False, address=where)
    turn(signals)
    assert (signals.count(), len(signals.open_connections())) == (count, 2 * count)
    return signals


def test_room_for_a_newcomer() -> None:
    """S16.5: a newcomer costs the same however many were replaced before and are not gone yet."""
    counts = []
    for count in (50, 800):
        signals = replaced(count, "198.51.100.1")
        counts.append(steps(partial(connect, signals, address="198.51.100.1")))
    assert counts[0] == counts[1]


def test_too_much_for_all_slow_clients() -> None:
    """S16.2: whom a message that is too much for all queues closes costs the same to find among 50 and among 800."""
    counts = []
    for count in (50, 800):
        signals = new_signals()
        clients = [slowed(connect(signals, f"n{number}")) for number in range(count)]
        turn(signals)
        for client in clients:
            client.connection.send("first")
            client.connection.send("x" * (2_000 if client is clients[7] else 800))
        object.__setattr__(signals.settings, "total_queue_bytes", hub_of(signals).queues.queued_bytes)
        counts.append(steps(partial(clients[11].connection.send, "y")))
        assert signals.counters.limits_hit == {"total_queue_bytes": 1}
        assert isinstance(clients[7].got[-1], Close)
    assert counts[0] == counts[1]


# Those who wait.


def waits(signals: Signals) -> list[Callable[[], Deferred[Any]]]:
    """Every way to wait for something of a hub."""
    client, _ = connected(signals), connected(signals)
    return [
        client.connection.when_disconnected,
        lambda: signals.when_connected("Nobody"),
        lambda: signals.send("x", name="Msg").when_written(),
    ]


@pytest.mark.parametrize("way", range(3))
def test_who_waits_no_longer(way: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.4: whoever gives up to wait is found without looking at the others, who go on to do so."""
    compared: list[object] = []
    # They only look on: how often Deferreds are compared shows nowhere else.
    monkeypatch.setattr(Deferred, "__eq__", lambda self, other: compared.append(other) or self is other)
    monkeypatch.setattr(Deferred, "__hash__", object.__hash__)
    wait = waits(new_signals())[way]
    waiting = [wait() for _ in range(100)]
    for waiter in waiting:
        waiter.addErrback(lambda _: None)
    for waiter in reversed(waiting[1:]):
        waiter.cancel()
    assert len(compared) < 10
    assert not waiting[0].called

"""Who is connected over several nodes, and one client id on two of them."""

from __future__ import annotations

from typing import Any

import pytest
from nodes import Nodes
from twisted.logger import capturedLogs, formatEvent
from web_fakes import failures_in

from pode_signals import Member
from pode_signals.backplane.contract import PresenceChange
from pode_signals.signals import hub_of

REPLACED = (4409, "replaced by a newer connection")
REFUSED = (4409, "another connection has this client id")


def members(nodes: Nodes, number: int = 0, *arguments: Any) -> set[str]:
    """The client ids of the members of Room, as a node sees them."""
    found = nodes.settled(nodes.signals[number].presence("Room", *arguments))
    return {each.client_id for each in found}


def events_of(nodes: Nodes, number: int) -> list[str]:
    """The Connect and Disconnect functions that have run on a node."""
    told: list[str] = []
    signals = nodes.signals[number]
    signals.register_event("Room", "connect", "c", lambda event: told.append(f"+{event.connection.client_id}"))
    signals.register_event("Room", "disconnect", "d", lambda event: told.append(f"-{event.connection.client_id}"))
    return told


# Presence.


def test_members_of_all_nodes() -> None:
    """S17.1: the members of a name are the connections of all nodes, also of a name that shares nothing."""
    nodes = Nodes(2)
    ada = nodes.talk(0, "/room?id=ada&group=red&user=lovelace")
    nodes.plain(1, "/room?id=bob")
    assert nodes.settled(nodes.signals[1].presence("Room", "red")) == (Member("Room", "ada", ("red",), "lovelace"),)
    assert members(nodes) == members(nodes, 1) == {"ada", "bob"}
    ada.says(type="send", message={"join": "blue"})
    assert members(nodes, 1, "blue") == {"ada"}
    ada.cut()
    nodes.turn()
    assert members(nodes, 1) == {"bob"}


def test_watchers_see_the_clients_of_other_nodes() -> None:
    """S17.1: a client that watches on one node is told of those of another, with their grace."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.share_presence("Room")
    watcher = nodes.talk(0, "/room?id=w")
    watcher.says(type="presence", watch=True)
    nodes.turn()
    watcher.frames()
    ada = nodes.talk(1, "/room?id=ada")
    nodes.turn(2)
    (joined,) = watcher.frames()
    assert [each["id"] for each in joined["joined"]] == ["ada"]
    ada.cut()
    nodes.turn(14)
    assert watcher.frames() == []
    nodes.turn(3)
    (left,) = watcher.frames()
    assert left["left"] == ["ada"]


def test_watchers_while_the_store_is_away() -> None:
    """S17.3: who watches while the members can't be read gets them once they can, and nobody logs a traceback."""
    nodes = Nodes(2)
    nodes.signals[0].share_presence("Room")
    nodes.talk(1, "/room?id=ada")
    nodes.backplanes[0].cut()
    watcher = nodes.talk(0, "/room?id=w")
    watcher.frames()
    with capturedLogs() as logs:
        watcher.says(type="presence", watch=True)
        nodes.turn(4)
    assert (watcher.frames(), failures_in(logs)) == ([], [])
    nodes.backplanes[0].mend()
    nodes.turn(5)
    (snapshot,) = watcher.frames()
    assert sorted(each["id"] for each in snapshot["members"]) == ["ada", "w"]


def test_a_node_that_dies() -> None:
    """S17.4: the clients of a node that dies leave once each, after their grace."""
    nodes = Nodes(2)
    for number in range(3):
        nodes.plain(1, f"/room?id={number}")
    changes: list[PresenceChange] = []
    nodes.settled(nodes.backplanes[0].presence.watch("Room", changes.append))
    nodes.cluster.kill(nodes.backplanes[1])
    nodes.turn(14)
    assert members(nodes) == {"0", "1", "2"}
    nodes.turn(2)
    assert members(nodes) == set()
    assert sorted(each.client_id for change in changes for each in change.left) == ["0", "1", "2"]


def test_local_connections_are_no_members() -> None:
    """S17.1: a local connection is no member, and takes no client id."""
    nodes = Nodes(2)
    nodes.plain(0, "/room?id=ada")
    nodes.signals[1].default_scope = "local"
    nodes.plain(1, "/room?id=ada")
    assert members(nodes) == {"ada"}


# One client id on two nodes.


@pytest.mark.parametrize("kind", ["talk", "plain"])
def test_replace(kind: str) -> None:
    """S2.4, S17.1: a connection that comes with a name and client id of another node replaces it there."""
    nodes = Nodes(2)
    told = events_of(nodes, 0)
    connect = getattr(nodes, kind)
    old = connect(0, "/room?id=ada")
    other = connect(0, "/hall?id=ada")
    new = connect(1, "/room?id=ada")
    assert (old.closed, other.closed, new.closed) == (REPLACED, None, None)
    assert members(nodes) == {"ada"}
    nodes.turn(20)
    assert told == ["+ada", "-ada"]
    assert members(nodes) == {"ada"}


def test_a_replacement_of_a_replacement() -> None:
    """S17.1: of three connections with one client id the last one stays, wherever it is."""
    nodes = Nodes(2)
    clients = [nodes.plain(number, "/room?id=ada") for number in (0, 1, 0)]
    nodes.turn(10)
    assert [each.closed for each in clients] == [REPLACED, REPLACED, None]
    assert members(nodes) == {"ada"}
    clients[2].leave()
    nodes.turn()
    assert members(nodes) == set()


def test_a_change_of_groups_takes_nothing_back() -> None:
    """S17.1: a connection that joins a group while another node takes its client id does not take it back."""
    nodes = Nodes(2)
    old = nodes.talk(0, "/room?id=ada")
    nodes.backplanes[0].messages.is_held = True
    new = nodes.talk(1, "/room?id=ada")
    old.says(type="send", message={"join": "red"})
    nodes.turn()
    nodes.backplanes[0].messages.release()
    nodes.turn()
    assert (old.closed, new.closed) == (REPLACED, None)
    assert members(nodes, 0, "red") == set()


def test_a_take_of_one_that_has_left() -> None:
    """S17.1: a connection that has left is not closed because another node has its client id."""
    nodes = Nodes(2)
    old = nodes.plain(0, "/room?id=ada")
    nodes.backplanes[0].messages.is_held = True
    nodes.plain(1, "/room?id=ada")
    old.leave()
    nodes.turn()
    nodes.backplanes[0].messages.release()
    nodes.turn()
    assert members(nodes) == {"ada"}


@pytest.mark.parametrize("kind", ["talk", "plain"])
def test_refuse(kind: str) -> None:
    """S2.4, S17.1: where duplicates are refused, the newcomer is closed before its hello, and no Connect runs."""
    nodes = Nodes(2, duplicate_client_id="refuse")
    told = events_of(nodes, 1)
    connect = getattr(nodes, kind)
    old = connect(0, "/room?id=ada")
    nodes.backplanes[1].answers.is_held = True
    with capturedLogs() as logs:
        new = connect(1, "/room?id=ada")
        nodes.signals[1].send("soup", name="Room")
        if kind == "talk":
            new.says(type="send", message={"join": "red"})
        nodes.turn()
        nodes.backplanes[1].answers.release()
        nodes.turn()
    assert (old.closed, new.closed) == (None, REFUSED)
    if kind == "talk":
        assert new.all == []
    nodes.turn(10)
    assert told == []
    hub = hub_of(nodes.signals[1])
    assert (len(hub.capacity.links), len(hub.capacity.lingering), hub.inboxes.waiting_bytes) == (0, 0, 0)
    assert hub.arrivals.refused == set()
    assert (hub.fan_out.held, hub.presence._holders) == ({}, {})
    assert members(nodes) == {"ada"}
    assert any("another node has one with this client id" in (formatEvent(each) or "") for each in logs)


def test_a_free_client_id_where_duplicates_are_refused() -> None:
    """S17.1: what is sent before the answer comes behind hello, and Connect runs after hello."""
    nodes = Nodes(2, duplicate_client_id="refuse")
    told = events_of(nodes, 1)
    nodes.backplanes[1].answers.is_held = True
    new = nodes.talk(1, "/room?id=ada")
    nodes.signals[1].send("soup", name="Room")
    nodes.turn()
    assert (new.frames(), told) == ([], [])
    nodes.backplanes[1].answers.release()
    nodes.turn()
    assert [each["type"] for each in new.frames()] == ["hello", "signal"]
    assert told == ["+ada"]


def test_the_same_client_is_not_refused() -> None:
    """P50: a client that comes back with its token replaces its connection on another node also under refuse."""
    nodes = Nodes(2, duplicate_client_id="refuse")
    old = nodes.talk(0, "/room?id=ada")
    token = hub_of(nodes.signals[0]).resumes.token(old.connection._link)
    new = nodes.talk(1, "/room?id=ada", resume=f"-.-.{token}")
    assert (old.closed, new.closed) == (REPLACED, None)


def test_nobody_says_in_time() -> None:
    """S17.3: without an answer in 2 seconds the newcomer stays; once the nodes see each other, the older one goes."""
    nodes = Nodes(2, duplicate_client_id="refuse")
    told = events_of(nodes, 1)
    old = nodes.talk(0, "/room?id=ada")
    nodes.backplanes[1].cut()
    new = nodes.talk(1, "/room?id=ada")
    nodes.turn(1.9)
    assert new.frames() == []
    nodes.turn(0.2)
    assert (new.hello()["clientId"], told) == ("ada", ["+ada"])
    nodes.turn(5)
    nodes.backplanes[1].mend()
    nodes.turn(5)
    assert (old.closed, new.closed) == (REPLACED, None)
    assert members(nodes) == {"ada"}


def test_one_that_leaves_before_the_answer() -> None:
    """S17.3: a client that goes before the answer leaves nothing behind, whatever the answer is."""
    for client_id in ("ada", "bob"):
        nodes = Nodes(2, duplicate_client_id="refuse")
        told = events_of(nodes, 1)
        nodes.plain(0, "/room?id=ada")
        nodes.backplanes[1].answers.is_held = True
        new = nodes.talk(1, f"/room?id={client_id}")
        new.cut()
        nodes.turn()
        nodes.backplanes[1].answers.release()
        nodes.turn(20)
        assert told == ([] if client_id == "ada" else ["+bob", "-bob"])
        hub = hub_of(nodes.signals[1])
        assert (hub.capacity.links, hub.capacity.lingering, hub.fan_out.held) == ({}, set(), {})
        assert members(nodes) == {"ada"}

from __future__ import annotations

from collections.abc import Iterator

import pytest
from backplane.history_behaviour import HistoryBehaviour
from backplane.machines import HistoryMachine, machine_of
from backplane.node import ROOM
from backplane.redis_node import ClockedServer, NodeOnRedis, World, clocked_server, world
from hypothesis import settings

__all__ = ["clocked_server", "world"]


@pytest.fixture
def node(world: World) -> NodeOnRedis:
    """A node that has been started."""
    return world.node()


class TestHistory(HistoryBehaviour):
    """What every log does."""

    def test_what_is_held(self, node: NodeOnRedis) -> None:
        """S17.2: the entries of logs are in Redis; a node holds those alone that Redis has not taken yet."""
        node.follow()
        node.append(b"1")
        assert node.backplane.history.held == (0, 0)
        waiting = node.backplane.history.append(ROOM, b"22")
        entries, size_bytes = node.backplane.history.held
        assert (entries, size_bytes > 2) == (1, True)
        node.result(waiting)
        assert node.backplane.history.held == (0, 0)

    def test_a_name_of_another_node(self, world: World) -> None:
        """S17.2: a node appends to the log of a name that only other nodes follow, with their limits."""
        one, other = world.node(), world.node()
        room = one.follow()
        for number in range(5):
            other.append(b"%d" % number)
        assert (room, one.result(one.backplane.history.size("Room"))) == ([b"0", b"1", b"2", b"3", b"4"], (3, 3))
        assert other.backplane.history._names == {}


class Machines:
    """The server that the machine's nodes share, since a machine takes no fixtures."""

    server: ClockedServer
    world: World | None = None

    @classmethod
    def make(cls) -> NodeOnRedis:
        """A node in a world of its own."""
        cls.end()
        cls.world = World(cls.server)
        return cls.world.node()

    @classmethod
    def end(cls) -> None:
        """End the world of before."""
        if cls.world is not None:
            cls.world.end()
            cls.world = None


@pytest.fixture(autouse=True, scope="module")
def _machines(clocked_server: ClockedServer) -> Iterator[None]:
    Machines.server = clocked_server
    yield
    Machines.end()


class TestMachine(machine_of(HistoryMachine, Machines.make)):  # type: ignore[misc]
    """Any steps on a log, against a model that knows what has to come of them."""

    # Each step is several calls of Redis.
    settings = settings(machine_of(HistoryMachine, Machines.make).settings, max_examples=30)

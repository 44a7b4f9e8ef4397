"""Several hubs that are the nodes of one application, on one clock. Nothing in here is a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backplane.cluster import Cluster, ClusterBackplane
from dialogues import Talker
from fakes import result_of
from twisted.internet.task import Clock
from web_fakes import Client, World

from pode_signals import Signals

__all__ = ["Nodes", "settled"]


class Nodes:
    """Hubs with a route ``/<name>`` that converts to the name, with the id, groups and user of the query, started.

    Args:
        count: how many.
        late_seconds: as for :class:`backplane.cluster.Cluster`.
        settings: settings of all hubs.

    Attributes:
        cluster: what they share.
        worlds: the hubs with their routes.
        signals: the hubs.
        backplanes: their ends of what they share.
    """

    def __init__(self, count: int = 2, *, late_seconds: float | None = 0.0, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.cluster = Cluster(self.clock, late_seconds)
        self.worlds: list[World] = []
        self.backplanes: list[ClusterBackplane] = []
        for _ in range(count):
            self.add(**settings)

    def __iter__(self) -> Iterator[Signals]:
        return iter(self.signals)

    @property
    def signals(self) -> list[Signals]:
        return [each.signals for each in self.worlds]

    def add(self, *, start: bool = True, **settings: Any) -> World:
        """One more node."""
        backplane = self.cluster.node()
        world = World(clock=self.clock, backplane=backplane, **{"ping_interval_seconds": 1_000, **settings})
        self.backplanes.append(backplane)
        self.worlds.append(_routed(world))
        if start:
            world.signals.start_backplane()
            self.turn(self.cluster.late_seconds or 0.0)
        return world

    def turn(self, seconds: float = 0) -> None:
        """Let time pass, from one timer to the next."""
        end = self.clock.seconds() + seconds
        self.clock.advance(0)
        while (calls := self.clock.getDelayedCalls()) and (due := min(each.getTime() for each in calls)) <= end:
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def talk(self, number: int, path: str = "/room", resume: str | None = None) -> Talker:
        """A client of ``pode.signals.v1`` at a node."""
        talker = Talker(self.worlds[number], path, resume)
        self.turn()
        return talker

    def plain(self, number: int, path: str = "/room") -> Client:
        """A client of the plain protocol at a node."""
        client = self.worlds[number].client().open(path)
        self.turn()
        return client

    def settled(self, deferred: Any) -> Any:
        """What a Deferred fires with in this turn."""
        return settled(self, deferred)


def _routed(world: World) -> World:
    """Routes that convert, and signal routes that join and leave, or give the message back."""

    @world.app.route("/<name>")
    def convert(request: Any, name: str) -> None:
        given = {key.decode(): [each.decode() for each in values] for key, values in request.args.items()}
        connection = world.signals.convert(
            request,
            name.capitalize(),
            group=given.get("group"),
            client_id=given.get("id", [None])[0],
            user=given.get("user", [None])[0],
        )
        world.converted.append(connection)

    @world.signals.route("/<name>")
    def said(event: Any) -> Any:
        wanted = event.data.message
        if isinstance(wanted, dict) and "join" in wanted:
            event.connection.join(wanted["join"])
        elif isinstance(wanted, dict) and "leave" in wanted:
            event.connection.leave(wanted["leave"])
        return wanted

    return world


def settled(nodes: Nodes, deferred: Any) -> Any:
    """What a Deferred fires with, once this turn has ended."""
    outcome = deferred.addBoth(lambda result: result)
    nodes.turn()
    return result_of(outcome)

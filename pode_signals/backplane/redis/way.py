"""The connections to a Redis, or to all masters of a cluster, and which of them a key belongs to. It opens none."""

from __future__ import annotations

from attrs import define, field

from .connection import RedisConnection
from .slots import slot_of

__all__ = ["Masters", "Pair", "Way"]


@define(eq=False)
class Pair:
    """Both connections to one Redis.

    Attributes:
        commands: takes commands.
        subscriptions: hears channels.
    """

    commands: RedisConnection
    subscriptions: RedisConnection

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """This one."""
        return (self,)

    @property
    def pending_bytes(self) -> int:
        """The size of the commands without an answer."""
        return self.commands.pending_bytes

    def of(self, key: str | bytes | int) -> Pair:
        """This one: it has all keys."""
        return self

    def drop(self, why: str) -> None:
        """End both at once."""
        self.commands.drop(why)
        self.subscriptions.drop(why)


@define(eq=False)
class Masters:
    """The connections to all masters of a cluster.

    A channel is subscribed to at the master that has its slot, and its messages are published there. A message reaches
    subscribers of other masters, too, but nothing else that these say is in order with it, and the sender's count of
    subscribers has only those of the same master.

    Attributes:
        pairs: those of each master.
        owners: for each slot the index of its pair.
    """

    pairs: tuple[Pair, ...]
    owners: tuple[int, ...] = field(repr=False)

    @property
    def pending_bytes(self) -> int:
        """The size of the commands without an answer."""
        return sum(pair.commands.pending_bytes for pair in self.pairs)

    def of(self, key: str | bytes | int) -> Pair:
        """The pair of the master that has a key."""
        return self.pairs[self.owners[slot_of(key)]]

    def drop(self, why: str) -> None:
        """End all at once."""
        for pair in self.pairs:
            pair.drop(why)


Way = Pair | Masters
"""A single Redis, or a cluster."""

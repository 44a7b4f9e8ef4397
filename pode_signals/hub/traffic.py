"""Counts bytes, and what goes to which name, for a hub that has metrics: functions are bound anew. It decides nothing.

A hub without metrics runs none of this, and makes no call for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from ..core.model import ConnectionState
from ..wire.message import Message
from .delivery import Delivery
from .hub import Hub
from .link import Link

__all__ = ["NameTraffic", "count_traffic"]

_OPEN = ConnectionState.OPEN


class NameTraffic:
    """What went to the connections of names on this node.

    Attributes:
        sends: by label, how many messages.
        deliveries: by label, how many recipients these had.
    """

    def __init__(self) -> None:
        self.sends: defaultdict[str, int] = defaultdict(int)
        self.deliveries: defaultdict[str, int] = defaultdict(int)


def count_traffic(hub: Hub, label: Callable[[str], str]) -> NameTraffic:
    """Count from now on.

    Args:
        hub: the hub.
        label: gives the label that what goes to a name is counted under.
    """
    hub.count_received()
    hub.fan_out.count_bytes()
    found = NameTraffic()
    deliveries, inner = hub.deliveries, hub.deliveries.to_all

    def to_all(audience: tuple[Link, ...], message: Message, delivery: Delivery) -> None:
        inner(audience, message, delivery)
        if audience:
            under = label(audience[0].name)
            found.sends[under] += 1
            found.deliveries[under] += len(audience)

    deliveries.to_all = to_all  # type: ignore[method-assign]
    return found

"""The slots of a Redis Cluster: which one a key is in, and which master has it. It asks nobody."""

from __future__ import annotations

from binascii import crc_hqx
from typing import Any, NamedTuple

from attrs import frozen

__all__ = ["SLOTS", "Master", "SlotMap", "SlotsUnknown", "read_slots", "slot_of"]

SLOTS = 16_384
"""How many slots a cluster has."""


class SlotsUnknown(Exception):
    """A node of a cluster does not say, or not yet, which master has each slot.

    Attributes:
        why: the reason in a few words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Master(NamedTuple):
    """Where a master is.

    Attributes:
        host: its host name or address.
        port: its port.
    """

    host: str
    port: int


@frozen
class SlotMap:
    """Which master has each slot.

    Attributes:
        masters: all masters that have slots.
        owners: for each slot the index of its master.
    """

    masters: tuple[Master, ...]
    owners: tuple[int, ...]


def slot_of(key: str | bytes | int) -> int:
    """The slot of a key.

    Where the key has a hash tag, the text between its first ``{`` and the next ``}``, that of the tag (cluster
    specification of Redis, "Hash tags").
    """
    data = key if isinstance(key, bytes) else str(key).encode()
    begin = data.find(b"{") + 1
    end = data.find(b"}", begin) if begin else -1
    # An empty tag is none: then the whole key counts.
    return crc_hqx(data[begin:end] if end > begin else data, 0) % SLOTS


def read_slots(answer: Any, asked: str) -> SlotMap:
    """Read the answer to ``CLUSTER SLOTS``.

    Args:
        answer: the answer.
        asked: the host that was asked. A master that does not know its own address, or whose address the cluster does
            not know, is on that host.

    Raises:
        SlotsUnknown: a slot has no master, a master has no address, or this is not an answer to that command.
    """
    indexes: dict[Master, int] = {}
    owners: list[int | None] = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_ in answer:
            if not 0 <= first <= last < SLOTS:
                raise ValueError
            if host == b"?":
                # The cluster wants clients to go by host names, and this node has none.
                raise SlotsUnknown("a master of the cluster announces no host name")
            master = Master(host.decode() if host else asked, int(port))
            index = indexes.setdefault(master, len(indexes))
            owners[first : last + 1] = [index] * (last + 1 - first)
    except (TypeError, ValueError, AttributeError):
        raise SlotsUnknown("the answer to CLUSTER SLOTS is malformed") from None
    known = tuple(owner for owner in owners if owner is not None)
    if len(known) < SLOTS:
        raise SlotsUnknown("the cluster has slots without a master")
    return SlotMap(tuple(indexes), known)

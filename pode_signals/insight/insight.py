"""``signals.insight``: numbers, rows of connections, what went wrong lately, observers. It changes no connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import islice

from ..core.model import BroadcastLevel, Target
from ..core.nearest import unknown
from ..hub.hub import Hub
from ..hub.link import Link
from ..hub.observing import Observer, observe
from ..hub.recent import LogLine, Refusal
from ..hub.traffic import count_traffic
from ..scheduling.schedules import Schedules
from ..scheduling.timers import Timers
from .numbers import NUMBERS, Numbers, Sources
from .rows import ConnectionRow, ConnectionRows

__all__ = ["MOST_ROWS", "Insight"]

MOST_ROWS = 200
"""So many rows :meth:`Insight.connections` gives at a time."""
# More connections than a process ever has; int() takes a time that grows with the square of the digits.
_MOST_DIGITS = 18


class Insight:
    """``signals.insight``: to be read from, at any time.

    ::

        signals.insight.number("pode_signals_slow_connections")
        for row in signals.insight.connections(name="Chat", slow=True).items:
            print(row.client_id, row.queued_bytes)

    Args:
        hub: the hub.
        schedules: its schedules.
        timers: its timers.
    """

    def __init__(self, hub: Hub, schedules: Schedules, timers: Timers) -> None:
        self._hub = hub
        self._sources = Sources(hub, schedules, timers)

    def numbers(self) -> dict[str, Numbers]:
        """Every number by the name that its metric has; those that end in ``_total`` only grow.

        Returns:
            A number; or numbers by the value of a label, or by a tuple of the values of several labels.
        """
        return {name: each.read(self._sources) for name, each in NUMBERS.items()}

    def number(self, name: str) -> Numbers:
        """One of :meth:`numbers`.

        Raises:
            ValueError: there is no such number; the sentence has the nearest name.
        """
        if name not in NUMBERS:
            raise ValueError(unknown("number", name, NUMBERS))
        return NUMBERS[name].read(self._sources)

    def connections(
        self,
        *,
        name: str | None = None,
        group: str | None = None,
        slow: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> ConnectionRows:
        """Connections, a page at a time, in the order of their coming.

        Args:
            name: only global connections of this name; None is all connections, local and closing ones too.
            group: only those of this group.
            slow: only those whose transport holds data that the client has not read.
            limit: how many at most, from 1 to 200.
            after: ``next`` of the page before; it stays good when the connections of that page are gone. None begins.

        Raises:
            ValueError: a limit that makes no sense, or an ``after`` that no page has given.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_ROWS:
            raise ValueError(f"limit has to be a whole number from 1 to {MOST_ROWS}, not {limit!r}")
        numbers = self._hub.capacity.links
        begin = _number_of(after)
        wanted = (
            link
            for link in self._links(name, group)
            if numbers[link] > begin and not (slow and link not in self._hub.fan_out.congested)
        )
        page = tuple(islice(wanted, limit + 1))
        is_last = len(page) <= limit
        page = page[:limit]
        return ConnectionRows(tuple(map(self._row, page)), None if is_last else str(numbers[page[-1]]))

    def slow(self, count: int = 20) -> tuple[ConnectionRow, ...]:
        """The connections whose transports hold data that their clients have not read, the longest queues first.

        Args:
            count: how many at most.
        """
        return tuple(map(self._row, nlargest(count, self._hub.fan_out.congested, key=_queued_bytes)))

    @property
    def backplane_state(self) -> str:
        """``"up"`` where this node reaches the others, and where it is alone; else why it does not reach them."""
        return self._hub.node.state

    def broadcast_levels(self) -> dict[str | None, BroadcastLevel]:
        """The broadcast levels that were set, by name; None is the level of each name that has none of its own."""
        return self._hub.deliveries.levels.all()

    def recent_refusals(self) -> tuple[Refusal, ...]:
        """The last 100 WebSocket handshakes that became no connection, the oldest first."""
        return tuple(self._hub.reports.recent.refusals)

    def recent_errors(self) -> tuple[LogLine, ...]:
        """The last 100 log lines of the hub of the level ``warn`` or above, without tracebacks, the oldest first.

        What the limit on log lines leaves out is not among them; ``pode_signals_log_lines_suppressed_total`` counts it.
        """
        return tuple(self._hub.reports.recent.lines)

    def attach(self, observer: Observer) -> None:
        """Have an observer told of each thing that happens, from now on and for good.

        Its methods are bound into the hub now: what nobody wants to be told of costs nothing. Several observers are
        told in the order in which they were attached.

        Args:
            observer: an instance of a subclass of :class:`Observer`.

        Raises:
            RuntimeError: connections were opened before, and would not be observed.
            TypeError: it is no ``Observer``.
        """
        self._hub.runtime.check_thread("insight.attach")
        if not isinstance(observer, Observer):
            raise TypeError(f"an observer is an instance of a subclass of Observer, not {observer!r}")
        self._check_is_new()
        observe(self._hub, observer)

    def count_traffic(self, label: Callable[[str], str]) -> None:
        """Count bytes, and what goes to which name, from now on and for good; ``Operations`` does so for its metrics.

        Args:
            label: gives the label that what goes to a name is counted under, out of few.

        Raises:
            RuntimeError: connections were opened before, or the traffic is counted already.
        """
        self._hub.runtime.check_thread("insight.count_traffic")
        if self._sources.traffic is not None:
            raise RuntimeError("the traffic of this hub is counted already")
        self._check_is_new()
        self._sources.traffic = count_traffic(self._hub, label)

    def _check_is_new(self) -> None:
        if self._hub.counters.connections_opened:
            raise RuntimeError("attach an observer before the first connection: those that are open can't be observed")

    def _links(self, name: str | None, group: str | None) -> Iterator[Link]:
        if name is None:
            return (link for link in self._hub.links() if group is None or group in link.groups)
        return iter(self._hub.registry.select(Target((name,), () if group is None else (group,))))

    def _row(self, link: Link) -> ConnectionRow:
        hub = self._hub
        return ConnectionRow(
            client_id=link.client_id,
            name=link.name,
            groups=link.groups,
            scope=link.scope,
            protocol=link.encoding.protocol,
            state=link.state,
            connected_at=hub.wall_time(link.connected_seconds),
            last_activity_at=hub.wall_time(link.last_activity_seconds),
            address=link.address,
            queued_bytes=_queued_bytes(link),
            slow=link in hub.fan_out.congested,
            node=hub.backplane.node,
        )


def _queued_bytes(link: Link) -> int:
    return 0 if link.outbox is None else link.outbox.size_bytes


def _number_of(after: str | None) -> int:
    """The number of the connection that a page ended with."""
    if after is None:
        return 0
    if not (isinstance(after, str) and after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS):
        raise ValueError(f"after has to be what a page before gave as its next, not {after!r}")
    return int(after)

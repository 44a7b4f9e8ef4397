"""``signals.insight``: connections as rows, a page at a time, and the slowest of them."""

from __future__ import annotations

from typing import Any

import pytest
from encodings_of_tests import NEWER
from fakes import connect, connected, new_signals, turn
from queue_model import PLACE_BYTES, slowed

from pode_signals import Scope, Signals
from pode_signals.core.model import ConnectionState
from pode_signals.insight.rows import ConnectionRow
from pode_signals.signals import hub_of
from pode_signals.wire.frames import text_frame


def ids(signals: Signals, **arguments: Any) -> list[str]:
    """The client ids of the first page."""
    return [row.client_id for row in signals.insight.connections(**arguments).items]


def pages(signals: Signals, **arguments: Any) -> list[list[str]]:
    """The client ids of each page."""
    found, after = [], None
    while True:
        page = signals.insight.connections(after=after, **arguments)
        found.append([row.client_id for row in page.items])
        after = page.next
        if after is None:
            return found


@pytest.fixture
def signals() -> Signals:
    """Five connections of two names."""
    signals = new_signals()
    for number in range(5):
        connected(signals, "AB"[number % 2], client_id=str(number), group="g" if number < 2 else None)
    return signals


def test_a_row() -> None:
    """O4.1: a row has all that is said of a connection."""
    signals = new_signals(unrouted="drop")
    client = slowed(connected(signals, "Msg", group=["g", "h"], client_id="ada", address="192.0.2.9"), 0)
    client.connection.send("fills")
    client.connection.send("waits")
    began = client.connection.connected_at
    turn(signals, seconds=7)
    client.says("hello")
    assert signals.insight.connections().items == (
        ConnectionRow(
            client_id="ada",
            name="Msg",
            groups=("g", "h"),
            scope=Scope.GLOBAL,
            protocol="plain",
            state=ConnectionState.OPEN,
            connected_at=began,
            last_activity_at=client.connection.last_activity,
            address="192.0.2.9",
            queued_bytes=PLACE_BYTES + len(text_frame(b"waits")),
            slow=True,
            node=hub_of(signals).backplane.node,
        ),
    )
    assert (client.connection.last_activity - began).total_seconds() == 7


def test_the_first_group_of_a_row() -> None:
    """O4.1: a row has the first of its groups by itself, as a connection has; None where it has none."""
    signals = new_signals()
    connect(signals, group=["g", "h"])
    connect(signals)
    assert [row.group for row in signals.insight.connections().items] == ["g", None]


def test_the_protocol_of_a_row() -> None:
    """O4.1: a row tells by which protocol the client gets its messages."""
    signals = new_signals()
    connect(signals, encoding=NEWER)
    assert [row.protocol for row in signals.insight.connections().items] == ["newer"]


def test_filters(signals: Signals) -> None:
    """O4.1: rows of a name, of a group, of slow clients; local and closing connections are among all alone."""
    local = connect(signals, "A", client_id="local", scope=Scope.LOCAL)
    closing = connect(signals, "A", client_id="closing", answers_close=False)
    closing.connection.close()
    assert ids(signals) == ["0", "1", "2", "3", "4", "local", "closing"]
    assert ids(signals, name="A") == ["0", "2", "4"]
    assert ids(signals, name="A", group="g") == ["0"]
    assert ids(signals, group="g") == ["0", "1"]
    local.connection.join("g")
    connect(signals, "B", client_id="several", group=["f", "g"])
    assert ids(signals, group="g") == ["0", "1", "local", "several"]
    assert ids(signals, name="B", group="g") == ["1", "several"]
    assert ids(signals, name="nobody") == ids(signals, slow=True) == []
    slowed(local, 0).connection.send("fills")
    assert ids(signals, slow=True) == ["local"]
    states = {row.client_id: row.state for row in signals.insight.connections().items}
    assert (states["local"], states["closing"]) == (ConnectionState.OPEN, ConnectionState.CLOSING)


def test_pages(signals: Signals) -> None:
    """O4.2: pages come in the order of joining, and the last one says that it is the last."""
    assert pages(signals, limit=2) == [["0", "1"], ["2", "3"], ["4"]]
    assert pages(signals, limit=5) == [["0", "1", "2", "3", "4"]]
    assert pages(signals, name="A", limit=1) == [["0"], ["2"], ["4"]]
    assert pages(signals, name="nobody") == [[]]


def test_a_page_goes_on_where_its_row_is_gone(signals: Signals) -> None:
    """O4.2: ``after`` stays good when the connection that it stands for has left, and newcomers come last."""
    after = signals.insight.connections(limit=2).next
    for each in signals.open_connections()[:2]:
        each.close()
    connected(signals, "A", client_id="new")
    assert ids(signals, after=after) == ["2", "3", "4", "new"]


@pytest.mark.parametrize("limit", [0, 201, -1, True, 1.5, "10", None])
def test_a_limit_that_makes_no_sense(signals: Signals, limit: Any) -> None:
    """S20.2: a limit is a whole number from 1 to 200."""
    with pytest.raises(ValueError, match="limit has to be a whole number from 1 to 200, not "):
        signals.insight.connections(limit=limit)


@pytest.mark.parametrize("after", ["", "x", "-1", "1.5", "٣", "9" * 5_000, 3])
def test_an_after_that_no_page_has_given(signals: Signals, after: Any) -> None:
    """S20.2: ``after`` is what a page gave."""
    with pytest.raises(ValueError, match="after has to be what a page before gave as its next"):
        signals.insight.connections(after=after)


def test_the_slowest(signals: Signals) -> None:
    """O5.2: those whose clients do not read, the longest queues first."""
    crowd = [slowed(connected(signals, "C", client_id=f"slow {number}"), 0) for number in range(4)]
    for number, client in enumerate(crowd):
        client.connection.send("fills")
        for _ in range((number * 2) % 5):
            client.connection.send("waits")
    assert [row.client_id for row in signals.insight.slow()] == ["slow 2", "slow 1", "slow 3", "slow 0"]
    assert [row.client_id for row in signals.insight.slow(2)] == ["slow 2", "slow 1"]
    assert [row.queued_bytes > 0 for row in signals.insight.slow()] == [True, True, True, False]

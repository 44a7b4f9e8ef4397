"""Bytes, and what goes to which name: counted where somebody wants that, by functions that are bound anew."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from encodings_of_tests import NEWER
from fakes import connected, new_signals, turn
from queue_model import slowed
from twisted.logger import capturedLogs

from pode_signals import Observer, Signals
from pode_signals.core.model import SendMode
from pode_signals.hub.dispatch import Dispatch
from pode_signals.hub.fanout import FanOut
from pode_signals.hub.fence import Fence
from pode_signals.signals import hub_of


def counted(**settings: Any) -> Signals:
    """Signals whose traffic is counted, each name for itself."""
    signals = new_signals(**settings)
    signals.insight.count_traffic(str)
    return signals


def bound(signals: Signals) -> dict[str, Any]:
    """Every function that may be bound anew, without the object that it belongs to."""
    hub = hub_of(signals)
    found = {
        "received": hub.received,
        "send_one": hub.fan_out.send_one,
        "write": hub.fan_out.write,
        "flush": hub.fan_out.flush,
        "to_one": hub.deliveries.to_one,
        "to_all": hub.deliveries.to_all,
        "call": hub.fence.call,
    }
    return {name: getattr(each, "__func__", each) for name, each in found.items()}


def test_nobody_counts() -> None:
    """O1.4: without metrics each function is the one of its class, and nothing is bound on the object itself."""
    signals = new_signals()
    hub = hub_of(signals)
    deliveries = type(hub.deliveries)
    assert bound(signals) == {
        "received": Dispatch.received,
        "send_one": FanOut.send_one,
        "write": FanOut.write,
        "flush": FanOut._flush,
        "to_one": deliveries._to_one,
        "to_all": deliveries.to_all,
        "call": Fence._call,
    }
    assert not {"send_one", "write"} & vars(hub.fan_out).keys()
    assert "to_all" not in vars(hub.deliveries)
    for number in ("received_bytes_total", "sent_bytes_total", "name_sends_total", "name_deliveries_total"):
        assert signals.insight.number(f"pode_signals_{number}") is None


def statements(function: Callable[..., Any]) -> list[str]:
    """The lines of a function, without docstring, comments and what it counts."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (found,) = tree.body
    assert isinstance(found, ast.FunctionDef)
    if isinstance(found.body[0], ast.Expr) and isinstance(found.body[0].value, ast.Constant):
        del found.body[0]
    return [
        line.replace("_write_uncounted", "write")
        for line in ast.unparse(found).splitlines()[1:]
        if "_bytes += " not in line
    ]


@pytest.mark.parametrize(
    ("counting", "plain"),
    [(Dispatch.received_counted, Dispatch.received), (FanOut._send_one_counted, FanOut.send_one)],
)
def test_both_do_the_same(counting: Callable[..., Any], plain: Callable[..., Any]) -> None:
    """O1.4: a function that counts has each line of the one that does not, and the one that counts beside these."""
    assert statements(counting) == statements(plain)
    assert inspect.getsource(counting).count("_bytes += len(") == 1


def test_what_is_received() -> None:
    """O1.3: the bytes of text messages are counted, of bad ones too, and of none after a close."""
    signals = counted()
    client = connected(signals)
    client.writes(b'{"message":"hello"}')
    client.writes(b"{")
    client.connection.close()
    client.writes(b"too late")
    assert signals.insight.number("pode_signals_received_bytes_total") == 20


def test_with_an_observer_of_messages() -> None:
    """O1.4: an observer that was there before is told as ever, and the bytes are counted once."""
    told: list[bytes] = []
    signals = new_signals()
    signals.insight.attach(type("Watching", (Observer,), {"received": lambda self, _, payload: told.append(payload)})())
    signals.insight.count_traffic(str)
    client = connected(signals)
    client.writes(b"{")
    client.connection.close()
    client.writes(b"too late")
    assert told == [b"{"]
    assert signals.insight.number("pode_signals_received_bytes_total") == 1


def test_what_is_sent() -> None:
    """O1.3: what transports took is counted, in each encoding: batches, single writes, and what has waited."""
    signals = counted(slow_client="drop_newest", send_queue_bytes=100)
    clients = [connected(signals), connected(signals), connected(signals, encoding=NEWER)]
    slow = slowed(connected(signals), 0)
    clients[0].connection.send("alone")
    signals.send("ab", name="Msg")
    signals.send("cde", name="Msg")
    turn(signals)

    def written() -> int:
        return sum(len(each) for client in (*clients, slow) for each in client.written if isinstance(each, bytes))

    assert signals.insight.number("pode_signals_sent_bytes_total") == written() > 0
    before = written()
    slow.connection.send("waits")
    with capturedLogs():
        slow.connection.send("x" * 100)
    assert signals.insight.number("pode_signals_sent_bytes_total") == written() == before
    slow.reads_all()
    assert signals.insight.number("pode_signals_sent_bytes_total") == written() == before + len(b"\x81\x05waits")


def test_a_batch_that_fails() -> None:
    """O1.3: who can't be written to gets no bytes."""
    signals = counted()
    clients = [connected(signals), connected(signals, encoding=NEWER), connected(signals)]
    clients[0].raises = OSError("gone")
    clients[1].raises = OSError("gone")
    with capturedLogs():
        signals.send("x", name="Msg")
        turn(signals)
        clients[2].raises = OSError("gone")
        clients[2].connection.send("y")
    assert signals.insight.number("pode_signals_sent_bytes_total") == len(b"\x81\x01x")


def test_names() -> None:
    """O1.3: messages and recipients are counted by name, those with one recipient too; single clients are not."""
    signals = counted()
    for _ in range(3):
        connected(signals, "Many", group="a")
    alone = connected(signals, "One")
    signals.send("x", name=["Many", "One"])
    signals.send("x", name="Many", group="a")
    signals.send("x", name="Many", group="nobody")
    signals.send("x", name="Empty")
    alone.connection.send("x")
    signals.send("x", name="One", client_id=alone.client_id)
    signals.send("x", name="One", mode=SendMode.BROADCAST)
    assert signals.insight.number("pode_signals_name_sends_total") == {"Many": 2, "One": 2}
    assert signals.insight.number("pode_signals_name_deliveries_total") == {"Many": 6, "One": 2}


class TestMistakes:
    def test_after_the_first_connection(self) -> None:
        """S20.2: a count that would miss connections is refused at once."""
        signals = new_signals()
        connected(signals)
        with pytest.raises(RuntimeError, match="attach an observer before the first connection"):
            signals.insight.count_traffic(str)

    def test_twice(self) -> None:
        """S20.2: a second count is refused."""
        with pytest.raises(RuntimeError, match="the traffic of this hub is counted already"):
            counted().insight.count_traffic(str)

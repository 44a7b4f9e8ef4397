"""``signals.insight``: what went wrong lately, bounded."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import connected, new_signals, turn
from twisted.logger import LogLevel, capturedLogs
from web_fakes import World, head, plain

from pode_signals.hub.recent import MOST_CHARACTERS, MOST_LINE_CHARACTERS, MOST_RECENT, LogLine, Refusal
from pode_signals.signals import hub_of


def test_a_refusal() -> None:
    """O4.1: a refused handshake is kept with its reason, status, address, path and origin, without the query."""
    world = World(allowed_origins=["https://example.com"]).converting()
    world.clock.advance(100)
    world.client().ask(head("/msg?token=secret", ("Origin", "https://elsewhere.example")))
    assert world.signals.insight.recent_refusals() == (
        Refusal(
            at=hub_of(world.signals).wall_time(100),
            reason="OriginRefused",
            status=403,
            address="203.0.113.7",
            path="/msg",
            origin="https://elsewhere.example",
        ),
    )


def test_a_request_that_is_no_handshake() -> None:
    """O4.1: what asked for no WebSocket is no refused handshake."""
    world = World().converting()
    assert world.client().ask(plain("/msg")).status == 426
    assert world.signals.insight.recent_refusals() == ()


def test_refusals_are_bounded() -> None:
    """O1.9: whatever clients send, the last hundred refusals are kept, and of their texts so much."""
    world = World(allowed_origins=["https://example.com"]).converting()
    for number in range(MOST_RECENT + 20):
        long = ("Origin", f"https://{number}." + "x" * 1_000)
        world.client().ask(head("/msg", long))
    found = world.signals.insight.recent_refusals()
    assert len(found) == MOST_RECENT
    assert [each.origin[:12] if each.origin else "" for each in found[:2]] == ["https://20.x", "https://21.x"]
    assert {len(each.origin or "") for each in found} == {MOST_CHARACTERS}


def test_a_refusal_is_printable() -> None:
    """S16.5: a client's text is escaped before an operator sees it."""
    world = World(allowed_origins=["https://example.com"]).converting()
    world.client().ask(head("/msg", ("Origin", "https://\u202eelsewhere")))
    (found,) = world.signals.insight.recent_refusals()
    assert found.origin is not None
    assert found.origin.isprintable()


def test_lines() -> None:
    """O4.1: log lines of the level warn and above are kept as they were written, without tracebacks."""
    signals = new_signals(bad_messages_limit=1)

    def fails(_event: Any) -> None:
        raise LookupError("what was looked up")

    signals.add_route("/ws", fails)
    client = connected(signals, client_id="ada")
    turn(signals)
    with capturedLogs():
        client.says("hello")
        client.writes(b"{")
        hub_of(signals).reports.write("chatter", "nothing to see here", level=LogLevel.info, event="test.event")
    at = hub_of(signals).wall_time()
    raised, bad, *_ = signals.insight.recent_errors()
    assert raised == LogLine(at, "critical", "signal route /ws raised", "signal route /ws, connection ada raised")
    assert (bad.level, bad.kind) == ("warn", "messages_bad")
    assert bad.text.startswith("connection ada: bad message: ")
    assert "chatter" not in {each.kind for each in signals.insight.recent_errors()}


def test_lines_are_bounded() -> None:
    """O1.9: the last hundred lines are kept, and of each so much."""
    signals = new_signals()
    reports = hub_of(signals).reports
    with capturedLogs():
        for number in range(MOST_RECENT + 5):
            reports.write(f"kind {number}", "{number} {what}", number=number, what="x" * 5_000, event="test.event")
    found = signals.insight.recent_errors()
    assert [each.kind for each in found] == [f"kind {number}" for number in range(5, MOST_RECENT + 5)]
    assert {len(each.text) for each in found} == {MOST_LINE_CHARACTERS}


@pytest.mark.parametrize("programs", [3, 2_000])
def test_kinds_of_lines_that_are_left_out(programs: int) -> None:
    """O1.9: however many kinds a program makes, only so many are counted by themselves."""
    signals = new_signals()
    reports = hub_of(signals).reports
    with capturedLogs():
        for number in range(programs):
            for _ in range(11):
                reports.write(f"kind {number}", "a line", event="test.event")
            turn(signals, seconds=61)
    suppressed = signals.counters.lines_suppressed
    assert suppressed.total() == programs
    assert len(suppressed) <= 1_001

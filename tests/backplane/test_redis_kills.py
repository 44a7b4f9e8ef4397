"""Three nodes write one log while Redis is killed again and again, or loses what it had confirmed."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest_twisted
from backplane.redis_kills import kills
from redis_server import redis_server
from twisted.internet import reactor

LONG = os.environ.get("PODE_SIGNALS_NODES") == "all"
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest_twisted.inlineCallbacks
def test_redis_is_killed(tmp_path: Path) -> Generator[Any, Any, None]:
    """S17.2: kill -9 of Redis again and again: nothing is lost or doubled, and the order is the same on each node."""
    messages, times = (300_000, 100) if LONG else (1_500, 3)
    with redis_server(tmp_path, *ALWAYS) as server:
        found = yield kills(reactor, server, messages=messages, kills=times)
    assert found.kills == times
    for node in found.nodes:
        assert (len(node.delivered), len(set(node.delivered)), node.breaks, node.failed) == (messages, messages, [], [])
        assert node.delivered == found.nodes[0].delivered
        positions = dict(zip(node.delivered, node.positions, strict=True))
        assert all(positions[data] == position for data, position in node.written.items())

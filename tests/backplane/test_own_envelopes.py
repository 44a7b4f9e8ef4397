from __future__ import annotations

import pytest

from pode_signals.backplane.redis import own_envelopes
from pode_signals.backplane.redis.own_envelopes import OwnEnvelopes
from pode_signals.core.envelope import Envelope
from pode_signals.core.model import Target


def envelope(number: int) -> Envelope:
    return Envelope("live", "f3a0", number, 1_790_003_600_000, Target(("Room",)))


def test_the_same_bytes_once() -> None:
    """S17.1: what a node has sent it knows again by its bytes, once; other bytes, and the same ones again, it opens."""
    own, sent = OwnEnvelopes(), envelope(1)
    own.keep(b"bytes", sent)
    assert own.take(b"bytEs") is None
    assert own.take(b"bytes") is sent
    assert own.take(b"bytes") is None


def test_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.1: what does not come back is forgotten, the oldest first, so that it takes no more than a bound."""
    monkeypatch.setattr(own_envelopes, "_MOST_BYTES", 10)
    own = OwnEnvelopes()
    for number in range(100):
        own.keep(b"%04d" % number, envelope(number))
        assert own._size_bytes <= 10
    assert [number for number in range(100) if own.take(b"%04d" % number)] == [98, 99]
    assert own._size_bytes == 0
    own.keep(b"more than the bound", envelope(1))
    assert own.take(b"more than the bound") is None
    assert own._size_bytes == 0

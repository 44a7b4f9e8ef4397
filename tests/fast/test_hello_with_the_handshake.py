"""The 101 and hello are one write, where hello comes at once: each write to a socket is a call of the system."""

from __future__ import annotations

import pytest
from dialogues import logged, room, signals_world, talk
from twisted.internet.defer import Deferred
from web_fakes import Wire

from pode_signals.backplane.contract import Missed
from pode_signals.core.environment import FAST
from pode_signals.signals import hub_of

pytestmark = pytest.mark.skipif(not FAST, reason="PODE_SIGNALS_FAST is off: Autobahn writes the 101")


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written to all sockets, write by write."""
    found: list[bytes] = []
    write = Wire.write

    def noted(wire: Wire, data: bytes) -> None:
        found.append(data)
        write(wire, data)

    monkeypatch.setattr(Wire, "write", noted)
    return found


def test_a_first_connection(writes: list[bytes]) -> None:
    """P2: the 101 and hello of a client that comes for the first time are one write."""
    talk(room(signals_world()))
    (opening,) = writes
    assert opening.startswith(b"HTTP/1.1 101 ")
    assert b'{"type":"hello"' in opening


def test_a_client_that_comes_back(writes: list[bytes]) -> None:
    """P36: the 101, hello, what the client has missed, and the beat behind are one write."""
    world = logged()
    talker = talk(world)
    talker.cut()
    world.signals.send("soup", name="Room")
    writes.clear()
    talker.again()
    (opening,) = writes
    assert [opening.count(each) for each in (b"HTTP/1.1 101 ", b'"hello"', b'"soup"', b'"beat"')] == [1, 1, 1, 1]


def test_a_log_that_answers_later(writes: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """P44: a client does not wait for its 101 until a log has answered."""
    world = logged()
    talker = talk(world)
    talker.cut()
    later: Deferred[Missed] = Deferred()
    monkeypatch.setattr(hub_of(world.signals).backplane.history, "missed", lambda *_: later)
    writes.clear()
    talker.again()
    (opening,) = writes
    assert opening.startswith(b"HTTP/1.1 101 ")
    assert opening.endswith(b"\r\n\r\n")
    later.callback(Missed(complete=True, signals=()))
    assert [b'{"type":"hello"' in each for each in writes] == [False, True]

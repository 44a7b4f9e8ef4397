"""The client id of a conversion: random or given, signed or not, and what happens when it is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from web_fakes import World, close_frame, message

from pode_signals.core.model import ClosedBy, Closure, Scope
from pode_signals.testing import Refused, TestClient

pytestmark = pytest.mark.usefixtures("protocol")


def refused(world: World) -> int:
    """The status with which a newcomer is refused."""
    with pytest.raises(Refused) as raised:
        world.tester.connect("/msg")
    return raised.value.status


def test_random_client_ids() -> None:
    """S2.4: a client id is a random version-4 UUID unless it is given."""
    world = World().converting()
    ids = {world.tester.connect("/msg").client_id for _ in range(20)}
    assert len(ids) == 20
    assert all(str(UUID(each)) == each and UUID(each).version == 4 for each in ids)


@pytest.mark.parametrize("given", [None, "one", 4711, "ä%"])
@pytest.mark.parametrize("kind", ["plain", "signals"])
def test_signed_client_ids(given: str | int | None, kind: Any) -> None:
    """S2.4: with signing on the id is signed either way, and the registry knows it as it was issued."""
    world = World().converting(client_id=given)
    world.signals.enable_signing("x" * 32)
    issued = world.tester.connect("/msg", protocol=kind).client_id
    assert issued.startswith("s:" if given is None else f"s:{given}.")
    assert world.signals.is_client_id_valid(issued)
    assert world.signals.client_ids("Msg") == (issued,)
    assert world.converted[0].client_id == issued


def test_a_newcomer_replaces() -> None:
    """S2.4: a second connection with the same id replaces the first, which is closed with 4409, and leaves first."""
    world = World().converting(client_id="one").listening()
    order: list[tuple[str, bool]] = []
    world.signals.on_connect("Msg")(lambda event: order.append(("connect", event.connection is world.converted[0])))
    world.signals.on_disconnect("Msg")(
        lambda event: order.append(("disconnect", event.connection is world.converted[0]))
    )
    first, second = world.tester.connect("/msg"), world.tester.connect("/msg")
    assert first.closed == Closure(4409, "replaced by a newer connection", ClosedBy.SERVER)
    second.nothing()
    assert world.signals.connections("Msg") == (world.converted[1],)
    assert order == [("connect", True), ("connect", False), ("disconnect", True)]
    world.signals.send("for the second", name="Msg", client_id="one")
    assert second.receive() == "for the second"
    world.tester.end()


def test_what_a_client_says_that_was_replaced() -> None:
    """S2.4: what a replaced client still sends goes nowhere, and its socket ends."""
    world = World().converting(client_id="one").listening()
    first = world.client().open()
    world.client().open()
    first.send(message("late"), close_frame(4409))
    world.turn()
    assert world.messages == []
    assert first.wire.ended == "closed"


@pytest.mark.parametrize("how", [TestClient.cut, TestClient.vanish, TestClient.close])
def test_a_late_end_evicts_nobody(how: Callable[[TestClient], None]) -> None:
    """S2.4: removal is by identity."""
    world = World().converting(client_id="one")
    first = world.tester.connect("/msg")
    # The first client does not know yet that it is replaced, when it ends by itself.
    first.wire.socket.unplug()
    world.tester.connect("/msg")
    how(first)
    assert world.signals.connections("Msg") == (world.converted[1],)
    world.tester.advance(10)
    assert world.signals.connections("Msg") == (world.converted[1],)


def test_one_id_in_two_names() -> None:
    """S2.4: an id belongs to its name, and local connections are in nobody's way."""
    world = World(duplicate_client_id="refuse")
    world.converting(client_id="one").converting("/other", "Other", client_id="one")
    world.converting("/local", "Msg", client_id="one", scope=Scope.LOCAL)
    for path in ("/msg", "/other", "/local"):
        world.tester.connect(path)
    assert refused(world) == 409


def test_a_refused_duplicate() -> None:
    """S2.4: with duplicate_client_id="refuse" the newcomer gets 409, and the first does not notice."""
    world = World(duplicate_client_id="refuse").converting(client_id="one")
    first = world.tester.connect("/msg")
    assert refused(world) == 409
    assert first.frames() == []
    assert world.signals.count() == 1

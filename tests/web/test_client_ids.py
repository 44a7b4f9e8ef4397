"""The client id of a conversion: random or given, signed or not, and what happens when it is taken."""

from __future__ import annotations

from urllib.parse import unquote
from uuid import UUID

import pytest
from web_fakes import World, close_frame, head, message

from pode_signals.core.model import Scope

pytestmark = pytest.mark.usefixtures("protocol")


def test_random_client_ids() -> None:
    """S2.4: a client id is a random version-4 UUID unless it is given."""
    world = World().converting()
    ids = {world.client().ask(head()).value("X-PODE-SIGNAL-CLIENT-ID") for _ in range(20)}
    assert len(ids) == 20
    assert all(str(UUID(each)) == each and UUID(each).version == 4 for each in ids)


@pytest.mark.parametrize("given", [None, "one", 4711])
def test_signed_client_ids(given: str | int | None) -> None:
    """S2.4: with signing on the id is signed either way, and the registry knows it as it was issued."""
    world = World().converting(client_id=given)
    world.signals.enable_signing("x" * 32)
    issued = unquote(world.client().ask(head()).value("X-PODE-SIGNAL-CLIENT-ID") or "")
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
    first, second = world.client().open(), world.client().open()
    assert first.closed is not None
    assert first.closed[0] == 4409
    assert second.frames == []
    first.send(message("late"), close_frame(4409))
    world.turn()
    assert world.messages == []
    assert first.wire.ended == "closed"
    assert world.signals.connections("Msg") == (world.converted[1],)
    assert order == [("connect", True), ("connect", False), ("disconnect", True)]
    world.signals.send("for the second", name="Msg", client_id="one")
    assert second.texts == ["for the second"]


@pytest.mark.parametrize("how", ["leave", "reset"])
def test_a_late_end_evicts_nobody(how: str) -> None:
    """S2.4: removal is by identity."""
    world = World().converting(client_id="one")
    first = world.client().open()
    world.client().open()
    getattr(first, how)()
    assert world.signals.connections("Msg") == (world.converted[1],)
    world.turn(10)
    assert world.signals.connections("Msg") == (world.converted[1],)


def test_one_id_in_two_names() -> None:
    """S2.4: an id belongs to its name, and local connections are in nobody's way."""
    world = World(duplicate_client_id="refuse")
    world.converting(client_id="one").converting("/other", "Other", client_id="one")
    world.converting("/local", "Msg", client_id="one", scope=Scope.LOCAL)
    for path in ("/msg", "/other", "/local"):
        world.client().open(path)
    assert world.client().ask(head()).status == 409


def test_a_refused_duplicate() -> None:
    """S2.4: with duplicate_client_id="refuse" the newcomer gets 409, and the first does not notice."""
    world = World(duplicate_client_id="refuse").converting(client_id="one")
    first = world.client().open()
    assert world.client().ask(head()).status == 409
    assert first.frames == []
    assert world.signals.count() == 1

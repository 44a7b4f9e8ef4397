"""Who is connected, as a client tells it."""

from __future__ import annotations

from client_sessions import SessionWorld, hello_document

from pode_signals.client.events import PresenceChanged
from pode_signals.wire.v1 import PresentMember

WATCH = {"type": "presence", "watch": True}
ADA, BOB, EVE = ({"id": name} for name in ("ada", "bob", "eve"))
MEMBERS = {name: PresentMember(name) for name in ("ada", "bob", "eve")}


def watching(**fields: object) -> SessionWorld:
    """A client that watches, and whose first hello was taken."""
    world = SessionWorld(watch=True).opened(**{"presence": "name", **fields})
    world.events()
    return world


def views(world: SessionWorld) -> list[object]:
    """The client ids, or their number, of each change since the last look."""
    changes = [each for each in world.events() if isinstance(each, PresenceChanged)]
    return [each.count if each.members is None else sorted(each.members) for each in changes]


def test_who_asks() -> None:
    """P79: a client that wants to watch says so after each first hello, where presence is shared."""
    world = watching()
    assert world.frames == [WATCH]
    world.says(**hello_document(recovered=True, presence="name"))
    assert world.frames == []
    world.ends().comes_back(presence="name")
    assert world.frames == [WATCH]
    assert SessionWorld(watch=True).opened().frames == []
    assert SessionWorld().opened(presence="name").frames == []


def test_a_view() -> None:
    """P79: members replace the view, joined and left change it, and each change tells the whole view."""
    world = watching().says(
        type="presence", seq=7, members=[ADA, {"id": "bob", "user": "Bob", "info": {"color": "red"}}]
    )
    (first,) = world.events()
    assert first == PresenceChanged(
        {"ada": MEMBERS["ada"], "bob": PresentMember("bob", "Bob", info={"color": "red"})}, 2
    )
    world.says(type="presence", seq=8, joined=[EVE, BOB], left=["ada"])
    (second,) = world.events()
    assert second == PresenceChanged(
        {"bob": MEMBERS["bob"], "eve": MEMBERS["eve"]}, 2, joined=(MEMBERS["eve"], MEMBERS["bob"]), left=("ada",)
    )
    # A view that was handed out stays as it is.
    assert isinstance(first, PresenceChanged)
    assert sorted(first.members or ()) == ["ada", "bob"]


def test_counts() -> None:
    """P81: a count stands for members who are too many; a snapshot brings them back."""
    world = watching().says(type="presence", seq=1, count=251).says(type="presence", seq=2, count=250)
    world.says(type="presence", seq=3, members=[ADA])
    assert views(world) == [251, 250, ["ada"]]


def test_old_frames() -> None:
    """P79: a frame whose number is not above the view's changes nothing; nor does a change before any members."""
    world = watching().says(type="presence", seq=6, joined=[EVE])
    world.says(type="presence", seq=7, members=[ADA]).says(type="presence", seq=7, left=["ada"])
    world.says(type="presence", seq=6, members=[]).says(type="presence", seq=7, count=3)
    assert views(world) == [["ada"]]
    assert world.frames == [WATCH]


def test_a_gap() -> None:
    """P83: a gap in the numbers brings one watch, and the members that come then replace the view."""
    world = watching().says(type="presence", seq=7, members=[ADA])
    assert world.frames == [WATCH]
    world.says(type="presence", seq=9, joined=[EVE]).says(type="presence", seq=10, left=["eve"])
    assert (views(world), world.frames) == ([["ada"]], [WATCH])
    world.says(type="presence", seq=10, members=[ADA, BOB]).says(type="presence", seq=11, joined=[EVE])
    assert (views(world), world.frames) == ([["ada", "bob"], ["ada", "bob", "eve"]], [])
    world.says(type="presence", seq=13, left=["eve"])
    assert world.frames == [WATCH]


def test_groups() -> None:
    """P82: each group has a view and numbers of its own; the view of a group that the client left is forgotten."""
    world = watching(presence="group", groups=["a", "b"])
    world.says(type="presence", seq=7, group="a", members=[ADA])
    world.says(type="presence", seq=2, group="b", members=[BOB])
    world.says(type="presence", seq=8, group="a", joined=[EVE])
    assert [each.group for each in world.events() if isinstance(each, PresenceChanged)] == ["a", "b", "a"]
    world.says(**hello_document(presence="group", groups=["b"], recovered=True))
    world.says(**hello_document(presence="group", groups=["b", "a"], recovered=True))
    world.says(type="presence", seq=9, group="a", joined=[BOB]).says(type="presence", seq=3, group="b", left=["bob"])
    assert views(world) == [[]]


def test_a_new_connection() -> None:
    """P79: a new connection begins without a view, whatever numbers the old one had."""
    world = watching().says(type="presence", seq=7, members=[ADA]).ends().comes_back(presence="name")
    world.says(type="presence", seq=1, members=[BOB])
    assert views(world) == [["ada"], ["bob"]]

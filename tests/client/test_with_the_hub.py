"""The client and the hub of this package, over sockets in memory, on one clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from client_wires import Outcome, Wire, gathered, joined, run
from dialogues import room, signals_world
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from web_fakes import World

from pode_signals.client import ClientEvent, Closed, Lost, Opened, SignalClient, SignalReceived
from pode_signals.errors import ReplyError, ReplyRefused
from pode_signals.signals import hub_of


class Joined:
    """A client of a :class:`~web_fakes.World`, and its loop.

    Attributes:
        client: the client.
        events: what its loop has got.
        wires: its end of each socket.
        is_away: whether the server can't be reached.
    """

    def __init__(self, world: World, path: str = "/room", **options: Any) -> None:
        self.world = world
        self.wires: list[Wire] = []
        self.is_away = False
        self.client = SignalClient(
            f"ws://example.com:80{path}", reactor=world.clock, connect=lambda url: self, base_seconds=0.1, **options
        )
        self.events: list[ClientEvent] = []
        run(gathered(self.client, self.events))
        self.client.startService()
        self.turn()

    def connect(self, factory: Any) -> Deferred[Any]:
        """The endpoint's own method."""
        if self.is_away:
            return fail(ConnectionLost("away"))
        client = factory.buildProtocol(None)
        server = self.world.site.buildProtocol(Wire(self.world.clock).getPeer())
        self.wires.append(joined(self.world.clock, client, server)[0])
        return succeed(client)

    def turn(self, seconds: float = 0) -> Joined:
        """Let time pass."""
        self.world.turn()
        self.world.turn(seconds)
        self.world.turn()
        return self

    def cut(self) -> Joined:
        """The socket breaks, and the server can't be reached."""
        self.is_away = True
        self.wires[-1].other.abortConnection()
        return self.turn()

    def back(self) -> Joined:
        """The server can be reached again."""
        self.is_away = False
        for _ in range(40):
            self.turn(1)
        return self

    @property
    def got(self) -> list[Any]:
        """The data of signals, and the class of other events."""
        return [each.data if isinstance(each, SignalReceived) else type(each) for each in self.events]


def test_hello_reply_error() -> None:
    """P2, P23, P26: the client is greeted by the hub, gets replies, and the errors of a route."""
    world = signals_world().converting("/room", "Room")

    @world.signals.route("/room")
    def said(event: Any) -> Any:
        if event.data.message == "taken":
            raise ReplyRefused("taken", "This seat is taken.")
        return event.data.message

    ada = Joined(world)
    reply, refused = run(ada.client.request({"seat": "4A"})), run(ada.client.request("taken"))
    ada.turn()
    assert reply.result == {"seat": "4A"}
    assert isinstance(refused.result, ReplyError)
    assert (refused.result.code, refused.result.text) == ("app.taken", "This seat is taken.")
    assert ada.client.hello is not None
    assert ada.client.hello.client_id == world.converted[0].client_id


def test_cut_and_back() -> None:
    """P36, P60: a client that is cut off gets each signal that it missed once and in order, and then new ones."""
    world = room(signals_world())
    world.signals.keep_history("Room")
    ada = Joined(world)
    world.signals.send("one", name="Room")
    ada.turn().cut()
    for text in ("two", "three"):
        world.signals.send(text, name="Room")
    ada.back()
    world.signals.send("four", name="Room")
    ada.turn()
    assert ada.got == [Opened, "one", Opened, "two", "three", "four"]
    assert [each.replayed for each in ada.events if isinstance(each, SignalReceived)] == [False, True, True, False]
    first, second = (each.hello for each in ada.events if isinstance(each, Opened))
    assert (first.client_id, second.recovered) == (second.client_id, True)


def test_groups_come_back() -> None:
    """P47: a client that joined a group is in it again after a cut, and gets what was sent to it meanwhile."""
    world = room(signals_world())
    world.signals.keep_history("Room")
    ada = Joined(world)
    run(ada.client.request({"join": "kitchen"}))
    ada.turn().cut()
    world.signals.send("soup", name="Room", group="kitchen")
    ada.back()
    assert ada.got == [Opened, Opened, "soup"]
    assert ada.client.hello is not None
    assert ada.client.hello.groups == ("kitchen",)


def test_what_is_lost() -> None:
    """P37, P62: a client that missed more than is kept is told, and gets none of it."""
    world = room(signals_world())
    world.signals.keep_history("Room", messages=3)
    ada = Joined(world).cut()
    for number in range(4):
        world.signals.send(number, name="Room")
    ada.back()
    assert ada.got == [Opened, Opened, Lost]


def test_since() -> None:
    """P54: a client that is given a position gets what came after it."""
    world = room(signals_world())
    world.signals.keep_history("Room")
    position = Outcome(world.signals.position("Room")).result
    world.signals.send("between", name="Room")
    assert Joined(world, since=position).got == [Opened, "between"]


def test_acknowledged_sends() -> None:
    """P69: a send is acknowledged by a client whose loop goes on, and not by one whose loop has not."""
    world = room(signals_world())
    ada = Joined(world)
    idle = SignalClient("ws://example.com:80/room", reactor=world.clock, connect=lambda url: ada)
    idle.startService()
    ada.turn()
    assert idle.hello is not None
    delivery = world.signals.send("one", name="Room", acknowledge=True, timeout=3)
    counted = Outcome(Deferred.fromCoroutine(awaited(delivery)))
    ada.turn(3)
    assert counted.result is not Outcome.waiting
    assert ada.client.hello is not None
    assert (delivery.acknowledged, delivery.unanswered) == ((ada.client.hello.client_id,), (idle.hello.client_id,))


async def awaited(delivery: Any) -> object:
    """What a delivery comes to."""
    return await delivery


def test_beats_keep_it_open() -> None:
    """P63, P67: a client and a hub without messages stay connected for hours."""
    world = room(signals_world())
    ada = Joined(world)
    for _ in range(600):
        ada.turn(12)
    assert (ada.got, len(ada.wires)) == ([Opened], 1)


def test_renewing_credentials() -> None:
    """P85: a client that renews its credentials in time stays connected; one that can't is closed for good."""
    world = signals_world()
    hub = hub_of(world.signals)
    room(world, expires=hub.wall_time() + timedelta(seconds=100))
    asked: list[str] = []

    def check(connection: Any, token: str) -> datetime:
        asked.append(token)
        return hub.wall_time() + timedelta(seconds=100_000)

    world.signals.refresh_check = check
    ada, bob = Joined(world, refresh=lambda: "secret"), Joined(world)
    for _ in range(140):
        ada.turn(1)
    assert (asked, ada.got, ada.client.is_open) == (["secret"], [Opened], True)
    assert bob.got == [Opened, Closed]
    assert bob.events[-1] == Closed(4401, "expired")


def test_the_hub_goes_away() -> None:
    """P86: a client whose connection the hub closes with 4409 or on purpose does what the code says."""
    world = room(signals_world())
    ada = Joined(world)
    world.converted[-1].close(4000, "stay away")
    ada.turn()
    assert ada.events[-1] == Closed(4000, "stay away")


def test_a_route_that_does_not_exist() -> None:
    """P88: a URL that no route serves is a final 404; one that converts nothing is not."""
    world = room(signals_world())
    ada = Joined(world, "/nowhere")
    assert ada.events == [Closed(1006, "", 404)]


def test_a_hub_that_does_not_speak_the_protocol() -> None:
    """P5: a hub that does not speak the protocol is no hub for this client, which goes on trying."""
    world = room(signals_world(signals_protocol=False))
    ada = Joined(world)
    ada.turn(5)
    assert (ada.got, len(ada.wires) > 1) == ([], True)

"""Clients that speak ``pode.signals.v1`` to a :class:`~web_fakes.World`, frame by frame. Nothing in here is a test.

Each frame that comes is checked against the schema of the package.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from web_fakes import PING, PONG, Client, World, frame

from pode_signals.hub.connection import SignalConnection

__all__ = ["Document", "Talker", "comes_back", "logged", "pass_seconds", "room", "signals_world", "talk"]

Document = dict[str, Any]


@cache
def _server_frames() -> Draft202012Validator:
    schema = json.loads(files("pode_signals.wire").joinpath("v1.schema.json").read_text("utf-8"))
    return Draft202012Validator({**schema, "$ref": "#server"})


class Talker:
    """A client, and what came to it.

    Args:
        world: what it connects to.
        path: where.
        resume: what it offers: a resume text without ``pode.resume.``; None is nothing.
        headers: further headers.

    Attributes:
        client: its end of the socket.
        connection: the server's end, as users see it.
    """

    def __init__(
        self,
        world: World,
        path: str = "/room",
        resume: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._world = world
        self._path = path
        self._headers = headers
        self._read = 0
        self._documents: list[Document] = []
        self._answered = 0
        offer = "pode.signals.v1" if resume is None else f"pode.signals.v1, pode.resume.{resume}"
        self.client: Client = world.client().open(path, ("Sec-WebSocket-Protocol", offer), *headers)
        self.connection: SignalConnection = world.converted[-1]

    def says(self, **members: Any) -> None:
        """Send a frame, and let this turn end."""
        self.writes(json.dumps(members, separators=(",", ":")))

    def writes(self, text: str | bytes) -> None:
        """Send a text, and let this turn end."""
        self.client.send(frame(text))
        self._world.turn()

    def asks(self, message: Any, id: str = "1", **members: Any) -> Document:
        """Send a message with an id, and take the answer."""
        self.says(type="send", id=id, message=message, **members)
        (answer,) = (each for each in self.frames() if each.get("id") == id)
        return answer

    @property
    def all(self) -> list[Document]:
        """Every frame that has come."""
        texts = self.client.texts
        for text in texts[len(self._documents) :]:
            document = json.loads(text)
            _server_frames().validate(document)
            self._documents.append(document)
        return self._documents

    def frames(self) -> list[Document]:
        """The frames that have come since the last call."""
        found = self.all[self._read :]
        self._read += len(found)
        return found

    def hello(self) -> Document:
        """The next frame, which is a hello."""
        (found, *rest) = self.frames()
        self._read -= len(rest)
        assert found["type"] == "hello", found
        return found

    def signals(self) -> list[Any]:
        """The data of the signals among :meth:`frames`."""
        return [each["data"] for each in self.frames() if each["type"] == "signal"]

    def pongs(self) -> None:
        """Answer the pings that have come."""
        pings = [each for each in self.client.frames if each.opcode == PING]
        for each in pings[self._answered :]:
            self.client.send(frame(each.payload, PONG))
        self._answered = len(pings)

    @property
    def closed(self) -> tuple[int | None, str] | None:
        """Code and reason of the close frame that came."""
        return self.client.closed

    @property
    def is_open(self) -> bool:
        """Whether the socket is there."""
        return self.client.wire.ended is None

    def cut(self) -> None:
        """The socket breaks."""
        self.client.reset()
        self._world.turn()

    @property
    def place(self) -> str:
        """The position of the last frame that had one, and the token of the last hello, as a resume text."""
        epoch = offset = token = None
        for each in self.all:
            if each["type"] == "hello":
                epoch, token = each.get("epoch"), each.get("resumeToken")
            offset = each.get("offset", offset)
        where = "-.-" if epoch is None or offset is None else f"{epoch}.{offset}"
        return where if token is None else f"{where}.{token}"

    def again(self, resume: str | None = None) -> Talker:
        """The same client with its next connection, which offers the place of this one, or another resume text."""
        return Talker(self._world, self._path, self.place if resume is None else resume, self._headers)


def signals_world(**settings: Any) -> World:
    """A world without routes, on a clock that shows some time of this century."""
    world = World(**settings)
    world.clock.advance(1_700_000_000)
    return world


def room(world: World, path: str = "/room", name: str = "Room", **arguments: Any) -> World:
    """A route that converts, with a signal route that joins, leaves, sends, or gives the message back."""
    world.converting(path, name, **arguments)

    @world.signals.route(path)
    def said(event: Any) -> Any:
        wanted = event.data.message
        if isinstance(wanted, dict) and "join" in wanted:
            event.connection.join(wanted["join"])
        elif isinstance(wanted, dict) and "leave" in wanted:
            event.connection.leave(wanted["leave"])
        return wanted

    return world


def talk(world: World, **options: Any) -> Talker:
    """A new client, whose first hello was read."""
    talker = Talker(world, **options)
    talker.hello()
    return talker


def pass_seconds(world: World, seconds: int, *talkers: Talker) -> None:
    """Let time pass second by second, in which these clients answer pings."""
    for _ in range(seconds):
        world.turn(1)
        for each in talkers:
            if each.is_open:
                each.pongs()
        world.turn()


def logged(*, arguments: dict[str, Any] | None = None, **limits: Any) -> World:
    """A world with ``/room``, whose name keeps a history."""
    world = room(signals_world(ping_interval_seconds=1_000), **(arguments or {}))
    world.signals.keep_history("Room", **limits)
    return world


def comes_back(talker: Talker, resume: str | None = None) -> tuple[bool, list[Any], Talker]:
    """Whether a client that was cut off recovers, the data that it gets behind hello, and its next connection."""
    if talker.is_open:
        talker.cut()
    back = talker.again(resume)
    return back.hello()["recovered"], back.signals(), back

"""Clients of streams of server-sent events for a :class:`~web_fakes.World`, byte by byte. Nothing in here is a test."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dialogues import Document, room, signals_world
from web_fakes import Answer, Client, World, answer_with, plain

from pode_signals.hub.connection import SignalConnection

__all__ = ["EVENTS", "SIGNALS", "Event", "Listener", "asked", "events_in", "events_world", "posted"]

EVENTS = ("Accept", "text/event-stream")
SIGNALS = ("Accept", "text/event-stream;protocol=pode.signals.v1")
FIRST = ("X-PODE-SIGNAL-RESUME", "-")
JSON = ("Content-Type", "application/json")


class Event(NamedTuple):
    """One block of a stream.

    Attributes:
        type: its type, ``message`` where it names none.
        data: its data; None where it has none.
        id: its id; None where it has none.
    """

    type: str
    data: str | None
    id: str | None


def events_in(stream: bytes) -> list[Event]:
    """The blocks of a stream: each whole, or the test fails."""
    *blocks, rest = stream.split(b"\n\n")
    assert rest == b"", "an event is cut off"
    found: list[Event] = []
    for block in blocks:
        fields: dict[str, list[str]] = {}
        for line in block.decode("utf-8").split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        data = "\n".join(fields["data"]) if "data" in fields else None
        found.append(Event(fields.get("event", ["message"])[0], data, fields.get("id", [None])[0]))
    return found


def events_world(**settings: Any) -> World:
    """A world with ``/room``, whose hub allows streams."""
    return room(signals_world(**{"allow_sse": True, **settings}))


def asked(world: World, data: bytes, address: str = "203.0.113.7") -> Answer:
    """The answer to a request on a socket of its own."""
    return world.client(address).ask(data)


def posted(token: str | None, number: int | str | None, body: bytes | str, path: str = "/room", *more: Any) -> bytes:
    """A POST. None for token or number leaves that header out."""
    headers = [("Sec-Fetch-Site", "same-origin"), *more]
    if not any(name == "Content-Type" for name, _ in headers):
        headers.append(JSON)
    if token is not None:
        headers.append(("X-PODE-SIGNAL-TOKEN", token))
    if number is not None:
        headers.append(("X-PODE-SIGNAL-POST", str(number)))
    return plain(path, *headers, method=b"POST", body=body.encode() if isinstance(body, str) else body)


class Listener:
    """A client of a stream.

    Args:
        world: what it connects to.
        path: where.
        headers: further headers; an ``Accept`` takes the place of that for ``pode.signals.v1``.
        resume: its resume text.
        stock: whether it is the ``EventSource`` of a browser.
        address: from where.

    Attributes:
        client: its end of the socket.
        connection: the server's end, as users see it.
    """

    def __init__(
        self,
        world: World,
        path: str = "/room",
        *headers: tuple[str, str],
        resume: str | None = None,
        stock: bool = False,
        address: str = "203.0.113.7",
    ) -> None:
        self._world = world
        self._path = path
        self._headers = headers
        self._stock = stock
        self._read = 0
        self._number = 0
        own = [("Sec-Fetch-Site", "same-origin"), EVENTS if stock else SIGNALS]
        if stock:
            own += [("Last-Event-ID", resume)] if resume is not None else []
        else:
            own.append(("X-PODE-SIGNAL-RESUME", resume or "-"))
        given = {name for name, _ in headers}
        self.client: Client = world.client(address)
        self.client.send(plain(path, *(each for each in own if each[0] not in given), *headers))
        world.turn()
        assert self.answer.status == 200, self.client.received
        self.connection: SignalConnection = world.converted[-1]

    @property
    def answer(self) -> Answer:
        """The head of the answer."""
        return answer_with(self.client.received.partition(b"\r\n\r\n")[0])

    @property
    def stream(self) -> bytes:
        """The bytes behind the head."""
        return self.client.received.partition(b"\r\n\r\n")[2]

    @property
    def events(self) -> list[Event]:
        """All blocks that have come."""
        return events_in(self.stream)

    @property
    def frames(self) -> list[Document]:
        """All frames of ``pode.signals.v1`` that have come."""
        return [json.loads(each.data) for each in self.events if each.type == "message" and each.data is not None]

    @property
    def texts(self) -> list[str]:
        """The data of all unnamed events."""
        return [each.data for each in self.events if each.type == "message" and each.data is not None]

    def new(self) -> list[Document]:
        """The frames that have come since the last call."""
        found = self.frames[self._read :]
        self._read += len(found)
        return found

    @property
    def hello(self) -> Document:
        """The last hello."""
        if self._stock:
            return json.loads([each for each in self.events if each.type == "hello"][-1].data or "")
        return [each for each in self.frames if each["type"] == "hello"][-1]

    @property
    def token(self) -> str:
        """The token of the last hello."""
        return self.hello["resumeToken"]

    @property
    def closed(self) -> tuple[int, str] | None:
        """Code and reason of the close event, which is the last one; None where there is none."""
        *before, last = self.events
        assert all(each.type != "close" for each in before)
        if last.type != "close":
            return None
        said = json.loads(last.data or "")
        return said["code"], said["reason"]

    @property
    def is_open(self) -> bool:
        """Whether the socket is there."""
        return self.client.wire.ended is None

    @property
    def place(self) -> str:
        """What the client offers when it comes back."""
        ids = [each.id for each in self.events if each.id is not None]
        where = ids[-1] if ids else "-.-"
        return where if self._stock else f"{where}.{self.token}"

    def posts(self, *frames: Document, number: int | None = None) -> Answer:
        """Post frames with the next number, or with another one."""
        return self.posts_text(json.dumps(frames), number)

    def posts_text(self, body: str | bytes, number: int | None = None) -> Answer:
        """Post a body."""
        if number is None:
            self._number = number = self._number + 1
        return asked(self._world, posted(self.token, number, body, self._path))

    def leaves(self) -> Answer:
        """End the stream by DELETE."""
        headers = (("Sec-Fetch-Site", "same-origin"), ("X-PODE-SIGNAL-TOKEN", self.token))
        return asked(self._world, plain(self._path, *headers, method=b"DELETE"))

    def again(self, resume: str | None = None) -> Listener:
        """The same client with its next stream."""
        place = self.place if resume is None else resume
        return Listener(self._world, self._path, *self._headers, resume=place, stock=self._stock)

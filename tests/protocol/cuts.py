"""Clients whose connections are cut at any byte, and a server that is started anew. Nothing in here is a test.

A client reads what came byte by byte, as far as the cut. It believes what hello, signals and beats tell, and compares
what it has with all that was ever logged: each message that is meant for it has come once and in order, or the client
was told that messages may be lost.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, NamedTuple

from dialogues import signals_world
from web_fakes import CLOSE, PING, PONG, TEXT, Client, World, answers_in, frame, frames_in, head

from pode_signals.core.model import Target
from pode_signals.core.targets import matches
from pode_signals.signals import hub_of

__all__ = ["Cuts"]

GROUPS = ("a", "b", "c")


class Sent(NamedTuple):
    """A message as it was logged."""

    target: Target
    number: int


class Server:
    """One life of the server, and all that was logged in it.

    Args:
        limits: those of the history.
    """

    def __init__(self, **limits: float) -> None:
        self.world: World = signals_world(
            ping_interval_seconds=5,
            pong_timeout_seconds=1_000,
            send_queue_bytes=8_000,
            slow_client="drop_oldest",
            messages_per_second=1_000_000,
            message_burst=1_000_000,
            resume_token_seconds=10_000,
        )
        self.world.converting("/room", "Room", group="given")
        signals = self.world.signals
        signals.keep_history("Room", **limits)  # type: ignore[arg-type]
        signals.add_route("/room", self._said)
        self.logged: dict[int, Sent] = {}
        # Groups that a client id has left, and not joined again.
        self.left: dict[str, set[str]] = {}

    def send(self, number: int, **target: Any) -> None:
        """Log a message."""
        delivery = self.world.signals.send(number, name="Room", **target)
        assert delivery.position is not None
        sequence = sequence_of(delivery.position.partition(".")[2])
        groups = target.get("group") or ()
        ids, exclude = target.get("client_id"), target.get("exclude")
        self.logged[sequence] = Sent(
            Target(
                ("Room",),
                (groups,) if isinstance(groups, str) else tuple(groups),
                (ids,) if ids else (),
                (exclude,) if exclude else (),
            ),
            number,
        )

    def _said(self, event: Any) -> str:
        for word, group in event.data.message.items():
            left = self.left.setdefault(event.client_id, set())
            if word == "join":
                left.discard(group)
                event.connection.join(group)
            else:
                left.add(group)
                event.connection.leave(group)
        return "done"


def sequence_of(offset: str) -> int:
    """The number in an offset, which a real client never looks at."""
    return int(offset.split("-", maxsplit=1)[0])


class Reader:
    """One client over all its connections, with what it believes.

    Attributes:
        told: how often it was told that messages may be lost.
        recovered: how often it came back without a loss.
        got: how many signals it got.
    """

    def __init__(self) -> None:
        self.client: Client | None = None
        self.epoch: str | None = None
        self.offset: str | None = None
        self.token: str | None = None
        self.client_id = ""
        self.groups: tuple[str, ...] = ()
        self.told = self.recovered = self.got = 0
        self._read = 0
        self._pings = 0
        self._is_greeted = False

    @property
    def is_connected(self) -> bool:
        """Whether its socket is there."""
        return self.client is not None and self.client.wire.ended is None

    def connect(self, server: Server) -> None:
        """Connect, with the place that the client has."""
        offer = "pode.signals.v1"
        if self.token is not None:
            offer += f", pode.resume.{self.epoch}.{self.offset}.{self.token}"
        self.client = server.world.client()
        self.client.send(head("/room", ("Sec-WebSocket-Protocol", offer)))
        connection = server.world.converted[-1]
        left = server.left.get(connection.client_id, set())
        assert left.isdisjoint(connection.groups), "a group that was left came back"
        self._read = self._pings = 0
        self._is_greeted = False

    def says(self, **members: Any) -> None:
        """Send a frame."""
        if self.client is not None and self.is_connected:
            self.client.send(frame(json.dumps(members, separators=(",", ":"))))

    def cut(self, server: Server, random: Random) -> None:
        """The connection breaks; what was on its way arrives up to some byte."""
        if self.client is None:
            return
        self.reads(server, random.randrange(len(self.client.received) + 1))
        if self.is_connected:
            self.client.reset()
        self.client = None

    def reads(self, server: Server, size: int | None = None) -> None:
        """Take in what has come, or its first bytes."""
        assert self.client is not None
        received = self.client.received if size is None else self.client.received[:size]
        if b"\r\n\r\n" not in received:
            return
        _, rest = answers_in(received)
        frames = frames_in(whole(rest))
        for each in frames[self._read :]:
            if each.opcode == TEXT:
                self._takes(server, json.loads(each.payload))
        self._read = max(self._read, len(frames))
        pings = [each for each in frames if each.opcode == PING]
        for each in pings[self._pings :] if self.is_connected else ():
            self.client.send(frame(each.payload, PONG))
        self._pings = max(self._pings, len(pings))
        if self.is_connected and any(each.opcode == CLOSE for each in frames):
            self.client.leave()

    def _takes(self, server: Server, document: dict[str, Any]) -> None:
        kind = document["type"]
        if kind == "hello":
            self._hello(server, document)
        elif kind == "signal":
            assert self._is_greeted, "a signal before hello"
            sequence = sequence_of(document["offset"])
            sent = server.logged[sequence]
            assert sent.number == document["data"]
            assert sequence > self._sequence, "a signal twice, or out of order"
            assert matches(sent.target, self.groups, self.client_id), "a signal for others"
            self._has_all_between(server, sequence - 1)
            self.offset = document["offset"]
            self.got += 1
        elif kind == "beat" and "offset" in document:
            self._moves(server, document["offset"])

    def _hello(self, server: Server, hello: dict[str, Any]) -> None:
        is_first, self._is_greeted = not self._is_greeted, True
        if not hello["recovered"]:
            self.told += self.token is not None
            self.epoch, self.offset = hello["epoch"], hello["offset"]
        else:
            assert hello["epoch"] == self.epoch
            if is_first:
                assert hello["offset"] == self.offset, "hello with another place than the client's"
                # There may be others: those that its half-open connection has joined, of which it has not heard.
                assert set(hello["groups"]) >= set(self.groups), "whole, and not in all its groups"
                assert hello["clientId"] == self.client_id
                self.recovered += 1
            else:
                self._moves(server, hello["offset"])
        self.groups = tuple(hello["groups"])
        self.client_id = hello["clientId"]
        self.token = hello["resumeToken"]

    @property
    def _sequence(self) -> int:
        assert self.offset is not None
        return sequence_of(self.offset)

    def _moves(self, server: Server, offset: str) -> None:
        assert sequence_of(offset) >= self._sequence, "the place goes back"
        self._has_all_between(server, sequence_of(offset))
        self.offset = offset

    def _has_all_between(self, server: Server, until: int) -> None:
        """No message up to a place was for this client, after the one that it had last."""
        for sequence in range(self._sequence + 1, until + 1):
            sent = server.logged[sequence]
            assert not matches(sent.target, self.groups, self.client_id), f"{sent} is missing"


def whole(data: bytes) -> bytes:
    """The whole frames at the beginning of bytes that were cut somewhere."""
    at = 0
    while at + 2 <= len(data):
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if start + size > len(data):
            break
        at = start + size
    return data[:at]


class Cuts:
    """Some clients of one server, and what may happen to them.

    Args:
        random: what happens.
        clients: how many there are.
        limits: those of the history.
    """

    def __init__(self, random: Random, clients: int = 4, **limits: float) -> None:
        self._random = random
        self._limits = limits or {"messages": random.choice((5, 30, 300)), "max_bytes": 2_000, "seconds": 60.0}
        self.server = Server(**self._limits)
        self.readers = [Reader() for _ in range(clients)]
        self.sent = self.restarts = 0

    def run(self, messages: int) -> None:
        """Let all that can happen happen, until so many messages were sent; then all come to rest."""
        steps = [self.send] * 30 + [self.turn] * 8 + [self.cut] * 4 + [self.connect] * 8 + [self.change] * 4
        steps += [self.pause, self.resume, self.resume, self.wait, self.beat, self.burst, *[self.close] * 3]
        while self.sent < messages:
            self._random.choice(steps)()
            if self._random.random() < 0.001:
                self.restart()
        self.rest()

    def send(self) -> None:
        """A message to all, to groups, to one client, or to all but one."""
        reader = self._random.choice(self.readers)
        kinds: list[dict[str, Any]] = [{}, {}, {"group": self._random.choice(GROUPS)}, {"group": ["a", "given"]}]
        if reader.client_id:
            kinds += [{"client_id": reader.client_id}, {"exclude": reader.client_id}]
        self.server.send(self.sent, **self._random.choice(kinds))
        self.sent += 1

    def burst(self) -> None:
        """Many messages in one turn: more than a replay takes in one piece."""
        for _ in range(self._random.randrange(150)):
            self.send()

    def turn(self) -> None:
        """The turn of the reactor ends, and all read what came."""
        self.server.world.turn()
        for each in self.readers:
            if each.client is not None:
                each.reads(self.server)

    def connect(self) -> None:
        """A client connects, or comes back while its old connection is half open."""
        reader = self._random.choice(self.readers)
        if not reader.is_connected or self._random.random() < 0.1:
            if reader.client is not None:
                reader.reads(self.server)
            reader.connect(self.server)

    def cut(self) -> None:
        """A connection breaks somewhere."""
        self._random.choice(self.readers).cut(self.server, self._random)

    def change(self) -> None:
        """A client asks to join or to leave a group."""
        word = self._random.choice(("join", "join", "leave"))
        self._random.choice(self.readers).says(type="send", id="1", message={word: self._random.choice(GROUPS)})

    def pause(self) -> None:
        """A client reads nothing for a while."""
        reader = self._random.choice(self.readers)
        if reader.client is not None and reader.is_connected and reader.client.wire.producer is not None:
            reader.client.wire.producer.pauseProducing()

    def resume(self) -> None:
        """A client reads again."""
        reader = self._random.choice(self.readers)
        if reader.client is not None and reader.is_connected and reader.client.wire.producer is not None:
            reader.client.wire.producer.resumeProducing()

    def wait(self) -> None:
        """Seconds pass."""
        for _ in range(self._random.randrange(1, 15)):
            self.server.world.turn(1)
        self.turn()

    def beat(self) -> None:
        """A client asks with a beat."""
        self._random.choice(self.readers).says(type="beat")

    def close(self) -> None:
        """The server closes a connection, with a code after which clients come back."""
        if self.server.world.converted:
            self._random.choice(self.server.world.converted[-len(self.readers) :]).close(3000)

    def restart(self) -> None:
        """The server starts anew: its logs are gone."""
        for each in self.readers:
            each.cut(self.server, self._random)
        self.server = Server(**self._limits)
        self.restarts += 1

    def rest(self) -> None:
        """All read, come back where they were closed, and then have all that is for them, or were told."""
        for each in self.readers:
            if each.client is not None and each.is_connected and each.client.wire.producer is not None:
                each.client.wire.producer.resumeProducing()
        for _ in range(4):
            self.turn()
            for each in self.readers:
                if not each.is_connected:
                    if each.client is not None:
                        each.reads(self.server)
                    each.connect(self.server)
            self.turn()
        place = hub_of(self.server.world.signals).histories.position("Room")
        assert place is not None
        for each in self.readers:
            each.says(type="beat")
        self.turn()
        self.wait()
        for each in self.readers:
            assert each.is_connected
            each._has_all_between(self.server, sequence_of(place.offset))

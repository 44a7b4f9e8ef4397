"""Two nodes, one log and one client that loses its connection again and again. Nothing in here is a test.

The client compares what it got with all that was ever sent to it. Each rule of resuming can be taken out, by its name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pode_signals.core.client_versions import ClientVersions
from pode_signals.core.history import History, HistoryLimits, Position
from pode_signals.core.model import Scope, Target
from pode_signals.core.resume import Ahead, Continuation, Lost, Recovered, ResumeRequest, continuation, read_resume
from pode_signals.core.resume_tokens import (
    NO_TOKEN,
    Conversion,
    ResumeIdentity,
    ResumeTokens,
    Resumption,
    resumption,
)

__all__ = ["GROUP", "RULES", "World"]

RULES = {
    "identity": "a client that is not whole is told that messages may be lost",
    "complete": "so is a client after whose position the log has dropped an entry",
    "epoch": "a position of another epoch is no position of this log",
    "salt": "an offset counts with its salt, not by its sequence alone",
    "ahead": "entries are dropped that the client got from a quicker node",
    "own offset": "hello has the client's own position, and not the node's",
    "until": "a replay ends at the position of the node, behind which the live entries come",
    "generation": "no group comes back from a token of another generation",
    "version": "no group comes back from a token with another version of the client id",
}
NAME = "Room"
GROUP = "kitchen"
LIFE_SECONDS = 3_600


class Hello(NamedTuple):
    """A hello, and the number of the first message that it is answerable for."""

    recovered: bool
    position: Position
    groups: tuple[str, ...]
    client_id: str
    token: str
    begin: int


class Signal(NamedTuple):
    position: Position
    number: int


class Beat(NamedTuple):
    position: Position


class Sent(NamedTuple):
    """A message as it was sent: what the client has to get is judged by this."""

    group: str | None
    client_id: str | None


class Appended(NamedTuple):
    """What a log was given for a message."""

    target: Target
    number: int
    salt: int


def new_log(epoch: str) -> History:
    return History(epoch, HistoryLimits(messages=4))


def append(log: History, message: Appended) -> None:
    log.append(message.target, str(message.number).encode(), None, salt=message.salt, now=0)


class Connection:
    """The server's side of the connection: its groups, and the frames that the client has not read."""

    def __init__(self, node: int, client_id: str, groups: list[str]) -> None:
        self.node = node
        self.client_id = client_id
        self.groups = groups
        self.frames: list[Hello | Signal | Beat] = []
        self.ahead: Position | None = None


class World:
    """All of it. ``taken_out`` is a rule that does not hold."""

    def __init__(self, taken_out: str | None = None) -> None:
        self.taken_out = taken_out
        self.made = 0
        self.log = new_log("epoch0")
        # All that was appended to this log.
        self.appended: list[Appended] = []
        self.nodes = [self.log.position, self.log.position]
        self.tokens = ResumeTokens(["secret"], "hub")
        self.versions = ClientVersions(self.new_generation, LIFE_SECONDS)
        self.sent: list[Sent] = []
        # Messages that no log has any more, since it went back.
        self.gone: set[int] = set()
        self.left: set[str] = set()
        self.joined: set[str] = set()
        self.connection: Connection | None = None
        # What the client keeps.
        self.position: Position | None = None
        self.token: str | None = None
        self.hellos: list[Hello] = []
        self.got: list[int] = []
        self.connect(0, 0)

    def without(self, rule: str) -> bool:
        assert rule in RULES
        return self.taken_out == rule

    def new_generation(self) -> str:
        return "always the same" if self.without("generation") else self.new("generation")

    def new(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    # What the program does.

    def send(self, group: str | None, *, to_client: bool) -> None:
        """Append a message to the log."""
        client_id = self.hellos[-1].client_id if to_client and self.hellos else None
        target = Target((NAME,), () if group is None else (group,), () if client_id is None else (client_id,))
        self.made += 1
        self.appended.append(Appended(target, len(self.sent), self.made))
        append(self.log, self.appended[-1])
        self.sent.append(Sent(group, client_id))

    def join(self, group: str) -> None:
        if self.connection is not None and group not in self.connection.groups:
            self.connection.groups.append(group)
            self.left.discard(group)
            self.joined.add(group)
            self.later_hello(recovered=True)

    def leave(self, group: str) -> None:
        if self.connection is not None and group in self.connection.groups:
            self.connection.groups.remove(group)
            self.left.add(group)
            self.versions.left(NAME, self.connection.client_id, 0)
            self.later_hello(recovered=True)

    # What the nodes do.

    def follow(self, node: int, limit: int) -> None:
        """A node gets entries of the log, and delivers them."""
        entries = self.log.read(self.nodes[node], limit)
        there = self.connection if self.connection is not None and self.connection.node == node else None
        if entries is None:
            self.nodes[node] = self.log.position
            if there is not None:
                there.ahead = None
                self.later_hello(recovered=False)
            return
        for entry in entries:
            self.nodes[node] = entry.position
            if there is None:
                continue
            if there.ahead is None:
                self.deliver(there, entry)
            elif there.ahead == entry.position:
                there.ahead = None

    def deliver(self, connection: Connection, entry: Any) -> None:
        target = entry.target
        if target.groups and not set(target.groups) & set(connection.groups):
            return
        if target.client_ids and connection.client_id not in target.client_ids:
            return
        connection.frames.append(Signal(entry.position, int(entry.data)))

    def beat(self) -> None:
        if self.connection is not None:
            self.connection.frames.append(Beat(self.seen(self.connection)))

    def restart(self) -> None:
        """All nodes start anew: log, versions and generation are gone. Secrets and the client's state are not."""
        self.cut()
        self.log = new_log(self.new("epoch"))
        self.appended.clear()
        self.nodes = [self.log.position, self.log.position]
        self.versions = ClientVersions(self.new_generation, LIFE_SECONDS)

    def go_back(self, entries: int) -> None:
        """The log is restored from a copy that is so many entries older, and has still the same epoch.

        A client that has seen none of these entries can't know of them, and nobody tells it.
        """
        if entries <= len(self.appended):
            self.cut()
            self.gone.update(range(self.appended[-entries].number, len(self.sent)))
            del self.appended[-entries:]
            self.log = new_log(self.log.position.epoch)
            for each in self.appended:
                append(self.log, each)
            self.nodes = [self.log.position, self.log.position]

    # The connection.

    def cut(self) -> None:
        self.connection = None

    def back(self, node: int, *, is_late: bool = False) -> None:
        if self.connection is None:
            self.connect(node, LIFE_SECONDS if is_late else 0)

    def connect(self, node: int, now: int) -> None:
        """The client comes, with all that it has kept: what a server does for it."""
        offered = self.offer()
        who = self.resumption(offered, now)
        identity = who.identity
        connection = Connection(node, self.new("client") if identity is None else identity.client_id, list(who.groups))
        self.connection = connection
        goes_on = self.continuation(offered, node, who)
        match goes_on:
            case Lost():
                self.hello(connection, self.nodes[node], recovered=False)
            case Ahead(until):
                connection.ahead = None if self.without("ahead") else until
                self.hello(connection, until, recovered=True)
            case Recovered(since):
                own = self.nodes[node] if self.without("own offset") else since
                self.hello(connection, own, recovered=True)
                until = self.log.position if self.without("until") else self.nodes[node]
                for entry in self.log.missed(self.known(since), until).signals:
                    self.deliver(connection, entry)
                connection.frames.append(Beat(until))

    def offer(self) -> ResumeRequest | None:
        if self.position is None:
            return None
        return read_resume(f"{self.position.epoch}.{self.position.offset}.{self.token}")

    def resumption(self, offered: ResumeRequest | None, now: int) -> Resumption:
        if offered is None or offered.token is None:
            return NO_TOKEN
        identity = self.tokens.read(offered.token)
        assert identity is not None
        held = self.versions.hold(NAME, identity.client_id, identity.generation, identity.version)
        if self.without("version"):
            held = identity.generation == self.versions.generation
        conversion = Conversion(NAME, None, None, Scope.GLOBAL)
        return resumption(identity, conversion, is_valid=lambda _: True, groups_hold=held, now=now)

    def continuation(self, offered: ResumeRequest | None, node: int, who: Resumption) -> Continuation:
        client = None if offered is None or offered.position is None else self.known(offered.position)
        at = self.nodes[node]
        return continuation(
            client,
            at,
            has_all_after=client is not None and (self.without("complete") or self.log.missed(client, at).complete),
            identity_is_whole=who.is_whole or self.without("identity"),
        )

    def known(self, position: Position) -> Position:
        """A position as a log takes it that lacks a rule."""
        if self.without("epoch"):
            position = position._replace(epoch=self.log.position.epoch)
        if self.without("salt"):
            sequence = position.offset.partition("-")[0]
            same = [entry.position for entry in self.log.read(None, 10) or ()]
            position = next((each for each in same if each.offset.partition("-")[0] == sequence), position)
        return position

    def later_hello(self, *, recovered: bool) -> None:
        assert self.connection is not None
        self.hello(self.connection, self.seen(self.connection), recovered=recovered)

    def hello(self, connection: Connection, position: Position, *, recovered: bool) -> None:
        identity = ResumeIdentity(
            LIFE_SECONDS,
            NAME,
            connection.client_id,
            None,
            tuple(connection.groups),
            self.versions.generation,
            self.versions.version,
            "",
            "",
        )
        token = self.tokens.make(identity)
        assert token is not None
        groups = tuple(connection.groups)
        # One that says that nothing was lost goes on with what was promised before.
        begin = len(self.sent) if recovered else self.number(position)
        connection.frames.append(Hello(recovered, position, groups, connection.client_id, token, begin))

    def seen(self, connection: Connection) -> Position:
        """The position of a connection: the node's, or the client's own where that is ahead of it."""
        return connection.ahead or self.nodes[connection.node]

    def number(self, position: Position) -> int:
        """The number of the message after a position."""
        entries = self.log.read(position, 10)
        return len(self.sent) if not entries else int(entries[0].data)

    # What the client does.

    def read(self, limit: int) -> None:
        for _ in range(limit):
            if self.connection is None or not self.connection.frames:
                return
            self.take(self.connection.frames.pop(0))

    def take(self, frame: Hello | Signal | Beat) -> None:
        self.position = frame.position
        if isinstance(frame, Signal):
            self.got.append(frame.number)
        elif isinstance(frame, Hello):
            self.token = frame.token
            if not frame.recovered:
                self.hellos, self.got = [], []
            self.hellos.append(frame)

    # What has to be true.

    def check(self) -> None:
        """What a server may never do, at any time."""
        if self.connection is not None:
            assert not self.left & set(self.connection.groups), "a group that was left is back"
        assert self.got == sorted(set(self.got)), "a message came twice, or late"
        groups = {self.sent[number].group for number in self.got}
        assert groups <= {None, *self.joined}, "a message of a group that was never joined"

    def drain(self) -> None:
        """Come back and read everything: nothing is missing since the client was last told that something may be."""
        self.back(0)
        assert self.connection is not None
        self.follow(self.connection.node, 1_000)
        assert self.connection.ahead is None, "a node has passed the client and still drops entries"
        self.read(1_000)
        self.check()
        missing = {number for number in range(len(self.sent)) if self.has_to_come(number)} - set(self.got)
        assert not missing, "messages are missing, and nobody told the client"

    def has_to_come(self, number: int) -> bool:
        """Whether a message was for the client: by the hello before the message, and by all that came later."""
        before = [hello for hello in self.hellos if hello.begin <= number]
        if not before or number in self.gone:
            return False
        sent = self.sent[number]
        if sent.client_id is not None and sent.client_id != before[-1].client_id:
            return False
        since = [before[-1], *(hello for hello in self.hellos if hello.begin > number)]
        return sent.group is None or all(sent.group in hello.groups for hello in since)

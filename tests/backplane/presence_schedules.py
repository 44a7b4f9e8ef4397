"""Schedules of what happens to nodes, clients and Redis, and what members there have to be. Nothing here is a test.

A schedule is a list of steps. What runs is the package's own presence, on a real Redis. Each rule that it follows can
be taken out, and then some schedule ends with a wrong presence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha1
from random import Random
from typing import Any
from unittest.mock import patch

from backplane.redis_node import ClockedServer, NodeOnRedis, World
from twisted.internet.defer import Deferred

from pode_signals.backplane.contract import Member, PresenceChange
from pode_signals.backplane.redis import backplane, lease, presence, reading, telling, versions
from pode_signals.backplane.redis.channels import MEMBERS
from pode_signals.backplane.redis.room import Room
from pode_signals.backplane.redis.scripts import Script
from pode_signals.backplane.redis.view import View

__all__ = ["RULES", "Step", "random_schedule", "run", "schedule_of", "shortened", "without"]

Step = tuple[str, int, str, float]
"""What, at which node, to which client, and for how many seconds."""

_GRACE_SECONDS = 15.0
_NODES = 3
_CLIENTS = "XYZ"


class _Slot:
    """A place where nodes run, one after the other, and what the watch of the present one was told."""

    def __init__(self, world: World) -> None:
        self.node: NodeOnRedis = world.node()
        self.left: list[str] = []
        self.taken: list[str] = []
        self.late: list[tuple[str, bytes]] | None = None
        presence = self.node.backplane.presence
        presence.taken = lambda _name, client_id: self.taken.append(client_id)
        self.view = {each.client_id for each in self.node.result(presence.watch("Room", self._changed))}
        self._hear: Callable[[str, bytes], None] = presence._heard
        self.node.backplane._node.channels.on(MEMBERS, self._heard)
        self.is_deaf = False

    def _changed(self, change: PresenceChange) -> None:
        self.view |= {each.client_id for each in change.joined}
        self.view -= {each.client_id for each in change.left}
        self.left += [each.client_id for each in change.left]

    def _heard(self, name: str, content: bytes) -> None:
        if self.is_deaf:
            self.is_deaf = False
        elif self.late is not None:
            self.late.append((name, content))
        else:
            self._hear(name, content)

    def in_time(self) -> None:
        late, self.late = self.late, None
        for each in late or ():
            self._hear(*each)


class _Run:
    """One run of a schedule, with the truth about who is connected where."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.turns_end = True
        self.slots = [_Slot(world) for _ in range(_NODES)]
        self.is_down = self.has_been_deaf = self.may_miss = False
        # Where each client is connected.
        self.at: dict[str, int] = {}
        # Until when those who are away are members.
        self.away: dict[str, float] = {}
        # How often they may be told to have left.
        self.may_be_told: Counter[str] = Counter()
        self.taken: list[list[str]] = [[] for _ in range(_NODES)]
        # What joins were told of the node before, and the truth. It is known where nothing bad happens to nodes.
        self.answers: list[tuple[bool, bool]] = []
        self.is_sure = True

    def step(self, what: str, at: int, client_id: str, seconds: float) -> None:
        """Take a step; those that make no sense now are left out."""
        getattr(self, f"_{what}")(at, client_id, seconds)
        self.world.settle()

    def _join(self, at: int, client_id: str, seconds: float) -> None:
        slot, before = self.slots[at], self.at.get(client_id)
        if slot.node.stalls or before == at or (self.is_down and before is not None):
            return
        if before is not None:
            self.taken[before].append(client_id)
        self._is_back(client_id)
        self.at[client_id] = at
        joining: Deferred[bool] = slot.node.backplane.presence.join(Member("Room", client_id))
        joining.addCallback(lambda held: self.answers.append((held, before is not None))).addErrback(lambda _: None)

    def _leave(self, at: int, client_id: str, seconds: float) -> None:
        of = self.at.get(client_id)
        # A node that did not hear that a client is another's still has a connection of it, which makes it a member.
        if of is not None and not self.slots[of].node.stalls and not self.has_been_deaf:
            del self.at[client_id]
            self.away[client_id] = self.world.server.now + seconds
            self.slots[of].node.leave(client_id, seconds)

    def _is_back(self, client_id: str) -> None:
        end = self.away.pop(client_id, None)
        if end is not None and self.world.server.now >= end:
            self.may_be_told[client_id] += 1

    def _wait(self, at: int, client_id: str, seconds: float) -> None:
        self.world.advance(seconds)

    def _die(self, at: int, client_id: str, seconds: float) -> None:
        self.is_sure = False
        if not self.is_down and not self.slots[at].node.stalls:
            self.slots[at].node.die()
            for each in [each for each, of in self.at.items() if of == at]:
                del self.at[each]
                self.may_be_told[each] += 1
            self.taken[at] = []
            self.slots[at] = _Slot(self.world)

    def _stall(self, at: int, client_id: str, seconds: float) -> None:
        self.is_sure = False
        if not self.is_down and not self.slots[at].node.stalls:
            self.slots[at].node.stall()
            self.may_be_told.update(each for each, of in self.at.items() if of == at)

    def _go_on(self, at: int, client_id: str, seconds: float) -> None:
        if self.slots[at].node.stalls:
            self.slots[at].node.go_on()

    def _fence(self, at: int, client_id: str, seconds: float) -> None:
        incarnation = self.slots[at].node.backplane.presence._lease.incarnation
        self.world.server.ask("ZREM", f"{self.world.application}:{{nodes}}", str(incarnation))

    def _deaf(self, at: int, client_id: str, seconds: float) -> None:
        self.is_sure = False
        self.slots[at].is_deaf = self.has_been_deaf = self.may_miss = True

    def _late(self, at: int, client_id: str, seconds: float) -> None:
        self.is_sure = False
        self.may_miss = True
        if self.slots[at].late is None:
            self.slots[at].late = []

    def _hear(self, at: int, client_id: str, seconds: float) -> None:
        self.slots[at].in_time()

    def _flush(self, at: int, client_id: str, seconds: float) -> None:
        self.is_sure = False
        if not self.is_down and self._all_have_heard:
            self.world.server.ask("FLUSHALL")
            self.world.server.show(self.world.server.now + 0.001)

    def _down(self, at: int, client_id: str, seconds: float) -> None:
        self.is_sure = False
        if not self.is_down and self._all_have_heard and not any(slot.node.stalls for slot in self.slots):
            self.is_down = True
            self.world.server.kill()
            self.world.until(lambda: not any(slot.node.backplane._client.is_up for slot in self.slots))

    def _up(self, at: int, client_id: str, seconds: float) -> None:
        if self.is_down:
            self.is_down = False
            self.world.server.start()
            self.world.until(lambda: all(slot.node.backplane._client.is_up for slot in self.slots))

    @property
    def _all_have_heard(self) -> bool:
        """Whether all know what they have lost. Who does not would be believed by a Redis that has lost everything."""
        return not self.has_been_deaf and all(slot.late is None for slot in self.slots)

    def end(self) -> None:
        """Let everything come to rest, and compare."""
        self._up(0, "", 0)
        for at in range(_NODES):
            self._go_on(at, "", 0)
            self._hear(at, "", 0)
        self.world.advance(60)
        for client_id in tuple(self.away):
            self._is_back(client_id)
        truth = sorted(self.at)
        assert not self.is_sure or all(held == before for held, before in self.answers), f"{self.answers}"
        for at, slot in enumerate(self.slots):
            assert slot.node.ids() == truth, f"members on {at}: {slot.node.ids()}, not {truth}"
            assert sorted(slot.view) == truth, f"the watch of {at} has {sorted(slot.view)}, not {truth}"
            assert not Counter(slot.left) - self.may_be_told, f"the watch of {at} was told that {slot.left} had left"
            taken, truly = Counter(slot.taken), Counter(self.taken[at])
            # A node need not hear that it lost a member which is back by then.
            is_right = taken <= truly if self.may_miss else taken == truly
            assert is_right, f"taken on {at}: {slot.taken}, not {self.taken[at]}"
            assert slot.node.backplane.counters["callbacks_failed"] == 0


def run(server: ClockedServer, schedule: Sequence[Step]) -> str | None:
    """Run a schedule; what is wrong at its end."""
    world = World(server)
    try:
        made = _Run(world)
        for step in schedule:
            made.step(*step)
        made.end()
    except AssertionError as error:
        return str(error) or repr(error)
    finally:
        if not server.ask("PING"):
            server.start()
        for node in world.nodes:
            node.die()
        world.reactor.iterate(0)
    return None


_STEPS = (
    *(["join"] * 6),
    *(["leave"] * 3),
    *(["wait"] * 4),
    *("die", "stall", "stall", "go_on", "go_on", "deaf", "late", "late", "hear", "hear", "flush", "down", "up"),
)


def random_schedule(random: Random) -> list[Step]:
    """Any schedule."""
    return [
        (
            random.choice(_STEPS),
            random.randrange(_NODES),
            random.choice(_CLIENTS),
            random.choice((0.0, 1.0, _GRACE_SECONDS, _GRACE_SECONDS, 26.0)),
        )
        for _ in range(random.randint(3, 14))
    ]


def shortened(server: ClockedServer, schedule: list[Step]) -> list[Step]:
    """A schedule that ends wrong, without the steps that it does not need for that."""
    at = 0
    while at < len(schedule):
        shorter = schedule[:at] + schedule[at + 1 :]
        if run(server, shorter) is not None:
            schedule, at = shorter, 0
        else:
            at += 1
    return schedule


_HOMES = {"BEAT": lease, "LIVING": lease, "REAP": lease, "CHANGE": telling, "MEMBERS": reading, "VERSIONS": versions}


def _script(name: str, *changes: tuple[str, str]) -> Callable[[ExitStack], None]:
    """Have a script of another text."""

    def apply(stack: ExitStack) -> None:
        before: Script = getattr(_HOMES[name], name)
        text = before.text
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        after = Script(text, sha1(text.encode()).hexdigest())
        scripts = tuple(after if each is before else each for each in backplane.NODE_SCRIPTS)
        stack.enter_context(patch.object(_HOMES[name], name, after))
        stack.enter_context(patch.object(backplane, "NODE_SCRIPTS", scripts))

    return apply


def _python(owner: Any, name: str, value: Any) -> Callable[[ExitStack], None]:
    return lambda stack: stack.enter_context(patch.object(owner, name, value)) and None


def _both(one: Callable[[ExitStack], None], other: Callable[[ExitStack], None]) -> Callable[[ExitStack], None]:
    def apply(stack: ExitStack) -> None:
        one(stack)
        other(stack)

    return apply


def _told_at_once(self: View, members: Any, *, keeps_missing: bool, replace: Any = View.replace) -> None:
    replace(self, members, keeps_missing=False)


def _lost_at_once(self: Any, room: Room, members: Any, version: int) -> None:
    for client_id, seen in members.items():
        own = room.own.get(client_id)
        if own is not None and seen is not None and seen.node != self._node.name:
            self._lose(room, client_id, own)


_IS_THEIRS = "if value and string.match(value, '^[^ ]*') == inc then"
_TAKES_ALWAYS = "if what == 'r' then is[id] = inc .. ' ' .. value elseif what == 'j' then"

RULES: dict[str, tuple[str, Callable[[ExitStack], None]]] = {
    "a leave is that of the node that holds the id": (
        "join 0 X, leave 0 X 15, stall 0, join 1 X, wait 0 - 16, go_on 0",
        _script("CHANGE", ("elseif now and not is_others then", "elseif now then")),
    ),
    "a member that is leaving is not held": (
        "join 0 X, leave 0 X 15, join 1 X",
        _script("CHANGE", ("is_others and is_held(now) then told", "is_others then told")),
    ),
    "who tells a member again takes it from nobody": (
        "late 0, join 0 X, join 1 X, fence 0, wait 0 - 6",
        _script("CHANGE", ("elseif what == 'r' then", "elseif false then"), ("if what == 'j' then", _TAKES_ALWAYS)),
    ),
    "Redis does nothing for an incarnation that has ended": (
        "join 0 X, fence 0, join 0 Y, die 0",
        _script("CHANGE", ("then return {-1} end", "then end")),
    ),
    "a member is taken out where the dead node holds it": (
        "join 0 X, join 1 X, die 0",
        _both(
            _script("CHANGE", ("redis.pcall('SREM', set, unpack(its))", "")),
            _script("REAP", (_IS_THEIRS, "if value then")),
        ),
    ),
    "who takes members out publishes that": (
        "join 0 X, die 0",
        _script("REAP", ("if #told > 0 then", "if false then")),
    ),
    "nobody is dead for a node that has just come": (
        "join 0 X, flush, join 1 Y",
        _python(lease, "_PATIENCE_SECONDS", 0.0),
    ),
    "a gap in the versions is seen": (
        "join 0 Z, deaf 2, join 2 X, join 0 Y",
        _python(Room, "is_next", lambda self, change: True),
    ),
    "versions are compared": ("deaf 1, join 1 X", _python(presence, "_CHECK_SECONDS", 1e9)),
    "everything is told again": ("down, join 1 X", _python(Room, "tell_all", lambda self: None)),
    "who is not found at once after an outage may still come": (
        "join 0 X, join 1 Y, join 2 Z, down, wait 0 - 15",
        _python(View, "replace", _told_at_once),
    ),
    "a difference from before a join says nothing of it": (
        "late 1, join 0 X, join 1 X, hear 1",
        _python(presence.RedisPresence, "_compare", _lost_at_once),
    ),
    "before all members are read the lease is looked at": (
        "join 0 X, wait 0 - 26, flush, join 1 Y",
        _python(lease.Lease, "check", lambda self: None),
    ),
}
"""The rules by their names: a schedule that ends wrong without the rule, and what takes the rule out."""


def schedule_of(text: str) -> list[Step]:
    """Read a schedule: what, at which node, to which client, and for how many seconds; the rest may be left out."""
    steps = []
    for step in text.split(", "):
        what, *more = step.split()
        at, client_id, seconds = [*more, *("0", "-", "0")[len(more) :]]
        steps.append((what, int(at), client_id, float(seconds)))
    return steps


@contextmanager
def without(rule: str) -> Iterator[None]:
    """Run without a rule."""
    with ExitStack() as stack:
        RULES[rule][1](stack)
        yield

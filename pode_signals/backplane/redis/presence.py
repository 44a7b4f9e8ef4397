"""The connected clients of all nodes, in Redis. No connection waits for it.

Each name has one hash with all its members. All that changes it is a script, which makes the change, counts the
version of the members up, and publishes the difference. So a node that hears all differences knows the members; one
that misses some sees that by the version, and reads them all. What a node says of its own members is true: it tells
everything again after each connect.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.python.failure import Failure

from ...errors import BackplaneUnavailable
from ..contract import Member, PresenceChange
from .channels import ENVELOPE, MEMBERS
from .history import unavailable
from .lease import Lease
from .members import Seen, read_change, written
from .node import RedisNode
from .reading import Picture, Reading
from .room import Own, Room, Tell
from .telling import Telling
from .versions import Versions
from .view import View

__all__ = ["RedisPresence"]

_ANSWER_SECONDS = 2.0
_CHECK_SECONDS = 25.0
"""How often the versions of all names are compared, in case a message of Redis did not come."""
_STOP_SECONDS = 2.0
_STOPPED = "this node has stopped"


class RedisPresence:
    """Follows the contract :class:`~pode_signals.backplane.contract.Presence`, over all nodes.

    Args:
        node: this node.
        reactor: gives the timers.

    Attributes:
        taken: called with the name and the client id of a member of this node that is another node's by now.
    """

    def __init__(self, node: RedisNode, reactor: Any) -> None:
        self._node = node
        self._reactor = reactor
        self.taken: Callable[[str, str], None] = lambda _name, _client_id: None
        self._rooms: dict[str, Room] = {}
        self._lease = Lease(node, self._registered)
        self._telling = Telling(node, self._lease, reactor, self._told, self._refused)
        self._versions = Versions(node, self._read, self._telling)
        # The joins without an answer, with the time until which they wait.
        self._joining: dict[Own, float] = {}
        self._numbers = count(1)
        # Whether a watch may know of members that are gone.
        self._has_doubts = False
        self._next_check = 0.0
        node.channels.on(MEMBERS, self._heard)

    def nodes(self) -> Deferred[tuple[str, ...]]:
        """Fires with the names of the nodes that live."""
        living: Deferred[tuple[str, ...]] = self._lease.living().addErrback(unavailable)
        return living

    @property
    def looks(self) -> int:
        """How often this node has asked who lives."""
        return self._lease.looks

    def alive(self, looks: int) -> frozenset[str] | None:
        """The names of the nodes that lived after so many looks; None where a later one has no answer yet."""
        return self._lease.alive(looks)

    def join(self, member: Member, *, replace: bool = True) -> Deferred[bool]:
        """Add a member; without an answer in time it is one all the same, as soon as Redis can be asked."""
        client_id, room = member.client_id, self._room(member.name)
        before = room.own.get(client_id)
        if before is not None and before.leaving is not None:
            before.leaving.cancel()
        room.gone.pop(client_id, None)
        own = room.own[client_id] = Own(member, written(member))
        if not room.hears_sends:
            room.hears_sends = True
            self._node.channels.listen(member.name, ENVELOPE)
        if not self._node.client.is_up:
            return fail(BackplaneUnavailable(self._node.client.state))
        own.answer = Deferred(lambda _: None)
        self._joining[own] = self._node.now() + _ANSWER_SECONDS
        self._telling.add(room, Tell("j" if replace else "n", client_id, own.text, own))
        return own.answer

    def leave(self, name: str, client_id: str, grace_seconds: float) -> None:
        """Remove a member after the grace."""
        room = self._rooms.get(name)
        own = None if room is None else room.own.get(client_id)
        if room is None or own is None or own.leaving is not None:
            return
        if grace_seconds > 0:
            own.leaving = self._reactor.callLater(grace_seconds, self._gone, room, client_id)
            self._telling.add(room, Tell("l", client_id))
        else:
            self._gone(room, client_id)

    def members(self, name: str, group: str | None = None) -> Deferred[tuple[Member, ...]]:
        """The members; those that are leaving are still among them."""
        picture: Deferred[Picture] = self._picture(name)
        return picture.addCallbacks(lambda found: _members(found.members, group), unavailable)

    def count(self, name: str, group: str | None = None) -> Deferred[int]:
        """The number of members."""
        if group is not None:
            return self.members(name, group).addCallback(len)
        room = self._rooms.get(name)
        told = succeed(None) if room is None or not room.to_tell else self._telling.done(room)
        key = self._node.keys.members(name)[0]
        number: Deferred[int] = told.addCallback(lambda _: self._node.client.call("HLEN", key)).addErrback(unavailable)
        return number

    def watch(self, name: str, changed: Callable[[PresenceChange], None]) -> Deferred[tuple[Member, ...]]:
        """Tell of changes in a name. Where the Deferred fails, nothing is watched."""
        room = self._room(name)
        room.end_view()
        watch = room.watch = object()

        def known(picture: Picture) -> tuple[Member, ...]:
            # Another watch may have taken the place of this one.
            if room.watch is watch:
                room.view = View(self._reactor, changed, picture.members)
                room.know(picture.version, picture.members, is_sure=True)
            return _members(picture.members, None)

        def failed(failure: Failure) -> NoReturn:
            if room.watch is watch:
                self.unwatch(name)
            unavailable(failure)

        picture: Deferred[Picture] = self._picture(name)
        return picture.addCallbacks(known, failed)

    def unwatch(self, name: str) -> None:
        """Tell of no more changes in a name."""
        room = self._rooms.get(name)
        if room is not None:
            room.end_view()
            self._end_if_idle(room)

    # The way to Redis comes and goes, and so does time.

    def connected(self) -> None:
        """Redis can be asked, and the channels are subscribed to."""
        self._lease.register()
        self._next_check = self._node.now() + _CHECK_SECONDS
        for room in tuple(self._rooms.values()):
            room.is_heard = True
            room.version = None
            for own in room.own.values():
                own.version = own.taken_at = 0
            room.tell_all()
            self._telling.soon(room)
            if room.view is not None:
                self._read(room)

    def lost(self) -> None:
        """Redis can't be asked."""
        self._lease.lost()
        why = self._node.client.state
        self._telling.lost(tuple(self._rooms.values()), why)
        self._fail_joins(why)

    def look(self) -> None:
        """Do what is due; called each second."""
        now = self._node.now()
        self._fail_joins("there was no answer in time", now)
        if not self._node.client.is_up:
            return
        self._lease.look()
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            self._versions.check(tuple(self._rooms.values()))
        if self._has_doubts and self._lease.is_settled:
            doubtful = [room for room in self._rooms.values() if room.is_doubtful]
            self._has_doubts = bool(doubtful)
            for room in doubtful:
                self._read(room)

    def stop(self) -> Deferred[None]:
        """Take out the members of this node, within two seconds; and forget everything, without telling any watch."""
        for room in tuple(self._rooms.values()):
            room.end_view()
            for own in room.own.values():
                if own.leaving is not None:
                    own.leaving.cancel()
            room.own.clear()
            room.gone.clear()
        self._telling.lost(tuple(self._rooms.values()), _STOPPED)
        for name in self._rooms:
            self._node.channels.end(name, MEMBERS)
            self._node.channels.end(name, ENVELOPE)
        self._rooms.clear()
        self._fail_joins(_STOPPED)
        return self._lease.release().addTimeout(_STOP_SECONDS, self._reactor).addErrback(lambda _: None)

    # Rooms.

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name)

            def heard(is_so: bool) -> None:
                if is_so and self._rooms.get(name) is room:
                    room.is_heard = True
                    self._telling.soon(room)

            self._node.channels.listen(name, MEMBERS).addCallback(heard)
        return room

    def _end_if_idle(self, room: Room) -> None:
        if room.hears_sends and not room.own:
            room.hears_sends = False
            self._node.channels.end(room.name, ENVELOPE)
        if room.is_idle and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._node.channels.end(room.name, MEMBERS)

    # This node's own members.

    def _gone(self, room: Room, client_id: str) -> None:
        own = room.own.pop(client_id)
        own.leaving = None
        tell = room.gone[client_id] = Tell("x", client_id)
        self._telling.add(room, tell)
        self._end_if_idle(room)

    def _registered(self) -> None:
        """Redis knows a new incarnation of this node, and none of its members."""
        for room in self._rooms.values():
            room.tell_all()
            self._telling.soon(room)
            room.is_doubtful = room.view is not None
        self._has_doubts = True
        self._telling.flush()

    def _told(self, room: Room, tell: Tell, version: int, answer: int) -> None:
        own, client_id = tell.own, tell.client_id
        if room.version is None and room.view is None:
            room.version = version
        if own is None:
            if room.gone.get(client_id) is tell:
                del room.gone[client_id]
        elif tell.what == "r" and answer:
            self._lose(room, client_id, own)
        elif tell.what == "n" and answer:
            self._stand_back(room, client_id, own)
        else:
            own.known, own.version = next(self._numbers), version
            if own.taken_at > version:
                self._lose(room, client_id, own)
            self._answer(own, bool(answer))
        self._end_if_idle(room)

    def _refused(self, room: Room, tell: Tell, failure: Failure) -> None:
        if tell.own is not None:
            code = getattr(failure.value, "code", "?")
            self._answer(tell.own, BackplaneUnavailable(f"Redis answers {code}"))

    def _lose(self, room: Room, client_id: str, own: Own) -> None:
        """Another node has a member of this one."""
        if room.own.get(client_id) is not own:
            return
        del room.own[client_id]
        self._end_if_idle(room)
        if own.leaving is not None:
            own.leaving.cancel()
        else:
            self.taken(room.name, client_id)

    def _stand_back(self, room: Room, client_id: str, own: Own) -> None:
        """Another node holds a client id, and was not to be replaced."""
        if room.own.get(client_id) is own:
            del room.own[client_id]
            if own.leaving is not None:
                own.leaving.cancel()
        self._answer(own, True)

    def _answer(self, own: Own, answer: bool | BackplaneUnavailable) -> None:
        self._joining.pop(own, None)
        waiting, own.answer = own.answer, None
        # It may have been cancelled.
        if waiting is None or waiting.called:
            return
        if isinstance(answer, BackplaneUnavailable):
            waiting.errback(answer)
        else:
            waiting.callback(answer)

    def _fail_joins(self, why: str, now: float = float("inf")) -> None:
        """Fail the joins whose time is over, the oldest first."""
        for own, until in tuple(self._joining.items()):
            if until > now:
                return
            self._answer(own, BackplaneUnavailable(why))

    # What other nodes do.

    def _heard(self, name: str, content: bytes) -> None:
        """A difference was published."""
        room = self._rooms.get(name)
        if room is None:
            return
        change = read_change(name, content)
        if change is None:
            self._node.count("members_malformed")
            return
        if change.malformed:
            self._node.count("members_malformed", change.malformed)
        for reading in room.readings:
            reading.heard(change)
        self._compare(room, change.members, change.version)
        is_next = room.is_next(change)
        if room.is_read or is_next is None:
            return
        if is_next:
            room.apply(change)
            return
        # The first version of all follows on none.
        if room.version:
            self._node.count("members_missed")
        self._read(room)

    def _compare(self, room: Room, members: dict[str, Seen | None], version: int) -> None:
        """What has become of members of this node."""
        for client_id, seen in members.items():
            own = room.own.get(client_id)
            if own is None or version <= own.version or (seen is not None and seen.node == self._node.name):
                continue
            if not own.known:
                own.taken_at = version if seen is not None else own.taken_at
            elif seen is not None:
                self._lose(room, client_id, own)
            else:
                room.tell_again(client_id)
                self._telling.soon(room)

    # Reading.

    @inlineCallbacks
    def _picture(self, name: str) -> Any:
        reading = Reading(self._node, name, lambda: self._listen(reading))
        try:
            if name in self._rooms:
                yield self._listen(reading)
            picture = yield reading.picture()
        finally:
            room = self._rooms.get(name)
            if room is not None and reading in room.readings:
                room.readings.remove(reading)
                self._end_if_idle(room)
        return picture

    def _listen(self, reading: Reading) -> Deferred[None]:
        room = self._room(reading.name)
        if reading not in room.readings:
            room.readings.append(reading)
        return self._telling.done(room)

    def _read(self, room: Room) -> None:
        """Read all members of a name, since something was missed."""
        if room.is_read:
            return
        room.is_read = True
        # A Redis that has lost everything has lost the members of others, too, and they will tell them again.
        self._lease.check()
        began = next(self._numbers)
        picture: Deferred[Picture] = self._picture(room.name)
        picture.addCallbacks(
            partial(self._known, room, began),
            lambda failure: self._node.failed(failure, "the members of {name} can't be read", name=room.name),
        ).addBoth(lambda _: setattr(room, "is_read", False))

    def _known(self, room: Room, began: int, picture: Picture) -> None:
        if self._rooms.get(room.name) is not room:
            return
        room.know(picture.version, picture.members, is_sure=self._lease.is_settled)
        for client_id, own in tuple(room.own.items()):
            # Redis may have gone back, so a member that was confirmed before can be missing, whatever the version is.
            if own.known and (own.known < began or own.version <= picture.version):
                seen = picture.members.get(client_id)
                if seen is None:
                    room.tell_again(client_id)
                elif seen.node != self._node.name:
                    self._lose(room, client_id, own)
        for client_id, seen in picture.members.items():
            if seen.node == self._node.name and client_id not in room.own and client_id not in room.gone:
                room.gone[client_id] = Tell("x", client_id)
                room.to_tell.append(room.gone[client_id])
        if room.to_tell:
            self._telling.soon(room)


def _members(members: dict[str, Seen], group: str | None) -> tuple[Member, ...]:
    return tuple(seen.member for seen in members.values() if group is None or group in seen.member.groups)

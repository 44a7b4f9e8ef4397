"""What has to be known of a connection before it is greeted, where nodes share who is connected. It says no hello.

A node that is alone knows all of it at once and has no arrivals. Here the answers come from other nodes, in two seconds
or not at all, and a connection is open meanwhile: what is sent to it waits behind its hello.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.python.failure import Failure

from ..core.model import ClosedBy, ConnectionState, DuplicateClientId
from ..core.registry import Registry
from ..errors import BackplaneUnavailable
from ..wire.frames import CloseCode
from .dialogue import ComingBack
from .fanout import FanOut
from .histories import Histories
from .link import Link
from .presence import Presences
from .resumes import Resumes
from .runtime import Runtime

__all__ = ["Arrivals"]

T = TypeVar("T")

_PATIENCE_SECONDS = 2.0
_REPLACED = CloseCode.REPLACED


class Arrivals:
    """The connections of one hub that have come and are not greeted yet.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        presence: knows who is connected, on all nodes.
        fan_out: holds what is sent to them.
        histories: knows the places in logs.
        resumes: knows which groups come back.

    Attributes:
        refused: those that are closed because another node has their client id; no function of the user hears of them.
        is_refused: is told of one of these when it is closed.
    """

    def __init__(
        self,
        runtime: Runtime,
        registry: Registry[Link],
        presence: Presences,
        fan_out: FanOut,
        histories: Histories,
        resumes: Resumes,
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._presence = presence
        self._fan_out = fan_out
        self._histories = histories
        self._resumes = resumes
        self.refused: set[Link] = set()
        self.is_refused: Callable[[Link], None] = lambda _link: None

    def arrive(self, link: Link, back: ComingBack | None, greet: Callable[[ComingBack | None, float], None]) -> None:
        """A connection is in the registry.

        Args:
            link: the connection.
            back: what its client offered; None where it does not come back.
            greet: called when all is known, and in two seconds at the latest, with what the offer comes to and the
                seconds that are left. It is not called for a connection that is refused.
        """
        is_same = back is not None and back.is_known
        joined: Deferred[bool] | None = None
        placed: Deferred[bool] | None = None
        holds: Deferred[bool] | None = None
        if link.is_global and not is_same and self._refuses:
            joined = self._presence.join(link, replace=False)
        elif link.is_global:
            self._presence.joins(link)
        if link.is_global and link.dialogue is not None:
            placed = self._histories.when_placed(link.name)
        if back is not None and back.claimed:
            holds = self._resumes.hold(back.resumption)
        if joined is None and placed is None and holds is None:
            greet(back, _PATIENCE_SECONDS)
            return
        self._hold(link)
        end_seconds = self._runtime.clock.seconds() + _PATIENCE_SECONDS
        answers = self._in_time(joined), self._in_time(placed), self._in_time(holds)

        async def arrive() -> None:
            is_taken, _, hold = await answers[0], await answers[1], await answers[2]
            self._histories.withheld.forget(link)
            if is_taken:
                self._refuse(link)
                return
            # Nobody knows whether another node has the client id.
            if joined is not None and is_taken is None and link.state is ConnectionState.OPEN:
                self._presence.joins(link)
            known = back if back is None or not back.claimed else self._with_groups(link, back, holds=bool(hold))
            greet(known, max(0.0, end_seconds - self._runtime.clock.seconds()))

        Deferred.fromCoroutine(arrive()).addErrback(self._failed)

    def taken(self, name: str, client_id: str) -> None:
        """Another node has a newer connection with the client id of one of this node."""
        link = self._presence.holder(name, client_id)
        if link is not None:
            link.shut(_REPLACED, "replaced by a newer connection", ClosedBy.SERVER)

    @property
    def _refuses(self) -> bool:
        return self._runtime.settings.duplicate_client_id is DuplicateClientId.REFUSE

    def _hold(self, link: Link) -> None:
        """Have what is sent to a connection wait for its hello. The answer to its handshake does not wait."""
        if link.dialogue is None:
            return
        opening, link.dialogue.opening = link.dialogue.opening, b""
        self._fan_out.write(link, opening)
        if link.state is ConnectionState.OPEN:
            self._fan_out.hold(link)
            # The replay, or the position in hello, begins where the node is when all is known.
            self._histories.withheld.withhold(link)

    def _in_time(self, answer: Deferred[T] | None) -> Deferred[T | None]:
        """An answer, or None where there is none in time."""
        if answer is None:
            return succeed(None)

        def unknown(failure: Failure) -> None:
            if failure.check(BackplaneUnavailable, CancelledError, DeferTimeout) is None:
                self._failed(failure)

        return answer.addTimeout(_PATIENCE_SECONDS, self._runtime.clock).addErrback(unknown)

    def _with_groups(self, link: Link, back: ComingBack, *, holds: bool) -> ComingBack:
        """Give a connection the groups that its client had joined: all of them, or none."""
        before = len(link.groups)
        groups = tuple(dict.fromkeys((*link.groups, *back.claimed)))
        if holds and link.state is ConnectionState.OPEN and len(groups) <= self._runtime.settings.max_groups:
            # What this turn has sent is for the audiences of before.
            self._fan_out.flush(link.name)
            link.groups = groups
            for each in groups[before:]:
                self._registry.join(link, each)
            self._presence.changed(link)
            return back
        return back._replace(resumption=back.resumption._replace(is_whole=False))

    def _failed(self, failure: Failure) -> None:
        self._runtime.reports.failure("arrivals", "what other nodes know of a connection has failed", failure)

    def _refuse(self, link: Link) -> None:
        self._runtime.reports.write(
            "duplicate_client_id",
            "connection {client_id} of {name} was closed: another node has one with this client id",
            event="connection.duplicate",
            name=link.name,
            client_id=link.client_id,
        )
        self.refused.add(link)
        link.shut(_REPLACED, "another connection has this client id", ClosedBy.SERVER)
        self.is_refused(link)

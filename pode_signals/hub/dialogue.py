"""What the hub keeps with a connection that speaks ``pode.signals.v1``, beside what all have. Nothing here acts."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..core.history import Position
from ..core.resume_tokens import Resumption
from ..wire.session import Session

__all__ = ["ComingBack", "Dialogue", "Replay", "Stream"]


class ComingBack(NamedTuple):
    """What a client offered that comes back, and what it comes to.

    Attributes:
        position: what the client has seen last; None where its name kept no history.
        resumption: who the client is, as far as its token counts.
        claimed: the joined groups that come back if other nodes agree; the resumption is without them.
    """

    position: Position | None
    resumption: Resumption
    claimed: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it is certain that it is the same client as before."""
        return self.resumption.identity is not None


class Replay:
    """How far a client has got that reads what it missed.

    Args:
        since: the position after which the next entry comes.
        until: the position of the last entry; what was sent later waits in the client's queue.
        groups: the groups that the connection had when the replay began.

    Attributes:
        waits_for_client: whether the replay goes on only when the client has read what was written.
    """

    __slots__ = ("groups", "since", "until", "waits_for_client")

    def __init__(self, since: Position, until: Position, groups: tuple[str, ...]) -> None:
        self.since = since
        self.until = until
        self.groups = groups
        self.waits_for_client = False


class Stream:
    """What is kept of a stream of server-sent events, whose client sends by POST.

    Args:
        id: what the stream's resume tokens name it by, at random.
        ends_at: when the stream is ended, so that its client opens another one, by the hub's clock.

    Attributes:
        last_post: the number of the last POST that was taken; 0 before the first.
    """

    __slots__ = ("ends_at", "id", "last_post")

    def __init__(self, id: str, ends_at: float) -> None:
        self.id = id
        self.ends_at = ends_at
        self.last_post = 0


class Dialogue:
    """One client that is told where in the log it is: of ``pode.signals.v1``, or of any stream of server-sent events.

    Continuity writes it, and dispatch asks its session.

    Args:
        session: what the client may say.
        granted: the groups that ``convert`` gave; all others were joined later.
        stream: what is kept of a stream of server-sent events; None for a WebSocket.

    Attributes:
        recovered: whether nothing was lost when the connection began; None until hello is out.
        beat_due: when the client has to be sent a beat, by the hub's clock.
        token_due: when the client needs a fresh resume token, by the hub's clock.
        replay: what the client has missed and not been sent yet; None where nothing is.
        listed: when the client was told all members of a group, or under None of its name, by the hub's clock.
        opening: bytes of the transport that go before hello, so that both are one write: each write is a call of the
            system. Empty where they are written.
    """

    __slots__ = ("_listed", "beat_due", "granted", "opening", "recovered", "replay", "session", "stream", "token_due")

    def __init__(self, session: Session, granted: tuple[str, ...], stream: Stream | None = None) -> None:
        self.session = session
        self.granted = granted
        self.stream = stream
        self.recovered: bool | None = None
        self.beat_due = math.inf
        self.token_due = math.inf
        self.replay: Replay | None = None
        self.opening = b""
        self._listed: dict[str | None, float] | None = None

    @property
    def listed(self) -> dict[str | None, float]:
        """As above; made for the few clients that ask."""
        if self._listed is None:
            self._listed = {}
        return self._listed

"""What clients of server-sent events send: POSTs with frames, in order and each once; and the DELETE at their end.

A resume token that the very stream has issued is the proof that a POST comes from its client. Client ids are no proof,
since others know them. It reads no request.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from ..core.model import ClosedBy, Closure, ConnectionState
from ..errors import MessageInvalid, UpgradeRefused
from ..wire.frames import CloseCode
from ..wire.posts import frames_of
from .link import Link
from .resumes import Resumes
from .runtime import Runtime

__all__ = ["POST_HEADER", "Posts", "refused"]

POST_HEADER = "X-PODE-SIGNAL-POST"

_NUMBER = re.compile(rb"[1-9][0-9]{0,15}")
_RETRY_SECONDS = 1
_NO_FRAME = b"[]"


class Posts:
    """The streams of one hub, by the ids that their tokens have.

    Args:
        runtime: the surroundings.
        resumes: reads tokens.

    Attributes:
        received: what is called with a client's text messages that came together.
    """

    def __init__(self, runtime: Runtime, resumes: Resumes) -> None:
        self._runtime = runtime
        self._resumes = resumes
        self._streams: dict[str, Link] = {}
        # How many streams are open at each path, as their clients wrote it.
        self._paths: Counter[str] = Counter()
        self.received: Callable[[Link, Sequence[bytes]], None] = lambda _link, _payloads: None

    def opened(self, link: Link) -> None:
        """A connection has come; nothing happens where it is no stream."""
        if link.dialogue is not None and link.dialogue.stream is not None:
            self._streams[link.dialogue.stream.id] = link
            self._paths[_path(link)] += 1

    def left(self, link: Link) -> None:
        """A connection has left the hub."""
        if link.dialogue is None or link.dialogue.stream is None:
            return
        if self._streams.pop(link.dialogue.stream.id, None) is not None:
            path = _path(link)
            self._paths[path] -= 1
            if not self._paths[path]:
                del self._paths[path]

    def is_open_at(self, path: str) -> bool:
        """Whether a stream is open whose request had this path, without the query and as it was written."""
        return path in self._paths

    def stream_of(self, token: str) -> Link:
        """The open stream that has issued a token.

        Raises:
            UpgradeRefused: 403 for a token that nobody was given or that has expired, 410 where its stream is not open.
        """
        holder = self._resumes.holder(token)
        if holder is None:
            raise refused(403, "The token is not valid.")
        link = self._streams.get(holder.connection)
        if link is None or link.state is not ConnectionState.OPEN:
            raise refused(410, "The stream of this token is not open.")
        return link

    def take(self, link: Link, number: bytes, body: bytes) -> None:
        """Take the frames of a POST, in their order; nothing happens where the POST was taken before.

        Args:
            link: the stream.
            number: the number of the POST, as it came: 1 for the first one of a stream, and one more each time.
            body: a JSON array of 1 to 100 frames.

        Raises:
            UpgradeRefused: 400 for a bad number or body, 409 where POSTs before this one are missing, 413 for a body
                over ``max_message_bytes``, 429 while the messages before wait. Nothing was taken.
        """
        assert link.dialogue is not None
        stream = link.dialogue.stream
        assert stream is not None
        if not _NUMBER.fullmatch(number):
            raise refused(400, f"The {POST_HEADER} header has to be a whole number from 1 on.")
        posted = int(number)
        if posted <= stream.last_post:
            return
        if posted > stream.last_post + 1:
            raise refused(409, "A POST before this one is missing.")
        if len(body) > self._runtime.settings.max_message_bytes:
            self._runtime.reports.limit(
                "max_message_bytes",
                "connection {client_id}: a POST of {size_bytes} bytes was refused",
                client_id=link.client_id,
                size_bytes=len(body),
            )
            raise refused(413, "The body is too large.")
        if link.reading_paused:
            raise refused(429, "Earlier messages still wait.", retry_seconds=_RETRY_SECONDS)
        stream.last_post = posted
        try:
            frames = frames_of(body)
        except MessageInvalid as invalid:
            # It counts as a bad message, as on a WebSocket: too many of these end the stream.
            self.received(link, (_NO_FRAME,))
            raise refused(400, f"{invalid.reason[0].upper()}{invalid.reason[1:]}.") from None
        self._runtime.counters.posts_taken += 1
        self.received(link, frames)

    def leave(self, link: Link) -> None:
        """The client ends its stream for good, as a close frame with 1000 does."""
        link.left(Closure(CloseCode.NORMAL, "", ClosedBy.CLIENT))
        link.hub.close(link, CloseCode.NORMAL, b"")


def _path(link: Link) -> str:
    return link.request.uri.partition("?")[0]


def refused(code: int, description: str, *, retry_seconds: int | None = None) -> UpgradeRefused:
    """A refusal of what a client has posted; None asks for no wait before the client tries again."""
    headers = [] if retry_seconds is None else [("Retry-After", str(retry_seconds))]
    return UpgradeRefused(code, description, headers)

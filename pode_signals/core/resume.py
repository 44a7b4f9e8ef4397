"""Where a client that comes back goes on: the text that the client offers, and what it gets. It reads no log, no token.

A client offers the text as a WebSocket subprotocol, with ``pode.resume.`` before it, or in a header, without::

    pode.resume.<epoch>.<offset>             a position alone
    pode.resume.<epoch>.<offset>.<token>     a position, and who the client was
    pode.resume.-.-.<token>                  who the client was: its name keeps no history
"""

from __future__ import annotations

import re
from typing import NamedTuple

from attrs import frozen

from .history import Position

__all__ = [
    "MAX_TOKEN_CHARACTERS",
    "RESUME_HEADERS",
    "RESUME_PREFIX",
    "Ahead",
    "Continuation",
    "Lost",
    "Recovered",
    "ResumeRequest",
    "continuation",
    "is_ahead",
    "read_resume",
    "without_resume",
]

RESUME_PREFIX = b"pode.resume."
"""The begin of a subprotocol that is a resume text. Such a subprotocol is never agreed on."""
RESUME_HEADERS = frozenset({b"last-event-id", b"x-pode-signal-resume", b"x-pode-signal-token"})
"""The headers, in lower case, that a client without subprotocols offers the text in. Their values may be tokens."""
MAX_TOKEN_CHARACTERS = 2_048

# An offset is an id of a Redis stream, so its numbers are decimal, without zeros in front. A token may have dots of its
# own, so the token is all that comes after the third dot.
_NUMBER = "(?:0|[1-9][0-9]{0,15})"
_RESUME = re.compile(
    rf"(?:(?P<epoch>[a-z0-9]{{6,16}})\.(?P<offset>{_NUMBER}-{_NUMBER})|-\.-(?=\.))"
    rf"(?:\.(?P<token>[A-Za-z0-9._-]{{1,{MAX_TOKEN_CHARACTERS}}}))?"
)


class ResumeRequest(NamedTuple):
    """What a client that comes back offers. At least one of the two is there.

    Attributes:
        position: the position that the client has seen last; None where its name keeps no history.
        token: the resume token as it came, not checked; None where the client offers a position alone. It is a secret
            of the client.
    """

    position: Position | None
    token: str | None

    def __repr__(self) -> str:
        return f"ResumeRequest(position={self.position!r})"


@frozen
class Recovered:
    """The client gets every message that it missed: ``hello`` with ``recovered: true``, then the replay.

    Attributes:
        since: the client's own position, which ``hello`` has as well. A client that loses its connection in the middle
            of the replay must not skip the rest.
    """

    since: Position


@frozen
class Ahead:
    """The client has seen more than this node: ``hello`` with ``recovered: true``, and no replay.

    Attributes:
        until: the client's own position. Entries of the log up to this one, and this one, are dropped for the
            connection, since the client has seen them.
    """

    until: Position


@frozen
class Lost:
    """Messages may be lost: ``hello`` with ``recovered: false`` and the position of the node, and no replay."""


Continuation = Recovered | Ahead | Lost


def read_resume(text: str) -> ResumeRequest | None:
    """Read a resume text.

    Args:
        text: the text without ``pode.resume.``; any text.

    Returns:
        What the client offers; None where the text is malformed. Such a text is passed over, and no mistake that the
        client is told of: a page may have kept it from an older version of the server.
    """
    found = _RESUME.fullmatch(text)
    if found is None:
        return None
    epoch, offset, token = found.group("epoch", "offset", "token")
    return ResumeRequest(None if epoch is None else Position(epoch, offset), token)


def without_resume(value: bytes) -> bytes:
    """A line of Sec-WebSocket-Protocol without resume texts, for all that is kept or logged of a request.

    Args:
        value: the value of the line, good or malformed. Where it is malformed, the prefix may stand anywhere.
    """
    if RESUME_PREFIX not in value:
        return value
    return b", ".join(each.strip() for each in value.split(b",") if RESUME_PREFIX not in each)


def continuation(
    client: Position | None, node: Position | None, *, has_all_after: bool, identity_is_whole: bool
) -> Continuation:
    """What a client gets that comes back: every message that it missed, or the news that messages may be lost.

    Args:
        client: the position that the client offers; None where it offers none.
        node: the position of this node when the connection joined the audience of the name. None where the name keeps
            no history, and where the node has no position yet.
        has_all_after: whether the log knows the client's position and has every entry after it, up to the node's
            (:attr:`.history.Missed.complete`). False where nobody could tell in time.
        identity_is_whole: whether the client is again who it was (:attr:`.resume_tokens.Resumption.is_whole`).
    """
    # A client that is another one now, or that is not in all its groups again, would miss what was sent to the former
    # id or to those groups. The client has to be told, even if the log has everything.
    if client is None or node is None or not has_all_after or not identity_is_whole:
        return Lost()
    # Sequences of two epochs have nothing to do with each other.
    if client.epoch != node.epoch:
        return Lost()
    # The client may come from a node that got the entries sooner than this one.
    return Ahead(client) if is_ahead(client, node) else Recovered(client)


def is_ahead(client: Position, node: Position) -> bool:
    """Whether a client's position is one that the node has not reached, if it is one of that log at all."""
    return client.epoch == node.epoch and _sequence(client) > _sequence(node)


def _sequence(position: Position) -> int:
    return int(position.offset.partition("-")[0])

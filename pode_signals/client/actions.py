"""What a session wants to have done, as values. They do nothing."""

from __future__ import annotations

from attrs import field, frozen

from ..wire.v1 import Hello
from .events import Closed
from .requests import Settled

__all__ = ["Abort", "Action", "AskForToken", "Close", "Connect", "Greeted", "Reading", "Settled", "Tell", "Write"]


@frozen
class Connect:
    """Open a connection. Whatever comes from it is told with its generation.

    Attributes:
        generation: the number of the attempt.
    """

    generation: int


@frozen
class Write:
    """Write a text to the connection.

    Attributes:
        text: the text, as UTF-8. It may have credentials.
    """

    text: bytes = field(repr=False)


@frozen
class Close:
    """Begin the closing handshake. The end is told when the connection is gone.

    Attributes:
        code: the close code.
    """

    code: int


@frozen
class Abort:
    """Drop the connection now. Nothing more of it is told.

    Attributes:
        code: the code of a close frame that goes out before, where the connection is open; None for no close frame.
    """

    code: int | None = None


@frozen
class AskForToken:
    """Ask the application for new credentials.

    Attributes:
        generation: the number of the attempt whose connection they are for.
    """

    generation: int


@frozen
class Reading:
    """Read on from the connection, or read no further until the application has taken events."""

    on: bool


@frozen
class Greeted:
    """The connection is open: whoever waits for that gets the hello."""

    hello: Hello


@frozen
class Tell:
    """Write a line to the log.

    Attributes:
        text: the line; it has nothing of a payload or of credentials.
        is_warning: whether somebody should look.
    """

    text: str
    is_warning: bool = False


Action = Connect | Write | Close | Abort | AskForToken | Reading | Greeted | Settled | Tell | Closed

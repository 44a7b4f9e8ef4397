"""One payload on its way to many clients, and its bytes in each encoding, made once. It knows no connection.

An *encoding* is a *form* (what the text of a message looks like: Pode's, or that of a newer protocol) and a *framing*
(how a transport tells one text from the next: a WebSocket frame, a server-sent event).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from ..core.model import Target
from .frames import text_frame

__all__ = ["PLAIN_WEBSOCKET", "Closing", "Encoding", "Message", "Outgoing", "encoded_once", "plain_form"]


@frozen(eq=False)
class Encoding:
    """How one kind of client gets messages. Two encodings with the same form share the text that it makes.

    Attributes:
        form: makes the text of a message, UTF-8.
        framing: makes of a text the bytes that a transport writes.
        protocol: what the clients are counted under.
    """

    form: Callable[[Message], bytes]
    framing: Callable[[bytes], bytes]
    protocol: str


class Message:
    """What one send has to say.

    Args:
        payload: the data as UTF-8: a text as it is, anything else as compact JSON.
        key: what a newer message may replace this one by in the queue of a slow client; None is nothing.
    """

    __slots__ = ("_frame", "_made", "key", "payload")

    def __init__(self, payload: bytes, key: str | None = None) -> None:
        self.payload = payload
        self.key = key
        # Nearly all clients get the plain frame, which has a place of its own.
        self._frame: bytes | None = None
        # By encoding the bytes, by form the text.
        self._made: dict[Any, bytes] | None = None

    def encoded(self, encoding: Encoding) -> bytes:
        """The bytes that a client of an encoding gets; made when they are first asked for."""
        if encoding is PLAIN_WEBSOCKET:
            frame = self._frame
            if frame is None:
                frame = self._frame = text_frame(self.payload)
            return frame
        made = self._made
        if made is None:
            made = self._made = {plain_form: self.payload}
        data = made.get(encoding)
        if data is None:
            text = made.get(encoding.form)
            if text is None:
                text = made[encoding.form] = encoding.form(self)
            data = made[encoding] = encoding.framing(text)
        return data


@frozen
class Closing:
    """What closes connections, in place of a message.

    Attributes:
        code: the close code (RFC 6455 section 7.4).
        reason: text for the clients.
    """

    code: int
    reason: str


class Outgoing:
    """A send or a close on its way to the connections that it is for, on whatever node they are.

    Args:
        target: which connections.
        content: what they get.
        tally: where this node counts what became of a send; None where nobody asks, as for another node's send.
    """

    __slots__ = ("content", "tally", "target")

    def __init__(self, target: Target, content: Message | Closing, tally: Any = None) -> None:
        self.target = target
        self.content = content
        self.tally = tally


def encoded_once(payload: bytes, encoding: Encoding, key: str | None = None) -> bytes:
    """The bytes of a message that goes to one client alone: nothing has to be kept for others."""
    return text_frame(payload) if encoding is PLAIN_WEBSOCKET else Message(payload, key).encoded(encoding)


def plain_form(message: Message) -> bytes:
    """The text that Pode's own clients get: the payload and nothing around it."""
    return message.payload


PLAIN_WEBSOCKET = Encoding(plain_form, text_frame, "plain")
"""What Pode's own clients get over a WebSocket."""

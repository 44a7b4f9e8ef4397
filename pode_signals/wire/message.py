"""One payload on its way to many clients, and its bytes in each encoding, made once. It knows no connection.

An *encoding* is a *form* and a *framing*. The form makes the text of a message: Pode's text, or that of a newer
protocol. The framing makes of the text the bytes that a transport writes: a WebSocket frame, or a server-sent event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from attrs import field, frozen

from ..core.history import Position
from ..core.model import Target
from .frames import text_frame

__all__ = [
    "PLAIN_WEBSOCKET",
    "Encoding",
    "Message",
    "Outgoing",
    "encoded_once",
    "plain_form",
    "websocket_framing",
]


@frozen(eq=False)
class Encoding:
    """How one kind of client gets messages. Two encodings with the same form share the text of a message.

    Attributes:
        form: makes the text of a message, as UTF-8.
        framing: makes the bytes that a transport writes for a text and its place in a log; None is no place.
        protocol: the name under which the clients of this encoding are counted.
        notice: makes the bytes of a frame that is no message, of its type, its text and the client's place in the log.
        transport: ``"websocket"``, or ``"sse"`` for server-sent events.
        answers_pings: whether clients answer pings.
    """

    form: Callable[[Message], bytes]
    framing: Callable[[bytes, Position | None], bytes]
    protocol: str
    notice: Callable[[str, bytes, Position | None], bytes] = field(
        default=lambda _type, text, _position: text_frame(text)
    )
    transport: Literal["websocket", "sse"] = "websocket"
    answers_pings: bool = True


class Message:
    """The content of one send.

    The plain form is the payload alone. Other forms also tell the rest, which is the same for all recipients.

    Args:
        payload: the data as UTF-8: a text unchanged, any other data as compact JSON.
        key: in the queue of a slow client, a newer message with the same key may replace this one; None is no key.
        is_text: whether the payload is a text. The bytes do not tell: they may look like JSON.
        groups: the groups that the send named; empty where it named none.
        position: the message's place in the log of its name; None where the message is in no log.
        acknowledgement: the id that clients answer with; None where nobody wants to know who got the message.
    """

    __slots__ = ("_frame", "_made", "acknowledgement", "groups", "is_text", "key", "payload", "position")

    def __init__(
        self,
        payload: bytes,
        key: str | None = None,
        *,
        is_text: bool = False,
        groups: tuple[str, ...] = (),
        position: Position | None = None,
        acknowledgement: str | None = None,
    ) -> None:
        self.payload = payload
        self.key = key
        self.is_text = is_text
        self.groups = groups
        self.position = position
        self.acknowledgement = acknowledgement
        # Nearly all clients get the plain frame, which has a place of its own.
        self._frame: bytes | None = None
        # The bytes by their encoding, and the texts by their form; None until another encoding than the plain one is
        # asked for.
        self._made: dict[Any, bytes] | None = None

    def encoded(self, encoding: Encoding) -> bytes:
        """The bytes that a client with an encoding gets, made when they are first asked for."""
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
            data = made[encoding] = encoding.framing(text, self.position)
        return data


class Outgoing:
    """A send on its way to the connections that it is for, on whatever node they are.

    Args:
        target: the connections.
        message: the message for these connections.
        tally: the delivery in which this node counts recipients; None where nobody on this node asks, as for the send
            of another node.
    """

    __slots__ = ("message", "tally", "target")

    def __init__(self, target: Target, message: Message, tally: Any = None) -> None:
        self.target = target
        self.message = message
        self.tally = tally


def encoded_once(payload: bytes, encoding: Encoding, data: object) -> bytes:
    """The bytes of a message for one client alone. They are not kept, since no other client needs them.

    Args:
        payload: the payload of the message.
        encoding: the encoding that the client has.
        data: the data that the payload was made of. Only a form other than the plain one needs to know whether they
            are a text, so only then is their type looked at.
    """
    if encoding is PLAIN_WEBSOCKET:
        return text_frame(payload)
    return Message(payload, is_text=isinstance(data, str)).encoded(encoding)


def plain_form(message: Message) -> bytes:
    """The text that Pode's clients get: the payload and nothing around it."""
    return message.payload


def websocket_framing(text: bytes, _position: Position | None) -> bytes:
    """One text frame, which has no place in a log of its own."""
    return text_frame(text)


PLAIN_WEBSOCKET = Encoding(plain_form, websocket_framing, "plain")
"""The encoding for Pode's clients over a WebSocket."""

"""``pode.signals.v1``: the texts that clients send. They are written here alone; ``client_frames.py`` reads them.

``type`` comes first, and there is no white space: the server reads an ``ack``, ``beat`` or ``refresh`` that begins so
before messages that wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .json import encode_value

__all__ = ["BEAT", "ack_text", "refresh_text", "send_text", "watch_text"]

BEAT: Final = b'{"type":"beat"}'
"""The client lives, and asks whether the server does."""


def send_text(
    message: object,
    *,
    id: str | None = None,
    path: str | None = None,
    group: str | Sequence[str] | None = None,
    client_id: str | int | Sequence[str | int] | None = None,
    direct: bool = False,
) -> bytes:
    """A message to the path of the connection.

    Args:
        message: the data, see :func:`~pode_signals.wire.json.encode`; anything but None.
        id: the server sends one reply or error with this id; None for neither.
        path: the name whose connections get the message, where no signal route takes it; None is the connection's own.
        group: the group or groups that get it; None is everybody.
        client_id: the client id or ids that get it; None is everybody.
        direct: whether it goes back to this client alone.

    Raises:
        TypeError: a value in the data has no JSON form.
        ValueError: the message is None, or has NaN, Infinity or a lone surrogate, or is nested too deep.
    """
    if message is None:
        raise ValueError("the message is None, which is no message")
    fields: dict[str, Any] = {"type": "send", "id": id, "message": message, "path": path, "group": group}
    fields |= {"clientId": client_id, "direct": direct or None}
    return encode_value({key: value for key, value in fields.items() if value is not None})


def ack_text(id: str) -> bytes:
    """The application has taken a signal.

    Args:
        id: the ``ack`` of that signal.
    """
    return encode_value({"type": "ack", "id": id})


def refresh_text(id: str, token: str) -> bytes:
    """New credentials for a connection that expires.

    Args:
        id: the answer has this id.
        token: the credentials, 1 to 8,192 characters.
    """
    return encode_value({"type": "refresh", "id": id, "token": token})


def watch_text(watch: bool) -> bytes:
    """Whether the client wants to be told who is connected.

    Args:
        watch: True asks for all members now, and for each change from now on. False ends that.
    """
    return encode_value({"type": "presence", "watch": watch})

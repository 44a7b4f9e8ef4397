"""How long the body of one request may take, depending on how much has come. It has no timer and reads nothing."""

from __future__ import annotations

__all__ = ["GRACE_SECONDS", "LEAST_BYTES_PER_SECOND", "BodyTime"]

LEAST_BYTES_PER_SECOND = 1_024
"""How fast a body has to come, after its first seconds."""
GRACE_SECONDS = 10
"""In its first seconds a body may come as slowly as the client likes."""


class BodyTime:
    """The time that one body may take. Each KiB that comes adds a second, up to ``request_timeout_seconds``.

    Args:
        began_seconds: when the head was complete.
        received_bytes: how many bytes of the body came together with the head.
        timeout_seconds: the longest that the body may take; ``request_timeout_seconds``.

    Attributes:
        received_bytes: how many bytes of the body have come; the channel that reads them counts here.
    """

    __slots__ = ("_began_seconds", "_timeout_seconds", "received_bytes")

    def __init__(self, began_seconds: float, received_bytes: int, timeout_seconds: float) -> None:
        self._began_seconds = began_seconds
        self._timeout_seconds = timeout_seconds
        self.received_bytes = received_bytes

    @property
    def first_look_seconds(self) -> float:
        """How long after the head the body is looked at for the first time."""
        return min(GRACE_SECONDS, self._timeout_seconds)

    def left_seconds(self, now_seconds: float) -> float:
        """How long the rest of the body may take; 0 or less where the time is over."""
        at_least_speed = GRACE_SECONDS + self.received_bytes / LEAST_BYTES_PER_SECOND
        return self._began_seconds + min(at_least_speed, self._timeout_seconds) - now_seconds

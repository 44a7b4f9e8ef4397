"""When a client renews the credentials of a connection that expires. It asks nobody, and belongs to one connection."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Renewal"]

_RENEWED_AT: Final = 0.75
_AGAIN_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0


class Renewal:
    """The credentials of one connection.

    Attributes:
        due: when something is to be done next; None is never.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._id: str | None = None
        self._count = 0

    def expires(self, seconds: float | None, now: float) -> None:
        """The connection expires.

        Args:
            seconds: in so many seconds; None is never.
            now: the time.
        """
        self._id = None
        self.due = None if seconds is None else now + max(0.0, seconds) * _RENEWED_AT

    def is_due(self, now: float) -> bool:
        """Whether the application is to be asked for credentials now. Until it has answered, it is not asked again."""
        if self.due is None or now < self.due:
            return False
        self._id = self.due = None
        return True

    def sent(self, now: float) -> str:
        """The credentials are about to be sent.

        Returns:
            The id of the frame.
        """
        self._count += 1
        self._id = f"refresh-{self._count}"
        self.due = now + _ANSWER_SECONDS
        return self._id

    def failed(self, now: float) -> None:
        """The application had no credentials: it is asked again."""
        self.due = now + _AGAIN_SECONDS

    def is_answer(self, id: str | None) -> bool:
        """Whether a reply or an error with this id answers the credentials."""
        return id is not None and id == self._id

    def taken(self, data: Any, now: float) -> None:
        """The server has taken the credentials.

        Args:
            data: the data of the reply.
            now: the time.
        """
        seconds = data.get("expiresInSeconds") if isinstance(data, dict) else None
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        self.expires(seconds if is_number else None, now)

    def refused(self, now: float) -> None:
        """The server has not taken the credentials: the application is asked for others."""
        self._id = None
        self.due = now + _AGAIN_SECONDS

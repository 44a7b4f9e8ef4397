"""Requests whose bodies are bounded in size. What is over the bound is never kept; channel and site answer it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.web.server import Request

from .upgrade import is_upgrade

__all__ = ["BodyTooLarge", "BoundedRequest"]


class BodyTooLarge(Exception):
    """The body of a request is larger than ``max_request_body_bytes``, or says that it will be."""


class BoundedRequest(Request):
    """A request of a :class:`~pode_signals.web.heads.BoundedChannel`.

    Attributes:
        is_too_large: whether its body was over the bound and is not here.
    """

    channel: Any
    content: Any
    is_too_large = False

    def gotLength(self, length: int | None) -> None:
        """The head is complete and tells the length of the body; None is a chunked one.

        Raises:
            BodyTooLarge: before a client that waits for ``100 Continue`` gets it.
        """
        if length is not None and length > self.channel.limits.body_bytes:
            raise BodyTooLarge
        super().gotLength(length)  # type: ignore[no-untyped-call]  # Twisted

    def handleContentChunk(self, data: bytes) -> None:
        """A part of the body, decoded.

        Raises:
            BodyTooLarge: it is one part too many, and was not kept.
        """
        if self.content.tell() + len(data) > self.channel.limits.body_bytes:
            raise BodyTooLarge
        super().handleContentChunk(data)  # type: ignore[no-untyped-call]  # Twisted

    def _handleStar(self) -> None:
        """Twisted answers ``*`` before any resource does; an upgrade of it is refused as every other target is."""
        if is_upgrade(self):
            self.render(self.channel.site.getResourceFor(self))  # type: ignore[no-untyped-call]  # Twisted
        else:
            super()._handleStar()  # type: ignore[no-untyped-call]  # Twisted

    def drop_body(self) -> None:
        """Forget what came of the body."""
        if self.content is not None:
            self.content.close()
        self.content = BytesIO()
        self.is_too_large = True

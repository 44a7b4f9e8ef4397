"""Protocols for type checkers: what users' objects from Twisted have to offer. Nothing here runs.

Twisted describes these objects by interfaces of zope, which a type checker understands only with a plugin. These
interfaces write methods without ``self``. So each method is a read-only attribute here: then Twisted's classes, values
annotated with its interfaces, and users' own classes all fit, with the plugin and without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["ClockLike", "EndpointLike", "ResourceLike"]


class ResourceLike(Protocol):
    """An ``IResource``: Klein's ``app.resource()``, a ``twisted.web.static.File``, any ``Resource``."""

    @property
    def isLeaf(self) -> Any:
        """Whether the resource answers for all paths below it."""

    @property
    def getChildWithDefault(self) -> Callable[..., Any]:
        """``getChildWithDefault(name, request)`` gives the resource of a path below."""

    @property
    def render(self) -> Callable[..., Any]:
        """``render(request)`` answers a request."""


class ClockLike(Protocol):
    """An ``IReactorTime``: a reactor, or a ``twisted.internet.task.Clock``."""

    @property
    def seconds(self) -> Callable[..., Any]:
        """``seconds()`` tells the time."""

    @property
    def callLater(self) -> Callable[..., Any]:
        """``callLater(delay_seconds, function, …)`` sets a timer."""


class EndpointLike(Protocol):
    """An ``IStreamServerEndpoint``: a ``TCP4ServerEndpoint``, a result of ``serverFromString``, or a user's own."""

    @property
    def listen(self) -> Callable[..., Any]:
        """``listen(factory)`` gives a Deferred that fires with the port."""

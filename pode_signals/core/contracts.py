"""What is expected of the objects of Twisted that users hand in, as protocols for type checkers. Nothing here runs.

Twisted describes these objects by interfaces of zope, which a type checker understands with a plugin alone. Such an
interface writes its methods without ``self``; so each method is a read-only attribute here, and Twisted's classes,
values that are annotated with its interfaces, and classes of a user's own fit alike, with the plugin and without it.
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
    """An ``IStreamServerEndpoint``: a ``TCP4ServerEndpoint``, what ``serverFromString`` gives, one of the user's."""

    @property
    def listen(self) -> Callable[..., Any]:
        """``listen(factory)`` gives a Deferred that fires with the port."""

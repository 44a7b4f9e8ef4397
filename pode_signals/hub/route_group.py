"""Signal routes below a common path. Registering and matching are in ``core/routes.py``, calling in ``dispatch.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

from ..core.mistakes import check_decorator
from .signal_event import SignalEvent

__all__ = ["IfExistsName", "RouteGroup", "Routing"]

R = TypeVar("R", bound=Callable[[SignalEvent], Any])
IfExistsName = Literal["error", "overwrite", "skip"]


class Routing(Protocol):
    """What a group registers its routes with; :class:`~pode_signals.Signals` is one."""

    def add_route(
        self,
        path: str,
        function: Callable[[SignalEvent], Any],
        *,
        endpoint: str | None = None,
        if_exists: IfExistsName = "error",
    ) -> None:
        """Give the messages of clients on a path to a function."""


class RouteGroup:
    """Routes below a common path; ``signals.route_group`` makes it."""

    def __init__(self, routes: Routing, prefix: str, endpoint: str | None, if_exists: IfExistsName) -> None:
        self._routes = routes
        self._prefix = prefix.rstrip("/")
        self._endpoint = endpoint
        self._if_exists: IfExistsName = if_exists

    def add_route(
        self,
        path: str,
        function: Callable[[SignalEvent], Any],
        *,
        endpoint: str | None = None,
        if_exists: IfExistsName | None = None,
    ) -> None:
        """As ``signals.add_route``, below the group's prefix; an empty path is the prefix itself."""
        self._routes.add_route(
            self._below(path),
            function,
            endpoint=endpoint or self._endpoint,
            if_exists=if_exists or self._if_exists,
        )

    def route(
        self, path: str, *, endpoint: str | None = None, if_exists: IfExistsName | None = None
    ) -> Callable[[R], R]:
        """A decorator: :meth:`add_route`."""
        check_decorator("route", path, '@group.route("/path")')

        def register(function: R) -> R:
            self.add_route(path, function, endpoint=endpoint, if_exists=if_exists)
            return function

        return register

    def route_group(self, prefix: str) -> RouteGroup:
        """A group within this group."""
        return RouteGroup(self._routes, self._below(prefix), self._endpoint, self._if_exists)

    def _below(self, path: str) -> str:
        if path and not path.startswith("/"):
            raise ValueError(f"the path of a signal route has to start with a slash: {path!r}")
        return self._prefix + path

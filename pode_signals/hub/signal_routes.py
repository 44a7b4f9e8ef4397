"""Registering signal routes: the functions that get the messages which clients send on a path.

Matching is in ``core/routes.py``, calling them in ``dispatch.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from ..core.routes import IfExists, SignalRoute, SignalRoutes

__all__ = ["RouteGroup", "RouteRegistrations"]

F = TypeVar("F", bound=Callable[..., Any])
IfExistsName = Literal["error", "overwrite", "skip"]


class RouteRegistrations:
    """The signal routes of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        check_thread: raises where the caller is in the wrong thread.
    """

    def __init__(self, check_thread: Callable[[str], None]) -> None:
        self._route_check_thread = check_thread
        self._signal_routes = SignalRoutes()

    def route(self, path: str, *, endpoint: str | None = None, if_exists: IfExistsName = "error") -> Callable[[F], F]:
        """A decorator: :meth:`add_route`."""

        def register(function: F) -> F:
            self.add_route(path, function, endpoint=endpoint, if_exists=if_exists)
            return function

        return register

    def add_route(
        self,
        path: str,
        function: Callable[..., Any],
        *,
        endpoint: str | None = None,
        if_exists: IfExistsName = "error",
    ) -> None:
        """Give the messages of clients on a path to a function (Pode: ``Add-PodeSignalRoute``).

        With a route nothing is sent unless the function sends.

        Args:
            path: the path of the WebSocket's URL, with parameters as Klein writes them: ``/room/<int:number>``.
            function: plain, ``async def`` or giving a Deferred; gets a :class:`~pode_signals.SignalEvent`.
            endpoint: the name of the endpoint whose connections it is for; None is every endpoint.
            if_exists: what to do where the path has a route: ``error``, ``overwrite`` it, or ``skip`` this call.

        Raises:
            RouteAlreadyExists: the path has a route, and ``if_exists`` is ``error``.
            ValueError: the path can't be read.
            NotInReactorThread: called from another thread.
        """
        self._route_check_thread("add_route")
        self._signal_routes.add(path, function, endpoint=endpoint, if_exists=IfExists(if_exists))

    def remove_route(self, path: str, *, endpoint: str | None = None) -> None:
        """Remove a route (Pode: ``Remove-PodeSignalRoute``); one that is not there is no error."""
        self._route_check_thread("remove_route")
        self._signal_routes.remove(path, endpoint=endpoint)

    def clear_routes(self) -> None:
        """Remove every route (Pode: ``Clear-PodeSignalRoutes``)."""
        self._route_check_thread("clear_routes")
        self._signal_routes.clear()

    def has_route(self, path: str, *, endpoint: str | None = None) -> bool:
        """Whether this very path was registered (Pode: ``Test-PodeSignalRoute``)."""
        return self._signal_routes.has(path, endpoint=endpoint)

    def routes(self) -> tuple[SignalRoute, ...]:
        """All routes, in the order of their registration (Pode: ``Get-PodeSignalRoute``)."""
        return self._signal_routes.all()

    def route_group(self, prefix: str, *, endpoint: str | None = None, if_exists: IfExistsName = "error") -> RouteGroup:
        """Routes below a common path (Pode: ``Add-PodeSignalRouteGroup``).

        Args:
            prefix: what their paths begin with: ``/rooms``.
            endpoint: the endpoint of those that name none.
            if_exists: the ``if_exists`` of those that name none.
        """
        return RouteGroup(self, prefix, endpoint, if_exists)


class RouteGroup:
    """Routes below a common path; :meth:`RouteRegistrations.route_group` makes it."""

    def __init__(self, routes: RouteRegistrations, prefix: str, endpoint: str | None, if_exists: IfExistsName) -> None:
        self._routes = routes
        self._prefix = prefix.rstrip("/")
        self._endpoint = endpoint
        self._if_exists: IfExistsName = if_exists

    def add_route(
        self,
        path: str,
        function: Callable[..., Any],
        *,
        endpoint: str | None = None,
        if_exists: IfExistsName | None = None,
    ) -> None:
        """As :meth:`RouteRegistrations.add_route`, below the group's prefix; an empty path is the prefix itself."""
        self._routes.add_route(
            self._below(path),
            function,
            endpoint=endpoint or self._endpoint,
            if_exists=if_exists or self._if_exists,
        )

    def route(
        self, path: str, *, endpoint: str | None = None, if_exists: IfExistsName | None = None
    ) -> Callable[[F], F]:
        """A decorator: :meth:`add_route`."""

        def register(function: F) -> F:
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

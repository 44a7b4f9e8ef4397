"""Signal routes: which function gets the messages of clients connected on a path. Never calls one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from attrs import frozen
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, MapAdapter, Rule

from pode_signals.errors import RouteAlreadyExists

__all__ = ["IfExists", "RouteMatch", "SignalRoute", "SignalRoutes"]


class IfExists(Enum):
    """What adding a route does where the path has one (Pode: ``-IfExists``)."""

    ERROR = "error"
    OVERWRITE = "overwrite"
    SKIP = "skip"


@frozen
class SignalRoute:
    """A function for the messages that clients send on a path.

    Attributes:
        path: the path as it was given, with its parameters: ``/rooms/<int:number>``.
        function: the function.
        endpoint: the name of the endpoint that the route is tied to; None serves every endpoint.
    """

    path: str
    function: Callable[..., Any]
    endpoint: str | None = None


@frozen
class RouteMatch:
    """A route for a path, with what its parameters were.

    Attributes:
        route: the route.
        params: the parameters, converted: ``{"number": 7}``.
    """

    route: SignalRoute
    params: Mapping[str, Any]


class SignalRoutes:
    """The signal routes of a hub, one for each path and endpoint.

    Paths are werkzeug's rules, as in Klein: ``<name>``, ``<int:name>``, ``<path:name>``. A slash at the end of a path
    or a rule makes no difference unless both forms are there, since a message can't be redirected.
    """

    __slots__ = ("_adapters", "_routes", "version")

    version: int
    """Grows with each change, so that who remembers a match knows when to forget it."""

    def __init__(self) -> None:
        self.version = 0
        self._routes: dict[tuple[str, str | None], SignalRoute] = {}
        self._adapters: dict[str | None, MapAdapter] | None = None

    def add(
        self,
        path: str,
        function: Callable[..., Any],
        *,
        endpoint: str | None = None,
        if_exists: IfExists = IfExists.ERROR,
    ) -> None:
        """Add a route.

        Args:
            path: the path, from its first slash on.
            function: the function for its messages.
            endpoint: the name of the endpoint that it is tied to; None serves every endpoint.
            if_exists: what to do where the same path and endpoint have a route.

        Raises:
            RouteAlreadyExists: they have one, and ``if_exists`` is ``ERROR``.
            ValueError: the path does not start with a slash, or its parameters can't be read.
        """
        _check_path(path)
        if (path, endpoint) in self._routes:
            if if_exists is IfExists.SKIP:
                return
            if if_exists is IfExists.ERROR:
                raise RouteAlreadyExists(path)
        self._routes[path, endpoint] = SignalRoute(path, function, endpoint)
        self._changed()

    def remove(self, path: str, *, endpoint: str | None = None) -> bool:
        """Remove a route.

        Returns:
            Whether there was one.
        """
        if self._routes.pop((path, endpoint), None) is None:
            return False
        self._changed()
        return True

    def clear(self) -> None:
        """Remove every route."""
        self._routes.clear()
        self._changed()

    def has(self, path: str, *, endpoint: str | None = None) -> bool:
        """Whether this path, as it was given to :meth:`add`, has a route on this endpoint (None: on every endpoint)."""
        return (path, endpoint) in self._routes

    def all(self) -> tuple[SignalRoute, ...]:
        """Every route, in the order of adding."""
        return tuple(self._routes.values())

    def match(self, path: str, endpoint: str | None) -> RouteMatch | None:
        """The route for the path of a connection.

        Args:
            path: the path of the connection's URL, percent-decoded.
            endpoint: the name of the endpoint it came in on; None where that has none.

        Returns:
            A route tied to that endpoint before one tied to none; None where neither is there.
        """
        if self._adapters is None:
            self._adapters = self._built()
        for tied_to in (None,) if endpoint is None else (endpoint, None):
            adapter = self._adapters.get(tied_to)
            if adapter is None:
                continue
            try:
                route, params = adapter.match(path, method="GET")
            except (NotFound, ValueError):  # ValueError: older werkzeugs, for an integer of over 4,300 digits
                continue
            return RouteMatch(route, params)
        return None

    def _changed(self) -> None:
        self.version += 1
        self._adapters = None  # built again with the next match: werkzeug's maps only grow

    def _built(self) -> dict[str | None, MapAdapter]:
        maps: dict[str | None, Map] = {}
        for route in self._routes.values():
            rules = maps.get(route.endpoint)
            if rules is None:
                rules = maps[route.endpoint] = _map()
            rules.add(Rule(route.path, endpoint=route))
        return {endpoint: rules.bind("") for endpoint, rules in maps.items()}


def _map() -> Map:
    # Each of these would make werkzeug redirect.
    return Map(strict_slashes=False, merge_slashes=False, redirect_defaults=False)


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"the path of a signal route has to start with a slash: {path!r}")
    try:
        _map().add(Rule(path, endpoint=path))
    except (LookupError, SyntaxError, TypeError, ValueError) as error:  # SyntaxError: a parameter given twice
        raise ValueError(f"the path of a signal route can't be read: {path!r}: {error}") from error

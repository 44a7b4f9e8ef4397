"""Signal routes: which function gets the messages of clients connected on a path. Never calls one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from operator import length_hint
from typing import Any

from attrs import frozen
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, MapAdapter, RequestRedirect, Rule

from pode_signals.errors import RouteAlreadyExists

__all__ = ["HttpRoute", "IfExists", "RouteMatch", "SignalRoute", "SignalRoutes"]

_MOST_TABLES = 256

# ``<int:number>`` or ``<number>``; what stands before the last colon is the converter with its arguments.
_PARAMETER = re.compile(r"<(?:([^<>]*):)?\w*>")
_SLASHES = re.compile("/{2,}")


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
class HttpRoute:
    """Which route of an HTTP router (Klein's ``url_map``) converted a request.

    A signal route that has the path of another route of that router is none for the connection: the other route would
    have asked for a login, a method or a Host that this request did not have.

    Attributes:
        rules: all rules of the router.
        rule: the rule that matched; None where the router found none, and an error handler converted.
        depth: how many segments of the path lie before the router, as ``/chat`` does in ``putChild(b"chat", …)``.
    """

    rules: Map
    rule: Rule | None
    depth: int


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

    Paths are werkzeug's rules, as in Klein: ``<name>``, ``<int:name>``, ``<path:name>``. A message can't be redirected:
    where an HTTP route would send a browser to another path (one more slash, or one less), there is no match.
    """

    __slots__ = ("_routes", "_tables", "version")

    version: int
    """Grows with each change, so that who remembers a match knows when to forget it."""

    def __init__(self) -> None:
        self.version = 0
        self._routes: dict[tuple[str, str | None], SignalRoute] = {}
        self._tables: dict[tuple[int, int], _Table] = {}

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

    def match(self, path: str, endpoint: str | None, http_route: HttpRoute | None = None) -> RouteMatch | None:
        """The route for the path of a connection.

        Args:
            path: the path, as the HTTP side read it.
            endpoint: the name of the endpoint it came in on; None where that has none.
            http_route: the route of an HTTP router that converted; None where there was no router.

        Returns:
            A route tied to that endpoint before one tied to none; None where neither is there.
        """
        if path[:1] != "/" or path[1:2] == "/":
            return None  # werkzeug would read another path: it drops all slashes at the start, and puts one there
        adapters = self._table_for(http_route).adapters
        for tied_to in (None,) if endpoint is None else (endpoint, None):
            adapter = adapters.get(tied_to)
            if adapter is None:
                continue
            try:
                route, params = adapter.match(path, method="GET")
            # ValueError: older werkzeugs, for an integer of over 4,300 digits
            except (NotFound, RequestRedirect, ValueError):
                continue
            return RouteMatch(route, params)
        return None

    def _changed(self) -> None:
        self.version += 1
        self._tables.clear()  # built again with the next match: werkzeug's maps only grow

    def _table_for(self, http_route: HttpRoute | None) -> _Table:
        """The signal routes that a connection of this HTTP route can reach."""
        if http_route is None:
            key, rule_count = (0, 0), 0
        else:
            # werkzeug's rules have no hash. The table keeps the HTTP route, so that no other one gets its address.
            key = (id(http_route.rules if http_route.rule is None else http_route.rule), http_route.depth)
            rule_count = length_hint(http_route.rules.iter_rules())
        table = self._tables.get(key)
        if table is None or table.rule_count != rule_count:
            if len(self._tables) >= _MOST_TABLES:
                self._tables.clear()
            table = self._tables[key] = _Table(http_route, rule_count, self._built(http_route))
        return table

    def _built(self, http_route: HttpRoute | None) -> dict[str | None, MapAdapter]:
        reach = None if http_route is None else _Reach(http_route)
        maps: dict[str | None, Map] = {}
        for route in self._routes.values():
            strict: bool | None = None  # as werkzeug and Klein have it
            if reach is not None:
                kinship = reach.kinship(route.path)
                if kinship is _Kinship.ANOTHERS:
                    continue
                if kinship is _Kinship.OWN:
                    strict = reach.strict_slashes
            maps.setdefault(route.endpoint, Map()).add(Rule(route.path, endpoint=route, strict_slashes=strict))
        return {endpoint: rules.bind("") for endpoint, rules in maps.items()}


@frozen
class _Table:
    """What can be reached from one HTTP route, at its number of rules: a router's rules only grow as well."""

    http_route: HttpRoute | None
    rule_count: int
    adapters: dict[str | None, MapAdapter]


class _Kinship(Enum):
    """What a signal route is to the HTTP route that converted."""

    OWN = "it has the same path"
    ANOTHERS = "it has the path of another HTTP route"
    FREE = "it has the path of none"


class _Reach:
    """Which signal routes a connection of one HTTP route can reach.

    It goes by the rule that matched, and not by the path alone: methods, Hosts, converters and slashes make one router
    choose another rule for a path than the other one.
    """

    def __init__(self, http_route: HttpRoute) -> None:
        rule = http_route.rule
        self._depth = http_route.depth
        self._own = None if rule is None else rule.rule
        self._own_shape = None if rule is None else _shape(rule.rule)
        self._all = {each.rule for each in http_route.rules.iter_rules()}
        self._all_shapes = {_shape(each) for each in self._all}
        self.strict_slashes = None if rule is None else rule.strict_slashes

    def kinship(self, path: str) -> _Kinship:
        """What the signal route with this path is."""
        for own, all_paths, possible in (
            (self._own, self._all, set(_below(path, self._depth))),
            # The same path with other names of parameters, or one more slash at its end.
            (self._own_shape, self._all_shapes, set(_below(_shape(path), self._depth))),
        ):
            if own in possible:
                return _Kinship.OWN
            if not possible.isdisjoint(all_paths):
                return _Kinship.ANOTHERS
        return _Kinship.FREE


def _shape(path: str) -> str:
    """A path without the names of its parameters and without a slash at its end."""
    return _SLASHES.sub("/", _PARAMETER.sub(_parameter_shape, path)).rstrip("/")


def _parameter_shape(found: re.Match[str]) -> str:
    converter = found[1] or "string"
    return f"<{'string' if converter == 'default' else converter}>"


def _below(shape: str, depth: int) -> Iterator[str]:
    """What a router at this depth may have as the path of a signal route: all but the segments before it."""
    if depth == 0:
        yield shape
        return
    for slash in [*(found.start() for found in re.finditer("/", shape)), len(shape)]:
        head = shape[:slash]
        # A parameter of the kind ``path`` is any number of segments.
        if head and (head.count("/") == depth or "<path" in head):
            yield shape[slash:]


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"the path of a signal route has to start with a slash: {path!r}")
    try:
        Map().add(Rule(path, endpoint=path))
    except (LookupError, SyntaxError, TypeError, ValueError) as error:  # SyntaxError: a parameter given twice
        raise ValueError(f"the path of a signal route can't be read: {path!r}: {error}") from error

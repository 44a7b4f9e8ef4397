"""Signal routes: which function gets the messages of clients that connected on a path. It calls no function."""

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

# ``<int:number>`` or ``<number>``; the text before the last colon is the converter with its arguments.
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
    """The route of an HTTP router (Klein's ``url_map``) that converted a request.

    A connection does not reach a signal route that has the path of another route of that router. That other route may
    ask for a login, a method or a Host that this request did not have.

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
    """A route for a path, with the values of its parameters.

    Attributes:
        route: the route.
        params: the parameters, converted: ``{"number": 7}``.
    """

    route: SignalRoute
    params: Mapping[str, Any]


class SignalRoutes:
    """The signal routes of a hub, one for each path and endpoint.

    Paths are werkzeug's rules, as in Klein: ``<name>``, ``<int:name>``, ``<path:name>``. A message can't be redirected.
    So there is no match where an HTTP route would send a browser to another path, with one more slash or one less.
    """

    __slots__ = ("_routes", "_tables", "version")

    version: int
    """Grows with each change of the routes, so that a caller that keeps a match knows when it may be outdated."""

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
            endpoint: the name of the endpoint that the route is tied to; None serves every endpoint.
            if_exists: what to do where the same path and endpoint have a route.

        Raises:
            RouteAlreadyExists: the same path and endpoint have a route, and ``if_exists`` is ``ERROR``.
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
            endpoint: the name of the endpoint that the connection came in by; None where that endpoint has no name.
            http_route: the route of an HTTP router that converted; None where there was no router.

        Returns:
            The route that is tied to this endpoint; otherwise the route that is tied to none; None where there is
            neither.
        """
        # werkzeug would read another path: it replaces all slashes at the start by one.
        if path[:1] != "/" or path[1:2] == "/":
            return None
        adapters = self._table_for(http_route).adapters
        for tied_to in (None,) if endpoint is None else (endpoint, None):
            adapter = adapters.get((tied_to, path[-1] == "/"))
            if adapter is None:
                continue
            try:
                route, params = adapter.match(path, method="GET")
            # Older versions of werkzeug raise a ValueError for an integer of over 4,300 digits.
            except (NotFound, RequestRedirect, ValueError):
                continue
            return RouteMatch(route, params)
        return None

    def _changed(self) -> None:
        self.version += 1
        # The tables are built again at the next match: no rule can be taken out of a map of werkzeug.
        self._tables.clear()

    def _table_for(self, http_route: HttpRoute | None) -> _Table:
        """The signal routes that a connection of this HTTP route can reach."""
        if http_route is None:
            key, rule_count = (0, 0), 0
        else:
            # The rules of werkzeug have no hash, so the address of the rule in memory is the key. The table keeps a
            # reference to the rule, so that no other rule can get the same address.
            key = (id(http_route.rules if http_route.rule is None else http_route.rule), http_route.depth)
            rule_count = length_hint(http_route.rules.iter_rules())
        table = self._tables.get(key)
        if table is None or table.rule_count != rule_count:
            if len(self._tables) >= _MOST_TABLES:
                self._tables.clear()
            table = self._tables[key] = _Table(http_route, rule_count, self._built(http_route))
        return table

    def _built(self, http_route: HttpRoute | None) -> dict[tuple[str | None, bool], MapAdapter]:
        reach = None if http_route is None else _Reach(http_route)
        maps: dict[tuple[str | None, bool], Map] = {}
        for route in self._routes.values():
            # None is the default of werkzeug and Klein.
            strict: bool | None = None
            if reach is not None:
                kinship = reach.kinship(route.path)
                if kinship is _Kinship.ANOTHERS:
                    continue
                if kinship is _Kinship.OWN:
                    strict = reach.strict_slashes
            # Paths with and without a slash at the end have maps of their own. In a common map werkzeug would redirect
            # a path without the slash to a route with one, rather than look for another route.
            needs_slash = strict is not False and route.path.endswith("/")
            for has_slash in (True,) if needs_slash else (True, False):
                rules = maps.setdefault((route.endpoint, has_slash), Map())
                rules.add(Rule(route.path, endpoint=route, strict_slashes=strict))
        return {which: rules.bind("") for which, rules in maps.items()}


@frozen
class _Table:
    """The signal routes that connections of one HTTP route can reach.

    Attributes:
        http_route: the HTTP route.
        rule_count: how many rules its router had when the table was built; the number can only grow.
        adapters: by the endpoint that signal routes are tied to, and by whether a path has a slash at its end.
    """

    http_route: HttpRoute | None
    rule_count: int
    adapters: dict[tuple[str | None, bool], MapAdapter]


class _Kinship(Enum):
    """How the path of a signal route is related to the HTTP route that converted."""

    OWN = "it has the same path"
    ANOTHERS = "it has the path of another HTTP route"
    FREE = "it has the path of none"


class _Reach:
    """Decides which signal routes a connection of one HTTP route can reach.

    The rule that matched decides, and not the path alone: for one path, a router may choose different rules depending
    on the method, the Host, converters and slashes.
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
        """How the path of a signal route is related to the HTTP route."""
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
    """The paths that a router at this depth may have for the path of a signal route: without the segments before it."""
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
    # werkzeug raises a SyntaxError for a parameter that is given twice.
    except (LookupError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"the path of a signal route can't be read: {path!r}: {error}") from error

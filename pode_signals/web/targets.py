"""Reads the path of a request, once for the HTTP routes and for the signal routes. It never chooses a route.

A request meets two routers. The HTTP side's router may refuse the request, and the router of signal routes trusts that
decision. So the second router gets the path that the first one has read, and never reads the target by itself.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from operator import length_hint
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from ..core.request_record import decoded_path, path_text
from ..core.routes import HttpRoute
from ..errors import UpgradeRefused

# A twisted.web.server.Request: most of what is used of it has no annotations.
Request = Any

__all__ = ["MAX_PATH_SEGMENTS", "check_depth", "routed_path", "unrouted_path"]

MAX_PATH_SEGMENTS = 1_000
"""How many segments a path may have: Twisted's resources take them off a list one by one, each time from its front."""

_KEPT_PATH_CHARACTERS = 256


def check_depth(request: Request) -> None:
    """Refuse a path that would take a time that grows with the square of its length.

    Raises:
        UpgradeRefused: the path has too many segments.
    """
    if len(request.postpath or ()) > MAX_PATH_SEGMENTS:
        raise UpgradeRefused(414, "The path has too many segments.")


def unrouted_path(request: Request) -> str:
    """The percent-decoded path of a request for which no route was asked: auto-upgrade makes a name of it."""
    return decoded_path(request.path)


def routed_path(request: Request) -> tuple[str, HttpRoute | None]:
    """The path that the HTTP side chose its route by, and Klein's route.

    Returns:
        After a route of Klein: the whole path, with the segments before Klein, and with each segment percent-decoded,
        as Klein's routes match it. In any other resource ``request.path`` unchanged, since it is not known how that
        resource reads escapes.
    """
    mapper = _klein_mapper(request)
    if mapper is None:
        return path_text(request.path), None
    # Klein joins the same segments. Where the first one is empty, Klein reads another path than this one: /admin for
    # //admin. No signal route matches a path that begins with two slashes.
    path = path_text(b"/".join([b"", *request.prepath, *request.postpath]))
    rules, path_info = mapper.map, mapper.path_info
    route_of = _known_klein_route if len(path_info) <= _KEPT_PATH_CHARACTERS else _klein_route
    return path, route_of(
        rules,
        length_hint(rules.iter_rules()),
        mapper.server_name if rules.host_matching else "",
        mapper.url_scheme,
        path_info,
        # werkzeug puts one more slash at the end.
        mapper.script_name.count("/") - 1,
    )


def _klein_route(
    rules: Map, _rule_count: int, server_name: str, url_scheme: str, path_info: str, depth: int
) -> HttpRoute:
    """The route that Klein has found. Klein does not keep the route, so the same rules are asked once more."""
    try:
        adapter = rules.bind(server_name, path_info=path_info, url_scheme=url_scheme)
        rule, _ = adapter.match(return_rule=True)
    except (HTTPException, ValueError):
        # Klein found no route, and one of its error handlers converts.
        return HttpRoute(rules, None, depth)
    return HttpRoute(rules, rule, depth)


# Handshakes go to the same few paths. The number of rules is part of the key, because an application may add rules.
_known_klein_route = lru_cache(maxsize=256)(_klein_route)


def _klein_mapper(request: Request) -> Any:
    """The werkzeug adapter with which Klein has matched a request; None where Klein has not.

    Klein is not imported here. A program without Klein may not have a reactor yet, and importing Klein installs one.
    """
    klein = sys.modules.get("klein.interfaces")
    if klein is None:
        return None
    return getattr(request.getComponent(klein.IKleinRequest), "mapper", None)

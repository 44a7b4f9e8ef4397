from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.routes import IfExists, SignalRoute, SignalRoutes
from pode_signals.errors import RouteAlreadyExists


def first() -> None:
    """A function to route to."""


def second() -> None:
    """Another one."""


def routed(routes: SignalRoutes, path: str, endpoint: str | None = None) -> tuple[str, Any] | None:
    """The path of the matching route with its parameters."""
    match = routes.match(path, endpoint)
    return None if match is None else (match.route.path, dict(match.params))


@pytest.fixture
def routes() -> SignalRoutes:
    """Routes without parameters, with them, and with a slash at the end."""
    routes = SignalRoutes()
    for path in (
        "/date",
        "/",
        "/rooms/<int:number>",
        "/rooms/<name>",
        "/files/<path:rest>",
        "/end/",
        "/both",
        "/both/",
    ):
        routes.add(path, first)
    return routes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/date", ("/date", {})),
        ("/date/", None),
        ("/", ("/", {})),
        ("/rooms/7", ("/rooms/<int:number>", {"number": 7})),
        ("/rooms/blue", ("/rooms/<name>", {"name": "blue"})),
        ("/rooms/zürich 😀", ("/rooms/<name>", {"name": "zürich 😀"})),
        ("/files/a/b.txt", ("/files/<path:rest>", {"rest": "a/b.txt"})),
        ("/end", None),
        ("/end/", ("/end/", {})),
        ("/both", ("/both", {})),
        ("/both/", ("/both/", {})),
        ("/Date", None),
        ("/dates", None),
        ("/date/x", None),
        ("/a//date", None),
        ("/date//", None),
        ("/rooms/", None),
        ("/rooms/a/b", None),
        ("/files", None),
        ("", None),
        ("//date", None),
        ("/%64ate", None),
        ("date", None),
        ("/rooms//blue", None),
    ],
)
def test_matching(routes: SignalRoutes, path: str, expected: tuple[str, Any] | None) -> None:
    """S5.2: the very path of a connection finds its route, with parameters as Klein writes them; none is redirected."""
    assert routed(routes, path) == expected


def test_a_huge_integer_finds_nothing() -> None:
    """S5.2: an integer with more digits than Python reads is no match, and raises nothing."""
    routes = SignalRoutes()
    routes.add("/rooms/<int:number>", first)
    assert routes.match("/rooms/" + "9" * 5_000, None) is None


@given(st.text(st.sampled_from("/ab7%?#|<>:.\n\x00é\ud800")), st.sampled_from([None, "admin"]))
def test_no_path_makes_it_raise(path: str, endpoint: str | None) -> None:
    """S5.2: whatever path a client connects on, matching gives a route or None."""
    routes = SignalRoutes()
    for rule in ("/a", "/b/", "/a/<x>", "/b/<int:x>/", "/a/<path:x>/b", "/<float:x>"):
        routes.add(rule, first)
        routes.add(rule, second, endpoint="admin")
    match = routes.match(path, endpoint)
    assert match is None or match.route in routes.all()


def test_endpoints() -> None:
    """S1.4: a route tied to an endpoint comes before those tied to none, and serves that endpoint alone."""
    routes = SignalRoutes()
    routes.add("/<anything>", first)
    routes.add("/date", first, endpoint="admin")
    routes.add("/only", second, endpoint="admin")
    routes.add("/date", second)
    for endpoint, path, route in [
        ("admin", "/date", SignalRoute("/date", first, "admin")),
        ("public", "/date", SignalRoute("/date", second)),
        (None, "/date", SignalRoute("/date", second)),
        ("admin", "/only", SignalRoute("/only", second, "admin")),
        ("admin", "/other", SignalRoute("/<anything>", first)),
        ("public", "/only", SignalRoute("/<anything>", first)),
    ]:
        match = routes.match(path, endpoint)
        assert match is not None
        assert match.route == route
    assert routes.has("/only", endpoint="admin")
    assert not routes.has("/only")


def test_a_route_of_an_endpoint_alone() -> None:
    """S1.4: where every route is tied to an endpoint, other endpoints find none."""
    routes = SignalRoutes()
    routes.add("/date", first, endpoint="admin")
    assert routes.match("/date", "public") is None
    assert routes.match("/date", None) is None
    assert routes.match("/other", "admin") is None


def test_adding_a_path_again() -> None:
    """S5.2: a path that has a route is an error, is overwritten, or keeps what it has."""
    routes = SignalRoutes()
    routes.add("/date", first)
    version = routes.version
    with pytest.raises(RouteAlreadyExists) as caught:
        routes.add("/date", second)
    assert caught.value.path == "/date"
    routes.add("/date", second, if_exists=IfExists.SKIP)
    assert (routes.version, routes.all()) == (version, (SignalRoute("/date", first),))
    routes.add("/date", second, if_exists=IfExists.OVERWRITE)
    assert routes.all() == (SignalRoute("/date", second),)
    match = routes.match("/date", None)
    assert match is not None
    assert match.route.function is second


def test_removing() -> None:
    """S5.2: a removed route matches no more; removing an unknown one is told and changes nothing."""
    routes = SignalRoutes()
    routes.add("/date", first)
    routes.add("/msg", second)
    assert routed(routes, "/date") == ("/date", {})
    version = routes.version
    assert not routes.remove("/date", endpoint="admin")
    assert not routes.remove("/other")
    assert routes.version == version
    assert routes.remove("/date")
    assert not routes.has("/date")
    assert routes.has("/msg")
    assert (routed(routes, "/date"), routed(routes, "/msg")) == (None, ("/msg", {}))
    routes.clear()
    assert (routes.all(), routed(routes, "/msg")) == ((), None)


def test_the_version_grows_with_each_change() -> None:
    """S5.2: each change of the routes is told by a new version; asking is no change."""
    routes = SignalRoutes()
    versions = [routes.version]
    for change in (
        lambda: routes.add("/date", first),
        lambda: routes.add("/date", second, if_exists=IfExists.OVERWRITE),
        lambda: routes.remove("/date"),
        routes.clear,
    ):
        change()
        routes.match("/date", None)
        versions.append(routes.version)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "date",
        "<x>",
        "/<x",
        "/<>",
        "/<1x>",
        "/<unknown:x>",
        "/<int(wrong=1):x>",
        "/<string(length=q):x>",
        "/<x>/<x>",
    ],
)
def test_bad_paths(path: str) -> None:
    """S5.2: a path without its slash or with unreadable parameters is a ValueError that shows it, and adds nothing."""
    routes = SignalRoutes()
    with pytest.raises(ValueError, match="signal route") as caught:
        routes.add(path, first)
    assert repr(path) in str(caught.value)
    assert (routes.all(), routes.version) == ((), 0)


def test_if_exists_is_known_by_its_text() -> None:
    """S5.2: if_exists is one of error, overwrite, skip."""
    assert {item.value for item in IfExists} == {"error", "overwrite", "skip"}

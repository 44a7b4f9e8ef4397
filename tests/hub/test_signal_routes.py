from __future__ import annotations

from typing import Any

import pytest
from fakes import connected, new_signals

from pode_signals import Signals
from pode_signals.errors import RouteAlreadyExists


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


def one(_event: Any) -> str:
    return "one"


def two(_event: Any) -> str:
    return "two"


def listed(signals: Signals) -> list[tuple[str, Any, str | None]]:
    """The routes, as tuples."""
    return [(route.path, route.function, route.endpoint) for route in signals.routes()]


def test_adding(signals: Signals) -> None:
    """S5.2: routes are added by call or by decorator, which leaves the function as it is, and are listed in order."""
    signals.add_route("/b", one)
    assert signals.route("/a", endpoint="admin")(two) is two
    assert listed(signals) == [("/b", one, None), ("/a", two, "admin")]


def test_has_route(signals: Signals) -> None:
    """S5.2: has_route asks for a path as it was given, and for its endpoint."""
    signals.add_route("/room/<name>", one)
    signals.add_route("/a", one, endpoint="admin")
    assert signals.has_route("/room/<name>")
    assert signals.has_route("/a", endpoint="admin")
    assert not signals.has_route("/room/x")
    assert not signals.has_route("/a")
    assert not signals.has_route("/room/<name>", endpoint="admin")


def test_removing(signals: Signals) -> None:
    """S5.2: routes are removed one by one or all together; one that is not there is no error."""
    signals.add_route("/a", one)
    signals.add_route("/a", one, endpoint="admin")
    signals.add_route("/b", one)
    signals.remove_route("/a")
    signals.remove_route("/a")
    signals.remove_route("/nowhere")
    assert listed(signals) == [("/a", one, "admin"), ("/b", one, None)]
    signals.clear_routes()
    assert (signals.routes(), signals.has_route("/b")) == ((), False)


def test_if_exists(signals: Signals) -> None:
    """S5.2: where the path has a route: an error by default, or it is overwritten, or the new one skipped."""
    signals.add_route("/a", one)
    for how in ({}, {"if_exists": "error"}):
        with pytest.raises(RouteAlreadyExists) as raised:
            signals.add_route("/a", two, **how)  # type: ignore[arg-type]
        assert raised.value.path == "/a"
    assert listed(signals) == [("/a", one, None)]
    signals.route("/a", if_exists="skip")(two)
    assert listed(signals) == [("/a", one, None)]
    signals.route("/a", if_exists="overwrite")(two)
    assert listed(signals) == [("/a", two, None)]
    signals.add_route("/a", one, endpoint="admin")
    with pytest.raises(ValueError, match="sometimes"):
        signals.add_route("/c", one, if_exists="sometimes")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["", "a", "/<int:", "/<nonsense:x>", "/<x>/<x>"])
def test_bad_paths(signals: Signals, path: str) -> None:
    """S5.2: a path that can't be read is a ValueError when it is added."""
    with pytest.raises(ValueError, match="path"):
        signals.add_route(path, one)
    assert signals.routes() == ()


def test_groups(signals: Signals) -> None:
    """S5.2: a group puts its prefix before the paths of its routes, with one slash, also within another group."""
    rooms = signals.route_group("/rooms/")
    rooms.add_route("/<int:number>", one)
    assert rooms.route("/all")(two) is two
    rooms.route_group("/old").add_route("/first", one)
    rooms.add_route("", two)
    assert [route.path for route in signals.routes()] == [
        "/rooms/<int:number>",
        "/rooms/all",
        "/rooms/old/first",
        "/rooms",
    ]
    seen: list[Any] = []
    rooms.add_route("/seen/<what>", lambda event: seen.append(event.params["what"]))
    connected(signals, path="/rooms/seen/it").says("x")
    assert seen == ["it"]


def test_options_of_a_group(signals: Signals) -> None:
    """S5.2: endpoint and if_exists of a group hold for the routes that name none, and for the groups within it."""
    group = signals.route_group("/g", endpoint="admin", if_exists="skip")
    group.add_route("/a", one)
    group.add_route("/a", two)
    group.add_route("/a", two, endpoint="public")
    group.route("/a", if_exists="overwrite")(two)
    inner = group.route_group("/inner")
    inner.add_route("/a", one)
    inner.add_route("/a", two)
    assert listed(signals) == [("/g/a", two, "admin"), ("/g/a", two, "public"), ("/g/inner/a", one, "admin")]
    with pytest.raises(RouteAlreadyExists):
        group.add_route("/a", one, if_exists="error")


def test_bad_groups(signals: Signals) -> None:
    """S5.2: what would glue two words together is refused: prefixes and paths start with a slash."""
    with pytest.raises(ValueError, match="slash"):
        signals.route_group("rooms").add_route("/a", one)
    with pytest.raises(ValueError, match="slash"):
        signals.route_group("/rooms").add_route("a", one)
    with pytest.raises(ValueError, match="slash"):
        signals.route_group("/rooms").route_group("a").add_route("/b", one)
    assert signals.routes() == ()

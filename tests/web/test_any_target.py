"""Any routes of Klein, any signal routes, any targets: a message never runs the signal route of another HTTP route."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from twisted.web.resource import IResource
from web_fakes import World, below, head, message

from pode_signals.core.model import Unrouted
from pode_signals.hub.connection import SignalConnection

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
TABLES = 5_000 if NIGHTLY else 150
TARGETS_OF_A_TABLE = 12
SEGMENTS = ["admin", "a", "é", "7", "b;c"]
PARTS = [*SEGMENTS, "<x>", "<y>", "<int:n>", "<path:p>"]
RAW = [
    *SEGMENTS * 4,
    "%61dmin",
    "ADMIN",
    "",
    "a%2fadmin",
    "%2f",
    "%2fadmin",
    ".",
    "..",
    "%2e",
    "admin;x",
    "%00",
    "%C3%A9",
    *["a+b", "%252f", "%3f", "07", "%37", "admin%0a", "%E2%80%A8", "a:b", "-7", "9" * 30],
]


class Route(NamedTuple):
    """A route of Klein."""

    path: str
    options: dict[str, Any]


def paths() -> st.SearchStrategy[str]:
    """Paths of routes."""
    segments = st.lists(st.sampled_from(PARTS), max_size=3, unique_by=lambda part: part if "<" in part else object())
    return st.builds(
        lambda parts, slash: "/" + "/".join(parts) + ("/" if slash and parts else ""), segments, st.booleans()
    )


def routes() -> st.SearchStrategy[Route]:
    """Routes, some of which a GET, or this Host, passes by."""
    options = st.fixed_dictionaries(
        {},
        optional={
            "methods": st.sampled_from([["GET"], ["HEAD"]]),
            "strict_slashes": st.booleans(),
            "branch": st.booleans(),
            "subdomain": st.sampled_from(["", "inside"]),
            "merge_slashes": st.booleans(),
            "websocket": st.booleans(),
        },
    )
    return st.builds(Route, paths(), options)


def targets() -> st.SearchStrategy[str]:
    """Targets of requests: paths that are nearly those of routes, and what is no path."""
    starts = st.sampled_from(["/"] * 8 + ["//", "///", "", "x:///", "http://x/", "?", "/./"])
    ends = st.sampled_from([""] * 6 + ["/", "//", "?admin", "?/a", "%2f", "/?x"])
    return st.builds(
        lambda start, parts, end: start + "/".join(parts) + end,
        starts,
        st.lists(st.sampled_from(RAW), max_size=4),
        ends,
    )


PREFIXES: list[tuple[bytes, ...]] = [(), (), (), (b"chat",), (b"a", b"admin"), (b"",)]


class Table(NamedTuple):
    """A program: routes of Klein below a path, and signal routes."""

    prefix: tuple[bytes, ...]
    http: list[Route]
    with_signal_route: list[bool]
    free: list[str]
    wrapped: bool
    public: bool


def tables() -> st.SearchStrategy[Table]:
    """Programs."""
    return st.integers(1, 5).flatmap(
        lambda count: st.builds(
            Table,
            st.sampled_from(PREFIXES),
            st.lists(routes(), min_size=count, max_size=count),
            st.lists(st.sampled_from([True, True, True, False]), min_size=count, max_size=count),
            st.lists(st.one_of(paths(), st.sampled_from(["/<path:all>", "/admin", "/<one>/<two>"])), max_size=2),
            st.booleans(),
            st.booleans(),
        )
    )


class Program:
    """A table that runs.

    Attributes:
        converted: the number of the HTTP route that converted the last request, and its arguments.
        ran: the path of the signal route that ran last.
    """

    def __init__(self, table: Table) -> None:
        self.world = World(wrapped=table.wrapped)
        self.world.signals.unrouted = Unrouted.DROP
        self.converted: tuple[int, SignalConnection] | None = None
        self.ran: str | None = None
        self.whole = "".join(f"/{each.decode()}" for each in table.prefix)
        self.http = [*table.http, Route("/<path:public>", {})] if table.public else table.http
        for number, route in enumerate(self.http):
            self._add(number, route)
        if table.prefix:
            self.world.resource = below(table.prefix, IResource(self.world.app.resource()))
        for route, wanted in zip(self.http, [*table.with_signal_route, True], strict=False):
            if wanted:
                self._listen(self.whole + route.path)
        for path in table.free:
            self._listen(path)

    def _add(self, number: int, route: Route) -> None:
        @self.world.app.route(route.path, endpoint=str(number), **route.options)
        def convert(request: Any, **arguments: Any) -> None:
            self.converted = number, self.world.signals.convert(request, "Msg")

    def _listen(self, path: str) -> None:
        def ran(event: Any) -> None:
            self.ran = event.route.path

        self.world.signals.add_route(path, ran, if_exists="skip")

    def paths_of(self, number: int) -> set[str]:
        """The paths of the signal routes that belong to an HTTP route."""
        route = self.http[number]
        found = {self.whole + route.path}
        if route.options.get("branch"):
            found.add(self.whole + route.path.rstrip("/") + "/<path:__rest__>")
        return found

    def ask(self, target: str) -> int:
        """Connect, and send a message where that worked."""
        self.converted = self.ran = None
        client = self.world.client()
        status = client.ask(head(target)).status
        if status == 101:
            client.send(message("x"))
            client.leave()
        return status


@given(tables(), st.lists(targets(), min_size=TARGETS_OF_A_TABLE, max_size=TARGETS_OF_A_TABLE))
@settings(max_examples=TABLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_message_runs_the_signal_route_of_its_http_route_alone(table: Table, asked: list[str]) -> None:
    """S5.2: if one HTTP route converted the request, a message of it runs no signal route of another, but its own."""
    program = Program(table)
    for target in asked:
        status = program.ask(program.whole + target if target.startswith("/") else target)
        if not target.startswith("/"):
            assert program.converted is None, target
            assert status == 400 or not table.wrapped or table.prefix, (target, status)
        if program.converted is None:
            assert program.ran is None
            continue
        number, connection = program.converted
        path = connection.request.path
        own = program.paths_of(number)
        others = {each for other in range(len(program.http)) for each in program.paths_of(other)} - own
        event("own" if program.ran in own else "none" if program.ran is None else "free")
        assert program.ran not in others, (target, number, path)
        # An empty segment at the start is one that Klein does not see, and what a branch has no signal route for.
        if (
            [*table.with_signal_route, True][number]
            and "//" not in path
            and not program.http[number].options.get("branch")
        ):
            assert program.ran is not None, (target, number, path)

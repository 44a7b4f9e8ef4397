"""HTTP routes that are tied to endpoints serve these alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from klein import Klein
from twisted.web.resource import IResource
from web_fakes import World, plain

from pode_signals.core.endpoints import Endpoint
from pode_signals.ports.listeners import Listener


@pytest.mark.parametrize(("name", "status"), [("admin", 200), ("other", 404), (None, 404), ("foreign", 404)])
def test_routes_of_some_endpoints(name: str | None, status: int) -> None:
    """S1.4: a route that is tied to endpoints serves these alone; others, and a server of one's own, get a 404."""
    world = World(wrapped=False)

    @world.app.route("/admin")
    @world.signals.only_on("admin", "console")
    def admin(request: Any) -> bytes:
        return b"for " + request.path

    listener = None if name == "foreign" else Listener((Endpoint("http", address="*", name=name),))
    root = IResource(world.app.resource())
    served = World(world.signals.resource(root, listener=listener), wrapped=False)
    answer = served.client().ask(plain("/admin"))
    assert answer.status == status
    assert (answer.body == b"for /admin") is (status == 200)


def test_a_method_of_some_endpoints() -> None:
    """S1.4: a route that is a method can be tied to endpoints too."""
    world = World(wrapped=False)

    class Admin:
        app = Klein()

        @app.route("/admin")
        @world.signals.only_on("admin")
        def admin(self, request: Any) -> bytes:
            return type(self).__name__.encode()

    listener = Listener((Endpoint("http", address="*", name="admin"),))
    root = IResource(Admin().app.resource())
    served = World(world.signals.resource(root, listener=listener), wrapped=False)
    assert served.client().ask(plain("/admin")).body == b"Admin"


class Said:
    """An object that can be called."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, request: Any) -> bytes:
        return self.text.encode()


class LateSaid(Said):
    async def __call__(self, request: Any) -> bytes:  # type: ignore[override]
        return self.text.encode()


def said(text: str, request: Any) -> bytes:
    """A page."""
    return text.encode()


@pytest.mark.parametrize(
    "made",
    [Said, LateSaid, lambda text: partial(said, text), lambda text: lambda request: text.encode()],
    ids=["object", "asynchronous object", "partial", "lambda"],
)
def test_pages_without_a_name_of_their_own(made: Callable[[str], Any]) -> None:
    """S1.4: what can be called and has no name of its own can be tied to endpoints; each is a route of its own."""
    world = World(wrapped=False)
    for path in ("/one", "/two"):
        world.app.route(path)(world.signals.only_on("admin")(made(path)))
    listener = Listener((Endpoint("http", address="*", name="admin"),))
    root = IResource(world.app.resource())
    served = World(world.signals.resource(root, listener=listener), wrapped=False)
    assert [served.client().ask(plain(path)).body for path in ("/one", "/two")] == [b"/one", b"/two"]

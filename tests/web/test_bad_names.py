"""Names that no connection may have: the mistake of the application, or of the client that sent them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.logger import capturedLogs
from twisted.web.resource import Resource
from web_fakes import World, failures_in, head, plain

from pode_signals.core.request_record import RequestRecord
from pode_signals.signals import hub_of

BAD_CALLS: list[tuple[str, Callable[[World, Any], object]]] = [
    ("new_client_id", lambda world, request: world.signals.new_client_id("")),
    ("a long one", lambda world, request: world.signals.new_client_id("x" * 129)),
    ("a signed one", lambda world, request: world.signals.new_client_id("s:a.b")),
    (
        "identify",
        lambda world, request: hub_of(world.signals).identities.identify(
            "", None, None, RequestRecord(b"GET", b"/", [], "", False)
        ),
    ),
]


def klein_calling(world: World, call: Callable[[World, Any], object]) -> None:
    @world.app.route("/call")
    def route(request: Any) -> bytes:
        call(world, request)
        return b"done"


def resource_calling(world: World, call: Callable[[World, Any], object]) -> None:
    class Leaf(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            call(world, request)
            return b"done"

    world.resource = Leaf()


@pytest.mark.parametrize("request_of", [plain, head])
@pytest.mark.parametrize("calling", [klein_calling, resource_calling])
@pytest.mark.parametrize(("what", "call"), BAD_CALLS)
def test_a_bad_name_outside_of_a_conversion(
    what: str, call: Callable[[World, Any], object], calling: Any, request_of: Callable[..., bytes]
) -> None:
    """S2.2: a bad name that the application itself passes is its own mistake: 500, with a traceback in the log."""
    world = World()
    calling(world, call)
    with capturedLogs() as logs:
        answer = world.client().ask(request_of("/call"))
    assert answer.status == 500
    assert [isinstance(failure.value, ValueError) for failure in failures_in(logs)] == [True]
    assert world.signals.counters.upgrades_refused == {}


@pytest.mark.parametrize(
    ("arguments", "sentence", "kind"),
    [
        ({"name": ""}, "The name is empty.", "NameInvalid"),
        ({"name": "x", "group": "x" * 129}, "The group has over 128 characters.", "NameInvalid"),
        ({"name": "x", "client_id": "a\n"}, "The client id has characters that are not allowed.", "NameInvalid"),
        ({"name": "x", "client_id": "s:a.b"}, "The client id is not valid.", "ClientIdInvalid"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_bad_name_of_a_conversion(wrapped: bool, arguments: dict[str, str], sentence: str, kind: str) -> None:
    """S2.2: convert makes a 400 of a bad name, which says which one; no traceback, and it is counted."""
    world = World(wrapped=wrapped)

    @world.app.route("/msg")
    def route(request: Any) -> None:
        world.signals.convert(request, **arguments)

    with capturedLogs() as logs:
        answer = world.client().ask(head())
    assert (answer.status, answer.body.decode()) == (400, f"{sentence}\n")
    assert failures_in(logs) == []
    assert world.signals.counters.upgrades_refused == {(kind, 400): 1}

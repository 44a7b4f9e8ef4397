"""Pages of other origins and streams of server-sent events: what a page may read, and where it may send (CORS)."""

from __future__ import annotations

from typing import Any

import pytest
from event_clients import EVENTS, FIRST, JSON, SIGNALS, Listener, asked, events_world, posted
from web_fakes import World, plain

OWN = ("Sec-Fetch-Site", "same-origin")


class TestPages:
    """Pages of other origins (CORS)."""

    PARTNER = ("Origin", "https://partner.example")
    EVIL = ("Origin", "https://evil.example")
    METHOD, HEADERS = "Access-Control-Request-Method", "Access-Control-Request-Headers"

    @staticmethod
    def world(**settings: Any) -> World:
        """A world where pages of a partner may connect, with pages of its own beside ``/room``."""
        world = events_world(allowed_origins=["https://partner.example"], **settings)

        @world.app.route("/page")
        def page(request: Any) -> bytes:
            return b"the account of the user"

        @world.app.route("/login")
        def login(request: Any) -> bytes:
            request.setResponseCode(401)
            return b"log in"

        return world

    @staticmethod
    def may_read(answer: Any) -> bool:
        """Whether the partner's page may read an answer."""
        origin = answer.value("Access-Control-Allow-Origin")
        if origin is None:
            return False
        assert origin == "https://partner.example"
        assert answer.value("Access-Control-Allow-Credentials") == "true"
        assert answer.value("Vary") == "Origin"
        assert "Retry-After" in answer.value("Access-Control-Expose-Headers")
        return True

    @staticmethod
    def may_send(answer: Any, method: str) -> bool:
        """Whether a browser sends a request of JSON after this answer."""
        allowed = answer.value("Access-Control-Allow-Headers") or ""
        return (
            answer.status < 300 and "Content-Type" in allowed and method in answer.value("Access-Control-Allow-Methods")
        )

    def test_a_stream(self) -> None:
        """P91: a page that may connect reads its stream, and may post."""
        world = self.world()
        listener = Listener(world, "/room", self.PARTNER, ("Sec-Fetch-Site", "cross-site"))
        assert self.may_read(listener.answer)
        answer = asked(world, posted(listener.token, 1, '[{"type":"beat"}]', "/room", self.PARTNER))
        assert answer.status == 202
        assert self.may_read(answer)

    def test_refusals(self) -> None:
        """P91: a page that may connect learns why it did not, whoever refused: this package or the application."""
        world = self.world(max_connections=1)
        for path, headers, status in (
            ("/room", (SIGNALS,), 400),
            ("/login", (SIGNALS, FIRST), 401),
            ("/none", (SIGNALS, FIRST), 404),
        ):
            answer = asked(world, plain(path, self.PARTNER, *headers))
            assert (answer.status, self.may_read(answer)) == (status, True)
        Listener(world)
        assert self.may_read(asked(world, plain("/room", self.PARTNER, EVENTS)))
        for status, token, number in ((403, "a.b", 1), (403, None, 1)):
            answer = asked(world, posted(token, number, "[1]", "/room", self.PARTNER))
            assert (answer.status, self.may_read(answer)) == (status, True)
        answer = asked(world, plain("/room", self.EVIL, EVENTS))
        assert (answer.status, self.may_read(answer)) == (403, False)

    def test_pages_of_the_application(self) -> None:
        """P91: that a page may connect does not let it read any other page of its user: the CORS headers are on
        streams, on refusals and on answers to POSTs alone.
        """
        world = self.world()
        answer = asked(world, plain("/page", self.PARTNER, EVENTS))
        assert (answer.status, answer.body) == (200, b"the account of the user")
        assert not self.may_read(answer)
        answer = asked(world, plain("/page", self.PARTNER, SIGNALS, FIRST))
        assert not self.may_read(answer)

    def test_a_page_that_is_written_in_parts(self) -> None:
        """P91: so also where a resource writes its answer itself, and where it redirects."""
        world = self.world()

        @world.app.route("/parts")
        def parts(request: Any) -> None:
            request.write(b"the account")
            request.write(b" of the user")

        @world.app.route("/moved")
        def moved(request: Any) -> None:
            request.redirect(b"/page")

        for path in ("/parts", "/moved"):
            assert not self.may_read(asked(world, plain(path, self.PARTNER, EVENTS)))

    def test_the_application_speaks_cors_itself(self) -> None:
        """P91: what the application says itself of who may read a page stays."""
        world = self.world()

        @world.app.route("/open")
        def opened(request: Any) -> bytes:
            request.setHeader("Access-Control-Allow-Origin", "*")
            return b"for all"

        answer = asked(world, plain("/open", self.PARTNER, EVENTS))
        assert answer.value("Access-Control-Allow-Origin") == "*"
        assert answer.value("Access-Control-Allow-Credentials") is None

    def preflight(self, world: World, method: str, headers: str, *origin: tuple[str, str], path: str = "/room") -> Any:
        """The answer to a browser that asks."""
        asks = ((self.METHOD, method), (self.HEADERS, headers), *(origin or (self.PARTNER,)))
        return asked(world, plain(path, *asks, method=b"OPTIONS"))

    def test_preflights(self) -> None:
        """P91: a browser that asks is told what a page may send that may connect, for ten minutes."""
        world = self.world()
        answer = self.preflight(world, "GET", "x-pode-signal-resume")
        assert (answer.status, self.may_read(answer)) == (204, True)
        assert answer.value("Access-Control-Allow-Methods") == "GET"
        assert answer.value("Access-Control-Allow-Headers") == "X-PODE-SIGNAL-RESUME, Last-Event-ID"
        assert answer.value("Access-Control-Max-Age") == "600"
        Listener(world, "/room?floor=1")
        for method in ("POST", "DELETE"):
            answer = self.preflight(world, method, "content-type,x-pode-signal-post,x-pode-signal-token")
            assert (answer.status, self.may_read(answer)) == (204, True)
            assert answer.value("Access-Control-Allow-Methods") == "POST, DELETE"
            assert answer.value("Access-Control-Allow-Headers") == (
                "X-PODE-SIGNAL-TOKEN, X-PODE-SIGNAL-POST, Content-Type"
            )

    def test_preflights_of_other_pages(self) -> None:
        """P91: a page that may not connect is told nothing, and the question is counted."""
        world = self.world()
        answer = self.preflight(world, "GET", "x-pode-signal-resume", self.EVIL)
        assert (answer.status, self.may_read(answer)) == (403, False)
        assert world.signals.counters.requests_refused == {403: 1}

    @pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
    def test_preflights_of_other_resources(self, method: str) -> None:
        """P91: that a page may connect does not let it send to any other resource of the application, which may count
        on browsers to ask first: a POST or DELETE is allowed where a stream is open alone.
        """
        world = self.world()
        listener = Listener(world)
        headers = "content-type,x-pode-signal-token,x-pode-signal-resume"
        assert not self.may_send(self.preflight(world, method, headers, path="/page"), method)
        listener.client.reset()
        world.turn()
        assert not self.may_send(self.preflight(world, method, headers), method)
        # A GET may be asked for anywhere; its headers let nobody send JSON.
        answer = self.preflight(world, "GET", "content-type,x-pode-signal-resume", path="/page")
        assert "content-type" not in (answer.value("Access-Control-Allow-Headers") or "").lower()

    def test_questions_of_the_application(self) -> None:
        """P91: a question that has nothing to do with this package is the application's."""
        world = self.world()
        answer = asked(world, plain("/page", (self.METHOD, "POST"), self.PARTNER, method=b"OPTIONS"))
        assert not self.may_read(answer)


def test_a_number_without_a_token() -> None:
    """P91: a POST that says its number and no token is refused, and no route of the application sees it."""
    world = events_world()
    assert asked(world, posted(None, 1, "[1]")).status == 403
    # What is no POST of a stream is the application's.
    assert asked(world, plain("/room", OWN, JSON, method=b"POST", body=b"[1]")).status == 405

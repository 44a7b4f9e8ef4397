"""A program to be tested, as a user writes one: a Klein application and plain resources, with rooms that keep a history."""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.web.resource import Resource

from pode_signals import Signals, SignalEvent
from pode_signals.errors import ReplyRefused


class Rooms:
    """A hub and its routes.

    Attributes:
        clock: the clock of the hub.
        signals: the hub.
        root: the routes.
        later: what the signal route ``/waits`` waits for.
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.signals = signals = Signals(clock=self.clock, **settings)
        self.later: Deferred[Any] = Deferred()
        signals.keep_history("Rooms", messages=100)
        app = Klein()

        @app.route("/rooms")
        def rooms(request: Any) -> Any:
            if request.getHeader("Authorization") == "nobody":
                request.setResponseCode(401)
                return b"Who are you?"
            return signals.convert(request, "Rooms", user=request.getHeader("X-User")) and None

        @app.route("/plain")
        def plain(request: Any) -> bytes:
            return b"a page"

        @app.route("/slow")
        async def slow(request: Any) -> None:
            await deferLater(self.clock, 1)
            signals.convert(request, "Rooms")

        @signals.route("/rooms")
        async def said(event: SignalEvent) -> Any:
            wanted = event.data.message
            match wanted:
                case {"join": group}:
                    event.connection.join(group)
                    return {"groups": list(event.connection.groups)}
                case {"refuse": code}:
                    raise ReplyRefused(code, "No.")
                case {"wait": True}:
                    return await self.later
                case {"ask": text}:
                    delivery = await signals.send(
                        text, name="Rooms", exclude=event.connection.client_id, acknowledge=True, timeout=3
                    )
                    return {"read": len(delivery.acknowledged), "silent": len(delivery.unanswered)}
            signals.send(wanted, name="Rooms", group=event.data.group)
            return None

        self.root = app.resource()


class PlainResource(Resource):
    """A resource of ``twisted.web`` that converts."""

    isLeaf = True

    def __init__(self, signals: Signals) -> None:
        super().__init__()
        self._signals = signals

    def render_GET(self, request: Any) -> bytes:
        self._signals.convert(request, "Rooms")
        return b""

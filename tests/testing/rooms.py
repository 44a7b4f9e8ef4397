"""A program to be tested, as a user writes one: a Klein application and a plain resource. Nothing in here is a test."""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.web.resource import Resource

from pode_signals import SignalEvent, Signals
from pode_signals.errors import ReplyRefused

__all__ = ["PlainResource", "Rooms"]


class Rooms:
    """A hub and its routes.

    Args:
        settings: settings of the hub.

    Attributes:
        signals: the hub.
        app: the routes.
        later: what the signal route waits for where a message asks it to wait.
    """

    def __init__(self, **settings: Any) -> None:
        self.signals = signals = Signals(clock=Clock(), **settings)
        self.later: Deferred[Any] = Deferred()
        self.app = app = Klein()
        signals.keep_history("Rooms", messages=3)
        signals.add_route("/rooms", self.said)

        @app.route("/rooms")
        def rooms(request: Any) -> None:
            signals.convert(request, "Rooms", user=request.getHeader("X-User"), subprotocols=["chat"])

        @app.route("/page")
        def page(request: Any) -> bytes:
            return b"a page"

        @app.route("/slow")
        async def slow(request: Any) -> None:
            await deferLater(signals.clock, 1)  # type: ignore[arg-type]
            signals.convert(request, "Rooms")

    async def said(self, event: SignalEvent) -> Any:
        """What is done with a message."""
        signals, connection = self.signals, event.connection
        match event.data.message:
            case {"join": group}:
                connection.join(group)
                return list(connection.groups)
            case {"refuse": code}:
                raise ReplyRefused(code, "No.")
            case "wait":
                return await self.later
            case {"vote": question}:
                others = signals.send(question, name="Rooms", exclude=connection.client_id, acknowledge=True, timeout=3)
                return {"read": len((await others).acknowledged)}
            case message:
                signals.send(message, name="Rooms", group=event.data.group)
                return None


class PlainResource(Resource):
    """A resource of ``twisted.web`` that converts."""

    isLeaf = True

    def __init__(self, signals: Signals) -> None:
        super().__init__()
        self._signals = signals

    def render_GET(self, request: Any) -> bytes:
        """Convert."""
        self._signals.convert(request, "Rooms")
        return b""

"""A program that shares who is connected, and clients of the kit that watch. Nothing in here is a test."""

from __future__ import annotations

from typing import Any

from fakes import result_of
from klein import Klein
from twisted.internet.task import Clock

from pode_signals import Signals
from pode_signals.testing import SignalTester, TestClient

__all__ = ["Rooms", "frames_of", "seen", "shared"]


class Rooms:
    """A program whose routes convert to a name, with what the query says, and whose clients join and leave groups."""

    def __init__(self, **settings: Any) -> None:
        self.signals = Signals(clock=Clock(), **{"ping_interval_seconds": 10_000, "allow_sse": True, **settings})
        app = Klein()

        @app.route("/<name>")
        def convert(request: Any, name: str) -> None:
            given = {key.decode(): values[0].decode() for key, values in request.args.items()}
            info = given.get("info")
            self.signals.convert(
                request,
                name,
                group=given.get("group"),
                client_id=given.get("id"),
                user=given.get("user"),
                info=None if info is None else {"text": info},
                scope=given.get("scope"),
            )

        @self.signals.route("/rooms")
        def said(event: Any) -> None:
            for verb, group in event.data.message.items():
                getattr(event.connection, verb)(group)

        self.tester = SignalTester(self.signals, app.resource())

    def connect(self, query: str = "", **more: Any) -> TestClient:
        return self.tester.connect(f"/rooms?{query}", **{"protocol": "signals", **more})

    def watcher(self, query: str = "id=w", **more: Any) -> TestClient:
        client = self.connect(query, **more)
        client.watch()
        frames_of(client)
        return client

    def members(self, group: str | None = None) -> set[str]:
        return {each.client_id for each in result_of(self.signals.presence("rooms", group))}

    def advance(self, seconds: float) -> None:
        self.tester.advance(seconds)


def frames_of(client: TestClient) -> list[dict[str, Any]]:
    """The frames of presence that a client has got."""
    frames = [each["frame"] for each in client.frames() if each["direction"] == "<-" and "frame" in each]
    return [each for each in frames if each["type"] == "presence"]


def seen(client: TestClient) -> set[str]:
    """The client ids of the members, as a client sees them."""
    frames_of(client)
    assert client.presence is not None
    assert client.presence.members is not None
    return set(client.presence.members)


def shared(per: str = "name", max_members: int = 250, **settings: Any) -> Rooms:
    rooms = Rooms(**settings)
    rooms.signals.share_presence("rooms", per=per, max_members=max_members)  # type: ignore[arg-type]
    return rooms

"""Hubs and servers for tests of ``pode_signals.asyncapi``: with routes of every kind. Nothing here listens."""

from __future__ import annotations

from functools import partial
from typing import Any

from fakes import new_signals

from pode_signals import Endpoint, Signals

__all__ = ["Listens", "hub_of_every_route", "servers_of_every_kind"]


class Said:
    """What is said, by an object."""

    def __call__(self, event: Any) -> None:
        pass


class Answered:
    """An object with a method that is described."""

    def __call__(self, event: Any) -> None:
        """What is answered."""


class Listens:
    """An endpoint of Twisted, as far as an ``Endpoint`` looks."""

    def listen(self, factory: Any) -> Any:
        raise NotImplementedError


def said(event: Any) -> None:
    """What is said in
    the chat.

    Not told.
    """


def hub_of_every_route() -> Signals:
    """A hub with routes of every kind: parameters, endpoints, odd characters, functions of every kind."""
    signals = new_signals()
    for path in (
        "/chat",
        "/",
        "/root",
        "/chat/",
        "/rooms/<room>",
        "/rooms/room",
        "/rooms/<string:room>",
        "/rooms/<int:number>",
        "/rooms/<int(min=1, max=9):number>/<any(red, 'dark blue'):color>",
        "/files/<path:rest>",
        "/prices/<float:price>",
        "/users/<uuid:user>",
        "/x<a>-<b>.txt",
        "/a{b}",
        "/100%?#",
        "/grüße/世界",
    ):
        signals.add_route(path, said)
    signals.add_route("/object", Said())
    signals.add_route("/method", Answered())
    signals.add_route("/partial", partial(said))
    signals.add_route("/lambda", lambda event: None)
    signals.add_route("/chat", said, endpoint="admin")
    signals.add_route("/only", said, endpoint="admin")
    signals.route_group("/group", endpoint="the public one").add_route("/member", said)
    signals.route_group("/group", endpoint="the-public-one").add_route("/member", said)
    return signals


def servers_of_every_kind() -> list[Endpoint]:
    """Endpoints of every kind."""
    return [
        Endpoint("http", port=8080),
        Endpoint("ws", port=8080),
        Endpoint("ws", "*", 9080),
        Endpoint("ws", "::1", 9081, hostname="*"),
        Endpoint("wss", "0.0.0.0", 8443, hostname="chat.example.com", self_signed=True, name="the public one"),
        Endpoint("wss", "192.0.2.7", 0, certificate="/etc/secret/key.pem", certificate_password="hush", name="admin"),
        Endpoint("ws", listen="unix:/run/secret.socket", name="admin"),
        Endpoint("ws", listen="unix:/run/secret2.socket", name="admin"),
        Endpoint("ws", port=9082, name="admin"),
        Endpoint("ws", listen=Listens()),
    ]

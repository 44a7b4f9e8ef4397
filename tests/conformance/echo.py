"""Servers that Autobahn's test suite is run against: signals.convert and our protocol, with an echo above.

The JSON layer is the one thing that is replaced. ``programs.running`` serves each of the functions below.
"""

from __future__ import annotations

from typing import Any

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.fast.websocket import FastFactory
from pode_signals.hub.connection import view_of
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of
from pode_signals.transports.websocket import SignalFactory

MOST_BYTES = 16 * 1024 * 1024  # of a message of the suite (cases 9.1.6 and 9.2.6)
MOST_FRAGMENTS = 65_536  # of a message of the suite (cases 9.3.1 and 9.4.1)


def answer(link: Link, payload: bytes) -> None:
    """In place of the JSON layer: a text goes back as it came, as an application answers, or else by Autobahn.

    That is nothing at all, and compressed data: RFC 7692 lets a server answer uncompressed, but the suite's text cases
    for compression can't read such an answer.
    """
    protocol: Any = link._transport
    if not payload or protocol._perMessageCompress is not None:
        protocol.sendMessage(payload, False)
    else:
        view_of(link).send(payload.decode("utf-8", "replace"))


class Echo:
    """In front of a protocol class: binary messages go back as they came."""

    sendMessage: Any  # Autobahn's

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer a binary message, which no application gets."""
        if isBinary:
            self.sendMessage(payload, True)
        else:
            super().onMessage(payload, False)  # type: ignore[misc]  # the protocol class behind this one


def echoing(signals: Signals, **options: Any) -> SignalFactory:
    """A factory of our protocols with the echo in front.

    Args:
        signals: whose settings hold.
        options: class attributes of the protocol that differ from ours.
    """
    hub = hub_of(signals)
    factory = FastFactory(hub) if signals.settings.fast else SignalFactory(hub)
    factory.protocol = type("EchoProtocol", (Echo, factory.protocol), options)
    return factory


def serve(signals: Signals, **options: Any) -> SignalsService:
    """A service whose connections echo.

    Args:
        signals: the hub.
        options: as for :func:`echoing`.
    """
    hub = hub_of(signals)
    hub.received = answer  # type: ignore[method-assign]
    signals._converter._factory = echoing(signals, **options)
    app = Klein()

    @app.route("/")
    def convert(request: Any) -> None:
        signals.convert(request, "Echo")

    return SignalsService(signals, app.resource(), [Endpoint("ws")])


def shipped() -> SignalsService:
    """Every setting as it is shipped."""
    return serve(Signals())


def shipped_plain() -> SignalsService:
    """The same by the plain protocol."""
    return serve(Signals(fast=False))


def everything() -> SignalsService:
    """What the whole suite needs."""
    return large(fast=True)


def everything_plain() -> SignalsService:
    """The same by the plain protocol."""
    return large(fast=False)


def large(*, fast: bool) -> SignalsService:
    """Large messages in many fragments, compression, and none of our own pings.

    The suite takes a ping in the middle of a case for a wrong answer.
    """
    signals = Signals(
        max_message_bytes=MOST_BYTES,
        max_outgoing_bytes=MOST_BYTES,
        max_fragments=MOST_FRAGMENTS,
        compression=True,
        ping_interval_seconds=3600,
        fast=fast,
    )
    return serve(signals)


def unchecked() -> SignalsService:
    """As shipped, but text is taken for UTF-8 unseen."""
    return serve(Signals(), utf8validateIncoming=False)

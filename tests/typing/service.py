"""What a service takes, as a user writes it, for the type checker: with mypy-zope and without. Nothing runs here."""

from __future__ import annotations

from enum import StrEnum

from klein import Klein
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint
from twisted.internet.task import Clock
from twisted.web.resource import IResource, Resource
from twisted.web.static import File

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.core.contracts import ClockLike

signals = Signals()
app = Klein()
endpoints = [Endpoint("http", port=8091), Endpoint("ws", port=8091)]


class Page(Resource):
    isLeaf = True

    def render_GET(self, request: object) -> bytes:
        return b"hello"


class Protocol(StrEnum):
    PAGES = "http"


def resources(page: Page, of_twisted: Resource, annotated: IResource) -> None:
    SignalsService(signals, app.resource(), endpoints)
    SignalsService(signals, File("/srv/www"), endpoints)
    SignalsService(signals, page, endpoints, client_at="/signals.js")
    SignalsService(signals, of_twisted, endpoints)
    SignalsService(signals, annotated, endpoints)
    # Each of these ignored errors has to be there: an ignore without one is an error in strict mode.
    SignalsService(signals, app, endpoints)  # type: ignore[arg-type]
    SignalsService(signals, app.resource(), ["http://localhost:8091"])  # type: ignore[list-item]
    SignalsService(signals, app.resource(), endpoints[0])  # type: ignore[arg-type]


def listening(tcp: TCP4ServerEndpoint, unix: UNIXServerEndpoint, annotated: IStreamServerEndpoint) -> None:
    Endpoint("http", listen=tcp)
    Endpoint("http", listen=unix)
    Endpoint("http", listen=annotated)
    Endpoint("http", listen="tcp:8091")
    Endpoint(Protocol.PAGES)
    Endpoint("http", listen=8091)  # type: ignore[arg-type]
    Endpoint("http", 8091)  # type: ignore[arg-type]


def clocks(clock: Clock, annotated: IReactorTime) -> None:
    from twisted.internet import reactor

    taken: list[ClockLike] = [clock, annotated, reactor]
    taken.append(app)  # type: ignore[arg-type]

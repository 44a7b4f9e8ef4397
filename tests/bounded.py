"""A World whose Site is one of a service: request heads are bounded. Nothing in here is a test, or opens a socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import IResource
from twisted.web.server import Site
from web_fakes import World, plain

from pode_signals.core.endpoints import Endpoint
from pode_signals.ports.listeners import Listener
from pode_signals.ports.request_limits import RequestLimits
from pode_signals.ports.site import SignalSite
from pode_signals.signals import hub_of

__all__ = ["BoundedWorld", "bytes_of", "head_of_size"]


class BoundedWorld(World):
    """A World with the Site of a service, which converts on ``/msg``.

    ``/ok`` answers at once, ``/echo`` gives a body back, ``/endless`` waits in ``endless``.

    Args:
        endpoints: those of its port, whose rules hold; None is a port without any.
        settings: settings of the hub.

    Attributes:
        limits: what the channels of its Site share.
        endless: what the requests to ``/endless`` wait for.
    """

    def __init__(self, *, endpoints: Sequence[Endpoint] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._listener = None if endpoints is None else Listener(tuple(endpoints))
        signals = self.signals
        self.limits = RequestLimits(hub_of(signals))
        self.endless: list[Deferred[bytes]] = []
        self.converting()

        @self.app.route("/echo", methods=["POST"], endpoint="/echo")
        def echo(request: Any) -> bytes:
            return bytes(request.content.read())

        @self.app.route("/endless", endpoint="/endless")
        def endless(request: Any) -> Deferred[bytes]:
            self.endless.append(Deferred())
            return self.endless[-1]

    @property
    def site(self) -> Site:
        if self._site is None:
            self._site = SignalSite(
                self.signals.resource(IResource(self.app.resource()), listener=self._listener),
                listener=self._listener or Listener((Endpoint("http"),)),
                timeout_seconds=self.signals.settings.handshake_timeout_seconds,
                clock=self.clock,
                limits=self.limits,
            )
            self._site.is_open = True
        return self._site

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        for _ in range(round(seconds)):
            self.turn(1)

    @property
    def hit(self) -> dict[str, int]:
        """The limits that acted, and how often."""
        return dict(self.signals.counters.limits_hit)


def head_of_size(size: int, *, path: str = "/ok", lines: int = 1) -> bytes:
    """A good head that has so many bytes in its lines, their ends not counted."""
    start = plain(path)
    assert start.endswith(b"\r\n\r\n")
    used = len(start.replace(b"\r\n", b""))
    each, rest = divmod(size - used, lines)
    headers = [b"X: " + b"x" * (each - 3 + (rest if number == 0 else 0)) for number in range(lines)]
    return start[:-2] + b"\r\n".join(headers) + b"\r\n\r\n"


def bytes_of(data: bytes) -> Iterator[bytes]:
    """One byte after the other."""
    return (data[at : at + 1] for at in range(len(data)))

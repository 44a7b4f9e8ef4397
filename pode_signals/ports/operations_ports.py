"""The ports of those who operate a service, bound first and closed last. It does not know what they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from ..core.counters import Counters
from ..core.endpoints import Endpoint
from ..core.operated import Operated
from ..errors import ConfigurationInvalid
from ..hub.clocks import wall_time
from ..hub.fence import Failed, Place
from ..hub.hub import Hub
from .files import read_text
from .listeners import Listener
from .port_set import PortSet, where
from .request_limits import RequestLimits
from .site import FirstResource

__all__ = ["Operations", "OperationsPorts", "operated_by"]


class Operations(Protocol):
    """What a service asks of operations: :class:`pode_signals.Operations` has it."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where they listen."""

    @property
    def token_file(self) -> str | None:
        """The file of tokens; None is none."""

    @property
    def resource(self) -> Any:
        """What is served there."""

    @property
    def resource_on_application(self) -> FirstResource | None:
        """What goes before the application's own resource; None where nothing does."""

    @property
    def attach(self) -> Callable[..., None]:
        """``attach(signals)`` is called once, before the first connection."""

    @property
    def check(self) -> Callable[[Operated], object]:
        """``check(operated)`` raises for mistakes that would keep the service from starting."""

    @property
    def start(self) -> Callable[[Operated], None]:
        """``start(operated)`` is called at each start, before the ports are bound."""

    @property
    def stop(self) -> Callable[[], None]:
        """``stop()`` is called at each stop, when the ports are closed."""

    @property
    def reload_tokens(self) -> Callable[[], None]:
        """``reload_tokens()`` reads the file of tokens again."""


class OperationsPorts:
    """The ports of the operations of one service.

    Args:
        hub: the hub.
        operations: what is served there.

    Attributes:
        operations: what is served there.
        ports: the ports.

    Raises:
        ConfigurationInvalid: the endpoints do not go together, or one is for WebSockets.
    """

    _log = Logger()

    def __init__(self, hub: Hub, operations: Operations) -> None:
        self.operations = operations
        # What operators ask is no traffic of the application, and its clients can't keep operators out.
        limits = RequestLimits(hub, Counters())
        self.ports = PortSet(hub, operations.endpoints, limits, access_level=LogLevel.debug)
        for endpoint in self.ports.endpoints:
            if endpoint.takes_upgrades:
                raise ConfigurationInvalid(f"the operations endpoint {endpoint} has to be http or https")
        self._runs = False

    def check(self, reactor: Any, operated: Operated) -> None:
        """Find mistakes that would keep the service from starting.

        Raises:
            ConfigurationInvalid: a certificate, an endpoint or the file of tokens can't be used.
            CannotListenError: a port is taken.
        """
        self.operations.check(operated)
        self.ports.check(reactor)

    def start(self, reactor: Any, clock: IReactorTime, operated: Operated) -> None:
        """Bind the ports, and serve at once.

        Raises:
            ConfigurationInvalid: a certificate, an endpoint or the file of tokens can't be used.
            CannotListenError: a port is taken.
        """
        self.operations.start(operated)
        self._runs = True
        try:
            self.ports.bind(reactor, clock, lambda _: self.operations.resource, self._bound)
        except (CannotListenError, ConfigurationInvalid):
            self.forget()
            raise
        self.ports.open()

    def stop(self) -> Deferred[Any]:
        """Close the ports, and serve no longer.

        Returns:
            Fires once no port listens any more.
        """
        self.ports.close()
        return self.ports.let_go()

    def forget(self) -> None:
        """Be as before the start, so that the service can be started again."""
        if self._runs:
            self._runs = False
            self.stop()
            self.operations.stop()
        self.ports.forget()

    def _bound(self, listener: Listener) -> None:
        self._log.info("operations: {where}", event="operations.listening", where=where(listener))


def operated_by(
    hub: Hub, clock: IReactorTime, state: Callable[[], str], expiries: Callable[[], Mapping[str, datetime]]
) -> Operated:
    """What a service gives to its operations.

    Args:
        hub: the hub.
        clock: the clock of the service.
        state: tells the state of the service.
        expiries: tells when certificates expire.
    """

    def call(name: str, function: Callable[[], Any]) -> tuple[Any] | None:
        ended = hub.fence.run(Place(name, kind="check"), function, (), later=lambda _: None)
        return None if ended is None or isinstance(ended[0], Failed) else ended

    return Operated(
        state=state,
        clock=clock,
        wall_time=lambda: wall_time(clock, clock.seconds()),
        read_text=lambda path, again: read_text(path, again=again),
        report=hub.reports.write,
        call=call,
        certificates=expiries,
    )

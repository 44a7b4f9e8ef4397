"""A line of the log for each connection that opens and that ends, where the log is to have such lines."""

from __future__ import annotations

from twisted.logger import Logger

from ..core.model import Closure
from ..core.signing import bare_client_id
from ..core.text import printable
from ..hub.connection import SignalConnection
from ..hub.context import current_route
from ..hub.observing import Observer

__all__ = ["NAMESPACE", "ConnectionLines"]

NAMESPACE = "pode_signals.connections"
"""The namespace of these lines, whose level is debug."""
# Not in the class, which would give it a namespace of its own.
_log = Logger(NAMESPACE)


class ConnectionLines(Observer):
    """Writes the lines.

    It is an observer, so that connections cost nothing more where nobody reads such lines.
    """

    def opened(self, connection: SignalConnection) -> None:
        """A connection is open."""
        # Empty where other nodes were asked first: the request is over by then.
        slot = current_route.get()
        _log.debug(
            "connection {connection} of {name} is open",
            event="connection.opened",
            connection=_shown(connection),
            name=printable(connection.name),
            group=None if connection.group is None else printable(connection.group),
            protocol="signals" if connection.is_signals else "plain",
            transport=connection.transport,
            request=None if slot is None else slot.request_id,
        )

    def closed(self, connection: SignalConnection, closure: Closure, seconds: float) -> None:
        """A connection's transport is gone."""
        _log.debug(
            "connection {connection} of {name} ended with {code} by {by} after {seconds:.1f} s",
            event="connection.closed",
            connection=_shown(connection),
            name=printable(connection.name),
            code=closure.code,
            by=closure.by.value,
            seconds=seconds,
        )


def _shown(connection: SignalConnection) -> str:
    return printable(bare_client_id(connection.client_id))

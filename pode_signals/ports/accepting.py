"""What a port does while no client can be accepted: a pause and a few log lines. It opens no socket.

When no descriptor is left, Twisted by itself accepts each client with a spare descriptor and closes it at once, and
logs two lines each time: a busy loop, as long as clients come.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.tcp import Port

from ..core.counters import Counters
from ..hub.reports import Reports

__all__ = ["PAUSE_SECONDS", "Acceptance"]

PAUSE_SECONDS = 0.1
"""How long no client is accepted after no descriptor was left. Clients wait in the system's backlog meanwhile."""

# No descriptor is left for the process or on the machine, or there is no memory for one.
_NOTHING_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Twisted knows these errors itself: no client waits; or a firewall of Linux has refused the client (EPERM).
_OF_TWISTED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EPERM})


class Acceptance:
    """Has the ports of one service wait while no client can be accepted.

    Args:
        clock: the clock that a pause runs on.
        counters: ``accepts_failed`` is counted here.
        reports: writes the log lines.
    """

    def __init__(self, clock: IReactorTime, counters: Counters, reports: Reports) -> None:
        self._clock = clock
        self._counters = counters
        self._reports = reports

    def watch(self, port: IListeningPort) -> None:
        """Have a port wait in this way, where the port is one of Twisted's TCP or UNIX ports."""
        # The only place at which an error of accept can be seen before Twisted sees it.
        if isinstance(port, Port):
            port.socket = _ListeningSocket(port.socket, lambda error: self._failed(port, error))

    def _failed(self, port: Port, error: OSError) -> None:
        self._counters.accepts_failed += 1
        if error.errno not in _NOTHING_LEFT:
            self._reports.write(
                "accepts_failed",
                "a client could not be accepted: {why}",
                event="accept.failed",
                why=str(error.strerror),
            )
            return
        self._reports.write(
            "no_descriptors",
            "no client is accepted for {seconds} s at a time: {why}; lower max_connections, or raise the limit on"
            " files (LimitNOFILE of systemd, ulimit -n)",
            event="accept.failed",
            seconds=PAUSE_SECONDS,
            why=str(error.strerror),
        )
        port.stopReading()
        self._clock.callLater(PAUSE_SECONDS, self._go_on, port)

    def _go_on(self, port: Port) -> None:
        if port.connected and not port.disconnecting:
            port.startReading()


class _ListeningSocket:
    """A listening socket that says "no client waits" where accepting fails: Twisted would log any other error.

    Args:
        socket: the socket.
        failed: called with each error.
    """

    def __init__(self, socket: Any, failed: Callable[[OSError], None]) -> None:
        self._socket = socket
        self._failed = failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def accept(self) -> Any:
        """A client's socket and address."""
        try:
            return self._socket.accept()
        except OSError as error:
            if error.errno in _OF_TWISTED:
                raise
            self._failed(error)
            raise BlockingIOError(errno.EWOULDBLOCK, "nobody is accepted now") from error

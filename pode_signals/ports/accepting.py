"""Accepting connections where that can fail: a pause instead of a busy loop, and a few log lines. It opens no socket.

Twisted accepts and closes a client for each that comes while no descriptor is left, and logs two lines for it.
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
"""For so long nobody is accepted when no descriptor is left; clients wait in the backlog meanwhile."""

# No descriptor, of the process or of the machine, or no memory for one.
_NOTHING_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Nobody is there; and a firewall has taken the client away, which Twisted knows as well.
_OF_TWISTED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EPERM})


class Acceptance:
    """What all ports of one service share: how they wait, and where is told that they have to.

    Args:
        clock: what a pause runs on.
        counters: ``accepts_failed`` is counted here.
        reports: where it is told.
    """

    def __init__(self, clock: IReactorTime, counters: Counters, reports: Reports) -> None:
        self._clock = clock
        self._counters = counters
        self._reports = reports

    def watch(self, port: IListeningPort) -> None:
        """Have a port accept in this way, where it is one of Twisted's."""
        if isinstance(port, Port):
            port.socket = _ListeningSocket(port.socket, lambda error: self._failed(port, error))

    def _failed(self, port: Port, error: OSError) -> None:
        self._counters.accepts_failed += 1
        if error.errno not in _NOTHING_LEFT:
            self._reports.write("accepts_failed", "a client could not be accepted: {why}", why=str(error.strerror))
            return
        self._reports.write(
            "no_descriptors",
            "no client is accepted for {seconds} s at a time: {why}; lower max_connections, or raise the limit on"
            " files (LimitNOFILE of systemd, ulimit -n)",
            seconds=PAUSE_SECONDS,
            why=str(error.strerror),
        )
        port.stopReading()
        self._clock.callLater(PAUSE_SECONDS, self._go_on, port)

    def _go_on(self, port: Port) -> None:
        if port.connected and not port.disconnecting:
            port.startReading()


class _ListeningSocket:
    """A listening socket that says "nobody is there" where accepting fails: all else Twisted would log.

    Args:
        socket: the socket.
        failed: told of each error.
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

"""Twisted's epoll reactor without a log context around each read. It handles no event otherwise than Twisted's own.

The context is what Twisted's older logger takes the ``system`` of a line from; making one costs about as much as the
reading of a small message. What is logged within a read says ``-`` there instead.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python import log

try:
    from twisted.internet.epollreactor import EPOLLIN, EPollReactor
except ImportError as missing:
    raise ImportError("the lean reactor needs epoll, which Linux has") from missing

__all__ = ["LeanReactor", "install"]

_log = Logger()


class LeanReactor(EPollReactor):
    """The epoll reactor, its plain reads without a log context."""

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, at most so many seconds, and handle them."""
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
        except InterruptedError:
            return
        read_or_write = self._doReadOrWrite
        for number, event in events:
            selectable = self._selectables.get(number)
            if selectable is None:  # gone by an event before
                continue
            if event != EPOLLIN:
                log.callWithLogger(selectable, read_or_write, selectable, number, event)
                continue
            try:
                read_or_write(selectable, number, event)  # type: ignore[no-untyped-call]
            except KeyboardInterrupt:
                raise
            except BaseException:  # as callWithLogger: nothing that the end of one connection raises stops the others
                log.err()

    doIteration = doPoll


def install() -> None:
    """Install it, as ``twistd --reactor=lean`` does; Twisted's epoll reactor where that is not as it was."""
    reactor: Any = LeanReactor()  # type: ignore[no-untyped-call]
    if not _is_as_known(reactor):
        _log.warn("Twisted's epoll reactor is not as it was: it is used as it is, without what makes the lean one lean")
        reactor = EPollReactor()
    installReactor(reactor)


def _is_as_known(reactor: Any) -> bool:
    try:
        return (
            isinstance(reactor._selectables, dict)
            and callable(reactor._doReadOrWrite)
            and reactor._poller.poll(0, 1) == []
            and EPollReactor.doIteration is EPollReactor.doPoll
        )
    except (AttributeError, TypeError):
        return False

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, eventAsText, formatEvent, globalLogPublisher
from twisted.python import log as older_log
from twisted.python import threadable
from twisted.python.failure import Failure

from pode_signals.command.library_log import LibraryLines
from pode_signals.core.counters import Counters
from pode_signals.hub.reports import LINES_PER_WINDOW, Reports

LIBRARY = "twisted.web.pretended"


class Log:
    """A log with the observer of the command, and what came through."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.serving = True
        self.passed: list[LogEvent] = []
        self.reports = Reports(lambda: self.clock, Counters())
        self.lines = LibraryLines(self.passed.append, self.reports, lambda: self.serving)  # type: ignore[arg-type]
        self.logger = Logger("of.somebody")

    def code(self, source: str, module: str = LIBRARY) -> Callable[..., Any]:
        """A function ``f`` of a module, whose code can use ``log`` and ``older``."""
        names: dict[str, Any] = {"__name__": module, "log": self.logger, "older": older_log, "Failure": Failure}
        exec(source, names)
        function: Callable[..., Any] = names["f"]
        return function


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    globalLogPublisher.addObserver(made.lines)
    yield made
    globalLogPublisher.removeObserver(made.lines)


LINES = {
    "newer": "def f(n): log.info('client {n}', n=n)",
    "older": "def f(n): older.msg(f'client {n}')",
    "failure": "def f(n): log.failure('client', Failure(KeyError(n)))",
    "older failure": "def f(n): older.err(Failure(KeyError(n)), 'client')",
    "raised": "def f(n):\n try: {}[n]\n except KeyError: log.failure('')",
    "handler": "def f(n):\n with log.failuresHandled('client'): {}[n]",
}


@pytest.mark.parametrize("module", ["twisted.web.http", "klein._resource", "autobahn.websocket.protocol", "txaio"])
@pytest.mark.parametrize("how", LINES)
def test_few_of_a_kind(log: Log, how: str, module: str) -> None:
    """S20.4: of what a library logs in one way, ten lines a minute come through; the others are counted and told."""
    logs = log.code(LINES[how], module)
    for number in range(60):
        logs(number)
    assert len(log.passed) == LINES_PER_WINDOW
    log.clock.advance(60)
    logs(61)
    told, one_more = log.passed[LINES_PER_WINDOW:]
    assert formatEvent(told).endswith("50 more lines of this kind were left out")
    assert "pode_signals" in told["log_namespace"]
    assert "pode_signals" not in one_more["log_namespace"]


@pytest.mark.parametrize("how", LINES)
@pytest.mark.parametrize("module", ["chat", "pode_signals.service", "twistedpair.own"])
def test_what_passes(log: Log, module: str, how: str) -> None:
    """S20.4: what the application logs is its own affair; this package's lines are limited where they are written."""
    logs = log.code(LINES[how], module)
    for number in range(60):
        logs(number)
    assert len(log.passed) == 60


def test_who_logs_counts_and_not_its_namespace(log: Log) -> None:
    """S20.4: a library's code logs in the namespace of what it is a base class of: that hides nothing."""
    log.logger = Logger("pode_signals.ports.request.BoundedRequest")
    logs = log.code("def f(): log.info('x')", "twisted.web.server")
    for _ in range(60):
        logs()
    assert len(log.passed) == LINES_PER_WINDOW


def test_kinds_do_not_share(log: Log) -> None:
    """S20.4: another text, another function, another error, or one raised elsewhere, has ten lines of its own."""
    sources = [
        "def f(): log.info('a')",
        "def f(): log.info('b')",
        "def f(): log.failure('a', Failure(KeyError()))",
        "def f(): log.failure('a', Failure(OSError()))",
        "def f():\n try: {}[1]\n except KeyError: log.failure('a')",
        "def f():\n\n try: {}[1]\n except KeyError: log.failure('a')",
        "def g(): log.info('a')\ndef f(): g()",
        "def f(): older.msg('a')",
    ]
    for source in sources:
        logs = log.code(source)
        for _ in range(20):
            logs()
    # The older logging can't be told by its text from the first of them.
    assert len(log.passed) == LINES_PER_WINDOW * len(sources)


def test_an_errback(log: Log) -> None:
    """S20.4: log.err as an errback is called by Twisted."""
    for number in range(60):
        failing: Deferred[Any] = fail(LookupError(number))
        failing.addErrback(older_log.err)
    assert len(log.passed) == LINES_PER_WINDOW


def test_before_and_after(log: Log) -> None:
    """S20.4: while nobody is served, what the libraries say of start and stop comes through."""
    log.serving = False
    logs = log.code(LINES["newer"])
    for number in range(60):
        logs(number)
    assert len(log.passed) == 60


def test_other_threads(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """S20.4: what other threads log passes, for the hub is the reactor's thread's alone."""
    # Where Twisted keeps which thread is the reactor's, once that runs.
    monkeypatch.setattr(threadable, "ioThread", threadable.getThreadID())
    logs = log.code(LINES["newer"])
    thread = threading.Thread(target=lambda: [logs(number) for number in range(60)])
    thread.start()
    thread.join()
    assert len(log.passed) == 60


@pytest.mark.parametrize("how", ["failure", "older failure"])
def test_what_exceptions_say(log: Log, how: str) -> None:
    """S16.7: an exception's text can't be taken for other lines of the log, whoever logs it."""
    source = LINES[how].replace("KeyError", "ValueError")
    log.code(source)("bad\n2026-01-01T00:00:00+0000 [-] \u202eforged\u200b")
    text = eventAsText(log.passed[0])
    assert r"ValueError: bad\u000a2026-01-01T00:00:00+0000 [-] \u202eforged\u200b" in text
    assert "\u202e" not in text
    assert not any(line.startswith("2026-01-01") for line in text.splitlines())

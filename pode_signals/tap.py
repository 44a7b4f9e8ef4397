"""``twistd pode-signals`` (and ``twist``): from options to a service that runs in a process of its own.

Only here are handlers of signals installed, and only here does a mistake end the process.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from operator import attrgetter
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, LegacyLogObserverWrapper, Logger, textFileLogObserver
from twisted.python.logfile import LogFile

from .clocks import clock_for
from .config import Configuration
from .errors import ConfigurationInvalid
from .json_log import json_file_log_observer
from .library_log import LibraryLines
from .options import Options
from .service import ServiceState, SignalsService

__all__ = ["Options", "makeService"]

_LAST_SECONDS = 1.0


def makeService(options: Options) -> MultiService:
    """The service for options; what twistd and twist call.

    Raises:
        SystemExit: the options can't work: one line on the standard error, and status 1.
    """
    try:
        configuration = options.configuration()
        service = _service(configuration)
        service.check()
        command = _Command(service, options.parent or {})
        command.choose_log(configuration.log_format)
    except (ConfigurationInvalid, CannotListenError) as error:
        _end(error)
    return command


def _end(error: Exception) -> NoReturn:
    # Not sys.stderr: that goes to the log once twistd has begun to log.
    print("pode-signals:", *str(error).split(), file=sys.__stderr__)
    sys.exit(1)


def _service(configuration: Configuration) -> SignalsService:
    if configuration.app is None:
        from .program import ENDPOINTS, example  # it imports Klein

        service = example(configuration.endpoints or ENDPOINTS, **configuration.settings)
    else:
        service = _load(configuration.app, configuration.settings)
    service.endpoints = configuration.with_certificate(configuration.endpoints or service.endpoints)
    if configuration.drain_seconds is not None:
        service.drain_seconds = configuration.drain_seconds
    if configuration.secrets:
        service.signals.enable_signing(configuration.secrets)
    return service


def _load(app: str, settings: Mapping[str, Any]) -> SignalsService:
    """What ``--app`` names, looked for in the current folder first."""
    module_name, _, attribute = app.partition(":")
    if not module_name or not attribute:
        raise ConfigurationInvalid(f"--app is MODULE:OBJECT, not {app!r}")
    sys.path.insert(0, os.getcwd())
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, something that it imports is not
        raise ConfigurationInvalid(f"--app {app}: there is no module {error.name!r}") from error
    try:
        found = attrgetter(attribute)(module)
    except AttributeError as error:
        raise ConfigurationInvalid(f"--app {app}: {error}") from error
    takes_settings = callable(found) and any(
        each.kind is Parameter.VAR_KEYWORD for each in signature(found).parameters.values()
    )
    if settings and not takes_settings:
        names = ", ".join(settings)
        raise ConfigurationInvalid(f"{names}: --app {app} takes no settings; a function with **settings would")
    if callable(found):
        found = found(**settings) if takes_settings else found()
    if not isinstance(found, SignalsService):
        raise ConfigurationInvalid(f"--app {app}: it is no SignalsService, and no function that returns one: {found!r}")
    return found


def _syslog_observer(prefix: str) -> ILogObserver:
    from twisted.python.syslog import SyslogObserver  # which not every platform has

    observer: ILogObserver = LegacyLogObserverWrapper(SyslogObserver(prefix).emit)  # type: ignore[arg-type]
    return observer


def _spare_the_collector() -> None:
    """Have Python's garbage collector look no more at what was there at the start and stays, some 200,000 objects.

    Each of its full rounds would stop the server for 20 to 30 ms, about twice a second where many clients come and go.
    """
    gc.collect()
    gc.freeze()


class _Command(MultiService):
    """The one service of the process: it adds to a SignalsService what only a whole process can have.

    Args:
        service: what is served.
        runner: the options of twistd or twist.
    """

    _log = Logger()

    def __init__(self, service: SignalsService, runner: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self._service = service
        self._runner = runner
        self._observer: ILogObserver | None = None
        self._log_file: LogFile | None = None
        self._told_to_stop = False
        service.setServiceParent(self)  # type: ignore[no-untyped-call]  # Twisted

    def choose_log(self, log_format: str | None) -> None:
        """Have the log written as ``--log-format`` says, to where twistd or twist writes it, within limits.

        An observer that ``twistd --logger`` names gets everything, for it goes before all others.

        Raises:
            ConfigurationInvalid: there can be no such log.
        """
        factory = json_file_log_observer if log_format == "json" else textFileLogObserver
        if "fileLogObserverFactory" in self._runner:  # twist
            if log_format is None:
                factory = self._runner["fileLogObserverFactory"]
            self._runner["fileLogObserverFactory"] = lambda file: self._limited(factory(file))
        elif self._runner.get("syslog"):
            if log_format == "json":
                raise ConfigurationInvalid("--log-format json writes to a file or to standard output, not to syslog")
            self._observer = self._limited(_syslog_observer(self._runner.get("prefix", "")))
        elif self._runner or log_format == "json":  # twistd, unless somebody else makes the service of options
            self._observer = self._limited(factory(self._open_log()))

    def _limited(self, observer: ILogObserver) -> LibraryLines:
        serving = (ServiceState.READY, ServiceState.DRAINING)
        return LibraryLines(observer, self._service.signals.reports, lambda: self._service.state in serving)

    def setServiceParent(self, parent: Any) -> None:
        """Tell twistd of the log observer: it asks the application for one."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]  # Twisted
        if self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)

    def privilegedStartService(self) -> None:
        """Bind; what was free at the check may be taken now, and Twisted endpoint strings are tried only here."""
        with self._in_one_line():
            super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted

    def startService(self) -> None:
        """Start; and once the reactor runs, with handlers of its own installed, watch for signals."""
        from twisted.internet import reactor

        with self._in_one_line():
            super().startService()  # type: ignore[no-untyped-call]  # Twisted
        reactor.callWhenRunning(self._install_signal_handlers)
        reactor.callWhenRunning(_spare_the_collector)

    @contextmanager
    def _in_one_line(self) -> Iterator[None]:
        try:
            yield
        except (ConfigurationInvalid, CannotListenError) as error:
            self._log.error("{error}", error=error)
            if pid_file := self._runner.get("pidfile"):
                Path(pid_file).unlink(missing_ok=True)
            _end(error)

    def _open_log(self) -> Any:
        """Where twistd writes its log to (``twistd --logfile``)."""
        name = self._runner.get("logfile")
        if name == "-" or (not name and self._runner.get("nodaemon")):
            if self._runner and not self._runner.get("nodaemon"):
                raise ConfigurationInvalid("a daemon can't log to standard output: --logfile names a file")
            return sys.stdout
        self._log_file = LogFile.fromFullPath(name or "twistd.log")
        return self._log_file

    def _install_signal_handlers(self) -> None:
        from twisted.internet import reactor

        later: Callable[..., None] = IReactorFromThreads(reactor).callFromThread
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before):
                signal.signal(number, partial(self._stop_signal, before, later))
        signal.signal(signal.SIGHUP, lambda *_: later(self._service.reload_certificates))
        if self._log_file is not None:  # as twistd does for its own log
            rotate = self._log_file.rotate
            signal.signal(signal.SIGUSR1, lambda *_: later(rotate))

    def _stop_signal(self, before: Callable[..., object], later: Callable[..., None], number: int, frame: Any) -> None:
        if self._told_to_stop or self._service.state is ServiceState.DRAINING:
            later(self._stop_at_once)
        else:
            self._told_to_stop = True
            before(number, frame)  # the reactor's: it stops, and the process ends by this signal

    def _stop_at_once(self) -> None:
        from twisted.internet import reactor

        self._log.warn("told to stop again: no more waiting")
        self._service.stopService()
        # Should another service still be stopping then, it is left behind.
        clock_for(reactor).callLater(_LAST_SECONDS, reactor.crash)

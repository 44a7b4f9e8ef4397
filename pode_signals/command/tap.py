"""``twistd pode-signals`` and ``twist pode-signals``: from options to a service that runs in a process of its own.

Only this module installs handlers for signals of the operating system, and only the command ends the process for a
mistake. It imports no reactor when it is imported itself.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from operator import attrgetter
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, LegacyLogObserverWrapper, Logger, LogLevel, textFileLogObserver
from twisted.python.logfile import LogFile

from ..core.addresses import LOCALHOST, bracketed
from ..core.endpoints import EVERY_ADDRESS, EVERY_HOST, Endpoint
from ..errors import ConfigurationInvalid, SigningInUse
from ..hub.clocks import clock_for
from ..ports.files import read_secrets, why_not_readable
from ..service import ServiceState, SignalsService
from ..signals import hub_of
from .config import Configuration
from .connection_lines import NAMESPACE, ConnectionLines
from .environment import unknown_variables
from .json_log import json_file_log_observer
from .library_log import LibraryLines
from .log_levels import LogLevels
from .options import Options

__all__ = ["Options", "makeService", "service_of"]

_PAGE_PORTS = {"http": 80, "https": 443}
# How long other services may still stop after a second SIGTERM.
_LAST_SECONDS = 1.0


def makeService(options: Options) -> MultiService:
    """Make the service for options; twistd and twist call this.

    Raises:
        SystemExit: the options can't work; one line was written to the standard error, and the status is 1.
    """
    # First, so that a SIGHUP while the program is loaded does not end the process.
    hang_up = _HangUp()
    try:
        configuration = options.configuration()
        service, own_endpoints = service_of(configuration)
        service.check()
        command = _Command(service, options, hang_up, own_endpoints, configuration)
        command.choose_log(configuration.log_format, configuration.log_level)
    except (ConfigurationInvalid, CannotListenError) as error:
        _end(error)
    return command


def _end(error: Exception) -> NoReturn:
    # Not sys.stderr, which goes to the log once twistd has begun to log.
    print("pode-signals:", *str(error).split(), file=sys.__stderr__)
    sys.exit(1)


def service_of(configuration: Configuration) -> tuple[SignalsService, tuple[Endpoint, ...]]:
    """Make the service of a configuration.

    Returns:
        The service, and the endpoints that its program has given it.
    """
    if configuration.app is None:
        # Imported only here: the example imports Klein, which installs a reactor.
        from ..example.program import ENDPOINTS, example

        service = example(configuration.endpoints or ENDPOINTS, **configuration.settings)
    else:
        service = _load(configuration.app, configuration.settings)
    own_endpoints = service.endpoints
    endpoints = configuration.with_shared_ports(configuration.endpoints or own_endpoints)
    service.endpoints = configuration.with_certificate(endpoints)
    if configuration.drain_seconds is not None:
        service.drain_seconds = configuration.drain_seconds
    if configuration.lame_duck_seconds is not None:
        service.lame_duck_seconds = configuration.lame_duck_seconds
    if configuration.operations is not None:
        _operate(service, configuration.operations)
    if configuration.secrets:
        _sign(service, configuration.secrets)
    return service, own_endpoints


def _operate(service: SignalsService, arguments: Mapping[str, Any]) -> None:
    """Give a service the operations of the configuration."""
    # Imported only here: without operations nobody needs the library of the metrics.
    from ..operations.operations import Operations

    if service.operations is not None:
        raise ConfigurationInvalid("the program has operations of its own; [operations] is for one that has none")
    try:
        service.operate(Operations(**{"endpoints": (), **arguments}))
    # What an argument says that only Operations can check.
    except (ValueError, TypeError) as error:
        raise ConfigurationInvalid(f"[operations]: {error}") from error


def _sign(service: SignalsService, secrets: Sequence[str]) -> None:
    """Sign with these secrets. Where the program signs already, its choice between strict and not strict stays."""
    sign = service.signals.replace_secrets if service.signals.is_signing else service.signals.enable_signing
    sign(secrets)


def _load(app: str, settings: Mapping[str, Any]) -> SignalsService:
    """The service that ``--app`` names. Its module is looked for in the current folder first."""
    module_name, _, attribute = app.partition(":")
    if not module_name or not attribute:
        raise ConfigurationInvalid(f"--app is MODULE:OBJECT, not {app!r}")
    sys.path.insert(0, os.getcwd())
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        # The module is there, and another one that it imports is not. That is a defect of the program, and is shown
        # with its traceback.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
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
        raise ConfigurationInvalid(f"--app {app} takes no settings ({names}); a function with **settings takes them")
    if callable(found):
        found = found(**settings) if takes_settings else found()
    if not isinstance(found, SignalsService):
        raise ConfigurationInvalid(f"--app {app} is {found!r}, not a SignalsService or a function that returns one")
    return found


def _first_page(service: SignalsService) -> str | None:
    """The URL of the first endpoint for pages, as a browser on this machine opens it; None where there is none."""
    for endpoint, addresses in service.addresses.items():
        port = getattr(addresses[0], "port", None) if addresses else None
        if endpoint.protocol in _PAGE_PORTS and port is not None:
            named = endpoint.hostname if endpoint.hostname != EVERY_HOST else None
            here = endpoint.listen is not None or endpoint.address in (LOCALHOST, EVERY_ADDRESS)
            host = named or (LOCALHOST if here else endpoint.address)
            shown = "" if port == _PAGE_PORTS[endpoint.protocol] else f":{port}"
            return f"{endpoint.protocol}://{bracketed(host)}{shown}/"
    return None


def _syslog_observer(prefix: str) -> ILogObserver:
    # Not every platform has the module syslog.
    from twisted.python.syslog import SyslogObserver

    observer: ILogObserver = LegacyLogObserverWrapper(SyslogObserver(prefix).emit)  # type: ignore[arg-type]
    return observer


def _spare_the_collector() -> None:
    """Have Python's garbage collector leave out the objects of the modules and of the program.

    These are some 200,000 objects, which live as long as the process. With them each full round of the collector would
    stop the server for 20 to 30 ms, and where many clients come and go there are about two rounds a second.
    """
    # What is garbage already has to go first, or it would stay for ever.
    gc.collect()
    gc.freeze()


def _from_signal(call: Callable[[], object]) -> None:
    """Call a function in the reactor's next turn, from a handler of a signal.

    Where the reactor does not run yet, the call comes in its first turn.
    """
    from twisted.internet import reactor

    IReactorFromThreads(reactor).callFromThread(call)


class _HangUp:
    """The handler of SIGHUP, which would otherwise end the process.

    A SIGHUP that comes before anything can be reloaded is remembered until then.
    """

    def __init__(self) -> None:
        self._asked = False
        self._reload: Callable[[], None] | None = None
        # Python lets only the main thread set handlers.
        if current_thread() is main_thread():
            signal.signal(signal.SIGHUP, self._received)

    def begin(self, reload: Callable[[], None]) -> None:
        """Call ``reload`` at each SIGHUP from now on, and also now where a SIGHUP came before."""
        self._reload = reload
        if self._asked:
            reload()

    def _received(self, *_: object) -> None:
        if self._reload is None:
            self._asked = True
        else:
            self._reload()


class _Command(MultiService):
    """The one service of the process: a SignalsService, with a log and with handlers of signals.

    Args:
        service: the service of the program.
        options: the options of the command; their parent has the options of twistd or twist.
        hang_up: the handler of SIGHUP.
        own_endpoints: the endpoints of the program, for use where neither a file nor the command line names endpoints.
        configuration: what the file and the command line said at the start.
    """

    _log = Logger()

    def __init__(
        self,
        service: SignalsService,
        options: Options,
        hang_up: _HangUp,
        own_endpoints: tuple[Endpoint, ...],
        configuration: Configuration,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self._service = service
        self._options = options
        self._runner: dict[str, Any] = options.parent or {}
        self._hang_up = hang_up
        self._own_endpoints = own_endpoints
        self._configuration = configuration
        # None where the program has its own secrets, or none.
        self._secret_file = configuration.secret_file
        self._observer: ILogObserver | None = None
        self._log_file: LogFile | None = None
        self._levels: LogLevels | None = None
        self._told_to_stop = False
        service.setServiceParent(self)  # type: ignore[no-untyped-call]  # Twisted

    def choose_log(self, log_format: str | None, log_level: str | None = None) -> None:
        """Have the log written as the options say, within limits, where twistd or twist writes its log.

        An observer that ``twistd --logger`` names is used in place of this one, and gets all lines.

        Raises:
            ConfigurationInvalid: twistd can't write such a log.
        """
        factory = json_file_log_observer if log_format == "json" else textFileLogObserver
        # twist has a level of its own, which stays unless there is another one.
        if log_level is not None or "logLevel" not in self._runner:
            self._levels = LogLevels(log_level)
        if log_level is not None and "logLevel" in self._runner:
            self._runner["logLevel"] = LogLevel.debug
        if self._levels is not None and self._levels.has_debug(NAMESPACE):
            self._service.signals.insight.attach(ConnectionLines())
        # Only twist has this option.
        if "fileLogObserverFactory" in self._runner:
            if log_format is None:
                factory = self._runner["fileLogObserverFactory"]
            self._runner["fileLogObserverFactory"] = lambda file: self._limited(factory(file))
        elif self._runner.get("syslog"):
            if log_format == "json":
                raise ConfigurationInvalid("--log-format json writes to a file or to standard output, not to syslog")
            self._observer = self._limited(_syslog_observer(self._runner.get("prefix", "")))
        # twistd. A program that makes the service of options without twistd keeps its own log, unless it asks for JSON.
        elif self._runner or log_format == "json":
            self._observer = self._limited(factory(self._open_log()))

    def _limited(self, observer: ILogObserver) -> ILogObserver:
        serving = (ServiceState.READY, ServiceState.DRAINING)
        limited = LibraryLines(observer, hub_of(self._service.signals).reports, lambda: self._service.state in serving)
        # What is not logged anyway does not count for the limits.
        return limited if self._levels is None else self._levels.before(limited)

    def setServiceParent(self, parent: Any) -> None:
        """Tell twistd of the log observer: it asks the application for one."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]  # Twisted
        if self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)

    def privilegedStartService(self) -> None:
        """Bind the ports.

        That can fail after ``check``: another process may have taken a port meanwhile, and Twisted endpoint strings are
        bound only here.
        """
        with self._in_one_line():
            super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted

    def startService(self) -> None:
        """Start, and install handlers of signals once the reactor runs, which has installed its own by then."""
        from twisted.internet import reactor

        with self._in_one_line():
            super().startService()  # type: ignore[no-untyped-call]  # Twisted
        for sentence in unknown_variables(os.environ):
            self._log.warn("{sentence}", event="configuration.unread", sentence=sentence)
        if page := _first_page(self._service):
            self._log.info("open {page}", event="service.page", page=page)
        self._say_what_stays()
        reactor.callWhenRunning(self._install_signal_handlers)
        reactor.callWhenRunning(_spare_the_collector)

    def reload(self) -> None:
        """Read certificates, passwords, secrets, tokens and log levels again, as the configuration file has them now.

        Where a file can't be read or used, that is logged, and the certificate, the secrets or the tokens stay as they
        were.
        """
        try:
            configuration = self._options.configuration_now()
            endpoints = configuration.with_certificate(configuration.endpoints or self._own_endpoints)
            self._service.reload_certificates(endpoints)
        except ConfigurationInvalid as error:
            self._log.error("certificates and secrets stay as they were: {error}", event="reload.failed", error=error)
        else:
            self._reload_secrets(configuration.secret_file)
            self._service.reload_tokens()
            if self._levels is not None:
                self._levels.change(configuration.log_level)
            if changed := self._configuration.differences(configuration):
                self._log.warn(
                    "changed, which only a new start takes up: {keys}",
                    event="configuration.ignored",
                    keys=", ".join(changed),
                )

    def _reload_secrets(self, path: str | None) -> None:
        # The program has its own secrets, or does not sign.
        if path is None and self._secret_file is None:
            return
        try:
            if path is None:
                raise ConfigurationInvalid("no secret_file is named any more")
            _sign(self._service, read_secrets(path, again=True))
        except (ConfigurationInvalid, SigningInUse) as error:
            self._log.error("the secrets stay as they were: {error}", event="secrets.kept", error=error)
        else:
            self._secret_file = path
            self._log.info("signing with the secrets of {path}", event="secrets.loaded", path=path)

    def _say_what_stays(self) -> None:
        """Tell of files that SIGHUP can't read again. The process may have another root or fewer rights by now."""
        named = (self._options.config_file, self._secret_file, self._token_file, *self._service.certificate_files)
        reasons = [f"{path}: {why}" for path in filter(None, dict.fromkeys(named)) if (why := why_not_readable(path))]
        reasons += [f"{each}: Twisted reads its files once" for each in self._service.endpoints if each.brings_tls]
        if reasons:
            self._log.warn(
                "SIGHUP can't read these again, a new start can: {reasons}",
                event="reload.unreadable",
                reasons="; ".join(dict.fromkeys(reasons)),
            )

    @property
    def _token_file(self) -> str | None:
        operations = self._service.operations
        return None if operations is None else operations.token_file

    @contextmanager
    def _in_one_line(self) -> Iterator[None]:
        try:
            yield
        except (ConfigurationInvalid, CannotListenError) as error:
            self._log.error("{error}", event="service.failed_to_start", error=error)
            if pid_file := self._runner.get("pidfile"):
                Path(pid_file).unlink(missing_ok=True)
            _end(error)

    def _open_log(self) -> Any:
        """The file or stream to which twistd writes its log (``twistd --logfile``)."""
        name = self._runner.get("logfile")
        if name == "-" or (not name and self._runner.get("nodaemon")):
            if self._runner and not self._runner.get("nodaemon"):
                raise ConfigurationInvalid("a daemon can't log to standard output: --logfile names a file")
            return sys.stdout
        log_file = self._log_file = LogFile.fromFullPath(name or "twistd.log")
        # twistd does the same for its own log, as early as here.
        if current_thread() is main_thread():
            signal.signal(signal.SIGUSR1, lambda *_: _from_signal(log_file.rotate))
        return log_file

    def _install_signal_handlers(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before):
                signal.signal(number, partial(self._stop_signal, before))
        self._hang_up.begin(partial(_from_signal, self.reload))

    def _stop_signal(self, before: Callable[..., object], number: int, frame: Any) -> None:
        if self._told_to_stop or self._service.state is ServiceState.DRAINING:
            _from_signal(self._stop_at_once)
        else:
            self._told_to_stop = True
            # The reactor's own handler stops the reactor, and ends the process by this signal.
            before(number, frame)

    def _stop_at_once(self) -> None:
        from twisted.internet import reactor

        self._log.warn("told to stop again: no more waiting", event="service.told_to_stop_again")
        self._service.stopService()
        # A service of the process that has not stopped by then is not waited for.
        clock_for(reactor).callLater(_LAST_SECONDS, reactor.crash)

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Application, Service
from twisted.logger import FileLogObserver, ILogObserver, Logger
from twisted.python.syslog import SyslogObserver

from pode_signals.command.tap import Options, makeService
from pode_signals.core.endpoints import Endpoint
from pode_signals.core.model import Unrouted
from pode_signals.errors import ConfigurationInvalid
from pode_signals.service import ServiceState, SignalsService

HERE = "http+tcp:8091"  # a Twisted endpoint string: it is not tried before the start
PROGRAM = """
from functools import partial
from klein import Klein
from pode_signals.service import SignalsService
from pode_signals.signals import Signals
from pode_signals.core.endpoints import Endpoint

signals = Signals()
service = SignalsService(signals, Klein().resource(), [Endpoint("http", listen="tcp:8092")])
secure = SignalsService(signals, Klein().resource(), [Endpoint("https", listen="tcp:8443")])

def make():
    return SignalsService(signals, Klein().resource(), [Endpoint("ws", listen="tcp:8093")])

class Inner:
    service = service

class Maker:
    def __call__(self):
        return make()

maker = Maker()
part = partial(make)

number = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a program in it, and files that hold no secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "chat_program.py").write_text(PROGRAM)
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("schlüssel".encode("latin-1"))
    monkeypatch.delitem(sys.modules, "chat_program", raising=False)
    return tmp_path


def made(*arguments: str) -> SignalsService:
    """The service for a command line."""
    options = Options()
    options.parseOptions(arguments)
    (service,) = makeService(options)
    assert isinstance(service, SignalsService)
    return service


def mistake(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistake in a command line is answered with."""
    with pytest.raises(SystemExit) as ended:
        made(*arguments)
    printed = capfd.readouterr().err
    if isinstance(ended.value.code, str):  # Python prints it, and the status is 1
        printed += ended.value.code + "\n"
    else:
        assert ended.value.code == 1
    assert printed.count("\n") == 1
    assert printed.startswith("pode-signals: ")
    return printed


def test_the_example_by_default() -> None:
    """S12.1: without ``--app`` the example is served; ``--endpoint`` says where, several times if need be."""
    service = made("--endpoint", HERE, "--endpoint", "ws+tcp:8091")
    assert service.endpoints == (Endpoint("http", listen="tcp:8091"), Endpoint("ws", listen="tcp:8091"))
    assert service.signals.has_route("/msg")
    assert [each.name for each in service.signals.schedules()] == ["Example"]


@pytest.mark.parametrize(
    ("app", "listen"),
    [
        ("chat_program:service", "tcp:8092"),
        ("chat_program:make", "tcp:8093"),
        ("chat_program:Inner.service", "tcp:8092"),
        ("chat_program:part", "tcp:8093"),
        ("chat_program:maker", "tcp:8093"),
        ("chat_program:maker.__call__", "tcp:8093"),
    ],
)
def test_app(folder: Path, app: str, listen: str) -> None:
    """S12.1: ``--app`` is a service, or a function that returns one, in a module of the current folder."""
    assert [each.listen for each in made("--app", app).endpoints] == [listen]
    assert made("--app", app, "--endpoint", HERE).endpoints == (Endpoint("http", listen="tcp:8091"),)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--app", "chat_program"], "MODULE:OBJECT"),
        (["--app", "nowhere.at_all:service"], "no module 'nowhere'"),
        (["--app", "chat_program:absent"], "absent"),
        (["--app", "chat_program:number"], "5"),
        (["--app", "chat_program:service", "--max-names", "5"], "max_names"),
        (["--app", "chat_program:secure"], "https tcp:8443 has no certificate"),
        (["--endpoint", "http:localhost:80"], "http:localhost:80"),
        (["--endpoint", "http+tcp:x"], "tcp:x"),
        (["--endpoint", "http://localhost:70", "--endpoint", "wss://localhost:70"], "http localhost:70 and wss"),
        (["--endpoint", HERE, "--self-signed"], "certificate"),
        (["--endpoint", "https+tcp:8443", "--certificate", "absent.pem"], "absent.pem: No such file"),
        (["--endpoint", "https+tcp:8443", "--certificate-password-file", "absent.txt"], "absent.txt: No such file"),
        (["--secret-file", "absent.txt"], "absent.txt: No such file"),
        (["--secret-file", "empty.txt"], "empty.txt: it is empty"),
        (["--secret-file", "latin.txt"], "latin.txt: it is not UTF-8"),
        (["--config", "absent.toml"], "absent.toml: No such file"),
        (["--log-format", "xml"], "--log-format has to be one of text, json, not 'xml'"),
        (["--drain-seconds", "long"], "--drain-seconds has to be a number of seconds, not 'long'"),
        (["--max-message-bytes", "-1"], "--max-message-bytes has to be a whole number of 1 or more, not -1"),
        (["--max-message-bytes", "many"], "--max-message-bytes has to be a whole number of 1 or more, not 'many'"),
        (["--pings", "1"], "there is no option --pings"),
        (["--max-nams", "1"], "there is no option --max-nams; did you mean --max-names?"),
        (["--unrouted", "loud"], "--unrouted has to be one of broadcast, same_name, drop, not 'loud'"),
        (["--trusted-proxies", "10.0.0.0/8,nonsense"], "--trusted-proxies has to be a list"),
        (["--self-signed=yes"], "self-signed"),
        (["something"], "arguments"),
    ],
)
def test_mistakes(folder: Path, capfd: pytest.CaptureFixture[str], arguments: Sequence[str], said: str) -> None:
    """S12.1: a mistake in our own options is one line on the standard error, and status 1."""
    assert said in mistake(capfd, *arguments)


def test_a_defect_of_the_program_is_shown(folder: Path) -> None:
    """S12.1: what the module of ``--app`` itself gets wrong is not made smaller."""
    (folder / "broken_program.py").write_text("import absent_library\n")
    with pytest.raises(ModuleNotFoundError, match="absent_library"):
        made("--app", "broken_program:service")


def test_limits_and_secrets(folder: Path) -> None:
    """S12.1: limits, a secret file and the time for draining can be given on the command line."""
    (folder / "secret.txt").write_text("new secret, quite long enough for us\nold secret, quite long enough for us\n")
    service = made(
        *(
            "--endpoint",
            HERE,
            "--max-message-bytes",
            "100",
            "--allowed-origins",
            "https://a.example, https://b.example",
        ),
        *("--compression", "yes", "--unrouted", "same_name", "--max-connections", "none", "--drain-seconds", "2.5"),
        *("--secret-file", "secret.txt"),
    )
    settings = service.signals.settings
    assert settings.max_message_bytes == 100
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.compression is True
    assert settings.max_connections is None
    assert service.signals.unrouted is Unrouted.SAME_NAME
    assert service.drain_seconds == 2.5
    assert service.signals.is_client_id_signed(service.signals.new_client_id())


def test_a_mistake_in_a_file(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """S12.1: a mistake in a configuration file is one line on the standard error, and status 1."""
    (folder / "signals.toml").write_text("max_nams = 5")
    said = mistake(capfd, "--config", "signals.toml")
    assert said.endswith("signals.toml: there is no key max_nams; did you mean max_names?\n")


def test_the_command_line_goes_before_the_file(folder: Path) -> None:
    """S12.1: what the command line says counts in place of the same key in the file."""
    (folder / "signals.toml").write_text("max_names = 5\nmax_json_keys = 6\nendpoints = ['http+tcp:1']\n")
    service = made("--config", "signals.toml", "--max-names", "7", "--endpoint", HERE)
    assert (service.signals.settings.max_names, service.signals.settings.max_json_keys) == (7, 6)
    assert [each.listen for each in service.endpoints] == ["tcp:8091"]


class Runner(dict):
    """The options of twistd, or with an observer's factory those of twist."""


def observed(command: Any, observer: Any) -> None:
    """A library logs 60 times while clients are served."""
    (service,) = (each for each in command if isinstance(each, SignalsService))
    service.state = ServiceState.READY
    names: dict[str, Any] = {"__name__": "twisted.web.pretended", "log": Logger("twisted.web", observer=observer)}
    exec("def f(): log.info('hello')", names)
    for _ in range(60):
        names["f"]()
    service.state = ServiceState.STOPPED


@pytest.mark.parametrize("log_format", ["text", "json", None])
def test_log_format_of_twist(log_format: str | None) -> None:
    """S12.1: ``--log-format`` holds under twist too, where it goes before twist's own."""
    options, file = Options(), io.StringIO()
    options.parent = Runner(fileLogObserverFactory=lambda file: FileLogObserver(file, lambda _: "twist's\n"))  # type: ignore[assignment]
    options.parseOptions(["--endpoint", HERE, *([] if log_format is None else ["--log-format", log_format])])
    command = makeService(options)
    observed(command, options.parent["fileLogObserverFactory"](file))
    lines = file.getvalue().splitlines()
    assert len(lines) == 10
    expected = {"text": "[twisted.web#info] hello", "json": '"text": "hello"', None: "twist's"}[log_format]
    assert all(expected in line for line in lines)


@pytest.mark.parametrize("log_format", ["text", "json", None])
def test_log_format_of_twistd(folder: Path, log_format: str | None) -> None:
    """S12.1: ``--log-format`` writes to where twistd logs to, as twistd does without it."""
    options = Options()
    options.parent = Runner(logfile=str(folder / "own.log"))  # type: ignore[assignment]
    options.parseOptions(["--endpoint", HERE, *([] if log_format is None else ["--log-format", log_format])])
    application = Application("test")
    command = makeService(options)
    command.setServiceParent(application)
    observed(command, application.getComponent(ILogObserver))
    lines = (folder / "own.log").read_text().splitlines()
    assert len(lines) == 10
    expected = '"text": "hello"' if log_format == "json" else "[twisted.web#info] hello"
    assert all(expected in line for line in lines)
    command._log_file.close()


def test_the_log_of_twistd_in_syslog(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """S12.1: ``twistd --syslog`` is kept to, within the same limits; JSON is refused there, in one line."""
    sent: list[str] = []
    monkeypatch.setattr(SyslogObserver, "openlog", lambda *_: None)
    monkeypatch.setattr(SyslogObserver, "syslog", lambda _self, _priority, text: sent.append(text))
    options = Options()
    options.parent = Runner(syslog=True, prefix="own")  # type: ignore[assignment]
    options.parseOptions(["--endpoint", HERE])
    application = Application("test")
    command = makeService(options)
    command.setServiceParent(application)
    observed(command, application.getComponent(ILogObserver))
    assert sent == ["[-] hello"] * 10
    in_json = Options()
    in_json.parent = options.parent
    in_json.parseOptions(["--endpoint", HERE, "--log-format", "json"])
    with pytest.raises(SystemExit):
        makeService(in_json)
    assert "syslog" in capfd.readouterr().err


def test_a_daemon_has_no_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """S12.1: a daemon that is to log to standard output ends at once, in one line."""
    options = Options()
    options.parent = Runner(logfile="-")  # type: ignore[assignment]
    options.parseOptions(["--endpoint", HERE])
    with pytest.raises(SystemExit):
        makeService(options)
    assert capfd.readouterr().err.count("\n") == 1


def test_the_log_of_others_is_left_alone(folder: Path) -> None:
    """S12.1: where neither twistd nor twist makes the service, its program's own log stays as it is."""
    application = Application("test")
    options = Options()
    options.parseOptions(["--endpoint", HERE])
    makeService(options).setServiceParent(application)
    assert application.getComponent(ILogObserver, None) is None
    assert list(folder.glob("*.log")) == []


@pytest.mark.parametrize("has_pid_file", [True, False])
def test_a_start_that_fails(folder: Path, capfd: pytest.CaptureFixture[str], has_pid_file: bool) -> None:
    """S12.1: a port that is taken only at the start ends the process in one line too, and leaves no pid file."""

    class Failing(Service):
        def privilegedStartService(self) -> None:
            raise ConfigurationInvalid("taken\nmeanwhile")

    options = Options()
    options.parent = Runner(pidfile=str(folder / "twistd.pid") if has_pid_file else "", nodaemon=True)  # type: ignore[assignment]
    options.parseOptions(["--endpoint", HERE])
    command = makeService(options)
    Failing().setServiceParent(command)
    if has_pid_file:
        (folder / "twistd.pid").write_text("1")
    (service,) = (each for each in command if isinstance(each, SignalsService))
    service.disownServiceParent()
    with pytest.raises(SystemExit) as ended:
        command.privilegedStartService()
    assert ended.value.code == 1
    assert capfd.readouterr().err == "pode-signals: taken meanwhile\n"
    assert not (folder / "twistd.pid").exists()


def test_importing_the_command_installs_no_reactor() -> None:
    """S12.4: ``twistd --help`` and ``--reactor`` find no reactor installed by this package's options."""
    program = (
        "import sys, pode_signals.command.tap; print('twisted.internet.reactor' in sys.modules, 'klein' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]


class TestSettingsOfAProgram:
    def test_a_function_that_takes_settings_gets_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """S12.1: ``--app`` with a function of ``**settings``: what the command line sets reaches the program's hub."""
        source = (
            "from twisted.web.resource import Resource\n"
            "from pode_signals import Signals, SignalsService\n"
            "def make(**settings):\n"
            "    return SignalsService(Signals(**settings), Resource(), [])\n"
        )
        (tmp_path / "tunable.py").write_text(source, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        options = Options()
        options.parseOptions(["--app", "tunable:make", "--max-message-bytes", "1234"])
        (service,) = makeService(options)
        assert service.signals.settings.max_message_bytes == 1234

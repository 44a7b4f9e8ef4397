from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from pode_signals import Endpoint, Operations, SignalsService
from pode_signals.command.operations_keys import ENDPOINTS, OPERATIONS_KEYS, operations_value, option_name
from pode_signals.command.tap import Options, makeService
from pode_signals.errors import ConfigurationInvalid

APPLICATION = "http+tcp:8091"  # Twisted endpoint strings: they are not tried before the start
LOCAL = "http+unix:/run/chat/operations.socket"
PROGRAM = """
from twisted.web.resource import Resource
from pode_signals import Endpoint, Operations, Signals, SignalsService

def make():
    own = Operations(endpoints=[Endpoint("http", listen="unix:/run/own.socket")])
    return SignalsService(Signals(), Resource(), [Endpoint("http", listen="tcp:8093")], operations=own)
"""


def service_of(*arguments: str) -> SignalsService:
    options = Options()
    options.parseOptions(arguments)
    (service,) = makeService(options)
    assert isinstance(service, SignalsService)
    return service


def mistake(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        service_of(*arguments)
    printed = capfd.readouterr().err
    if isinstance(ended.value.code, str):
        printed += ended.value.code + "\n"
    assert printed.count("\n") == 1
    return printed


def test_the_keys_are_the_arguments() -> None:
    """O3.3: each argument of Operations is a key of the section, with its default in words, and an option."""
    parameters = inspect.signature(Operations).parameters
    assert list(OPERATIONS_KEYS) == list(parameters)
    words = {(): "none", None: "none", False: "no", inspect.Parameter.empty: "none"}
    for name, parameter in parameters.items():
        default = parameter.default
        assert OPERATIONS_KEYS[name].default == str(words.get(default, default)), name
    options = {each.removesuffix("=") for each in Options().longOpt}
    assert {option_name(key) for key in OPERATIONS_KEYS} <= options


def test_no_operations_unless_asked_for() -> None:
    """O2.5: without the section and its options there are no operations, and their libraries are not imported."""
    assert service_of("--endpoint", APPLICATION).operations is None


def test_options(tmp_path: Path) -> None:
    """O2.5: operations can be asked for on the command line."""
    service = service_of(
        *("--endpoint", APPLICATION, "--operations-endpoint", LOCAL, "--operations-prefix", "/ops"),
        *("--operations-max-metric-names", "3", "--operations-metric-names", "Msg, Chat"),
        *("--operations-ready-needs-backplane", "yes", "--operations-health-on-application", "yes"),
        *("--lame-duck-seconds", "2.5"),
    )
    operations: Any = service.operations
    assert operations.endpoints == (Endpoint("http", listen="unix:/run/chat/operations.socket"),)
    assert (operations._prefix, operations._metric_names, operations._max_metric_names) == ("/ops", ("Msg", "Chat"), 3)
    assert operations.health_on_application
    assert not operations.operations_on_application
    assert service.lame_duck_seconds == 2.5


FILE = """
endpoints = ["http+tcp:8091"]
lame_duck_seconds = 1

[operations]
tokens = "tokens.toml"
metric_names = ["Msg"]
health_on_application = true

[[operations.endpoints]]
protocol = "http"
listen = "unix:/run/chat/operations.socket"

[[operations.endpoints]]
protocol = "https"
listen = "tcp:8444"
certificate = "cert.pem"
"""


def test_a_section(tmp_path: Path) -> None:
    """O2.5: the section of a file has the arguments, its paths are relative to the file, and its endpoints may be
    tables.
    """
    (tmp_path / "chat.toml").write_text(FILE)
    options = Options()
    options.parseOptions(["--config", str(tmp_path / "chat.toml"), "--operations-health-on-application", "no"])
    configuration = options.configuration()
    assert configuration.operations == {
        "tokens": str(tmp_path / "tokens.toml"),
        "metric_names": ["Msg"],
        # The option goes before the key of the file.
        "health_on_application": False,
        "endpoints": [
            Endpoint("http", listen="unix:/run/chat/operations.socket"),
            Endpoint("https", listen="tcp:8444", certificate=str(tmp_path / "cert.pem")),
        ],
    }
    assert configuration.lame_duck_seconds == 1


def test_an_empty_section(tmp_path: Path) -> None:
    """O2.5: an empty section asks for operations that have no endpoint."""
    (tmp_path / "chat.toml").write_text('endpoints = ["http+tcp:8091"]\n[operations]\n')
    assert service_of("--config", str(tmp_path / "chat.toml")).operations is not None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[operations]\nendpoint = []", "[operations]: there is no key endpoint; did you mean endpoints?"),
        ("[operations]\nendpoints = 'x'", "[operations] endpoints has to be a list, not 'x'"),
        ("[operations]\nendpoints = ['x']", "[operations]: the endpoint 'x'"),
        ("[[operations.endpoints]]\nport = 1", "[operations]: endpoint 1 has no protocol"),
        ("[[operations.endpoints]]\nprotocol = 'ws'", "has to be http or https"),
        ("[operations]\ntokens = 1", "[operations] tokens has to be a text, not 1"),
        ("[operations]\ntokens = 'absent.toml'", "absent.toml: No such file"),
        ("[operations]\nprefix = 'x'", "prefix has to be a path"),
        ("[operations]\nmax_metric_names = true", "max_metric_names has to be a whole number, not True"),
        ("[operations]\nmax_metric_names = 1000", "[operations]: max_metric_names has to be from 0 to"),
        ("[operations]\nmetric_names = 'Msg'", "metric_names has to be a list of texts, not 'Msg'"),
        ("[operations]\nmetric_names = ['']", "[operations]: "),
        ("[operations]\nhealth_on_application = 'yes'", "health_on_application has to be true or false, not 'yes'"),
        ("[operations]\noperations_on_application = true", "operations_on_application needs a file of tokens"),
        ("[operations]\nendpoints = ['http://*:8092']", "neither a UNIX socket nor on loopback"),
        ("operations = true", "operations has to be a section: write [operations]"),
        ("[[operations]]\ntokens = 'x'", "operations has to be a section: write [operations]"),
        ("[operation]\ntokens = 'x'", "there is no section [operation]; did you mean [operations]?"),
        ("lame_duck_seconds = -1", "lame_duck_seconds has to be a number of seconds, not -1"),
        ("log_level = 'loud'", "log_level has to be a list of levels, as in warn,chat=debug, not 'loud'"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, sentence: str) -> None:
    """O2.5: a mistake in the section is one line."""
    (tmp_path / "chat.toml").write_text(text)
    assert sentence in mistake(capfd, "--config", str(tmp_path / "chat.toml"), "--endpoint", APPLICATION)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--operations-endpoint", "x"], "the endpoint 'x'"),
        (["--operations-endpoints", "x"], "did you mean --operations-endpoint?"),
        (
            ["--operations-max-metric-names", "many"],
            "--operations-max-metric-names has to be a whole number, not 'many'",
        ),
        (["--operations-health-on-application", "on"], "--operations-health-on-application has to be true or false"),
        (["--lame-duck-seconds", "long"], "--lame-duck-seconds has to be a number of seconds, not 'long'"),
    ],
)
def test_mistakes_in_options(capfd: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    """O2.5: a mistake in an option is one line that names the option."""
    assert sentence in mistake(capfd, "--endpoint", APPLICATION, *arguments)


def test_operations_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """O2.5: the program may bring operations of its own, and then the configuration has none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_operations", raising=False)
    (tmp_path / "own_operations.py").write_text(PROGRAM)
    assert service_of("--app", "own_operations:make").operations is not None
    said = mistake(capfd, "--app", "own_operations:make", "--operations-endpoint", LOCAL)
    assert "the program has operations of its own" in said


def test_what_a_reload_does_not_take_up(tmp_path: Path) -> None:
    """O3.10: a reload says which keys of the section have changed, but for certificates, which it takes up."""
    path = tmp_path / "chat.toml"
    path.write_text(FILE)
    options = Options()
    options.parseOptions(["--config", str(path)])
    first = options.configuration()
    path.write_text(FILE.replace("cert.pem", "new.pem").replace("lame_duck_seconds = 1", "lame_duck_seconds = 2"))
    assert first.differences(options.configuration_now()) == ("lame_duck_seconds",)
    path.write_text(FILE.replace('["Msg"]', "[]"))
    assert first.differences(options.configuration_now()) == ("operations",)


def test_values_of_texts() -> None:
    """O2.5: a list on the command line has commas, and a path is made absolute."""
    assert operations_value("metric_names", "a, b,,", "--x") == ["a", "b"]
    assert operations_value("tokens", "tokens.toml", "--x") == str(Path.cwd() / "tokens.toml")
    assert ENDPOINTS in OPERATIONS_KEYS
    with pytest.raises(ConfigurationInvalid, match=r"^--x has to be true or false"):
        operations_value("ready_needs_backplane", "perhaps", "--x")

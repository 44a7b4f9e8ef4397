from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from programs import running

from pode_signals.command.environment import unknown_variables, variable
from pode_signals.command.keys import FILE_KEYS
from pode_signals.command.options import Options
from pode_signals.errors import ConfigurationInvalid

HERE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of this run are no business of the tests."""
    for name in map(variable, FILE_KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def configured(*arguments: str) -> Any:
    options = Options()
    options.parseOptions(arguments)
    return options.configuration()


def test_each_way_in_its_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """O6.8: an option goes before a variable, and a variable before the file, whatever order they come in."""
    file = tmp_path / "chat.toml"
    file.write_text("max_names = 1\nmax_groups = 1\nping_interval_seconds = 1\n")
    monkeypatch.setenv("PODE_SIGNALS_CONFIG", str(file))
    monkeypatch.setenv("PODE_SIGNALS_MAX_NAMES", "2")
    monkeypatch.setenv("PODE_SIGNALS_MAX_GROUPS", "2")
    assert configured("--max-names=3").settings == {"max_names": 3, "max_groups": 2, "ping_interval_seconds": 1}
    other = tmp_path / "other.toml"
    other.write_text("max_json_depth = 5\n")
    assert set(configured(f"--config={other}").settings) == {"max_names", "max_groups", "max_json_depth"}


@pytest.mark.parametrize("text", ["off", "on", "nonsense"])
def test_fast_is_no_setting_then(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """O6.8: ``PODE_SIGNALS_FAST``, which the hub reads in any program, gives no setting to one that takes none."""
    monkeypatch.setenv("PODE_SIGNALS_FAST", text)
    assert configured("--app=chat:service").settings == {}


def test_kinds_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """O6.8: numbers, words, lists, yes and no, endpoints and paths are variables as they are options."""
    for name, text in (
        ("DRAIN_SECONDS", "2.5"),
        ("UNROUTED", "drop"),
        ("ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("SELF_SIGNED", "yes"),
        ("COMPRESSION", "no"),
        ("ENDPOINTS", "http://localhost:8091, wss://*:8443?name=a"),
        ("LOG_FORMAT", "json"),
        ("MAX_CONNECTIONS", ""),
    ):
        monkeypatch.setenv(f"PODE_SIGNALS_{name}", text)
    found = configured()
    assert (found.drain_seconds, found.self_signed, found.log_format) == (2.5, True, "json")
    assert [(each.protocol, each.port, each.name) for each in found.endpoints] == [
        ("http", 8091, None),
        ("wss", 8443, "a"),
    ]
    assert found.settings["allowed_origins"] == ("https://a.example", "https://b.example")
    # A variable that is empty counts as not given.
    assert set(found.settings) == {"unrouted", "allowed_origins", "compression"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("MAX_NAMES", "many", "PODE_SIGNALS_MAX_NAMES has to be .*many"),
        ("DRAIN_SECONDS", "soon", "PODE_SIGNALS_DRAIN_SECONDS has to be .*soon"),
        ("SELF_SIGNED", "maybe", "PODE_SIGNALS_SELF_SIGNED has to be true or false, not 'maybe'"),
        ("ENDPOINTS", "ftp://localhost", "PODE_SIGNALS_ENDPOINTS: .*ftp"),
        ("UNROUTED", "ignore", "PODE_SIGNALS_UNROUTED has to be .*ignore"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str) -> None:
    """O6.8: an error about a variable names the variable as it is written."""
    monkeypatch.setenv(f"PODE_SIGNALS_{name}", text)
    with pytest.raises(ConfigurationInvalid, match=f"^{said}"):
        configured()


def test_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """O6.8: the secret that systemd puts into the folder of credentials signs, unless something names another file."""
    (tmp_path / "secret").write_text("a secret of more than thirty-two bytes\n")
    (tmp_path / "mine").write_text("another secret of more than thirty-two bytes\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert configured().secrets == ("a secret of more than thirty-two bytes",)
    monkeypatch.setenv("PODE_SIGNALS_SECRET_FILE", str(tmp_path / "mine"))
    assert configured().secrets == ("another secret of more than thirty-two bytes",)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "nowhere"))
    monkeypatch.delenv("PODE_SIGNALS_SECRET_FILE")
    assert configured().secrets == ()


def test_unknown_ones() -> None:
    """O6.8: a variable that nothing reads is named, with the nearest one; those of others are passed over."""
    environ = {
        "PODE_SIGNALS_DRAIN_SECOND": "1",
        "PODE_SIGNALS_QUITE_ANOTHER_THING": "1",
        "PODE_SIGNALS_MAX_NAMES": "1",
        "PODE_SIGNALS_CONFIG": "x",
        "PODE_SIGNALS_FAST": "off",
        "PATH": "/bin",
    }
    assert unknown_variables(environ) == (
        "nothing reads the variable PODE_SIGNALS_DRAIN_SECOND; did you mean PODE_SIGNALS_DRAIN_SECONDS?",
        "nothing reads the variable PODE_SIGNALS_QUITE_ANOTHER_THING",
    )


def test_every_variable_of_the_project_is_known() -> None:
    """O6.8: nobody who runs the tests is warned of their variables."""
    files = [HERE / "tox.ini", HERE / ".ci" / "run"]
    files += [each for folder in ("pode_signals", "tests") for each in (HERE / folder).rglob("*.py")]
    # These are tests of wrong ones.
    files = [each for each in files if each.parent != Path(__file__).parent]
    named = {
        found
        for each in files
        for found in re.findall(r"\bPODE_SIGNALS_[A-Z_]*[A-Z]\b", each.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert unknown_variables(dict.fromkeys(named, "")) == ()


def test_the_running_service(tmp_path: Path) -> None:
    """O6.8: the command takes variables, and its log names one that nothing reads."""
    variables = {"PODE_SIGNALS_MAX_NAMES": "7", "PODE_SIGNALS_MAX_NAME": "8"}
    with running(None, tmp_path, environment=variables) as program:
        said = program.text()
    assert "nothing reads the variable PODE_SIGNALS_MAX_NAME; did you mean PODE_SIGNALS_MAX_NAMES?" in said

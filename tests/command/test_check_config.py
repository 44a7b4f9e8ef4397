from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pode_signals.command.check_config import check_config
from pode_signals.command.environment import variable
from pode_signals.command.keys import FILE_KEYS
from pode_signals.core.settings import SETTING_NAMES
from pode_signals.errors import ConfigurationInvalid

TOML = """
unrouted = "drop"
allowed_origins = ["https://a.example", "https://b.example"]
ping_interval_seconds = 2.5
compression = true
max_names = 1
secret_file = "secret"

[[endpoints]]
protocol = "wss"
address = "*"
port = 8443
name = "a \\"b\\" c"
self_signed = true

[operations]
tokens = "tokens.toml"
metric_names = ["Rooms"]
max_metric_names = 1
ready_needs_backplane = true
endpoints = ["http://localhost:8092"]
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of its own, without variables of this run."""
    for name in ("PODE_SIGNALS_CONFIG", "CREDENTIALS_DIRECTORY", *map(variable, FILE_KEYS)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("a secret of more than thirty-two bytes\n")
    return tmp_path


def checked(*arguments: str) -> Result:
    return CliRunner().invoke(check_config, arguments)


def test_where_values_come_from(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """O6.3: each value is shown with where it comes from: an option, a variable, the file of the folder."""
    (folder / "pode-signals.toml").write_text(TOML)
    monkeypatch.setenv("PODE_SIGNALS_UNROUTED", "broadcast")
    said = checked("--no-app").stdout
    file = folder / "pode-signals.toml"
    assert 'unrouted = "broadcast"  # the variable PODE_SIGNALS_UNROUTED\n' in said
    assert f"ping_interval_seconds = 2.5  # the file {file}\n" in said
    assert f"[[endpoints]]  # the file {file}\n" in said
    assert 'app = "x:y"  # the option --app\n' in checked("--no-app", "--app=x:y").stdout
    assert "a secret of" not in said


def test_what_is_printed_is_a_file(folder: Path) -> None:
    """O6.3: what is printed is a configuration file that says the same."""
    (folder / "chat.toml").write_text(TOML)
    first = checked("chat.toml", "--no-app").stdout
    wanted = {**tomllib.loads(TOML), "secret_file": str(folder / "secret")}
    wanted["operations"]["tokens"] = str(folder / "tokens.toml")
    wanted["operations"]["endpoints"] = [{"protocol": "http", "port": 8092}]
    assert tomllib.loads(first) == wanted
    (folder / "again.toml").write_text(first)
    assert tomllib.loads(checked("again.toml", "--no-app").stdout) == tomllib.loads(first)


def test_as_variables(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """O6.3: with ``--as-env`` variables are printed, which say the same."""
    (folder / "chat.toml").write_text(TOML)
    wanted = tomllib.loads(checked("chat.toml", "--no-app").stdout)
    for line in checked("chat.toml", "--no-app", "--as-env").stdout.splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    assert tomllib.loads(checked("--no-app").stdout) == wanted


def test_defaults() -> None:
    """O6.3: without ``--all`` only what is given is shown, with it each setting."""
    assert checked("--no-app").stdout == ""
    said = checked("--no-app", "--all").stdout
    assert all(f"\n{name} = " in f"\n{said}" or f"# {name} has no value" in said for name in SETTING_NAMES)
    assert said.count("# the default") == len(SETTING_NAMES)


def test_a_program(folder: Path) -> None:
    """O6.3: the program is imported, and its certificates are read, unless ``--no-app`` says otherwise."""
    done = checked()
    assert (done.exit_code, done.stderr) == (0, "the example can be served: http localhost:8091, ws localhost:8091\n")
    (folder / "broken.pem").write_text("no certificate")
    broken = "endpoints = [{protocol = 'https', port = 8443, certificate = 'broken.pem'}]"
    (folder / "pode-signals.toml").write_text(broken)
    found = checked().exception
    assert isinstance(found, ConfigurationInvalid)
    assert "broken.pem" in str(found)
    missing = checked("--app=nowhere:service").exception
    assert isinstance(missing, ConfigurationInvalid)
    assert checked("--no-app", "--app=nowhere:service").exit_code == 0


def test_a_variable_that_nothing_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """O6.8: a variable that nothing reads is told, and is no reason to fail."""
    monkeypatch.setenv("PODE_SIGNALS_MAX_NAME", "1")
    done = checked("--no-app")
    assert done.exit_code == 0
    assert "PODE_SIGNALS_MAX_NAME; did you mean PODE_SIGNALS_MAX_NAMES?" in done.stderr

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pode_signals.command.help import dashed
from pode_signals.command.options import Options
from pode_signals.command.texts import setting_from_text
from pode_signals.core.settings import SETTING_NAMES
from pode_signals.errors import ConfigurationInvalid


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_names", "5", 5),
        ("max_names", " 5 ", 5),
        ("ping_interval_seconds", "2.5", 2.5),
        ("compression", "Yes", True),
        ("compression", "false", False),
        ("max_connections", "none", None),
        ("unrouted", "drop", "drop"),
        ("allowed_origins", "https://a.example,,https://B.example ", ["https://a.example", "https://B.example"]),
        ("allowed_origins", "none", None),
        ("trusted_proxies", "10.0.0.1", ["10.0.0.1"]),
    ],
)
def test_settings_as_text(name: str, text: str, value: object) -> None:
    """S16: settings are written on a command line as numbers, words and lists with commas."""
    assert setting_from_text(name, text) == value


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """S12.1: ``--version`` is the version of this package."""
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("pode_signals ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-msg-bytes", "5"], "there is no option --max-msg-bytes; did you mean --max-message-bytes?"),
        (["--max_names=5"], "there is no option --max_names; did you mean --max-names?"),
        (["--endpoints=x"], "there is no option --endpoints; did you mean --endpoint?"),
        (["--helps"], "there is no option --helps; did you mean --help?"),
        (["--port=80"], "there is no option --port"),
        (["--pings"], "there is no option --pings"),
        (["-x"], "there is no option -x"),
        (["--app"], "option --app requires argument"),
        (["--max"], "option --max not a unique prefix"),
        (["--self-signed=yes"], "option --self-signed must not have an argument"),
        (["something"], "Wrong number of arguments."),
    ],
)
def test_mistakes(arguments: Sequence[str], said: str) -> None:
    """S20.1: a mistake in the options is one line; an option that does not exist, with the nearest one."""
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(arguments)
    assert ended.value.code == f"pode-signals: {said} (--help lists the options)"


@pytest.mark.parametrize("name", [*SETTING_NAMES, "drain_seconds", "log_format"])
def test_a_wrong_value_names_its_option(name: str) -> None:
    """S20.1: an error about a value on the command line names the option as it is written there."""
    options = Options()
    options.parseOptions([f"--{dashed(name)}", "wrong!"])
    with pytest.raises(ConfigurationInvalid, match=rf"^--{dashed(name)} has to be .*wrong!"):
        options.configuration()

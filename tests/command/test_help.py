from __future__ import annotations

import re

import pytest
from attrs import fields

from pode_signals.command.help import dashed, help_text
from pode_signals.command.keys import FILE_KEYS, SERVICE_KEYS
from pode_signals.command.operations_keys import OPERATIONS_KEYS, option_name
from pode_signals.command.options import Options
from pode_signals.core.descriptions import description
from pode_signals.core.settings import SETTING_NAMES, Settings


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """What ``--help`` prints."""
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--help"])
    assert not ended.value.code
    return capsys.readouterr().out


def test_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """S12.1: ``--help`` has every option once, in the order of the documentation: service, operations, hub."""
    found = re.findall(r"^  --([a-z-]+)", shown(capsys), re.MULTILINE)
    keys = ["endpoint" if key == "endpoints" else dashed(key) for key in FILE_KEYS]
    service = len(SERVICE_KEYS)
    operations = [option_name(key) for key in OPERATIONS_KEYS]
    assert found == ["config", *keys[:service], "help", "version", *operations, *keys[service:]]
    assert {each.removesuffix("=") for each in Options().longOpt} == set(found)


def test_every_description(capsys: pytest.CaptureFixture[str]) -> None:
    """S6.2: ``--help`` says of a setting what the documentation says, and its default with its unit."""
    printed = " ".join(shown(capsys).split())
    for attribute in fields(Settings):
        assert description(attribute).text.replace("``", "") in printed
    assert printed.count("(default: ") >= len(SETTING_NAMES)
    assert "larger one closes the connection with 1009. (default: 65536 bytes)" in printed
    assert "(default: 30 seconds)" in printed
    assert "(default: 100 messages a second)" in printed
    assert all(text for _, _, _, text in Options.optParameters)


@pytest.mark.parametrize(
    "option",
    [
        "--max-names=NUMBER",
        "--max-connections=NUMBER|none",
        "--compression=yes|no",
        "--allow-missing-origin=yes|no|none",
        "--allowed-origins=LIST|none",
        "--trusted-proxies=LIST",
        "--unrouted=broadcast|same_name|drop",
        "--default-scope=global|local",
        "--slow-client=close|drop_oldest|drop_newest|latest",
        "--app=MODULE:OBJECT",
        "--endpoint=ENDPOINT",
        "--self-signed",
        "--log-format=text|json",
    ],
)
def test_values(option: str) -> None:
    """S12.1: ``--help`` says what an option takes; of a choice, every text."""
    assert f"\n  {option}\n" in help_text(80)


@pytest.mark.parametrize(("columns", "width"), [(60, 60), (80, 80), (300, 100)])
def test_width(columns: int, width: int) -> None:
    """S12.1: ``--help`` fits the terminal, and has no line that is too long to read."""
    lengths = [len(line) for line in help_text(columns).splitlines() if " " in line.strip()]
    assert width - 10 < max(lengths) <= width


def test_the_explanation_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    """S12.1: ``--help`` explains the command before it lists the options."""
    printed = shown(capsys)
    assert printed.index("SIGHUP") < printed.index("\n  --config")

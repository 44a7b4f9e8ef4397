from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import Application
from twisted.logger import FileLogObserver, ILogObserver, Logger, LogLevel

from pode_signals.command.log_levels import log_levels
from pode_signals.command.tap import Options, makeService
from pode_signals.errors import ConfigurationInvalid
from pode_signals.signals import hub_of

HERE = "http+tcp:8091"  # a Twisted endpoint string: it is not tried before the start


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("warn", {"": "warn"}),
        ("WARNING", {"": "warn"}),
        ("warn,chat=debug", {"": "warn", "chat": "debug"}),
        (" chat.rooms = error , critical ", {"": "critical", "chat.rooms": "error"}),
        ("chat=debug", {"chat": "debug"}),
    ],
)
def test_levels(text: str, levels: dict[str, str]) -> None:
    """O7.3: levels stand with commas between them, one for all and one for each namespace that is named."""
    assert {key: level.name for key, level in log_levels(text).items()} == levels


@pytest.mark.parametrize(
    "text", ["", "loud", "warn,,info", "=debug", "chat=", "warn,info", "a=warn,a=info", "chat:debug"]
)
def test_mistakes(text: str) -> None:
    """O7.3: levels that make no sense are refused."""
    with pytest.raises(ConfigurationInvalid, match=r"^log_level: "):
        log_levels(text)


def logged(observer: Any) -> None:
    for namespace in ("chat", "chat.rooms", "other"):
        for level in (LogLevel.debug, LogLevel.info, LogLevel.warn):
            Logger(namespace, observer=observer).emit(level, "{ns} {what}", ns=namespace, what=level.name)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["chat info", "chat warn", "chat.rooms info", "chat.rooms warn", "other info", "other warn"]),
        (
            ["--log-level", "warn,chat=debug,chat.rooms=info"],
            ["chat debug", "chat info", "chat warn", "chat.rooms info", "chat.rooms warn", "other warn"],
        ),
    ],
)
def test_under_twistd(tmp_path: Path, arguments: list[str], expected: list[str]) -> None:
    """O7.3: under twistd lines of the level info and above are logged, unless ``--log-level`` says otherwise."""
    options: Any = Options()
    options.parent = {"logfile": str(tmp_path / "own.log")}
    options.parseOptions(["--endpoint", HERE, *arguments])
    application = Application("test")
    command = makeService(options)
    command.setServiceParent(application)
    logged(application.getComponent(ILogObserver))
    lines = (tmp_path / "own.log").read_text().splitlines()
    assert [line.partition("] ")[2] for line in lines] == expected
    command._log_file.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("level", "own", "count"), [(None, LogLevel.warn, 9), ("warn", LogLevel.debug, 3)])
def test_under_twist(level: str | None, own: Any, count: int) -> None:
    """O7.3: under twist ``--log-level`` takes the place of twist's own level, which stays without it."""
    options: Any = Options()
    file = io.StringIO()
    options.parent = {
        "fileLogObserverFactory": lambda file: FileLogObserver(file, lambda event: f"{event['ns']}\n"),
        "logLevel": LogLevel.warn,
    }
    options.parseOptions(["--endpoint", HERE, *([] if level is None else ["--log-level", level])])
    makeService(options)
    # twist filters by this level what its observer gets.
    assert options.parent["logLevel"] is own
    logged(options.parent["fileLogObserverFactory"](file))
    assert len(file.getvalue().splitlines()) == count


def test_another_level_at_a_reload(tmp_path: Path) -> None:
    """O7.3: a reload takes up the levels that the file has now, and a file with bad ones changes nothing."""
    config = tmp_path / "chat.toml"
    config.write_text("log_level = 'warn'\nendpoints = ['http+tcp:8091']\n")
    options: Any = Options()
    file = io.StringIO()
    options.parent = {
        "fileLogObserverFactory": lambda file: FileLogObserver(file, lambda event: f"{event['log_level'].name}\n")
    }
    options.parseOptions(["--config", str(config)])
    command: Any = makeService(options)
    observer = options.parent["fileLogObserverFactory"](file)
    for text, counts in (("debug", (3, 6, 9)), ("loud", (3, 6, 9)), ("", (3, 6))):
        config.write_text((f"log_level = '{text}'\n" if text else "") + "endpoints = ['http+tcp:8091']\n")
        command.reload()
        file.truncate(0)
        logged(observer)
        assert file.getvalue().count("\n") == counts[-1], text


@pytest.mark.parametrize(
    ("arguments", "is_wanted"),
    [([], False), (["--log-level=debug"], True), (["--log-level=info,pode_signals.connections=debug"], True)],
)
def test_lines_of_connections(arguments: list[str], is_wanted: bool) -> None:
    """O7.3: connections have lines where their namespace logs debug, and cost nothing for it elsewhere."""
    options: Any = Options()
    options.parent = {"fileLogObserverFactory": lambda file: FileLogObserver(file, lambda _: "")}
    options.parseOptions(["--endpoint", HERE, *arguments])
    (service,) = makeService(options)
    assert (hub_of(service.signals).opened is not None) is is_wanted  # type: ignore[attr-defined]

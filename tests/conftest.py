"""What tests share: programs that a test needs and a machine may lack.

A test that needs one is skipped with a reason where it is missing. It fails instead where the variable
PODE_SIGNALS_REQUIRE lists the program: ``PODE_SIGNALS_REQUIRE=redis,chromium pytest``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from growing import DECREASES, Growing, grows

from pode_signals.core.counters import Counters

PROGRAMS = {
    "redis": ("redis-server",),
    "chromium": ("chromium", "chromium-browser", "google-chrome", "/usr/bin/chromium", "/usr/bin/chromium-browser"),
    "node": ("node",),
    "npm": ("npm",),
}


def required() -> set[str]:
    """The programs that have to be here."""
    return {name.strip() for name in os.environ.get("PODE_SIGNALS_REQUIRE", "").split(",") if name.strip()}


def require(name: str) -> str:
    """The path of a program, one of the keys of ``PROGRAMS``; without it the test is skipped, or fails if required."""
    for candidate in PROGRAMS[name]:
        if path := shutil.which(candidate):
            return path
    reason = f"{name} is not installed (looked for {', '.join(PROGRAMS[name])})"
    if name in required():
        pytest.fail(f"{reason}, and PODE_SIGNALS_REQUIRE asks for it")
    pytest.skip(reason)


def pytest_configure() -> None:
    """Refuse a requirement that no test could ever look at."""
    if unknown := required() - PROGRAMS.keys():
        raise pytest.UsageError(f"PODE_SIGNALS_REQUIRE: unknown {', '.join(sorted(unknown))}")


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The path of redis-server."""
    return require("redis")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome, for playwright's ``executable_path``."""
    return require("chromium")


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node, on a machine that has npm too."""
    require("npm")
    return require("node")


@pytest.fixture(autouse=True)
def counters_only_grow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may see a count of a hub get smaller: whoever reads them twice takes the difference for what happened."""
    make, assign = Counters.__init__, Counters.__setattr__

    def growing(self: Counters, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        for name in ("connections_closed", "upgrades_refused", "limits_hit"):
            assign(self, name, Growing(getattr(self, name)))

    def checked(self: Counters, name: str, value: Any) -> None:
        if isinstance(value, int):
            grows(name, getattr(self, name, 0), value)
        assign(self, name, value)

    monkeypatch.setattr(Counters, "__init__", growing)
    monkeypatch.setattr(Counters, "__setattr__", checked)
    DECREASES.clear()
    yield
    assert DECREASES == []

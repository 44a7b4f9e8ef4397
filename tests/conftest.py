"""What tests share: programs that a test needs and a machine may lack.

A test that needs one is skipped with a reason where it is missing. It fails instead where the variable
PODE_SIGNALS_REQUIRE lists the program: ``PODE_SIGNALS_REQUIRE=redis,chromium pytest``.
"""

from __future__ import annotations

import os
import shutil

import pytest

PROGRAMS = {
    "redis": ("redis-server",),
    "chromium": ("chromium", "chromium-browser", "google-chrome", "/usr/bin/chromium", "/usr/bin/chromium-browser"),
    "node": ("node",),
    "npm": ("npm",),
    "faketime": ("faketime",),
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

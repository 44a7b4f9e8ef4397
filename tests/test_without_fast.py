"""What exists only for speed: it can be turned off or deleted, and a newer Autobahn does not need it to be right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pode_signals

TESTS = Path(__file__).parent
PACKAGE = Path(pode_signals.__file__).parent
SECONDS = 240


def run(program: str, fast: str = "on", **variables: str) -> list[str]:
    """The lines that a Python program prints, which may import what tests share."""
    environment = {**os.environ, "PODE_SIGNALS_FAST": fast, "PYTHONPATH": str(TESTS), **variables}
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Off is off.

SERVED = """
import sys
from web_fakes import World
for fast in (True, False):
    protocol = World(fast=fast).converting().client().open().wire.producer
    print([each.__name__ for each in type(protocol).__mro__ if each.__module__.startswith("pode_signals.fast")])
print("pode_signals.fast" in sys.modules)
"""


def test_the_setting() -> None:
    """S16.8: with ``fast=False`` the plain protocol serves."""
    fast, plain, _ = run(SERVED)
    assert "FastProtocol" in fast
    assert plain == "[]"


def test_the_environment() -> None:
    """S16.8: with PODE_SIGNALS_FAST=off the plain protocol serves, whatever the setting says; no other is imported."""
    assert run(SERVED, fast="off") == ["[]", "[]", "False"]


FLAGS = """
import select
from pode_signals.core.environment import FAST
from pode_signals.fast import comparison, probes, websocket
print(*sorted({
    probes.DIRECT_WRITES, probes.SHARED_READS or not hasattr(select, "epoll") and FAST, probes.SMALL_FRAMES,
    comparison.QUIET_READS, comparison.QUIET_WRITES, comparison.LIGHT_ATTRIBUTES is not None,
    websocket.IS_LIGHT, websocket.QUICK_ENDS,
}))
"""


@pytest.mark.parametrize(("fast", "flags"), [("on", "True"), ("off", "False")])
def test_each_shorter_way(fast: str, flags: str) -> None:
    """S16.8: with the versions that are installed each shorter way works; PODE_SIGNALS_FAST=off turns each off."""
    assert run(FLAGS, fast) == [flags]


# It can be deleted.

IMPORTED = """
import importlib, pkgutil, sys, types
package = types.ModuleType("pode_signals")
package.__path__ = [{path!r}]
sys.modules["pode_signals"] = package
for folder in ("core", "hub", "ports", "scheduling", "transports", "web", "wire"):
    found = importlib.import_module("pode_signals." + folder)
    for module in pkgutil.walk_packages(found.__path__, found.__name__ + "."):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("pode_signals.transports.")]))
print(*(name for name in sys.modules if name.startswith("pode_signals.fast")))
"""


def test_nothing_below_imports_it() -> None:
    """S16.8: no part of the package below ``signals`` imports what exists only for speed."""
    found, fast = run(IMPORTED.format(path=str(PACKAGE)))
    assert int(found) >= 3
    assert fast == ""


BEHAVIOUR = (
    "hub/test_sending.py",
    "transports/test_closing.py",
    "transports/test_compression.py",
    "transports/test_failed_connections.py",
    "transports/test_messages.py",
    "transports/test_streams.py",
    "web/test_hand_over.py",
    "web/test_nothing_is_kept.py",
    "web/test_pipelined_frames.py",
    "web/test_routes_that_run_on.py",
    "web/test_the_101.py",
)


def test_a_package_without_it(tmp_path: Path) -> None:
    """S16.8: a copy of the package without the folder ``fast`` behaves the same, with no setting and no variable."""
    copy = tmp_path / "pode_signals"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("fast", "__pycache__"))
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(TESTS)))}
    assert run("import pode_signals; print(pode_signals.__file__)", **environment) == [str(copy / "__init__.py")]
    program = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    arguments = ["-q", "-pno:cacheprovider", "-kfast or not plain", *(str(TESTS / each) for each in BEHAVIOUR)]
    variables = {**os.environ, "PODE_SIGNALS_FAST": "on", **environment}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=TESTS.parent,
        env=variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:]


def test_a_module_that_it_needs_and_that_is_missing(tmp_path: Path) -> None:
    """S16.8: only its own absence is passed over: where a module that it imports is missing, that is an error."""
    copy = tmp_path / "pode_signals"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("frames.py", "__pycache__"))
    shutil.copy(PACKAGE / "wire" / "frames.py", copy / "wire")
    program = """
try:
    import pode_signals.signals
except ModuleNotFoundError as missing:
    print(missing.name)
"""
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(TESTS)))}
    assert run(program, **environment) == ["pode_signals.fast.frames"]


# An Autobahn with one attribute more.

NEWER = """
from autobahn.websocket.protocol import WebSocketProtocol
make, message_ends = WebSocketProtocol.__init__, WebSocketProtocol.onMessageEnd

def gives(self):
    make(self)
    self.sizes = []

def reads(self):
    self.sizes.append(len(self.message_data))
    message_ends(self)

WebSocketProtocol.__init__, WebSocketProtocol.onMessageEnd = gives, reads

from web_fakes import CONTINUATION, World, close_frame, frame, message
for fast in (True, False):
    world = World(fast=fast).converting().listening()
    client = world.client().open()
    client.send(message(1), frame('{"message":', fin=False), frame("2}", CONTINUATION) + message("x" * 200))
    world.converted[0].send("text")
    client.send(close_frame(1000))
    print(world.messages == [1, 2, "x" * 200], client.texts, client.closed, world.signals.counters.callbacks_failed)
"""


@pytest.mark.parametrize("fast", ["on", "off"])
def test_a_newer_autobahn(fast: str) -> None:
    """S16.8: an Autobahn whose constructor gives one attribute more, which it needs with each message, works."""
    assert run(NEWER, fast) == ["True ['text'] (1000, '') 0"] * 2


def test_what_a_newer_autobahn_turns_off() -> None:
    """S16.8: where Autobahn gives an attribute that is not known, the one way that would leave it out is off."""
    more = """
from pode_signals.fast import comparison, probes, websocket
print(websocket.IS_LIGHT, websocket.QUICK_ENDS, probes.DIRECT_WRITES, probes.SMALL_FRAMES, comparison.QUIET_READS)
"""
    assert run(NEWER + more)[-1] == "False True True True True"

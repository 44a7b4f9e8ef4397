"""What the package needs of the system to be imported: nothing that only Linux has."""

from __future__ import annotations

import subprocess
import sys

_IMPORT_ALL = """
import importlib, pkgutil, select, sys
for name in [name for name in dir(select) if "epoll" in name.lower()]:
    delattr(select, name)
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
import pode_signals
missing = []
for module in pkgutil.walk_packages(pode_signals.__path__, "pode_signals."):
    importlib.import_module(module.name)
from pode_signals import Signals
from pode_signals.fast.probes import SHARED_READS
from twisted.internet.task import Clock
Signals(clock=Clock())
print(SHARED_READS)
"""


def test_without_what_linux_has() -> None:
    """S12.4: each module can be imported, and a hub be made, where there is no epoll and no ``resource``."""
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr[-2_000:]


def test_redis_needs_its_extra() -> None:
    """S17.3: without hiredis the package works, and whoever wants a Redis is told which extra brings it."""
    program = (
        "import sys; sys.modules['hiredis'] = None\n"
        "import pode_signals; pode_signals.Signals()\n"
        "try: pode_signals.RedisBackplane\n"
        "except ImportError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "nodes that share a Redis need hiredis, which the extra redis brings\n"

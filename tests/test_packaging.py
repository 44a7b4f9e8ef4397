"""What an installation brings: the plugin of twistd, every package, and an import that leaves the reactor alone."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(program: str, folder: Path) -> str:
    """Run a Python program in a folder where nothing but the installation can be imported; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\n(is pode_signals installed here? pip install -e '.[test]')"
    return done.stdout


def test_twistd_finds_the_plugin(tmp_path: Path) -> None:
    """S12.1: once installed, ``pode-signals`` is a command of twistd and twist, exactly once."""
    printed = run(
        """
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
for plugin in getPlugins(IServiceMaker):
    if plugin.tapname == "pode-signals":
        print(plugin.module)
""",
        tmp_path,
    )
    assert printed.split() == ["pode_signals.tap"]


def test_importing_installs_no_reactor(tmp_path: Path) -> None:
    """S12.4: importing the package installs no reactor and imports neither Klein nor a client of a backplane."""
    printed = run(
        """
import sys
import pode_signals
unwanted = {"twisted.internet.reactor", "klein", "txredisapi", "redis"}
print(*sorted(unwanted & sys.modules.keys()))
""",
        tmp_path,
    )
    assert printed.split() == []


def test_finding_the_plugin_imports_nothing_of_the_package(tmp_path: Path) -> None:
    """S12.4: another twistd command that lists the plugins imports none of this package."""
    printed = run(
        """
import sys
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
list(getPlugins(IServiceMaker))
print(*[name for name in sys.modules if name.split(".")[0] == "pode_signals"])
""",
        tmp_path,
    )
    assert printed.split() == []


def test_every_package_is_installed() -> None:
    """The packages that setup.cfg names are those that exist."""
    configuration = ConfigParser(interpolation=None)
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    named = set(configuration["options"]["packages"].split())
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "pode_signals").rglob("__init__.py")}
    assert named == {".".join(folder.parts) for folder in folders} | {"twisted.plugins"}


def test_the_plugin_folder_is_no_package() -> None:
    """An ``__init__.py`` under ``twisted/`` would hide Twisted or its other plugins."""
    assert list((ROOT / "twisted").rglob("__init__.py")) == []

"""What an installation brings: the plugin of twistd, every package, and an import that leaves the reactor alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

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
    assert printed.split() == ["pode_signals.command.tap"]


def test_importing_installs_no_reactor(tmp_path: Path) -> None:
    """S12.4, O1.1: importing it installs no reactor and imports neither Klein, a client of a backplane nor metrics."""
    printed = run(
        """
import sys
from pode_signals import Signals, SignalsService
unwanted = {"twisted.internet.reactor", "klein", "txredisapi", "redis", "prometheus_client"}
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


def requirements(*names: str) -> set[str]:
    """The distributions that setup.cfg asks for, in ``install_requires`` or an extra, by their normalised names."""
    configuration = ConfigParser(interpolation=None)
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    found = set()
    for name in names:
        section = "options" if name == "install_requires" else "options.extras_require"
        lines = configuration[section][name].splitlines()
        found |= {re.split(r"[\[<>=!~ ;]", line)[0] for line in lines if line and not line.startswith("#")}
    return {normalised(name) for name in found}


def normalised(name: str) -> str:
    """The name of a distribution as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(folder: Path) -> Iterable[str]:
    """The modules that the Python files of a folder import, wherever in a file, with their full names."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield from (f"{node.module}.{each.name}" for each in node.names)


# Reading the metadata of all that is installed takes a tenth of a second.
distributions = cache(packages_distributions)


def providers(module: str) -> set[str]:
    """The distributions that bring the top of a module; those of ``zope.interface`` alone for ``zope.interface.x``."""
    found = {normalised(name) for name in distributions().get(module.partition(".")[0], [])}
    exact = {name for name in found if module.lower().startswith(name.replace("-", "."))}
    return exact or found


@pytest.mark.parametrize(
    ("folder", "declared"),
    [
        ("pode_signals", {"install_requires", "fast", "pytest", "redis", "reload"}),
        ("examples", {"install_requires"}),
        ("tests", {"install_requires", "test"}),
    ],
)
def test_every_import_is_declared(folder: str, declared: set[str]) -> None:
    """What is imported is asked for in setup.cfg, rather than there because something else asks for it."""
    own = {path.stem for path in (ROOT / folder).rglob("*")} | {"pode_signals"}
    known = requirements(*declared)
    foreign = {each for each in imported(ROOT / folder) if each.partition(".")[0] not in sys.stdlib_module_names | own}
    assert len(foreign) > 5
    assert {each for each in foreign if not providers(each) & known} == set()


def test_every_package_is_installed() -> None:
    """The packages that setup.cfg names are those that exist."""
    configuration = ConfigParser(interpolation=None)
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    named = set(configuration["options"]["packages"].split())
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "pode_signals").rglob("__init__.py")}
    assert named == {".".join(folder.parts) for folder in folders} | {"twisted.plugins"}


def test_every_other_file_is_installed() -> None:
    """What the package has beside its modules, pages and schemas among them, is named in setup.cfg."""
    configuration = ConfigParser(interpolation=None)
    configuration.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = configuration["options.package_data"]["pode_signals"].split()
    package = ROOT / "pode_signals"
    named = {path for pattern in patterns for path in package.glob(pattern)}
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    # What the client for browsers is built from is in the source archive alone.
    browser = package / "client" / "browser"
    built = {path for path in others if path.parent == browser / "dist"}
    sources = {path for path in others if browser in path.parents} - built
    assert {path.name for path in built} == {"signals.js", "signals.js.map", "signals.d.ts"}
    assert package / "wire" / "v1.schema.json" in others
    assert named == others - sources


def test_the_schema_is_installed(tmp_path: Path) -> None:
    """P13: the schema of the frames is read from the installation."""
    printed = run(
        """
import json
from importlib.resources import files
print(json.loads((files("pode_signals.wire") / "v1.schema.json").read_text(encoding="utf-8"))["$id"])
""",
        tmp_path,
    )
    assert printed.split() == ["urn:pode-signals:v1:frames"]


def test_the_source_archive_has_no_tools() -> None:
    """S0.3: what npm installs beside the sources of the browser client goes into no archive."""
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    assert lines.index("graft pode_signals") < lines.index("prune pode_signals/client/browser/node_modules")


def test_the_plugin_folder_is_no_package() -> None:
    """An ``__init__.py`` under ``twisted/`` would hide Twisted or its other plugins."""
    assert list((ROOT / "twisted").rglob("__init__.py")) == []

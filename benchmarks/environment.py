"""What a run needs, in a folder outside of the repository: a virtual environment, node's modules, compiled C."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from peers import SERVERS

__all__ = ["prepare", "versions"]

FOLDER = Path(__file__).parent
REQUIREMENTS = FOLDER / "peers.txt"
NODE_PACKAGES = FOLDER / "package.json"
_INSTALL_SECONDS = 900


def prepare(work: Path) -> dict[str, str]:
    """Make what is missing.

    Args:
        work: the folder; what is in it from an earlier run with the same versions is kept.

    Returns:
        The labels of servers that can't be measured here, each with the reason.

    Raises:
        subprocess.CalledProcessError: there is no C compiler, or this package's requirements can't be installed.
    """
    work.mkdir(parents=True, exist_ok=True)
    for name in ("limit", "loadgen"):
        subprocess.run(["cc", "-O2", "-o", work / name, FOLDER / f"{name}.c"], check=True, timeout=120)
    missing = _install_python(work)
    missing.update(_install_node(work))
    return missing


def versions() -> dict[str, str]:
    """The pinned versions of all packages, by their names in lower case."""
    lines = (line.partition("==") for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    pins = {name.split("[")[0].lower(): version for name, separator, version in lines if separator}
    return pins | json.loads(NODE_PACKAGES.read_text(encoding="utf-8"))["dependencies"]


def _install_python(work: Path) -> dict[str, str]:
    python = work / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", work / "venv"], check=True, timeout=_INSTALL_SECONDS)
    stamp = work / "venv" / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return {}
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if not subprocess.run([*install, "-r", REQUIREMENTS], check=False, timeout=_INSTALL_SECONDS).returncode:
        stamp.write_text(wanted)
        return {}
    own, peers = REQUIREMENTS.read_text(encoding="utf-8").split("# Peers.\n")
    subprocess.run([*install, *_pins(own)], check=True, timeout=_INSTALL_SECONDS)
    failed = {
        pin.partition("==")[0]
        for pin in _pins(peers)
        if subprocess.run([*install, pin], check=False, timeout=_INSTALL_SECONDS).returncode
    }
    return {
        label: "it could not be installed" for label, server in SERVERS.items() if failed.intersection(server.packages)
    }


def _pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if "==" in line]


def _install_node(work: Path) -> dict[str, str]:
    labels = [label for label, server in SERVERS.items() if server.adapter.endswith(".js")]
    if shutil.which("node") is None or shutil.which("npm") is None:
        return dict.fromkeys(labels, "node or npm is not installed")
    folder = work / "node"
    folder.mkdir(exist_ok=True)
    here = folder / "package.json"
    if here.exists() and here.read_bytes() == NODE_PACKAGES.read_bytes() and (folder / "node_modules").exists():
        return {}
    shutil.copy(NODE_PACKAGES, here)
    command = ["npm", "install", "--silent", "--no-package-lock", "--no-audit", "--no-fund"]
    if subprocess.run(command, cwd=folder, check=False, timeout=_INSTALL_SECONDS).returncode:
        here.unlink()
        return dict.fromkeys(labels, "npm could not install it")
    return {}

"""What a run needs, in a folder outside of the repository: a virtual environment, node's modules, compiled C."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from peers import SERVERS, Server

__all__ = ["prepare", "versions"]

FOLDER = Path(__file__).parent
REQUIREMENTS = FOLDER / "peers.txt"
NODE_PACKAGES = FOLDER / "package.json"
_INSTALL_SECONDS = 900


def prepare(work: Path, servers: Mapping[str, Server] = SERVERS, *, installs: bool = True) -> dict[str, str]:
    """Make what is missing.

    Args:
        work: the folder; what is in it from an earlier run with the same versions is kept.
        servers: those that are to be measured, by their labels.
        installs: whether anything may be installed. Else the Python that runs this serves, with the packages it has.

    Returns:
        The labels of servers that can't be measured here, each with the reason.

    Raises:
        subprocess.CalledProcessError: there is no C compiler, or this package's requirements can't be installed.
    """
    work.mkdir(parents=True, exist_ok=True)
    for name in ("limit", "loadgen"):
        subprocess.run(["cc", "-O2", "-o", work / name, FOLDER / f"{name}.c"], check=True, timeout=120)
    if not installs:
        return _use_what_is_here(work, servers)
    missing = _install_python(work, servers)
    missing.update(_install_node(work, servers))
    return missing


def versions() -> dict[str, str]:
    """The pinned versions of all packages, by their names in lower case."""
    lines = (line.partition("==") for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    pins = {name.split("[")[0].lower(): version for name, separator, version in lines if separator}
    return pins | json.loads(NODE_PACKAGES.read_text(encoding="utf-8"))["dependencies"]


def _use_what_is_here(work: Path, servers: Mapping[str, Server]) -> dict[str, str]:
    """Our own servers need no more than this package does."""
    python = work / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    # Not a link: a Python that is called by a link does not find the packages of its virtual environment.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return {label: "nothing was to be installed" for label, server in servers.items() if server.packages}


def _install_python(work: Path, servers: Mapping[str, Server]) -> dict[str, str]:
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
        label: "it could not be installed" for label, server in servers.items() if failed.intersection(server.packages)
    }


def _pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if "==" in line]


def _install_node(work: Path, servers: Mapping[str, Server]) -> dict[str, str]:
    labels = [label for label, server in servers.items() if server.adapter.endswith(".js")]
    if not labels:
        return {}
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

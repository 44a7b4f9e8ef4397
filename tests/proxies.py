"""nginx and HAProxy with configurations of this project; only ports and paths are others. Nothing in here is a test."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["fitted", "haproxy_command", "nginx_command"]

SECONDS = 30


def fitted(text: str, places: Mapping[str, str]) -> str:
    """A configuration with the ports and paths of a test.

    Args:
        text: the configuration.
        places: regular expressions for its own ports and paths, with what a test has in their place.
    """
    for old, new in places.items():
        text = re.sub(old, new, text)
    # Nothing of the machine itself is left: no port of its own, no folder of a system.
    assert not re.search(r"\b443\b|\b809\d\b|[ \"](/etc/|/run/|/var/)", re.sub(r"(?m)^\s*#.*$", "", text)), text
    return text


def nginx_command(program: str, folder: Path, site: str) -> list[str]:
    """Write nginx's configuration with a site of it, have nginx check it, and give the command that runs it."""
    (folder / "site.conf").write_text(site)
    temporary = "".join(
        f"{each}_temp_path {folder / each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # A UNIX socket is for its own user and group.
    user = "user root;\n" if os.getuid() == 0 else ""
    main = folder / "nginx.conf"
    main.write_text(
        f"{user}daemon off;\npid {folder / 'nginx.pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}include {folder / 'site.conf'};\n}}\n"
    )
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(main)]
    _check([*command, "-t"])
    return command


def haproxy_command(program: str, folder: Path, config: str, *options: str) -> list[str]:
    """The same for HAProxy, whose file this is."""
    path = folder / "haproxy.cfg"
    path.write_text(f"{config}\n")
    _check([program, "-c", "-f", str(path)])
    return [program, *options, "-f", str(path)]


def _check(command: list[str]) -> None:
    checked = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr

"""What the tests of the browser client share: its folder, node and the tools that build it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from npm_packages import node_modules

HERE = Path(__file__).parent
BROWSER = HERE.parent.parent / "pode_signals" / "client" / "browser"
"""The folder of the browser client."""


class Tools:
    """Runs node with the two tools of the client, esbuild and tsc.

    Args:
        node: the path of node.

    Attributes:
        modules: the ``node_modules`` of the client.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self.modules = node_modules(BROWSER, "browser-client")

    def node(self, *arguments: str | Path, cwd: Path = HERE) -> str:
        """Run node; give what it prints."""
        return self._run([self._node, *arguments], cwd)

    def esbuild(self, *arguments: str | Path) -> None:
        """Run esbuild."""
        self.node(self.modules / "esbuild" / "bin" / "esbuild", "--log-level=warning", *arguments)

    def tsc(self, *arguments: str | Path, cwd: Path = HERE) -> None:
        """Check types; an error fails the test."""
        self.node(self.modules / "typescript" / "bin" / "tsc", *arguments, cwd=cwd)

    def _run(self, command: list[str | Path], cwd: Path) -> str:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

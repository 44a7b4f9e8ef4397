"""``pode-signals serve --reload``: the server as a process of its own, which is started anew when a file changes.

It is for development: clients are sent away at each change, and come back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

__all__ = ["serve_again_and_again"]

_DRAIN = "PODE_SIGNALS_DRAIN_SECONDS"
_PATIENCE_SECONDS = 10
_SOURCES = (".css", ".html", ".js", ".toml")
"""What is a source beside Python's."""
_WAIT_MS = 300
"""How often the server is looked at, while no file changes."""


def serve_again_and_again(arguments: Sequence[str]) -> int:
    """Serve until this process is told to stop.

    Args:
        arguments: those of ``pode-signals serve``.

    Returns:
        The status of the server that was the last one.
    """
    try:
        from watchfiles import PythonFilter, watch
    except ImportError:
        click.echo("pode-signals: --reload needs watchfiles, which the extra reload brings", err=True)
        return 2
    # What a program writes while it runs, such as a log or a database, must not start it again and again.
    sources = PythonFilter(extra_extensions=_SOURCES)
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server = _start(arguments)
    try:
        for changes in watch(
            Path.cwd(), watch_filter=sources, rust_timeout=_WAIT_MS, yield_on_timeout=True, raise_interrupt=False
        ):
            if stopped:
                break
            if changes:
                names = sorted({os.path.relpath(path) for _, path in changes})
                click.echo(f"pode-signals: {', '.join(names[:3])} changed: the server starts again", err=True)
                _stop(server)
                server = _start(arguments)
    finally:
        _stop(server)
    return max(0, server.returncode)


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    # Whoever develops does not wait for clients; an option says otherwise.
    environment = {_DRAIN: "0", **os.environ}
    command = [sys.executable, "-m", "pode_signals", "serve", *arguments]
    # In a group of its own: Ctrl-C is for this process, which tells the server.
    return subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603  # its own program


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
    try:
        server.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()

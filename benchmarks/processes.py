"""One server with its load generator, as processes of ours, each on a core of its own. It ends only what it started."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from peers import Server

__all__ = ["Failed", "Pair", "free_port"]

_REPOSITORY = Path(__file__).parent.parent
_START_SECONDS = 60.0
_SETTLE_SECONDS = 0.5
_PHASE_SECONDS = 180.0
_STOP_SECONDS = 5.0


class Failed(Exception):
    """A server or its load generator did not do what it should; the text says what."""


class Pair:
    """A server and its clients.

    Args:
        server: what to start.
        clients: how many clients connect.
        work: the folder of what was installed and compiled.

    Raises:
        Failed: it did not start, or not all clients could connect.

    Attributes:
        opening: what the load generator says of the opening: memory before and after, the first half left out.
    """

    def __init__(self, server: Server, clients: int, work: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log_path = work / "logs" / f"{server.file.stem}-{os.getpid()}-{free_port()}.log"
        self._log_path.parent.mkdir(exist_ok=True)
        try:
            self._start(server, clients, work)
        except BaseException:
            self.stop()
            raise

    def phase(self, phase: str) -> dict[str, Any]:
        """Run a phase and give what the load generator says of it.

        Raises:
            Failed: deliveries are missing, clients were dropped, or it took too long.
        """
        pipe = self._generator.stdin
        assert pipe is not None
        try:
            pipe.write(f"{phase}\n".encode())
            pipe.flush()
        except BrokenPipeError:
            raise Failed(self._last_words()) from None
        return self._answer()

    def stop(self) -> None:
        """End both, clients first."""
        for process in reversed(self._processes):
            for pipe in filter(None, (process.stdin, process.stdout)):
                with suppress(OSError):
                    pipe.close()
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, server: Server, clients: int, work: Path) -> None:
        port = free_port()
        process = self._serve(server, port, work, core=0)
        self._generate(server, process, clients, work, ["-p", str(port)], core=1)

    def _serve(
        self, server: Server, port: int, work: Path, *, core: int | None = None, **more: str
    ) -> subprocess.Popen[bytes]:
        """Start a server, and wait until it listens."""
        variables = {
            "NODE_PATH": str(work / "node" / "node_modules"),
            "PORT": str(port),
            "PYTHONPATH": str(_REPOSITORY),
            "PYTHONPYCACHEPREFIX": str(work / "pycache"),
            **more,
        }
        with self._log_path.open("ab") as log:
            process = subprocess.Popen(
                _on_core(core, server.command(port, work)),
                env={**os.environ, **variables, **dict(server.environment)},
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        self._wait_until_it_listens(process, port)
        return process

    def _generate(
        self,
        server: Server,
        process: subprocess.Popen[bytes],
        clients: int,
        work: Path,
        ports: list[str],
        *,
        core: int | None = None,
    ) -> None:
        """Start the load generator, which looks at the clock and the memory of a process, and have all clients open."""
        options = [*ports, "-P", str(process.pid), "-n", str(clients), "-f", server.form, "-u", server.path]
        with self._log_path.open("ab") as log:
            self._generator = subprocess.Popen(
                _on_core(core, [str(work / "loadgen"), *options]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        self._processes.append(self._generator)
        self.opening = self._answer()

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes], port: int) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if process.poll() is not None:
                    raise Failed(f"it did not start: {self._last_words()}") from None
                time.sleep(0.05)
            else:
                time.sleep(_SETTLE_SECONDS)
                return
        raise Failed("it does not listen")

    def _answer(self) -> dict[str, Any]:
        pipe = self._generator.stdout
        assert pipe is not None
        if not select.select([pipe], [], [], _PHASE_SECONDS)[0]:
            raise Failed(f"no answer within {_PHASE_SECONDS:.0f} s")
        line = pipe.readline()
        if not line:
            raise Failed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(f"{answer['phase']}: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended and said nothing")


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _on_core(index: int | None, command: list[str]) -> list[str]:
    """A server and its load generator share no core, where there are two; None is whichever core is free."""
    cores = sorted(os.sched_getaffinity(0))
    taskset = shutil.which("taskset")
    return (
        command if taskset is None or len(cores) < 2 or index is None else [taskset, "-c", str(cores[index]), *command]
    )

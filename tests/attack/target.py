"""The server's process as it looks from outside: memory, descriptors, processor time. Nothing here attacks it."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from attack.wire import Wire, trusting
from programs import START_SECONDS, Program, running

HERE = Path(__file__).parent
MIB = 1024 * 1024
END_SECONDS = 10


@dataclass
class Outcome:
    """What an attack came to.

    Attributes:
        attack: what it was.
        figures: what was measured, by what it is.
        complaints: what should not have been.
    """

    attack: str
    figures: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def expect(self, holds: bool, complaint: str) -> None:
        """Complain unless something holds."""
        if not holds:
            self.complaints.append(complaint)


@dataclass
class Target:
    """A running server.

    Attributes:
        program: its process.
        tls: what its clients trust; None is no TLS.
    """

    program: Program
    tls: ssl.SSLContext | None

    @property
    def port(self) -> int:
        """Its port."""
        return self.program.port

    @property
    def process_id(self) -> int:
        """Its process id."""
        return self.program.process.pid

    @property
    def _proc(self) -> Path:
        return Path(f"/proc/{self.process_id}")

    def memory_bytes(self, which: str = "VmRSS") -> int:
        """Its resident memory; ``VmHWM`` is the most that it was since :meth:`forget_peak`."""
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {which}")

    def forget_peak(self) -> None:
        """Have ``VmHWM`` begin anew; where that is not allowed it stays too high, never too low."""
        with suppress(PermissionError):
            (self._proc / "clear_refs").write_text("5")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(self._proc / "fd"))

    def processor_seconds(self) -> float:
        """The processor time that it took so far."""
        fields = (self._proc / "stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def upgraded(self, path: str, *headers: tuple[str, str], **how: Any) -> Wire:
        """A client."""
        return await Wire.upgraded(self.port, path, *headers, tls=self.tls, **how)

    async def inside(self, *, objects: bool = False) -> dict[str, Any]:
        """What it says of itself."""
        inside: dict[str, Any] = await Wire.ask(self.port, "/inside?objects=1" if objects else "/inside", tls=self.tls)
        return inside

    async def begin_news(self, **said: object) -> None:
        """Have it send ``count`` messages of ``size`` bytes at a ``rate``, with a ``key``; ``note`` who got them."""
        await Wire.ask(self.port, f"/begin?{urlencode(said)}", tls=self.tls)

    async def end_news(self, code: int) -> None:
        """Have it close all who get them."""
        await Wire.ask(self.port, f"/end?code={code}", tls=self.tls)


@asynccontextmanager
async def program(
    path: Path, *arguments: object, before: Sequence[str] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of this folder that has printed its first line, ``begun``; it is killed should it not end by itself.

    Args:
        path: the program.
        arguments: what it is given.
        before: the command that runs it, if one does.
    """
    command = [*before, sys.executable, str(path), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            assert await process.stdout.readline() == b"begun\n", command
        yield process
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


@contextmanager
def target(tmp_path: Path, *options: str, app: str = "attacked", tls: bool = False, **how: Any) -> Iterator[Target]:
    """A server; at its end it has to stop in good order and must not have printed a traceback.

    Args:
        tmp_path: where its log goes.
        options: its settings.
        app: the function of ``server.py``.
        tls: whether it speaks TLS.
        how: further arguments of ``programs.running``.
    """
    more = ("--self-signed",) if tls else ()
    protocols = ("https", "wss") if tls else ("http", "ws")
    with running(f"server:{app}", tmp_path, *more, *options, protocols=protocols, cwd=HERE, **how) as program:
        yield Target(program, trusting() if tls else None)

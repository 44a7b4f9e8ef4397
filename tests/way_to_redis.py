"""A way between nodes and Redis, which swallows, delays, or leads elsewhere, as a test says. Nothing here is a test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["Way", "way_to"]

_READ_BYTES = 65_536


class _Link:
    """One connection, from its near end, a node's, to its far end, which is Redis'."""

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.is_dead = False

    def abort(self) -> None:
        for end in (self.near, self.far):
            if end is not None:
                end.transport.abort()


class Way:
    """Carries bytes from a port of its own to another one, in a thread of its own.

    Args:
        to: the port of Redis, or of its master.

    Attributes:
        port: where nodes connect.
        delay_seconds: how long each byte is under way, in both directions.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self.delay_seconds = 0.0
        self._carries = True
        self._links: list[_Link] = []
        self._loop = asyncio.new_event_loop()
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = listening.getsockname()[1]
        self._server = self._loop.run_until_complete(asyncio.start_server(self._come, sock=listening))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where nodes find Redis."""
        return f"redis://127.0.0.1:{self.port}"

    def swallow(self) -> None:
        """A partition: nobody hears anything any more, not even that a connection ends; new ones are accepted, and hear
        nothing either. All of them stay so for ever, as where a router has forgotten them.
        """

        def swallow() -> None:
            self._carries = False
            for link in self._links:
                link.is_dead = True

        self._do(swallow)

    def carry(self) -> None:
        """The partition ends, for connections that are made from now on."""

        def carry() -> None:
            self._carries = True

        self._do(carry)

    def lead_to(self, port: int) -> None:
        """Lead to another Redis, as an address that floats. There nobody knows the connections of before."""

        def lead() -> None:
            self._to = port
            links, self._links = self._links, []
            for link in links:
                link.abort()

        self._do(lead)

    def end(self) -> None:
        """Close everything."""

        def end() -> None:
            self._server.close()
            for link in self._links:
                link.abort()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.01, self._loop.stop)

        self._loop.call_soon_threadsafe(end)
        self._thread.join()
        self._loop.close()

    def _do(self, function: Callable[[], None]) -> None:
        """Do something in the thread, and wait until it is done."""
        done = threading.Event()

        def do() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(do)
        assert done.wait(10)

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        link.is_dead = not self._carries
        self._links.append(link)
        try:
            far_reader, link.far = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            link.abort()
            return
        with suppress(asyncio.CancelledError):
            await asyncio.gather(self._carry(link, reader, link.far), self._carry(link, far_reader, writer))

    async def _carry(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way, each as late as the first ones were."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writes: asyncio.Task[Any] = self._loop.create_task(self._write(link, under_way, writer))
        try:
            while data := await reader.read(_READ_BYTES):
                under_way.put_nowait((self._loop.time() + self.delay_seconds, data))
        except OSError:
            pass
        under_way.put_nowait((self._loop.time() + self.delay_seconds, b""))
        await writes

    async def _write(
        self, link: _Link, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        data = b"first"
        while data:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if link.is_dead or writer.is_closing():
                continue
            if data:
                writer.write(data)
            elif writer is link.far:
                # Redis gets all that was sent before the node went.
                writer.close()
            else:
                link.abort()
                if link in self._links:
                    self._links.remove(link)


@contextmanager
def way_to(port: int) -> Iterator[Way]:
    """A way that carries."""
    way = Way(port)
    try:
        yield way
    finally:
        way.end()

"""A cable between a browser and a server, which a test pulls out and plugs in again. Nothing in here is a test."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Cable", "cable_to"]

_READ_BYTES = 65_536


class Cable:
    """Carries bytes from a port of its own to another one.

    Args:
        to: the port of the server.
        swallows_upgrades: whether a connection that asks for an upgrade gets no answer, as behind some proxies. It can
            be set.

    Attributes:
        port: where clients connect.
    """

    def __init__(self, to: int, *, swallows_upgrades: bool = False) -> None:
        self._to = to
        self.swallows_upgrades = swallows_upgrades
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._is_in = True
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        """Break every connection, without a word of the protocol, and let none come until :meth:`plug_in`."""
        with self._lock:
            self._is_in = False
            ends, self._ends = self._ends, []
        for each in ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def plug_in(self) -> None:
        """Let connections come again."""
        self._is_in = True

    def end(self) -> None:
        """Listen no more."""
        self.pull()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                if not self._is_in:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += (near, far)
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """Carry bytes both ways, until one end is closed."""
        other = {near: far, far: near}
        with near, far, suppress(OSError):
            while True:
                for readable in select.select([near, far], [], [])[0]:
                    data = readable.recv(_READ_BYTES)
                    if not data:
                        return
                    if not (self.swallows_upgrades and b"upgrade: websocket" in data.lower()):
                        other[readable].sendall(data)


@contextmanager
def cable_to(port: int, *, swallows_upgrades: bool = False) -> Iterator[Cable]:
    """A cable to a server, plugged in."""
    cable = Cable(port, swallows_upgrades=swallows_upgrades)
    try:
        yield cable
    finally:
        cable.end()

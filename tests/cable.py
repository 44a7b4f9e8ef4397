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

    Attributes:
        port: where clients connect.
    """

    def __init__(self, to: int) -> None:
        self._to = to
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
            threading.Thread(target=_carry, args=(near, far), daemon=True).start()


@contextmanager
def cable_to(port: int) -> Iterator[Cable]:
    """A cable to a server, plugged in."""
    cable = Cable(port)
    try:
        yield cable
    finally:
        cable.end()


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways, until one end is closed."""
    other = {near: far, far: near}
    with near, far, suppress(OSError):
        while True:
            for readable in select.select([near, far], [], [])[0]:
                data = readable.recv(_READ_BYTES)
                if not data:
                    return
                other[readable].sendall(data)

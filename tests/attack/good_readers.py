"""Good clients that read all the news as they come, in a process of their own: nobody else keeps them from it.

``python good_readers.py PORT COUNT TLS`` prints a line when all are connected. When the server has closed them it
prints, as JSON, for each how many messages it got in order, or -1 where one was wrong, and the code of the close frame.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from attack.wire import LOCALHOST, take_frame, trusting  # its folder had to be named first
from web_fakes import CLOSE, PING, PONG, TEXT, Frame, close_frame, frame, head

LIMIT_SECONDS = 30
READ_BYTES = 262_144


class Reader:
    """One of them.

    Args:
        port: the server's.
        tls: what it trusts; None is no TLS.

    Attributes:
        in_order: how many messages came in their order; -1 where one was wrong.
        code: of the server's close frame.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        plug = socket.create_connection(("127.0.0.1", port), LIMIT_SECONDS)
        self.plug = plug if tls is None else tls.wrap_socket(plug, server_hostname="localhost")
        self._data = bytearray()
        self.in_order = 0
        self.code: int | None = None
        self.plug.sendall(head("/news", LOCALHOST))
        while b"\r\n\r\n" not in self._data:
            read = self.plug.recv(READ_BYTES)
            assert read, self._data
            self._data += read
        assert self._data.startswith(b"HTTP/1.1 101 "), self._data
        del self._data[: self._data.index(b"\r\n\r\n") + 4]
        self.plug.setblocking(False)

    def read(self) -> bool:
        """Read what has come; False at the end."""
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                try:
                    read = self.plug.recv(READ_BYTES)
                except ConnectionResetError:
                    read = b""
                if not read:
                    return False
                self._data += read
                while (found := take_frame(self._data)) is not None:
                    self._take(found)
                if not (isinstance(self.plug, ssl.SSLSocket) and self.plug.pending()):
                    break  # what is read of TLS and not taken would not make the socket readable
        return True

    def _take(self, found: Frame) -> None:
        if found.opcode == TEXT and self.in_order >= 0:
            begin = b"n%07d" % self.in_order
            is_next = found.payload[:8] == begin and found.payload.count(b".") == len(found.payload) - 8
            self.in_order = self.in_order + 1 if is_next else -1
        elif found.opcode == PING:
            self.plug.send(frame(found.payload, PONG))
        elif found.opcode == CLOSE:
            self.code = found.code
            # The server may have waited long enough for the answer.
            with suppress(OSError):
                self.plug.send(close_frame(self.code))


def main(port: str, count: str, tls: str) -> None:
    """Connect, read to the end, and tell."""
    trusted = trusting() if tls == "True" else None
    readers = [Reader(int(port), trusted) for _ in range(int(count))]
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    with selectors.DefaultSelector() as selector:
        for each in readers:
            selector.register(each.plug, selectors.EVENT_READ, each)
        while selector.get_map():
            for key, _ in selector.select():
                if not key.data.read():
                    selector.unregister(key.fileobj)
                    key.data.plug.close()
    json.dump([(each.in_order, each.code) for each in readers], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One attacker, or one good client: a non-blocking socket, with TLS or without, that reads only when it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from web_fakes import Frame, head, plain

LIMIT_SECONDS = 30.0
LOCALHOST = ("Host", "localhost")
_READ_BYTES = 262_144
_BIND_ADDRESS_NO_PORT = 24  # Linux; a port may serve as many connections as there are servers

T = TypeVar("T")


class Refused(Exception):
    """The server did not upgrade."""


def trusting() -> ssl.SSLContext:
    """TLS without a look at the certificate, which the server made for itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def take_frame(data: bytearray) -> Frame | None:
    """Take the server's first frame off what has come; None where it has not come as a whole."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size == 126:
        size, start = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10], "big"), 10
    if len(data) < start + size:
        return None
    found = Frame(data[0] & 15, bytes(data[start : start + size]))
    del data[: start + size]
    return found


class Wire:
    """A connection.

    Attributes:
        client_id: the one that the server gave.
        ended: ``"closed"`` or ``"reset"`` by the server; else None.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._data = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._encrypted, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._sending = asyncio.Lock()
        self.client_id = ""
        self.ended: str | None = None

    @classmethod
    async def connect(
        cls,
        port: int,
        *,
        host: str = "127.0.0.1",
        source: str = "",
        receive_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Wire:
        """Connect.

        Args:
            port: the server's.
            host: its address.
            source: the address to come from; empty is any.
            receive_bytes: how much the system takes for a client that does not read; None is the system's own idea.
            tls: what to trust; None is no TLS.
        """
        new = socket.socket()
        try:
            new.setblocking(False)
            new.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            new.bind((source, 0))
            if receive_bytes is not None:
                new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            async with asyncio.timeout(LIMIT_SECONDS):
                await asyncio.get_running_loop().sock_connect(new, (host, port))
                wire = cls(new)
                if tls is not None:
                    wire._tls = tls.wrap_bio(wire._encrypted, wire._to_send, server_hostname="localhost")
                    await wire._through_tls(wire._tls.do_handshake)
        except BaseException:
            new.close()
            raise
        return wire

    @classmethod
    async def upgraded(cls, port: int, path: str, *headers: tuple[str, str], **how: Any) -> Wire:
        """Connect and upgrade.

        Raises:
            Refused: the server answered otherwise, or not at all.
        """
        wire = await cls.connect(port, **how)
        try:
            await wire.send(head(path, LOCALHOST, *headers))
            async with asyncio.timeout(LIMIT_SECONDS):
                raw_head = await wire._until(b"\r\n\r\n")
        except BaseException:
            wire.close()
            raise
        if not raw_head.startswith(b"HTTP/1.1 101 "):
            wire.close()
            raise Refused(raw_head.partition(b"\r\n")[0])
        wire.client_id = raw_head.partition(b"X-PODE-SIGNAL-CLIENT-ID: ")[2].partition(b"\r\n")[0].decode("ascii")
        return wire

    @classmethod
    async def ask(cls, port: int, path: str, *, tls: ssl.SSLContext | None = None) -> Any:
        """The JSON of a plain request."""
        wire = await cls.connect(port, tls=tls)
        try:
            await wire.send(plain(path, LOCALHOST, ("Connection", "close")))
            while await wire.receive():
                pass
            return json.loads(bytes(wire._data).partition(b"\r\n\r\n")[2])
        finally:
            wire.close()

    async def send(self, data: bytes) -> None:
        """Send all.

        Raises:
            OSError: the server is gone.
        """
        if self._tls is None:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
            return
        for at in range(0, len(data), _READ_BYTES):
            await self._through_tls(self._tls.write, data[at : at + _READ_BYTES])

    async def receive(self) -> bytes:
        """What has come; empty at the end."""
        try:
            if self._tls is None:
                read = await asyncio.get_running_loop().sock_recv(self._socket, _READ_BYTES)
            else:
                read = await self._through_tls(self._tls.read, _READ_BYTES)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            read = b""
        except OSError:
            self.ended = "reset"
            return b""
        if not read:
            self.ended = self.ended or "closed"
        self._data += read
        return read

    async def skip(self) -> bool:
        """Wait for what comes next and forget it; whether anything came."""
        came = bool(await self.receive())
        self._data.clear()
        return came

    async def frame(self) -> Frame | None:
        """The next frame; None at the end."""
        while (found := take_frame(self._data)) is None:
            if not await self.receive():
                return None
        return found

    async def frames(self) -> AsyncIterator[Frame]:
        """All frames up to the end."""
        while (found := await self.frame()) is not None:
            yield found

    def close(self) -> None:
        """Close the socket: a reset where data was not read, in good order else."""
        self._socket.close()

    def reset(self) -> None:
        """Close the socket by a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    async def _until(self, end: bytes) -> bytes:
        while end not in self._data:
            if not await self.receive():
                raise Refused(f"{self.ended} after {bytes(self._data)!r}")
        found, _, rest = bytes(self._data).partition(end)
        self._data = bytearray(rest)
        return found

    async def _through_tls(self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        while True:
            try:
                result = function(*arguments)
            except ssl.SSLWantReadError:
                await self._flush()
                read = await loop.sock_recv(self._socket, _READ_BYTES)
                if read:
                    self._encrypted.write(read)
                else:
                    self._encrypted.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        async with self._sending:
            if self._to_send.pending:
                await asyncio.get_running_loop().sock_sendall(self._socket, self._to_send.read())

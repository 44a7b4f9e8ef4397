"""Large bodies and unread answers on real ports, with and without TLS; the clients are blocking code in threads."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from klein import Klein
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from web_fakes import plain

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.hub.clocks import clock_for

LIMIT_SECONDS = 30
MIB = 2**20

each_protocol = pytest.mark.parametrize("protocol", ["http", "https"])


@asynccontextmanager
async def serving(protocol: str, **settings: Any) -> AsyncIterator[tuple[Signals, int]]:
    """A service whose ``/large`` answers with 20 MiB at once, and its port."""
    app, signals = Klein(), Signals(**settings)

    @app.route("/large")
    def large(request: Any) -> bytes:
        return b"x" * 20 * MIB

    @app.route("/post", methods=["POST"])
    def post(request: Any) -> bytes:
        return b"%d" % len(request.content.read())

    endpoint = Endpoint(protocol, "127.0.0.1", 0, self_signed=protocol == "https")
    service = SignalsService(signals, app.resource(), [endpoint], reactor=reactor)
    service.startService()
    try:
        yield signals, service.addresses[endpoint][0].port  # type: ignore[attr-defined]
    finally:
        await service.stopService()


def plug(protocol: str, port: int) -> socket.socket:
    """A connected client."""
    connected = socket.create_connection(("127.0.0.1", port), LIMIT_SECONDS)
    if protocol == "http":
        return connected
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connected, server_hostname="localhost")


def posted(protocol: str, port: int, body: Any) -> tuple[int, bytes]:
    """What the client of the standard library reads, which sends all of a body before it looks."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_SECONDS)
    client.sock = plug(protocol, port)
    with closing(client):
        client.request("POST", "/post", body, encode_chunked=not isinstance(body, bytes))
        answer = client.getresponse()
        return answer.status, answer.read()


def chunks(count: int) -> Iterator[bytes]:
    """A body in chunks of 64 KiB."""
    return (b"x" * 65_536 for _ in range(count))


def read_some(client: socket.socket) -> int:
    """Read a MiB, in as many parts as it comes."""
    size = 0
    while size < MIB and (read := client.recv(MIB - size)):
        size += len(read)
    assert size, "there is no more"
    return size


async def until(condition: Any) -> None:
    """Wait until something is so."""
    for _ in range(LIMIT_SECONDS * 100):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not happen in time")


@each_protocol
async def test_large_bodies(protocol: str) -> None:
    """S16.4: a client that sends all of a body of 20 MiB before it reads gets its 413, and no reset before it."""
    async with serving(protocol) as (signals, port):
        for body in (b"x" * 20 * MIB, chunks(320)):
            status, _ = await deferToThread(posted, protocol, port, body)
            assert status == 413
        for body in (b"x" * MIB, chunks(16)):
            assert await deferToThread(posted, protocol, port, body) == (200, b"%d" % MIB)
        assert signals.counters.limits_hit == {"max_request_body_bytes": 2}


@each_protocol
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_an_answer_that_nobody_reads(protocol: str, connection: str) -> None:
    """S16.4: an answer that nobody reads is not kept; its connection is dropped, and counted."""
    async with serving(protocol, response_timeout_seconds=0.3) as (signals, port):
        client: socket.socket = await deferToThread(plug, protocol, port)
        with closing(client):
            client.sendall(plain("/large", ("Host", f"127.0.0.1:{port}"), ("Connection", connection)))
            await until(lambda: signals.counters.limits_hit["response_timeout_seconds"])

            def read_on() -> int:
                """How much there is to read until the end."""
                size = 0
                try:
                    while read := client.recv(MIB):
                        size += len(read)
                except (ConnectionError, ssl.SSLError):
                    pass
                return size

            assert await deferToThread(read_on) < 20 * MIB


@each_protocol
async def test_an_answer_that_is_read_slowly(protocol: str) -> None:
    """S16.4: one that is read bit by bit arrives whole, though it takes longer than the time in all."""
    seconds = 0.8
    async with serving(protocol, response_timeout_seconds=seconds, handshake_timeout_seconds=0.2) as (signals, port):
        client: socket.socket = await deferToThread(plug, protocol, port)
        with closing(client):
            client.sendall(plain("/large", ("Host", f"127.0.0.1:{port}")))
            size, began = 0, reactor.seconds()  # type: ignore[attr-defined]
            while size < 20 * MIB:
                size += await deferToThread(read_some, client)
                await deferLater(reactor, 0.06)
            assert reactor.seconds() - began > seconds  # type: ignore[attr-defined]
        assert signals.counters.limits_hit == {}


async def test_nothing_is_left() -> None:
    """S16.4: a client that leaves in the middle of an answer leaves no clock behind."""
    async with serving("http", response_timeout_seconds=3_600) as (_, port):
        client: socket.socket = await deferToThread(plug, "http", port)
        client.sendall(plain("/large", ("Host", f"127.0.0.1:{port}")))

        def looks() -> list[Any]:
            calls = clock_for(reactor).getDelayedCalls()
            return [call for call in calls if getattr(call.func, "__name__", "") == "_look"]

        await until(looks)
        client.close()
        await until(lambda: not looks())

"""TLS, UNIX sockets, and other reactors: clients are answered, whether their sockets can be read together or not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import websocket
from certificate_files import issue
from integration.reading_clients import LIMIT_SECONDS, READS_TOGETHER, real, serving, shared_readers, until
from twisted.internet.ssl import CertificateOptions
from twisted.internet.threads import deferToThread
from twisted.web.server import Site


@pytest.mark.parametrize("kind", ["tls", "unix"])
async def test_other_kinds_of_sockets(kind: str, tmp_path: Any) -> None:
    """S16.8: TLS and UNIX sockets read as they do elsewhere in Twisted, and are answered."""
    path = str(tmp_path / "socket")

    def listen(site: Site) -> Any:
        if kind == "unix":
            return real.listenUNIX(path, site)
        issued = issue()
        options = CertificateOptions(privateKey=issued.key, certificate=issued.certificate)
        return real.listenSSL(0, site, options, interface="127.0.0.1")

    def talk(port: int) -> Any:
        if kind == "unix":
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(LIMIT_SECONDS)
            plain.connect(path)
            talking = websocket.create_connection("ws://localhost/msg", socket=plain, timeout=LIMIT_SECONDS)
        else:
            options = {"cert_reqs": 0, "check_hostname": False}
            talking = websocket.create_connection(
                f"wss://127.0.0.1:{port}/msg",
                sslopt=options,
                timeout=LIMIT_SECONDS,
                origin=f"https://127.0.0.1:{port}",
            )
        talking.send('{"message": "x"}')
        answer = talking.recv()
        talking.close()
        return answer

    readers: list[int] = []
    async with serving(listen) as server:

        def answer(event: Any) -> None:
            readers.append(len(shared_readers()))
            event.connection.send(event.data.message)

        server.on_message = answer
        port = 0 if kind == "unix" else server.port.getHost().port
        assert await deferToThread(talk, port) == "x"
        await until(lambda: server.ends)
    assert readers == [0]


PROGRAM = """
import sys
if sys.argv[1] == "asyncio":
    from twisted.internet import asyncioreactor
    asyncioreactor.install()
else:
    from importlib import import_module
    import_module(f"twisted.internet.{sys.argv[1]}reactor").install()
from klein import Klein
from twisted.internet import reactor
from twisted.internet.tcp import Server
from twisted.web.server import Site
from pode_signals import Signals

app, signals = Klein(), Signals()

@app.route("/msg")
def msg(request):
    signals.convert(request, "Msg")

@signals.route("/msg")
def got(event):
    is_shared = not any(isinstance(each, Server) for each in reactor.getReaders())
    event.connection.send([type(reactor).__name__, is_shared, event.data.message])

port = reactor.listenTCP(0, Site(signals.resource(app.resource())), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
left = [each for each in reactor.getReaders() if type(each).__name__ == "SharedReader"]
print("left are", left, flush=True)
"""


REACTORS = {
    "epoll": "EPollReactor",
    "poll": "PollReactor",
    "select": "SelectReactor",
    "asyncio": "AsyncioSelectorReactor",
}


@pytest.mark.skipif(not READS_TOGETHER, reason="nothing is read together here")
@pytest.mark.parametrize(
    ("kind", "fast"), [("epoll", "on"), ("poll", "on"), ("select", "on"), ("asyncio", "on"), ("epoll", "off")]
)
def test_other_reactors(kind: str, fast: str) -> None:
    """S16.8: whatever reactor watches descriptors, clients are answered; PODE_SIGNALS_FAST=off does without."""
    environment = {**os.environ, "PODE_SIGNALS_FAST": fast}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        port = int(program.stdout.readline())
        talking = [websocket.create_connection(f"ws://127.0.0.1:{port}/msg", timeout=LIMIT_SECONDS) for _ in range(3)]
        for each in talking:
            each.send('{"message": "first"}')
            each.recv()
        for _ in range(3):
            for number, each in enumerate(talking):
                each.send(f'{{"message": {number}}}')
            shared = str(fast == "on").lower()
            assert [each.recv() for each in talking] == [
                f'["{REACTORS[kind]}",{shared},{number}]' for number in range(3)
            ]
        talking.pop().close()
        talking.pop().sock.close()
        talking[0].send('{"message": "last"}')
        assert talking[0].recv().endswith('"last"]')
    finally:
        program.terminate()
        out, errors = program.communicate(timeout=LIMIT_SECONDS)
    talking[0].sock.close()
    assert out == "left are []\n", errors
    assert "Traceback" not in errors, errors

"""The client for Python in programs of their own, over real sockets, on the reactor of asyncio and on Twisted's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from certificate_files import issue

SERVED = """
import json, sys
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Site
from pode_signals import Signals
from pode_signals.client import Closed, Opened, SignalClient, SignalReceived

app, signals, found = Klein(), Signals(), {}
signals.keep_history("Room")

@app.route("/room")
def room(request):
    signals.convert(request, "Room")

@signals.route("/room")
def said(event):
    signals.send(event.data.message, name="Room")
    return {"said": event.data.message}

def finish(failure=None):
    if failure is not None:
        failure.printTraceback(sys.stderr)
    print(json.dumps(found))
    reactor.stop()

def begin(main, description="tcp:0:interface=127.0.0.1"):
    def listening(port):
        served = Deferred.fromCoroutine(main(port.getHost().port))
        served.addCallbacks(lambda _: finish(), finish)
    listened = serverFromString(reactor, description).listen(Site(signals.resource(app.resource())))
    listened.addCallbacks(listening, finish)
    reactor.callLater(40, finish)
    reactor.run()
"""
TWISTED = (
    SERVED
    + """
async def main(port):
    async with SignalClient(f"ws://127.0.0.1:{port}/room", base_seconds=0.05) as client:
        found["name"] = (await client.when_open()).name
        found["reply"] = await client.request("one")
        signals.connection("Room", client.hello.client_id).close(1012)
        found["data"] = data = []
        async for event in client:
            match event:
                case SignalReceived(data=received):
                    data.append(received)
                    if received == "two":
                        break
                case Opened(hello) if hello.recovered:
                    await client.send("two")

begin(main)
"""
)
ASYNCIO = (
    """
import asyncio
from twisted.internet import asyncioreactor
asyncioreactor.install(asyncio.new_event_loop())
"""
    + SERVED
    + """
from twisted.internet.task import deferLater

async def talk(client, key):
    # The same coroutine for both who run coroutines.
    found[key] = [(await client.when_open()).name, await client.request(key)]
    async for event in client:
        if isinstance(event, SignalReceived):
            found[key].append(event.data)
            break

async def of_asyncio(port):
    async with SignalClient(url_of(port)) as client:
        await asyncio.wait_for(talk(client, "task"), 20)
        replies = await asyncio.gather(client.request(1), client.request(2))
        found["gathered"] = [reply["said"] for reply in replies]
        loop = asyncio.ensure_future(anext(aiter(SignalClient("ws://127.0.0.1:1/"))))
        await asyncio.sleep(0)
        loop.cancel()
        found["cancelled"] = isinstance((await asyncio.gather(loop, return_exceptions=True))[0], asyncio.CancelledError)
        # A task that has Twisted run a coroutine: its first step runs within the task.
        found["within"] = await Deferred.fromCoroutine(client.request("x")).asFuture(asyncio.get_running_loop())

def url_of(port):
    async def url():
        await asyncio.sleep(0.01)
        await deferLater(reactor, 0.01)
        return f"ws://127.0.0.1:{port}/room"
    return url

async def main(port):
    async with SignalClient(url_of(port)) as client:
        await talk(client, "deferred")
    await Deferred.fromFuture(asyncio.ensure_future(of_asyncio(port)))

begin(main)
"""
)
SECURE = (
    SERVED
    + """
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from urllib.parse import urlsplit

def trusting(url):
    authority = Certificate.loadPEM(open("authority.pem").read())
    options = optionsForClientTLS("localhost", trustRootFromCertificates([authority]))
    return wrapClientTLS(options, HostnameEndpoint(reactor, "127.0.0.1", urlsplit(url).port))

async def main(port):
    url = f"wss://localhost:{port}/room"
    async with SignalClient(url, connect=trusting) as client:
        found["reply"] = await client.request("one")
    distrusting = SignalClient(url)
    distrusting.startService()
    try:
        await distrusting.request("two", timeout=2)
    except Exception as error:
        found["error"] = error.code
    await distrusting.stopService()

begin(main, "ssl:0:interface=127.0.0.1:privateKey=key.pem:certKey=cert.pem:extraCertChain=chain.pem")
"""
)


def printed(program: str, folder: Path) -> dict[str, Any]:
    """What a program has found out; it has to end by itself, and has nothing to complain of."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_on_the_reactor_of_twisted(tmp_path: Path) -> None:
    """P36, P60: over real sockets a client opens, asks, comes back after its connection was closed, and stops."""
    assert printed(TWISTED, tmp_path) == {"name": "Room", "reply": {"said": "one"}, "data": ["one", "two"]}


def test_on_the_reactor_of_asyncio(tmp_path: Path) -> None:
    """S20.6: on the reactor of asyncio both tasks and Twisted's coroutines await what the client gives."""
    assert printed(ASYNCIO, tmp_path) == {
        "deferred": ["Room", {"said": "deferred"}, "deferred"],
        "task": ["Room", {"said": "task"}, "task"],
        "gathered": [1, 2],
        "cancelled": True,
        "within": {"said": "x"},
    }


def test_over_tls(tmp_path: Path) -> None:
    """P2: over TLS a client talks to a server whose certificate it trusts, and to no other."""
    issued = issue()
    certificate, mark, intermediate = issued.pem().partition(b"-----END CERTIFICATE-----\n")
    (tmp_path / "cert.pem").write_bytes(certificate + mark)
    (tmp_path / "chain.pem").write_bytes(intermediate)
    (tmp_path / "key.pem").write_bytes(issued.key_pem())
    issued.authority_file(tmp_path).rename(tmp_path / "authority.pem")
    assert printed(SECURE, tmp_path) == {"reply": {"said": "one"}, "error": "timeout"}

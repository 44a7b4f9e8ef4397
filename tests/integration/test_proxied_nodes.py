"""nginx and HAProxy with the files of deploy/ and three nodes that share a Redis; only ports and paths are others."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket
from certificate_files import Issued, issue
from conftest import require
from pages import DOCS, ROOT, fences
from programs import TWISTD, Program, free_port
from proxies import fitted, haproxy_command, nginx_command
from redis_server import redis_server

SECONDS = 30
NAME = "chat.example.com"
PROXIES = ("nginx", "haproxy")
FILES = {"nginx": ROOT / "deploy" / "nginx" / "chat.conf", "haproxy": ROOT / "deploy" / "haproxy" / "chat.cfg"}
# What stands in one file for a service, and otherwise for several nodes.
OF_ONE_NODE = {"proxy_pass http://127.0.0.1:8091;", "server chat 127.0.0.1:8091 check"}
PROGRAM = """
import os
from klein import Klein
from pode_signals import Endpoint, RedisBackplane, Signals, SignalsService

PORT = int(os.environ["CHAT_PORT"])
app = Klein()
backplane = RedisBackplane(os.environ["CHAT_REDIS"], key="a key that all nodes of this test have")
signals = Signals(backplane=backplane, trusted_proxies=["127.0.0.1"], allow_sse=True)
signals.keep_history("Chat", messages=1_000)

@app.route("/")
def home(request):
    return f"forwarded for {request.requestHeaders.getRawHeaders('X-Forwarded-For')}"

@app.route("/chat")
def chat(request):
    connection = signals.convert(request, name="Chat")
    connection.send({"node": PORT, "address": connection.address})

@signals.route("/chat")
def said(event):
    signals.send({"said": event.data.message}, name="Chat")

def service():
    endpoints = [Endpoint(each, port=PORT, hostname="chat.example.com") for each in ("http", "ws")]
    return SignalsService(signals, app.resource(), endpoints)
"""


@dataclass
class Front:
    """A proxy.

    Attributes:
        port: its port.
        process: its process.
        folder: its files.
        issued: its certificate.
        nodes: the nodes behind it, by their ports.
    """

    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    folder: Path
    issued: Issued = field(repr=False)
    nodes: dict[int, Program] = field(repr=False)

    def connected(self, address: str = "127.0.0.2") -> ssl.SSLSocket:
        """A client of the proxy with an address of its own."""
        context = ssl.create_default_context(cafile=self.issued.authority_file(self.folder))
        plain = socket.create_connection(("127.0.0.1", self.port), SECONDS, source_address=(address, 0))
        return context.wrap_socket(plain, server_hostname="localhost")

    def asked(self, target: str, *headers: str) -> ssl.SSLSocket:
        """A connection with a request on its way."""
        client = self.connected()
        lines = [f"GET {target} HTTP/1.1", f"Host: {NAME}:{self.port}", "Connection: close", *headers, "", ""]
        client.sendall("\r\n".join(lines).encode())
        return client

    def log(self) -> str:
        """All that the proxy has written."""
        names = ("proxy.log", "access.log", "error.log")
        return "".join((self.folder / each).read_text() for each in names if (self.folder / each).exists())

    def workers(self) -> set[str]:
        """The processes that serve, of Linux alone."""
        pid = self.process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


class Client:
    """A client of the protocol, through a proxy.

    Args:
        front: the proxy.
        resume: what a client shows that comes back.
        origin: the page that it comes from; None is the page of the proxy.

    Attributes:
        hello: its first frame.
        node: the port of the node that has it.
        address: its address, as that node sees it.
    """

    def __init__(self, front: Front, resume: str | None = None, *, origin: str | None = None) -> None:
        self._connection = websocket.create_connection(
            f"wss://{NAME}:{front.port}/chat?token=hidden",
            socket=front.connected(),
            origin=origin or f"https://{NAME}:{front.port}",
            header=["X-Forwarded-For: 198.51.100.9", "X-Forwarded-Host: evil.example"],
            subprotocols=["pode.signals.v1", *([] if resume is None else [f"pode.resume.{resume}"])],
            timeout=SECONDS,
        )
        self.got: list[dict[str, Any]] = []
        self.hello = self.until(lambda frame: frame["type"] == "hello")
        self._offset = self.hello["offset"]
        greeting = self.until(lambda frame: "node" in frame.get("data", {}))["data"]
        self.node, self.address = greeting["node"], greeting["address"]

    @property
    def resume(self) -> str:
        """What this client shows when it comes back."""
        return f"{self.hello['epoch']}.{self._offset}.{self.hello['resumeToken']}"

    @property
    def heard(self) -> list[str]:
        """The messages that it got, in their order."""
        return [frame["data"]["said"] for frame in self.got if "said" in frame.get("data", {})]

    def say(self, message: str) -> None:
        """Send a message, which goes to all."""
        self._connection.send(json.dumps({"type": "send", "message": message}))

    def until(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read up to a frame."""
        while True:
            frame: dict[str, Any] = json.loads(self._connection.recv())
            self.got.append(frame)
            self._offset = frame.get("offset", getattr(self, "_offset", None))
            if is_it(frame):
                return frame

    def hears(self, message: str) -> None:
        """Read up to a message."""
        self.until(lambda frame: frame.get("data") == {"said": message})

    def ended(self) -> int:
        """Read up to the end; gives the close code."""
        while True:
            opcode, payload = self._connection.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self._connection.shutdown()
                return int.from_bytes(payload[:2], "big")
            if opcode == websocket.ABNF.OPCODE_TEXT:
                frame = json.loads(payload)
                self.got.append(frame)
                self._offset = frame.get("offset", self._offset)

    def close(self) -> None:
        """Go without a word."""
        self._connection.shutdown()


@contextmanager
def node(port: int, redis: str, folder: Path) -> Iterator[Program]:
    """A node that starts; it is killed at the end, should it still run."""
    options = ["-n", "--pidfile=", "pode-signals", "--app=chat:service", "--drain-seconds=5"]
    with (folder / f"{port}.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", TWISTD, *options],
            cwd=folder,
            env={**os.environ, "CHAT_PORT": str(port), "CHAT_REDIS": redis},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    program = Program(port, process, folder / f"{port}.log")
    try:
        yield program
        assert "Traceback" not in program.text(), program.text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def proxy(name: str, folder: Path, issued: Issued, nodes: dict[int, Program]) -> Iterator[Front]:
    """A proxy in front of the nodes, with its file of deploy/."""
    folder.mkdir()
    port = free_port()
    joined = {"nginx": issued.pem(), "haproxy": issued.pem() + issued.key_pem()}
    (folder / "chat.pem").write_bytes(joined[name])
    (folder / "chat.key").write_bytes(issued.key_pem())
    places = {
        r"(listen |bind :)443\b": rf"\g<1>{port}",
        r"/etc/ssl/": f"{folder}/",
        r"/run/haproxy/": f"{folder}/",
        r"/var/log/nginx/chat\.error\.log": str(folder / "error.log"),
        r"/var/log/nginx/chat\.log": str(folder / "access.log"),
        **{rf"127\.0\.0\.1:{own}\b": f"127.0.0.1:{new}" for own, new in zip((8091, 8092, 8093), nodes, strict=True)},
    }
    text = fitted(FILES[name].read_text(encoding="utf-8"), places)
    program = require(name)
    command = (
        nginx_command(program, folder, text) if name == "nginx" else haproxy_command(program, folder, text, "-W", "-db")
    )
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield Front(port, process, folder, issued, nodes)
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    """Both proxies in front of the same three nodes."""
    for name in PROXIES:
        require(name)
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "chat.py").write_text(PROGRAM)
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(folder, "--appendonly", "yes", "--appendfsync", "always"))
        ports = [free_port() for _ in range(3)]
        nodes = {each: stack.enter_context(node(each, server.url, folder)) for each in ports}
        wait_until(lambda: all("listening: " in each.text() for each in nodes.values()))
        issued = issue()
        made = {each: stack.enter_context(proxy(each, folder / each, issued, nodes)) for each in PROXIES}
        wait_until(lambda: all(is_served(each) for each in made.values()))
        yield made


@pytest.fixture(params=PROXIES)
def front(fronts: dict[str, Front], request: pytest.FixtureRequest) -> Front:
    """A proxy."""
    return fronts[request.param]


def is_served(front: Front) -> bool:
    """Whether a page comes through a proxy."""
    assert front.process.poll() is None, front.log()
    try:
        with front.asked("/") as client:
            return b" 200 " in client.recv(65_536)
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait, bounded, until something is so."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def read_up_to(stream: socket.socket, text: bytes) -> None:
    """Read a stream up to some text."""
    received = b""
    while text not in received:
        data = stream.recv(4_096)
        assert data, received
        received += data


@contextmanager
def on_nodes(front: Front, count: int) -> Iterator[list[Client]]:
    """Clients on so many different nodes."""
    clients: dict[int, Client] = {}
    everybody: list[Client] = []
    try:
        while len(clients) < count:
            assert len(everybody) < 20, [each.node for each in everybody]
            everybody.append(Client(front))
            clients.setdefault(everybody[-1].node, everybody[-1])
        yield list(clients.values())
    finally:
        for each in everybody:
            each.close()


def test_chat_over_nodes(front: Front) -> None:
    """S17.1: with the files of deploy/ what a client says reaches those on other nodes, up to 64 KiB, and each client
    has its own address, whatever it says of itself.
    """
    with on_nodes(front, 2) as (one, other):
        # The limit of a message counts its frame.
        whole = 65_536 - len(json.dumps({"type": "send", "message": ""}))
        for message in ("hello", "x" * whole):
            one.say(message)
            other.hears(message)
        assert (one.address, other.address) == ("127.0.0.2", "127.0.0.2")
    with front.asked("/", "X-Forwarded-For: 198.51.100.9", "X-Forwarded-For: 198.51.100.10") as client:
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert b"forwarded for ['127.0.0.2']" in answer


def test_event_streams(front: Front) -> None:
    """S17.1: with the files of deploy/ each message of an event stream comes when it is sent."""
    origin = f"Origin: https://{NAME}:{front.port}"
    with front.asked("/chat", "Accept: text/event-stream", origin) as stream, on_nodes(front, 1) as (one,):
        read_up_to(stream, b'"node"')
        one.say("soon")
        read_up_to(stream, b'"soon"')


def test_pages_of_others(front: Front) -> None:
    """S16.6: with the files of deploy/ pages of other origins may not connect, whatever a client says of itself."""
    for origin in ("https://evil.example", f"https://{NAME}:1"):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            Client(front, origin=origin)
        assert refused.value.status_code == 403


def test_no_query_in_the_log(front: Front) -> None:
    """S17.1: with the files of deploy/ the proxy logs paths without queries, which may hold tokens."""
    Client(front).close()
    wait_until(lambda: "/chat" in front.log())
    assert "token" not in front.log()
    assert "hidden" not in front.log()


def test_a_reload_of_the_proxy(front: Front) -> None:
    """S17.2: with the files of deploy/ connections outlive a reload of the proxy, and none is refused meanwhile."""
    before = front.workers()
    with on_nodes(front, 1) as (old,):
        front.process.send_signal(signal.SIGHUP if "nginx" in front.folder.name else signal.SIGUSR2)
        end = time.monotonic() + SECONDS
        while front.workers() <= before:
            assert time.monotonic() < end, front.log()
            Client(front).close()
        new = Client(front)
        new.say("after the reload")
        old.hears("after the reload")
        old.say("still here")
        new.hears("still here")
        new.close()


def test_a_node_stops(fronts: dict[str, Front]) -> None:
    """S17.2: with the files of deploy/ the clients of a node that stops come back to another one at once, and have all
    that was said meanwhile.
    """
    with on_nodes(fronts["nginx"], 3) as clients, on_nodes(fronts["haproxy"], 3) as others:
        leaving = [clients[0], next(each for each in others if each.node == clients[0].node)]
        stays = clients[1]
        stopping = fronts["nginx"].nodes[leaving[0].node]
        stays.say("before")
        for each in leaving:
            each.hears("before")
        stopping.process.send_signal(signal.SIGTERM)
        assert [each.ended() for each in leaving] == [1001, 1001]
        stays.say("meanwhile")
        stays.hears("meanwhile")
        for front, left in zip(fronts.values(), leaving, strict=True):
            back = Client(front, left.resume)
            assert back.hello["recovered"] is True
            assert back.node != left.node
            if "meanwhile" not in back.heard:
                back.hears("meanwhile")
            assert back.heard == ["meanwhile"]
            back.close()
        assert stopping.stop() == -signal.SIGTERM


@pytest.mark.parametrize("name", PROXIES)
def test_the_page_shows_lines_of_the_file(name: str) -> None:
    """S17.1: what docs/running.md says of a proxy in front of one service is in the file of deploy/ as well."""
    blocks = {"nginx": ("nginx", "map "), "haproxy": ("text", "defaults")}
    language, begins = blocks[name]
    page = [each.text.strip() for each in fences(DOCS / "running.md", language)]
    (shown,) = [each for each in page if each.startswith(begins)]
    lines = {each.strip() for each in shown.splitlines() if each.strip()}
    assert lines - OF_ONE_NODE <= {each.strip() for each in FILES[name].read_text(encoding="utf-8").splitlines()}
    assert len(lines & OF_ONE_NODE) == 1

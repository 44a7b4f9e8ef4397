"""nginx and HAProxy in front of a service, configured as docs/running.md says; only ports and paths are others."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import websocket
from certificate_files import Issued, issue
from pages import DOCS, fences
from programs import free_port, start
from proxies import fitted, haproxy_command, nginx_command

SECONDS = 30
NAME = "chat.example.com"
PROGRAM = """
import os
from klein import Klein
from pode_signals import Endpoint, Signals, SignalsService

app = Klein()
signals = Signals(trusted_proxies=os.environ["CHAT_TRUSTS"].split())
signals.enable_signing("a secret of more than thirty-two bytes", strict=True)

@app.route("/")
def home(request):
    return "home"

@app.route("/msg")
def msg(request):
    connection = signals.convert(request, name="Msg")
    connection.send({"address": connection.address, "id": connection.client_id})

@app.route("/report")
def report(request):
    return "known" if signals.connection_of(request) else "nobody"

def service():
    where = [{"port": int(os.environ["CHAT_PORT"])}, {"listen": "unix:" + os.environ["CHAT_SOCKET"]}]
    endpoints = [Endpoint(each, hostname="chat.example.com", **place) for each in ("http", "ws") for place in where]
    return SignalsService(signals, app.resource(), endpoints=endpoints)
"""


@dataclass
class Place:
    """Where everything of one test is.

    Attributes:
        folder: its files.
        front: the proxy's port, which is not 443.
        back: the service's port.
    """

    folder: Path
    front: int
    back: int

    @property
    def socket(self) -> Path:
        """The service's UNIX socket."""
        return self.folder / "chat.socket"

    def fitted(self, block: str) -> str:
        """A configuration of the documentation with the ports and paths of the test; each of them has to be there."""
        return fitted(
            block,
            {
                r"\b127\.0\.0\.1:8091\b": f"127.0.0.1:{self.back}",
                r"/run/chat/chat\.socket": str(self.socket),
                r"(listen |bind :)443\b": rf"\g<1>{self.front}",
                r"/etc/ssl/chat\.pem": str(self.folder / "chat.pem"),
                r"/etc/ssl/chat\.key": str(self.folder / "chat.key"),
            },
        )


def blocks(language: str, begins: str) -> list[str]:
    """The blocks of the documentation on one proxy: the whole configuration, and the line for a UNIX socket."""
    found = [each.text.strip("\n") for each in fences(DOCS / "running.md", language)]
    return [each for each in found if each.startswith(begins) or "/run/chat/chat.socket" in each]


def over_unix(whole: str, line: str) -> str:
    """The whole with its line on the service changed for the one that names a UNIX socket."""
    (old,) = [each for each in whole.split("\n") if "127.0.0.1:8091" in each]
    assert old.split(maxsplit=1)[0] == line.split(maxsplit=1)[0]
    return whole.replace(old, line)


def documented_nginx(program: str, place: Place, *, unix: bool) -> list[str]:
    """The command that runs nginx with its block of the documentation."""
    whole, line = blocks("nginx", "map ")
    return nginx_command(program, place.folder, place.fitted(over_unix(whole, line) if unix else whole))


def documented_haproxy(program: str, place: Place, *, unix: bool) -> list[str]:
    """The same for HAProxy."""
    whole, line = [each for each in blocks("text", "defaults") if "server chat" in each]
    (place.folder / "chat.pem").write_bytes(
        (place.folder / "chat.pem").read_bytes() + (place.folder / "chat.key").read_bytes()
    )
    return haproxy_command(program, place.folder, place.fitted(over_unix(whole, line) if unix else whole), "-db")


COMMANDS: dict[str, Callable[..., list[str]]] = {"nginx": documented_nginx, "haproxy": documented_haproxy}


@pytest.fixture(scope="module")
def issued() -> Issued:
    return issue()


@contextmanager
def proxied(
    name: str, program: str, place: Place, issued: Issued, monkeypatch: pytest.MonkeyPatch, *, unix: bool
) -> Iterator[None]:
    """A service behind a proxy; both end at the end."""
    (place.folder / "chat.pem").write_bytes(issued.pem())
    (place.folder / "chat.key").write_bytes(issued.key_pem())
    command = COMMANDS[name](program, place, unix=unix)
    (place.folder / "chat.py").write_text(PROGRAM)
    monkeypatch.setenv("CHAT_PORT", str(place.back))
    monkeypatch.setenv("CHAT_SOCKET", str(place.socket))
    monkeypatch.setenv("CHAT_TRUSTS", "unix" if unix else "127.0.0.1 ::1")
    service = start(["pode-signals", "--app", "chat:service"], place.back, place.folder / "log", cwd=place.folder)
    try:
        with (place.folder / "proxy.log").open("wb") as log:
            proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_until_served(place, proxy, issued)
            yield
        finally:
            proxy.terminate()
            proxy.wait(SECONDS)
    finally:
        service.stop()
    assert "Traceback" not in service.text()


def _wait_until_served(place: Place, proxy: subprocess.Popen[bytes], issued: Issued) -> None:
    """Wait, bounded, until a page comes through the proxy: HAProxy asks for the service's health first."""
    end = time.monotonic() + SECONDS
    answer = ""
    while " 200 " not in answer:
        assert proxy.poll() is None, (place.folder / "proxy.log").read_text()
        assert time.monotonic() < end, answer + (place.folder / "proxy.log").read_text()
        try:
            answer = page(place, issued, "/")
        except OSError:
            time.sleep(0.05)


def connected(place: Place, issued: Issued, address: str) -> ssl.SSLSocket:
    """A client of the proxy with an address of its own on loopback."""
    context = ssl.create_default_context(cafile=issued.authority_file(place.folder))
    plain = socket.create_connection(("127.0.0.1", place.front), SECONDS, source_address=(address, 0))
    return context.wrap_socket(plain, server_hostname="localhost")


def page(place: Place, issued: Issued, path: str, *headers: str, address: str = "127.0.0.2", host: str = "") -> str:
    """The whole answer to a request for a page."""
    host = host or f"{NAME}:{place.front}"
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: test", "Connection: close", *headers, "", ""]
    with connected(place, issued, address) as client:
        client.sendall("\r\n".join(lines).encode())
        received = b""
        while data := client.recv(65_536):
            received += data
    return received.decode()


@contextmanager
def opened(place: Place, issued: Issued, *headers: str, origin: str | None = None) -> Iterator[websocket.WebSocket]:
    """A WebSocket through the proxy, from the page that a browser has loaded from there."""
    own = f"https://{NAME}:{place.front}"
    with connected(place, issued, "127.0.0.2") as client:
        yield websocket.create_connection(
            f"wss://{NAME}:{place.front}/msg",
            socket=client,
            origin=own if origin is None else origin,
            suppress_origin=origin == "",
            header=["User-Agent: test", *headers],
            timeout=SECONDS,
        )


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_documented_proxies(
    name: str,
    unix: bool,
    tmp_path: Path,
    issued: Issued,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """S16.6: behind nginx and HAProxy as documented, pages on any port connect, each client with its own address."""
    place = Place(tmp_path, free_port(), free_port())
    with proxied(name, request.getfixturevalue(name), place, issued, monkeypatch, unix=unix):
        forged = ("X-Forwarded-For: 198.51.100.9", "X-Forwarded-Host: evil.example")
        with opened(place, issued, *forged) as client:
            greeting = json.loads(client.recv())
            assert greeting["address"] == "127.0.0.2"
            shows = f"X-PODE-SIGNAL-CLIENT-ID: {greeting['id']}"
            assert "known" in page(place, issued, "/report", shows)
            assert " 400 " in page(place, issued, "/report", shows, address="127.0.0.3").split("\r\n")[0]
        assert " 421 " in page(place, issued, "/", host="other.example").split("\r\n")[0]
        for origin in ("https://evil.example", f"https://{NAME}:1", ""):
            handshake = opened(place, issued, *forged, origin=origin)
            with pytest.raises(websocket.WebSocketBadStatusException) as refused, handshake:
                pass
            assert refused.value.status_code == 403


def test_health_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.4: a health check needs the endpoint's hostname as its Host; the documented one sends it."""
    curl = shutil.which("curl")
    place = Place(tmp_path, free_port(), free_port())
    (command,) = [each.text for each in fences(DOCS / "running.md", "sh") if "curl" in each.text]
    (tmp_path / "chat.py").write_text(PROGRAM)
    monkeypatch.setenv("CHAT_PORT", str(place.back))
    monkeypatch.setenv("CHAT_SOCKET", str(place.socket))
    monkeypatch.setenv("CHAT_TRUSTS", "127.0.0.1")
    service = start(["pode-signals", "--app", "chat:service"], place.back, tmp_path / "log", cwd=tmp_path)
    try:
        host = re.search(r"Host: ([\w.]+)", command)
        assert host is not None
        for header, status in (("", b"400"), ("Host: 127.0.0.1\r\n", b"421"), (f"{host[0]}\r\n", b"200")):
            with socket.create_connection(("127.0.0.1", place.back), SECONDS) as client:
                client.sendall(f"GET / HTTP/1.1\r\n{header}Connection: close\r\n\r\n".encode())
                assert client.recv(65_536).split(b" ")[1] == status
        if curl is not None:
            asked = place.fitted(command).split("curl ")[1].split("'")
            asked_for = subprocess.run(
                [curl, "-s", "--noproxy", "*", "--header", asked[1], asked[2].strip()],
                capture_output=True,
                timeout=SECONDS,
                check=True,
            )
            assert asked_for.stdout == b"home"
    finally:
        service.stop()

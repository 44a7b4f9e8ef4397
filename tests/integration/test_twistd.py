"""``twistd pode-signals`` as users run it: in a process of its own, talked to over its ports, stopped by signals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import websocket
import websockets
from fakes import connected, new_signals, turn
from programs import TWIST, TWISTD, Program, free_port, start

from pode_signals.core.endpoints import Endpoint
from pode_signals.example.program import example

SECONDS = 30
CLIENTS = 500
FROZEN = """
import gc, json
from klein import Klein
from pode_signals import Signals, SignalsService

app = Klein()

@app.route("/")
def counts(request):
    return json.dumps([gc.get_freeze_count(), len(gc.get_objects())]).encode()

def service():
    return SignalsService(Signals(), app.resource(), [])
"""
STUBBORN = """
from klein import Klein
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from pode_signals.service import SignalsService
from pode_signals.signals import Signals

app = Klein()
signals = Signals()

@app.route("/msg")
def msg(request):
    signals.convert(request, name="Msg")

class Stubborn(Service):
    def stopService(self):
        return Deferred()

def service():
    made = SignalsService(signals, app.resource(), [])
    Stubborn().setServiceParent(made)
    return made
"""


HUNG_UP = """
import os, signal
os.kill(os.getpid(), signal.SIGHUP)
from stubborn import service
"""
SECRET = "a secret that is quite long enough"


@contextmanager
def serving(tmp_path: Path, *options: str, before: Sequence[str] = ()) -> Iterator[Program]:
    """The command on a free port with http and ws; it is killed at the end, should it still run."""
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}" for protocol in ("http", "ws")]
    program = start([*before, "pode-signals", *endpoints, *options], port, tmp_path / "log", cwd=tmp_path)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


def ended(*arguments: str, cwd: Path, program: str = TWISTD) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)


def page(program: Program, path: str = "/") -> tuple[str, str]:
    """The text of a page and its type."""
    with urllib.request.urlopen(f"http://localhost:{program.port}{path}", timeout=SECONDS) as answer:
        return answer.read().decode("utf-8"), answer.headers["Content-Type"]


@contextmanager
def client(program: Program, path: str = "/msg") -> Iterator[websocket.WebSocket]:
    """A plain client."""
    connected = websocket.create_connection(f"ws://localhost:{program.port}{path}", timeout=SECONDS)
    try:
        yield connected
    finally:
        connected.shutdown()


def wait_until_ended(program: Program) -> None:
    """Wait, bounded, until a program that was told to stop has ended, by SIGTERM."""
    assert program.process.wait(SECONDS) == -signal.SIGTERM, program.text()


def wait_for_text(program: Program, text: str) -> None:
    """Wait, bounded, until the program has printed something."""
    end = time.monotonic() + SECONDS
    while text not in program.text():
        assert time.monotonic() < end, program.text()
        time.sleep(0.02)


def silent_client(program: Program) -> socket.socket:
    """A client that never answers a close frame."""
    raw = socket.create_connection(("127.0.0.1", program.port), SECONDS)
    raw.sendall(
        b"GET /msg HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += raw.recv(4_096)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return raw


def test_where_the_example_is_served() -> None:
    """S12.1: the example is served on http and ws of localhost, port 8091."""
    assert example().endpoints == (Endpoint("http", "localhost", 8091), Endpoint("ws", "localhost", 8091))


def test_the_example(tmp_path: Path) -> None:
    """S12.1: the command alone serves the example: a chat page, its script, what is said to all, and the date."""
    with serving(tmp_path) as program:
        html, html_type = page(program)
        assert html_type == "text/html; charset=utf-8"
        files = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert "/script.js" in files
        for path in (each for each in files if not each.startswith("data:")):
            assert path.startswith("/"), "the page needs something from outside"
            assert page(program, path)[0]
        with client(program) as one, client(program) as other:
            one.send(json.dumps({"message": "hello"}))
            assert [json.loads(each.recv()) for each in (one, other)] == [{"message": "hello"}] * 2
            other.send(json.dumps({"message": "[Date]"}))
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", json.loads(one.recv())["message"])
        assert f"listening: http+ws on 127.0.0.1:{program.port}" in program.text()
        assert program.stop() == -signal.SIGTERM
    assert "Traceback" not in program.text()


def test_a_schedule_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.1: the example has a schedule that broadcasts figures to its page of response times, each minute."""
    signals = new_signals()
    monkeypatch.setattr("pode_signals.example.program.Signals", lambda: signals)
    example([])
    assert [each.name for each in signals.schedules()] == ["Example"]
    times, chat = connected(signals, "ResponseTimes"), connected(signals, "Msg")
    assert signals.invoke_schedule("Example")
    turn(signals)
    durations = [json.loads(text)["Durations"] for text in times.got if isinstance(text, str)]
    assert [len(each) for each in durations] == [3]
    assert all(90 <= each <= 130 for each in durations[0])
    assert chat.got == []


@pytest.mark.parametrize("reactor", ["asyncio", "poll", "select"])
def test_other_reactors(tmp_path: Path, reactor: str) -> None:
    """S12.1: the command works on the reactor that ``twistd --reactor`` names."""
    with serving(tmp_path, before=["--reactor", reactor]) as program:
        with client(program) as one:
            one.send(json.dumps({"message": "hello"}))
            assert json.loads(one.recv()) == {"message": "hello"}
            program.process.send_signal(signal.SIGTERM)
            assert one.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
        assert program.stop() == -signal.SIGTERM
        assert f"{reactor}reactor" in program.text()


def test_json_log(tmp_path: Path) -> None:
    """S12.1: with ``--log-format json`` every line of the log is a flat JSON object."""
    with serving(tmp_path, "--log-format=json") as program:
        page(program, "/?token=secret")
        assert program.stop() == -signal.SIGTERM
    records = [json.loads(line) for line in program.text().splitlines()]
    assert all(not isinstance(value, dict | list) for record in records for value in record.values())
    (access,) = (record for record in records if record["namespace"].endswith("SignalSite") and "status" in record)
    assert (access["method"], access["path"], access["status"]) == ("GET", "/", 200)
    assert "secret" not in program.text()


def test_twist(tmp_path: Path) -> None:
    """S12.1: ``twist pode-signals`` works too."""
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}" for protocol in ("http", "ws")]
    log = (tmp_path / "log").open("wb")
    command = [sys.executable, "-c", TWIST, "pode-signals", *endpoints, "--log-format=text"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    program = Program(port, process, tmp_path / "log")
    try:
        wait_for_text(program, "Starting reactor")
        assert "pode_signals" in page(program)[0]
        assert program.stop() == -signal.SIGTERM
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()
    assert "Traceback" not in program.text()


@pytest.mark.parametrize("program", [TWISTD, TWIST], ids=["twistd", "twist"])
def test_a_busy_port(tmp_path: Path, program: str) -> None:
    """S12.1: a busy port is one line on the standard error, and status 1."""
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        port = busy.getsockname()[1]
        none = [] if program == TWIST else ["-n", "--pidfile="]
        done = ended(*none, "pode-signals", f"--endpoint=http://localhost:{port}", cwd=tmp_path, program=program)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr


def test_a_busy_port_of_an_endpoint_string(tmp_path: Path) -> None:
    """S1.6: a Twisted endpoint string whose port is busy is one line and status 1, too, and leaves no pid file."""
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        port = busy.getsockname()[1]
        done = ended("-n", "pode-signals", f"--endpoint=http+tcp:{port}:interface=127.0.0.1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_before_it_becomes_a_daemon(tmp_path: Path) -> None:
    """S12.1: a mistake is answered on the terminal when twistd is about to become a daemon, too."""
    done = ended("pode-signals", "--max-names=none", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--max-names" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_as_a_daemon(tmp_path: Path) -> None:
    """S12.1: as a daemon it serves, logs to its file, and stops."""
    port = free_port()
    done = ended("pode-signals", f"--endpoint=http://localhost:{port}", "--log-format=json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    end = time.monotonic() + SECONDS
    pid_file = tmp_path / "twistd.pid"
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=SECONDS) as answer:
            assert answer.status == 200
        os.kill(pid, signal.SIGUSR1)  # the log is rotated, as that of any daemon of twistd
        while not list(tmp_path.glob("twistd.log.*")):
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        os.kill(pid, signal.SIGTERM)
    while pid_file.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    lines = [line for path in tmp_path.glob("twistd.log*") for line in path.read_text().splitlines()]
    assert any("listening" in json.loads(line)["text"] for line in lines)


def test_an_app_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.1: ``--app`` finds a module in the current folder, where Python itself would not look."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with serving(tmp_path, "--app=stubborn:service") as program, client(program) as one:
        one.ping("well?")
        opcode, answer = one.recv_data_frame(control_frame=True)
    assert (opcode, answer.data) == (websocket.ABNF.OPCODE_PONG, b"well?")


def test_what_stays_is_not_looked_at(tmp_path: Path) -> None:
    """S16.8: modules and what else was made before the start are no work for Python's garbage collector."""
    (tmp_path / "frozen.py").write_text(FROZEN)
    with serving(tmp_path, "--app=frozen:service") as program:
        frozen, collected = json.loads(page(program, "/")[0])
    assert frozen > 50_000 > collected


@pytest.mark.parametrize("before", [["--rundir=/"], []], ids=["elsewhere", "here"])
def test_a_reload_wherever_it_runs(tmp_path: Path, before: list[str]) -> None:
    """S1.5: files that were named from where the command was given are read again, wherever twistd has gone since."""
    (tmp_path / "secret").write_text(SECRET)
    with serving(tmp_path, "--secret-file=secret", before=before) as program:
        assert "SIGHUP can't" not in program.text()
        (tmp_path / "secret").write_text(f"another {SECRET}")
        program.process.send_signal(signal.SIGHUP)
        wait_for_text(program, f"signing with the secrets of {tmp_path / 'secret'}")


def test_sighup_while_the_program_is_read(tmp_path: Path) -> None:
    """S1.5: SIGHUP that comes while the program of --app is imported ends nothing; the reload follows."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    (tmp_path / "hung_up.py").write_text(HUNG_UP)
    with serving(tmp_path, "--app=hung_up:service", "--secret-file=secret") as program:
        wait_for_text(program, "signing with the secrets of")


@pytest.mark.skipif(os.geteuid() != 0, reason="it gives up the rights of root")
def test_files_that_need_the_rights_of_the_start(tmp_path: Path) -> None:
    """S1.5: files that can't be read any more after ``--uid`` are said at the start, in one line, and stay in use."""
    tmp_path.chmod(0o700)
    (tmp_path / "secret").write_text(SECRET)
    with serving(tmp_path, "--secret-file=secret", before=["--uid=nobody"]) as program:
        said = f"SIGHUP can't read these again, a new start can: {tmp_path / 'secret'}: Permission denied"
        wait_for_text(program, said)
        program.process.send_signal(signal.SIGHUP)
        wait_for_text(program, f"the secrets stay as they were: {tmp_path / 'secret'}: Permission denied")


async def codes_of_clients(program: Program, count: int) -> Counter[int | None]:
    """Connect so many clients, stop the program, and give the close codes that they saw."""
    gate = asyncio.Semaphore(50)

    async def connect() -> websockets.ClientConnection:
        async with gate:
            return await websockets.connect(f"ws://127.0.0.1:{program.port}/msg", proxy=None, open_timeout=SECONDS)

    connected = await asyncio.gather(*(connect() for _ in range(count)))
    program.process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*(each.wait_closed() for each in connected)), SECONDS)
    return Counter(each.close_code for each in connected)


@pytest.mark.own_event_loop
def test_drain(tmp_path: Path) -> None:
    """S12.2: at SIGTERM each of 500 clients gets 1001, none 1006, and it ends within ``drain_seconds``."""
    with serving(tmp_path, "--drain-seconds=20") as program:
        codes = asyncio.run(codes_of_clients(program, CLIENTS))
        wait_until_ended(program)
        assert codes == {1001: CLIENTS}
        assert "were aborted" not in program.text()
        assert "Traceback" not in program.text()


def test_drain_of_clients_that_do_not_answer(tmp_path: Path) -> None:
    """S12.2: clients that do not answer the close are aborted, and it ends within ``drain_seconds`` all the same."""
    # Aborted by nothing else in time: neither by a close frame that is not answered, nor by a ping.
    with serving(tmp_path, "--drain-seconds=2", "--close-timeout-seconds=300") as program:
        silent = [silent_client(program) for _ in range(30)]
        program.process.send_signal(signal.SIGTERM)
        wait_until_ended(program)
        assert "30 connections were aborted" in program.text()
        for each in silent:
            each.close()


def test_new_clients_while_it_drains(tmp_path: Path) -> None:
    """S12.2: while it drains its port is closed, and a handshake on a connection from before gets 503."""
    with serving(tmp_path, "--drain-seconds=300", "--close-timeout-seconds=300") as program:
        silent = silent_client(program)
        idle = socket.create_connection(("127.0.0.1", program.port), SECONDS)
        idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200 ")
        program.process.send_signal(signal.SIGTERM)
        wait_for_text(program, "Closed)")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", program.port), SECONDS)
        idle.sendall(b"GET /msg HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        answer = b""
        while b" 503 " not in answer:
            more = idle.recv(65_536)
            assert more, answer
            answer += more
        silent.close()
        idle.close()
        wait_until_ended(program)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal(tmp_path: Path, number: signal.Signals) -> None:
    """S12.1: a second SIGTERM (or Ctrl-C) ends it at once, whatever its clients do."""
    with serving(tmp_path, "--drain-seconds=300", "--close-timeout-seconds=300") as program:
        silent = silent_client(program)
        program.process.send_signal(number)
        wait_for_text(program, "Closed)")
        assert program.process.poll() is None
        program.process.send_signal(number)
        assert program.process.wait(SECONDS) == -number
        assert "Traceback" not in program.text()
        assert "ReactorNotRunning" not in program.text()
        silent.close()


def test_a_second_signal_and_a_service_that_never_stops(tmp_path: Path) -> None:
    """S12.1: a second SIGTERM ends it though another service never stops."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with serving(tmp_path, "--app=stubborn:service") as program:
        program.process.send_signal(signal.SIGTERM)
        wait_for_text(program, "Closed)")
        with pytest.raises(subprocess.TimeoutExpired):
            program.process.wait(1)
        program.process.send_signal(signal.SIGTERM)
        wait_until_ended(program)


FUTURES = """
import asyncio
from klein import Klein
from twisted.internet.task import deferLater
from pode_signals import Signals, SignalsService

# With each ping a client would begin anew to wait for what does not come.
app, signals = Klein(), Signals(ping_interval_seconds=300)

@app.route("/msg")
def msg(request):
    signals.convert(request, name="Msg")

@signals.route("/msg")
async def waits(event):
    await asyncio.sleep(0.01)
    await deferLater(signals.clock, 0.01)
    in_a_thread = await asyncio.get_running_loop().run_in_executor(None, str, event.data.message)
    event.connection.send([in_a_thread, await asyncio.create_task(asyncio.wait_for(asyncio.sleep(0, "task"), 5))])

@signals.on_connect("Msg")
def connected(event):
    return asyncio.get_running_loop().create_task(welcome(event.connection))

async def welcome(connection):
    connection.send("welcome")

def service():
    return SignalsService(signals, app.resource(), [])
"""


def test_futures_of_asyncio(tmp_path: Path) -> None:
    """S20.6: on the reactor of asyncio functions await what belongs to asyncio, and Deferreds, or return a task."""
    (tmp_path / "futures.py").write_text(FUTURES)
    with serving(tmp_path, "--app=futures:service", before=["--reactor=asyncio"]) as program:
        with client(program) as one:
            assert one.recv() == "welcome"
            one.send(json.dumps({"message": 7}))
            assert json.loads(one.recv()) == ["7", "task"]
        assert program.stop() == -signal.SIGTERM
    assert "Traceback" not in program.text()

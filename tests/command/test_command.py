from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from programs import START_SECONDS, free_port

from pode_signals.command.main import commands

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments, prog_name="pode-signals")


@contextmanager
def process(folder: Path, log: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a program of its own, which a user starts in a folder."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "pode_signals", *arguments],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield started
    finally:
        # Not at once by SIGKILL: it would leave its own children.
        started.terminate()
        try:
            started.wait(START_SECONDS)
        finally:
            started.kill()
            started.wait()


def answer(port: int) -> bytes:
    """The answer of a server to a request for its page, once it gives any; bounded."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), START_SECONDS) as connection:
                connection.sendall(b"GET /text HTTP/1.0\r\nHost: localhost\r\n\r\n")
                found = b"".join(iter(lambda: connection.recv(65_536), b""))
        except OSError:
            found = b""
        if found and b" 503 " not in found:
            return found
        time.sleep(0.05)
    raise AssertionError("no answer")


def test_help() -> None:
    """O6.1: the help lists each subcommand, each of which has a help of its own; nothing is imported for the list."""
    for name in ("-h", "--help"):
        assert run(name).exit_code == 0
    listed = re.findall(r"^  ([a-z-]+)  ", run("--help").output.partition("Subcommands:")[2], re.MULTILINE)
    assert listed == ["serve", "check-config", "new", "asyncapi", "completion"]
    for name in listed[1:]:
        assert run(name, "--help").output.startswith(f"Usage: pode-signals {name} ")


def test_what_a_start_imports() -> None:
    """O6.2: the help of the command imports neither Twisted nor anything else that takes long."""
    program = "import sys\nimport pode_signals.command.main\nprint(*sorted({n.split('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "click" in done.stdout.split()
    assert {"twisted", "autobahn", "klein", "attr", "werkzeug"} & set(done.stdout.split()) == set()


def test_both_names() -> None:
    """O6.1: ``python -m pode_signals`` and ``pode-signals`` are one command."""
    for command in ([sys.executable, "-m", "pode_signals"], [str(Path(sys.executable).with_name("pode-signals"))]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith("pode_signals ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serv"], "there is no subcommand serv; did you mean serve?"),
        (["nonsense"], "there is no subcommand nonsense"),
        (["--nonsense"], "No such option"),
        (["check-config", "--nonsense"], "No such option"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["asyncapi", "--app=x:y", "--server=here"], "'here' is not NAME=URL"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    """O6.7: wrong usage is a sentence, with the nearest subcommand, and status 2."""
    done = run(*arguments)
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_a_wrong_configuration(tmp_path: Path) -> None:
    """O6.7: a wrong value is a sentence without a traceback, and status 2."""
    (tmp_path / "pode-signals.toml").write_text("max_name = 1\n")
    command = [sys.executable, "-m", "pode_signals", "check-config"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "pode-signals: pode-signals.toml: there is no key max_name; did you mean max_names?\n".replace(
            "pode-signals.toml", str(tmp_path / "pode-signals.toml")
        )
    )


def test_asyncapi(tmp_path: Path) -> None:
    """O6.3: the AsyncAPI document of a program is printed, or written to a file."""
    target = tmp_path / "document.json"
    command = [sys.executable, "-m", "pode_signals", "asyncapi", "--app=rpc:service"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=True)
    printed = json.loads(done.stdout)
    assert (printed["asyncapi"], printed["info"]) == ("3.0.0", {"title": "rpc", "version": "0.1.0"})
    more = ["--title=Rooms", "--api-version=2.0", "--server=live=wss://rooms.example.com", f"--output={target}"]
    subprocess.run([*command, *more], cwd=EXAMPLES, timeout=60, check=True)
    written = json.loads(target.read_text())
    assert written["info"] == {"title": "Rooms", "version": "2.0"}
    assert written["servers"]["live"]["host"] == "rooms.example.com"


def test_completion() -> None:
    """O6.10: bash takes the script of completion, and completes subcommands with it."""
    script = run("completion", "bash").output
    program = f"""
        {script}
        COMP_WORDS=(pode-signals ch) COMP_CWORD=1
        _pode_signals_completion pode-signals
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["check-config"]
    for shell in ("zsh", "fish"):
        assert "_PODE_SIGNALS_COMPLETE" in run("completion", shell).output


def test_serve(tmp_path: Path) -> None:
    """O6.4: ``serve`` is twistd with the plugin: it takes the plugin's options and the file of its folder, tells which
    page to open, and ends by SIGTERM.
    """
    port = free_port()
    (tmp_path / "pode-signals.toml").write_text(
        f'endpoints = ["http://localhost:{port}", "ws://localhost:{port}"]\nmax_names = 7\n'
    )
    with process(tmp_path, tmp_path / "log", "serve", "--reactor=poll", "--drain-seconds", "1") as server:
        assert b" 404 " in answer(port)
        server.terminate()
        assert server.wait(START_SECONDS) == -signal.SIGTERM
    said = (tmp_path / "log").read_text()
    assert f"open http://localhost:{port}/" in said
    assert "pollreactor" in said


def test_help_of_serve() -> None:
    """O6.4: the help of ``serve`` is that of the plugin, so that the two never differ."""
    done = subprocess.run(
        [sys.executable, "-m", "pode_signals", "serve", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    from pode_signals.command.help import help_text

    assert help_text(80) in done.stdout


PROGRAM = """
from klein import Klein
from pode_signals import Endpoint, Signals, SignalsService
app, signals = Klein(), Signals()
@app.route("/text")
def text(request):
    return "TEXT"
def service():
    return SignalsService(signals, app.resource(), [Endpoint("http", port=%d), Endpoint("ws", port=%d)])
"""


def test_reload(tmp_path: Path) -> None:
    """O6.3: with ``--reload`` the server starts again when a file of its folder changes, and ends with the command."""
    port = free_port()
    (tmp_path / "log").mkdir()
    folder = tmp_path / "program"
    folder.mkdir()
    program = folder / "texts.py"
    program.write_text((PROGRAM % (port, port)).replace("TEXT", "one"))
    with process(folder, tmp_path / "log" / "log", "serve", "--reload", "--app", "texts:service") as server:
        assert answer(port).endswith(b"one")
        # What a program writes itself is no source.
        (folder / "data.log").write_text("x")
        program.write_text((PROGRAM % (port, port)).replace("TEXT", "the second"))
        end = time.monotonic() + START_SECONDS
        while not answer(port).endswith(b"the second"):
            assert time.monotonic() < end, (tmp_path / "log" / "log").read_text()
            time.sleep(0.05)
        server.terminate()
        assert server.wait(START_SECONDS) == 0
    said = (tmp_path / "log" / "log").read_text()
    assert ("texts.py changed: the server starts again" in said, "data.log" in said) == (True, False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificate_files import issue
from fakes import connected, new_signals
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from pode_signals import Endpoint, Signals
from pode_signals.command.tap import Options, makeService
from pode_signals.errors import ConfigurationInvalid
from pode_signals.signals import hub_of

SECRETS = [f"secret number {number}, of at least 32 bytes" for number in range(4)]
PROGRAM = """
from twisted.web.resource import Resource
from pode_signals import Endpoint, Signals, SignalsService

def make():
    named = dict(certificate="cert.pfx", certificate_password_file="password")
    return SignalsService(Signals(), Resource(), [Endpoint("https", listen="tcp:8443", **named)])

def strict():
    signals = Signals()
    signals.enable_signing("a secret of the program, of 32 bytes", strict=True)
    return SignalsService(signals, Resource(), [])
"""
ENDPOINT = "https+tcp:8443"  # a Twisted endpoint string: nothing is bound before the start


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the start, with a program."""
    (tmp_path / "start").mkdir()
    monkeypatch.chdir(tmp_path / "start")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "reload_program", raising=False)
    (tmp_path / "start" / "reload_program.py").write_text(PROGRAM)
    return tmp_path / "start"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged as a warning or an error, level first."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            found.append(f"{event['log_level'].name} {formatEvent(event)}")

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def command(*arguments: str) -> Any:
    """What twistd would run."""
    options = Options()
    options.parseOptions(arguments)
    made: Any = makeService(options)
    hub_of(made._service.signals).runtime.clock = Clock()
    return made


def serial(command: Any) -> int:
    """The serial number of the certificate that a new client is shown."""
    (certificate,) = command._service._ports.certificates.values()
    shown = certificate.serverConnectionForTLS(None).get_certificate()
    assert shown is not None
    number: int = shown.to_cryptography().serial_number
    return number


def renew(folder: Path, password: str, *, pfx: str = "cert.pfx", password_file: str = "password") -> int:
    """Write another certificate with another password; its serial number."""
    issued = issue()
    (folder / pfx).write_bytes(issued.pfx(password.encode()))
    (folder / password_file).write_text(password + "\n")
    return issued.serial


def signed_by(secret: str, client_id: str) -> bool:
    """Whether an id has the signature of a secret."""
    signals = Signals()
    signals.enable_signing(secret)
    return signals.is_client_id_signed(client_id)


@pytest.mark.parametrize("way", ["command line", "file", "table", "text", "program"])
def test_a_password_that_is_renewed_with_its_certificate(
    folder: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str], way: str
) -> None:
    """S1.5: wherever certificate and password file are named, and wherever the process has gone since, a reload reads
    both anew.
    """
    config = {
        "file": f"endpoints = ['{ENDPOINT}']\ncertificate = 'cert.pfx'\ncertificate_password_file = 'password'\n",
        "table": "[[endpoints]]\nprotocol = 'https'\nlisten = 'tcp:8443'\ncertificate = 'cert.pfx'\n"
        "certificate_password_file = 'password'\n",
    }.get(way, "")
    (folder / "chat.toml").write_text(config)
    arguments = {
        "command line": [f"--endpoint={ENDPOINT}", "--certificate=cert.pfx", "--certificate-password-file=password"],
        "text": ["--endpoint=https://localhost:0?certificate=cert.pfx&certificate_password_file=password"],
        "program": ["--app=reload_program:make"],
    }.get(way, ["--config=chat.toml"])
    before = renew(folder, "old")
    running = command(*arguments)
    assert serial(running) == before
    after = renew(folder, "new")
    monkeypatch.chdir("/")
    running.reload()
    assert serial(running) == after != before
    assert logged == []


def test_names_that_change_in_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    """S1.5: a reload reads the file of --config too, and what that names now: files, passwords, secrets."""
    table = "[[endpoints]]\nprotocol = 'https'\nlisten = 'tcp:8443'\ncertificate = '{}'\ncertificate_password = '{}'\n"
    for number in (0, 1):
        (folder / f"secret-{number}").write_text(SECRETS[number])
    renew(folder, "old")
    (folder / "chat.toml").write_text("secret_file = 'secret-0'\n" + table.format("cert.pfx", "old"))
    running = command("--config=chat.toml")
    after = renew(folder, "new", pfx="other.pfx")
    (folder / "chat.toml").write_text("secret_file = 'secret-1'\n" + table.format("other.pfx", "new"))
    monkeypatch.chdir("/")
    running.reload()
    assert serial(running) == after
    assert signed_by(SECRETS[1], running._service.signals.new_client_id("ada"))
    assert logged == []


def test_keys_that_count_from_the_next_start_on(folder: Path, logged: list[str]) -> None:
    """S1.5: a reload names in one line the keys of the file that have changed and that only a new start takes up."""
    table = (
        "[[endpoints]]\nprotocol = 'https'\nlisten = 'tcp:{}'\ncertificate = 'cert.pfx'\ncertificate_password = 'x'\n"
    )
    renew(folder, "x")
    (folder / "chat.toml").write_text("drain_seconds = 5\nmax_names = 3\n" + table.format(8443))
    running = command("--config=chat.toml")
    running.reload()
    assert logged == []
    (folder / "chat.toml").write_text("drain_seconds = 6\ncompression = true\n" + table.format(8444))
    line = "warn changed, which only a new start takes up: drain_seconds, endpoints, max_names, compression"
    for count in (1, 2):
        running.reload()
        assert logged == [line] * count
    (folder / "chat.toml").write_text("drain_seconds = 5\nmax_names = 3\n" + table.format(8443))
    running.reload()
    assert logged == [line] * 2


def test_a_certificate_takes_the_place_of_a_self_signed_one(folder: Path) -> None:
    """S1.5: a certificate that the file names in place of a self-signed one is used after a reload, and so the other
    way; a self-signed one stays what it is.
    """
    own = f"endpoints = ['{ENDPOINT}']\nself_signed = true\n"
    (folder / "chat.toml").write_text(own)
    running = command("--config=chat.toml")
    first = serial(running)
    running.reload()
    assert serial(running) == first
    after = renew(folder, "new")
    (folder / "chat.toml").write_text(
        f"endpoints = ['{ENDPOINT}']\ncertificate = 'cert.pfx'\ncertificate_password_file = 'password'\n"
    )
    running.reload()
    assert serial(running) == after
    (folder / "chat.toml").write_text(own)
    running.reload()
    assert serial(running) not in (first, after)


class TestSecrets:
    def test_rotation_with_open_connections(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """S8.3: a reload replaces the secrets while connections are open: the new first one signs, each listed one
        verifies, and the ids of one that is listed no more are invalid.
        """
        (folder / "secret").write_text(f"{SECRETS[0]}\n{SECRETS[1]}\n")
        running = command("--secret-file=secret", "--endpoint=http+tcp:8091")
        signals = running._service.signals
        ids = {number: signed(SECRETS[number], "ada") for number in range(4)}
        holder = connected(signals, client_id=ids[0])
        (folder / "secret").write_text(f"{SECRETS[2]}\n{SECRETS[0]}\n")
        monkeypatch.chdir("/")
        running.reload()
        assert signals.new_client_id("ada") == ids[2]
        assert [signals.is_client_id_valid(ids[number]) for number in range(4)] == [True, False, True, False]
        assert holder.connection.client_id == ids[0]
        assert hub_of(signals).client_ids_hold((ids[0], ids[2]))
        assert not hub_of(signals).client_ids_hold((ids[1],))

    def test_signing_stays_as_strict_as_the_program_has_it(self, folder: Path) -> None:
        """S8.2: --secret-file gives other secrets to a program that signs strictly, and no other strictness."""
        (folder / "secret").write_text(SECRETS[0])
        running = command("--app=reload_program:strict", "--secret-file=secret")
        for _ in range(2):
            with pytest.raises(ValueError, match="strict"):
                running._service.signals.new_client_id("ada")
            running.reload()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "No such file"),
            (b"", "it is empty"),
            (b"\xff\xfes\0", "UTF-16"),
            (b"\xff", "not UTF-8"),
            ("fifo", "read twice"),
        ],
    )
    def test_a_bad_file_keeps_the_old(
        self, folder: Path, logged: list[str], content: bytes | str | None, said: str
    ) -> None:
        """S8.3: secrets that can't be read again stay as they were, with one line of error; certificates are renewed
        all the same.
        """
        (folder / "secret").write_text(SECRETS[0])
        renew(folder, "old")
        certificate = ["--certificate=cert.pfx", "--certificate-password-file=password"]
        running = command("--secret-file=secret", f"--endpoint={ENDPOINT}", *certificate)
        (folder / "secret").unlink()
        if content == "fifo":
            os.mkfifo(folder / "secret")
        elif isinstance(content, bytes):
            (folder / "secret").write_bytes(content)
        after = renew(folder, "new")
        running.reload()
        assert serial(running) == after
        assert signed_by(SECRETS[0], running._service.signals.new_client_id())
        (line,) = logged
        assert line.startswith("error the secrets stay as they were: ")
        assert str(folder / "secret") in line
        assert said in line

    def test_secrets_that_are_named_no_more(self, folder: Path, logged: list[str]) -> None:
        """S8.3: signing is not turned off by a reload, nor on while a connection is open; one line of error says so."""
        (folder / "secret").write_text(SECRETS[0])
        (folder / "chat.toml").write_text("secret_file = 'secret'\nendpoints = ['http+tcp:8091']\n")
        running = command("--config=chat.toml")
        (folder / "chat.toml").write_text("endpoints = ['http+tcp:8091']\n")
        running.reload()
        assert running._service.signals.is_signing
        unsigned = command("--config=chat.toml")
        client = connected(unsigned._service.signals)
        (folder / "chat.toml").write_text("secret_file = 'secret'\nendpoints = ['http+tcp:8091']\n")
        unsigned.reload()
        assert not unsigned._service.signals.is_signing
        assert [line.partition(":")[0] for line in logged] == ["error the secrets stay as they were"] * 2
        client.vanishes()
        unsigned.reload()
        assert unsigned._service.signals.is_signing


def signed(secret: str, client_id: str) -> str:
    """An id with the signature of a secret."""
    signals = Signals()
    signals.enable_signing(secret)
    return signals.new_client_id(client_id)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("password", b"wrong\n", "cert.pfx: a wrong password"),
        ("password", b"", "password: it is empty"),
        ("password", None, "password: No such file"),
        ("cert.pfx", None, "cert.pfx: No such file"),
        ("cert.pfx", b"rubbish", "cert.pfx: "),
        ("chat.toml", b"certificate = ", "chat.toml: "),
        ("chat.toml", b"certificat = 'x'", "did you mean certificate?"),
        ("chat.toml", b"max_names = 'many'\nendpoints = []", "max_names"),
        ("chat.toml", None, "chat.toml: No such file"),
    ],
)
def test_a_bad_file_keeps_the_certificate(
    folder: Path, logged: list[str], file: str, content: bytes | None, said: str
) -> None:
    """S1.5: a file that can't be used at a reload is one line of error that names it, and the old certificate stays."""
    (folder / "chat.toml").write_text(
        f"endpoints = ['{ENDPOINT}']\ncertificate = 'cert.pfx'\ncertificate_password_file = 'password'\n"
    )
    before = renew(folder, "old")
    running = command("--config=chat.toml")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    running.reload()
    assert serial(running) == before
    (line,) = logged
    assert line.startswith("error ")
    assert "as it was" in line or "as they were" in line
    assert said in line


class TestTheStartSaysWhatStays:
    @pytest.fixture
    def running(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A command with each kind of file, which can't bind."""
        (folder / "secret").write_text(SECRETS[0])
        (folder / "chat.toml").write_text("certificate = 'cert.pfx'\ncertificate_password_file = 'password'\n")
        renew(folder, "old")
        return command("--config=chat.toml", "--secret-file=secret", f"--endpoint={ENDPOINT}")

    def test_nothing_where_all_can_be_read(self, running: Any, logged: list[str]) -> None:
        """S1.5: where a reload can read all, the start says nothing of it."""
        running._say_what_stays()
        assert logged == []

    @pytest.mark.parametrize("gone", ["secret", "chat.toml", "cert.pfx", "password"])
    @pytest.mark.parametrize("is_pipe", [False, True])
    def test_a_file_that_can_not_be_read_again(
        self, running: Any, folder: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch, gone: str, is_pipe: bool
    ) -> None:
        """S1.5: a file that the process can't read where it has got to, or a pipe, is named at the start, in one line
        for all.
        """
        monkeypatch.chdir("/")
        (folder / gone).unlink()
        if is_pipe:
            os.mkfifo(folder / gone)
        running._say_what_stays()
        (line,) = logged
        assert line.startswith("warn SIGHUP can't read these again")
        assert f"{folder / gone}: {'it is no file' if is_pipe else 'No such file'}" in line
        assert line.count(str(folder)) == 1

    def test_certificates_of_twisted(self, folder: Path, logged: list[str]) -> None:
        """S1.5: an endpoint string with TLS of Twisted's own is read once, and the start says so."""
        issued = issue()
        (folder / "key.pem").write_bytes(issued.key_pem() + issued.pem())
        command("--endpoint=https+ssl:8443:privateKey=key.pem")._say_what_stays()
        (line,) = logged
        assert "https ssl:8443:privateKey=key.pem: Twisted reads its files once" in line


def test_a_signal_before_the_reactor_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.5: SIGHUP that comes before anything can be reloaded ends no process; the reload follows, once."""
    calls: list[str] = []
    running = command("--endpoint=http+tcp:8091")
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGHUP)
    running._hang_up.begin(lambda: calls.append("reload"))
    assert calls == ["reload"]
    os.kill(os.getpid(), signal.SIGHUP)
    assert calls == ["reload"] * 2


def test_replacing_secrets() -> None:
    """S8.3: replace_secrets is for a hub that signs, keeps the old secrets where the new ones can't be, and warns of a
    weak one.
    """
    signals = new_signals()
    with pytest.raises(ValueError, match="signing is off"):
        signals.replace_secrets(SECRETS[0])
    signals.enable_signing(SECRETS[0])
    client = connected(signals)
    for bad in ("", [], ["", SECRETS[1]]):
        with pytest.raises(ValueError, match="secret"):
            signals.replace_secrets(bad)
    assert signed_by(SECRETS[0], signals.new_client_id())
    signals.replace_secrets([SECRETS[1], SECRETS[0]])
    assert signed_by(SECRETS[1], signals.new_client_id())
    assert signals.is_client_id_valid(client.connection.client_id)
    signals.replace_secrets(SECRETS[1])
    assert not signals.is_client_id_valid(client.connection.client_id)


def test_a_file_and_a_password() -> None:
    """S1.5: an endpoint has a password, or a file with one."""
    with pytest.raises(ConfigurationInvalid, match="not both"):
        Endpoint("https", certificate="a.pfx", certificate_password="x", certificate_password_file="y")
    with pytest.raises(ConfigurationInvalid, match="without a certificate"):
        Endpoint("https", certificate_password_file="y")

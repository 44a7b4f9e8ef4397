"""``https`` and ``wss`` on one port of a program of its own, with clients that check certificates."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import websocket
from certificate_files import Issued, issue
from cryptography import x509
from programs import Program, free_port, start

SECONDS = 30


@pytest.fixture(scope="module")
def issued() -> Issued:
    return issue()


@contextmanager
def serving(tmp_path: Path, *options: str) -> Iterator[Program]:
    """The example on a free port with https and wss; it has to stop on SIGTERM, and print no traceback."""
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}" for protocol in ("https", "wss")]
    program = start(["pode-signals", *endpoints, *options], port, tmp_path / "log", cwd=tmp_path)
    try:
        yield program
    finally:
        status = program.stop()
    assert status == -signal.SIGTERM, program.text()
    assert "Traceback" not in program.text(), program.text()


def written(tmp_path: Path, issued: Issued, kind: str) -> list[str]:
    """The options for a certificate, whose files are written."""
    if kind == "pfx":
        (tmp_path / "cert.pfx").write_bytes(issued.pfx(b"dummy"))
        (tmp_path / "password.txt").write_text("dummy\n")
        return ["--certificate=cert.pfx", "--certificate-password-file=password.txt"]
    (tmp_path / "cert.pem").write_bytes(issued.pem())
    (tmp_path / "key.pem").write_bytes(issued.key_pem())
    return ["--certificate=cert.pem", "--certificate-key=key.pem"]


def trusting(tmp_path: Path, issued: Issued) -> ssl.SSLContext:
    """A client's context that trusts the certificate's authority."""
    return ssl.create_default_context(cafile=issued.authority_file(tmp_path))


@contextmanager
def client(program: Program, context: ssl.SSLContext) -> Iterator[websocket.WebSocket]:
    """A plain client over TLS."""
    url = f"wss://localhost:{program.port}/msg"
    connected = websocket.create_connection(url, timeout=SECONDS, sslopt={"context": context})
    try:
        yield connected
    finally:
        connected.shutdown()


@contextmanager
def tls(program: Program, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A TLS connection."""
    raw = socket.create_connection(("127.0.0.1", program.port), SECONDS)
    with raw, context.wrap_socket(raw, server_hostname="localhost") as wrapped:
        yield wrapped


def serial(program: Program) -> int:
    """The serial number of the certificate that a new client is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with tls(program, context) as connected:
        shown = connected.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def wait_for(program: Program, text: str, count: int = 1) -> None:
    """Wait, bounded, until the program has printed something so often."""
    end = time.monotonic() + SECONDS
    while program.text().count(text) < count:
        assert time.monotonic() < end, program.text()
        time.sleep(0.02)


def says(connected: websocket.WebSocket, text: str) -> bool:
    """Whether a client's message comes back to it."""
    connected.send(json.dumps({"message": text}))
    return bool(json.loads(connected.recv()) == {"message": text})


@pytest.mark.parametrize("kind", ["pfx", "pem"])
def test_https_and_wss_on_one_port(tmp_path: Path, issued: Issued, kind: str) -> None:
    """S1.5: https and wss share a port with a certificate from PKCS#12 or PEM: TLS 1.2 and 1.3, nothing older."""
    with serving(tmp_path, *written(tmp_path, issued, kind)) as program:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(tmp_path, issued)
            context.minimum_version = context.maximum_version = version
            with urllib.request.urlopen(
                f"https://localhost:{program.port}/", context=context, timeout=SECONDS
            ) as answer:
                assert answer.status == 200
            with client(program, context) as connected:
                assert connected.sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
                assert says(connected, "hello")
        context = trusting(tmp_path, issued)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"), tls(program, context):
            pass


def test_no_http2(tmp_path: Path, issued: Issued) -> None:
    """S2.2: HTTP/2 is not negotiated, though the client would rather have it."""
    with serving(tmp_path, *written(tmp_path, issued, "pem")) as program:
        context = trusting(tmp_path, issued)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with tls(program, context) as connected:
            assert connected.selected_alpn_protocol() == "http/1.1"


def test_endpoint_rules_over_tls(tmp_path: Path, issued: Issued) -> None:
    """S1.4: over TLS a loopback endpoint refuses a Host that is not loopback with 421, too."""
    context = trusting(tmp_path, issued)
    with serving(tmp_path, *written(tmp_path, issued, "pem")) as program, tls(program, context) as connected:
        connected.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert connected.recv(65_536).startswith(b"HTTP/1.1 421 ")


def test_self_signed(tmp_path: Path) -> None:
    """S1.5: with ``--self-signed`` a certificate is made at start; nobody trusts it by itself."""
    with serving(tmp_path, "--self-signed") as program:
        assert serial(program)
        with pytest.raises(ssl.SSLCertVerificationError), tls(program, ssl.create_default_context()):
            pass


def test_clients_over_tls_are_told_at_the_end(tmp_path: Path, issued: Issued) -> None:
    """S12.2: clients over TLS get 1001 at SIGTERM, too."""
    context = trusting(tmp_path, issued)
    with serving(tmp_path, *written(tmp_path, issued, "pem")) as program, client(program, context) as connected:
        program.process.send_signal(signal.SIGTERM)
        code, payload = connected.recv_data()
        assert (code, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe9")


def test_a_new_certificate_on_sighup(tmp_path: Path, issued: Issued) -> None:
    """S1.5: after SIGHUP new handshakes get the certificate that is on disk now, and open connections stay."""
    with serving(tmp_path, *written(tmp_path, issued, "pfx")) as program:
        newer = issue()
        with client(program, trusting(tmp_path, issued)) as before:
            written(tmp_path, newer, "pfx")
            assert serial(program) == issued.serial
            program.process.send_signal(signal.SIGHUP)
            wait_for(program, "is valid until", 2)
            assert serial(program) == newer.serial
            assert says(before, "still here")
            with client(program, trusting(tmp_path, newer)) as after:
                assert says(after, "me too")


def test_a_new_password_on_sighup(tmp_path: Path, issued: Issued) -> None:
    """S1.5: a PKCS#12 file and the file of its password, both renewed, are read at SIGHUP."""
    with serving(tmp_path, *written(tmp_path, issued, "pfx")) as program:
        newer = issue()
        (tmp_path / "cert.pfx").write_bytes(newer.pfx(b"another"))
        (tmp_path / "password.txt").write_text("another\n")
        program.process.send_signal(signal.SIGHUP)
        wait_for(program, "is valid until", 2)
        assert serial(program) == newer.serial


def test_a_bad_certificate_on_sighup(tmp_path: Path, issued: Issued) -> None:
    """S1.5: a certificate that is bad at SIGHUP is logged as an error; the old one and open connections stay."""
    context = trusting(tmp_path, issued)
    with serving(tmp_path, *written(tmp_path, issued, "pem")) as program, client(program, context) as before:
        (tmp_path / "key.pem").write_bytes(issue().key_pem())
        program.process.send_signal(signal.SIGHUP)
        wait_for(program, "stays as it was")
        (line,) = (line for line in program.text().splitlines() if "stays as it was" in line)
        assert "#error" in line
        assert "key.pem" in line
        assert serial(program) == issued.serial
        assert says(before, "still here")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--certificate=absent.pem"], "absent.pem"),
        (["--certificate=cert.pfx"], "cert.pfx"),
        (["--certificate=cert.pfx", "--certificate-password-file=wrong.txt"], "cert.pfx"),
        (["--certificate=cert.pem", "--certificate-key=other.pem"], "other.pem"),
        (["--certificate=cert.pem", "--certificate-key=absent.pem"], "absent.pem"),
        ([], "https localhost:"),
    ],
)
def test_a_certificate_that_can_not_be_used(tmp_path: Path, issued: Issued, options: list[str], named: str) -> None:
    """S1.5: a wrong password, a missing file, a foreign key: status 1 and one line that names the file."""
    for kind in ("pfx", "pem"):
        written(tmp_path, issued, kind)
    (tmp_path / "wrong.txt").write_text("wrong")
    (tmp_path / "other.pem").write_bytes(issue().key_pem())
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "pode-signals"]
    done = subprocess.run(
        [*command, f"--endpoint=https://localhost:{free_port()}", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("pode-signals: ")
    assert named in done.stderr

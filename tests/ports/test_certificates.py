from __future__ import annotations

import ssl
import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from socket import gethostname

import pytest
from certificate_files import Issued, issue
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from OpenSSL import SSL
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from pode_signals.core.endpoints import Endpoint
from pode_signals.errors import ConfigurationInvalid
from pode_signals.ports import certificates
from pode_signals.ports.certificates import ServerCertificate
from pode_signals.ports.listeners import group_endpoints


@pytest.fixture(scope="module")
def issued() -> Issued:
    return issue()


@pytest.fixture
def logged():
    """What is logged about certificates: level and text."""
    found: list[tuple[str, str]] = []

    def observe(event: LogEvent) -> None:
        if "ServerCertificate" in event.get("log_namespace", ""):
            level: LogLevel = event["log_level"]
            found.append((level.name, formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def certificate(*endpoints: Endpoint) -> ServerCertificate:
    """The certificate of endpoints that share a port."""
    (listener,) = group_endpoints(endpoints)
    return ServerCertificate(listener)


def written(folder: Path, **files: bytes) -> dict[str, str]:
    """Files and their paths: ``server_pem=…`` is ``server.pem``."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return {name: str(folder / name.replace("_", ".")) for name in files}


class Handshake:
    """A TLS handshake in memory, of Python's own client with a server certificate."""

    def __init__(self, server: ServerCertificate, trusted: Path | None = None) -> None:
        self.context = ssl.create_default_context(cafile=trusted)
        self.context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
        self.server = server

    def run(self) -> ssl.SSLObject:
        """The client's side, after the handshake."""
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.context.wrap_bio(to_client, to_server, server_hostname="localhost")
        server = self.server.serverConnectionForTLS(None)  # type: ignore[arg-type]
        server.set_accept_state()
        for _ in range(10):
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            else:
                done = True
            if to_server.pending:
                server.bio_write(to_server.read())
            with suppress(SSL.WantReadError):
                server.do_handshake()
            with suppress(SSL.WantReadError):
                to_client.write(server.bio_read(65_536))
            if done:
                return client
        raise AssertionError("the handshake goes on for ever")

    def serial(self) -> int:
        """The serial number of the certificate that the client is shown."""
        shown = self.run().getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


def refusal(*endpoints: Endpoint) -> str:
    """Why a certificate is refused: one line."""
    with pytest.raises(ConfigurationInvalid) as refused:
        certificate(*endpoints)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_pem(tmp_path: Path, issued: Issued) -> None:
    """S1.5: a certificate with its chain and a key, each in a PEM file."""
    paths = written(tmp_path, server_pem=issued.pem(), key_pem=issued.key_pem())
    server = certificate(Endpoint("https", certificate=paths["server_pem"], certificate_key=paths["key_pem"]))
    assert Handshake(server, issued.authority_file(tmp_path)).serial() == issued.serial


def test_pem_in_one_file(tmp_path: Path, issued: Issued) -> None:
    """S1.5: certificate, chain and an encrypted key can be in one PEM file."""
    paths = written(tmp_path, server_pem=issued.key_pem(b"pass") + issued.pem())
    server = certificate(Endpoint("wss", certificate=paths["server_pem"], certificate_password="pass"))
    assert Handshake(server, issued.authority_file(tmp_path)).serial() == issued.serial


@pytest.mark.parametrize("password", [None, "dummy", "pässword"])
def test_pkcs12(tmp_path: Path, issued: Issued, password: str | None) -> None:
    """S1.5: a PKCS#12 file has certificate, chain and key, with a password or without."""
    paths = written(tmp_path, cert_pfx=issued.pfx(None if password is None else password.encode()))
    server = certificate(Endpoint("https", certificate=paths["cert_pfx"], certificate_password=password))
    assert Handshake(server, issued.authority_file(tmp_path)).serial() == issued.serial


def test_one_endpoint_of_a_port_brings_the_certificate(tmp_path: Path, issued: Issued) -> None:
    """S1.5: https and wss on one port have one certificate, given with either."""
    paths = written(tmp_path, cert_pfx=issued.pfx(None))
    server = certificate(Endpoint("https", port=1), Endpoint("wss", port=1, certificate=paths["cert_pfx"]))
    assert Handshake(server, issued.authority_file(tmp_path)).serial() == issued.serial


def test_self_signed() -> None:
    """S1.5: a self-signed certificate is made at start, for this machine's names, and is new each time."""
    serials = set()
    for _ in range(2):
        handshake = Handshake(certificate(Endpoint("https", self_signed=True)))
        handshake.context.check_hostname = False
        handshake.context.verify_mode = ssl.CERT_NONE
        shown = handshake.run().getpeercert(binary_form=True)
        assert shown is not None
        made = x509.load_der_x509_certificate(shown)
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", gethostname()}
        assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
        serials.add(made.serial_number)
    assert len(serials) == 2


def test_self_signed_holds_for_who_trusts_it(tmp_path: Path) -> None:
    """S1.5: a client that is given the self-signed certificate takes it, by the strict rules of RFC 5280 too."""
    server = certificate(Endpoint("https", self_signed=True))
    distrustful = Handshake(server)
    distrustful.context.check_hostname, distrustful.context.verify_mode = False, ssl.CERT_NONE
    shown = distrustful.run().getpeercert(binary_form=True)
    assert shown is not None
    extensions = x509.load_der_x509_certificate(shown).extensions
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(ssl.DER_cert_to_PEM_cert(shown))
    assert Handshake(server, trusted).serial() == x509.load_der_x509_certificate(shown).serial_number


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(tmp_path: Path, issued: Issued, version: ssl.TLSVersion) -> None:
    """S1.5: TLS 1.2 and TLS 1.3 are spoken."""
    paths = written(tmp_path, cert_pfx=issued.pfx(None))
    handshake = Handshake(
        certificate(Endpoint("https", certificate=paths["cert_pfx"])), issued.authority_file(tmp_path)
    )
    handshake.context.minimum_version = handshake.context.maximum_version = version
    assert handshake.run().version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


def test_no_older_tls(tmp_path: Path, issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.5: TLS 1.1 is refused, even to a client that allows weak ciphers."""
    set_options, given = SSL.Context.set_options, [0]

    def noting(context: SSL.Context, options: int) -> int:
        given.append(options)
        return set_options(context, options)

    # It only looks on: which versions OpenSSL is told to refuse shows nowhere else.
    monkeypatch.setattr(SSL.Context, "set_options", noting)
    paths = written(tmp_path, cert_pfx=issued.pfx(None))
    handshake = Handshake(
        certificate(Endpoint("https", certificate=paths["cert_pfx"])), issued.authority_file(tmp_path)
    )
    # The OpenSSL that runs this may refuse it by itself; any other is told to.
    options = reduce(or_, given)
    assert [bool(options & each) for each in (SSL.OP_NO_TLSv1, SSL.OP_NO_TLSv1_1, SSL.OP_NO_TLSv1_2)] == [1, 1, 0]
    handshake.context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        handshake.context.minimum_version = ssl.TLSVersion.TLSv1
        handshake.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(SSL.Error, match="unsupported protocol"):
        handshake.run()


def test_bad_files(tmp_path: Path, issued: Issued) -> None:
    """S1.5: a missing file, a wrong or missing password, a foreign key and rubbish are refused; the file is named."""
    other = issue()
    paths = written(
        tmp_path,
        server_pem=issued.pem(),
        key_pem=issued.key_pem(),
        locked_pem=issued.key_pem(b"pass"),
        other_pem=other.key_pem(),
        cert_pfx=issued.pfx(b"dummy"),
        rubbish_pem=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        rubbish_pfx=b"\x30\x82",
        empty_pfx=b"",
        weak_pfx=issue(key=rsa.generate_private_key(65_537, 1_024)).pfx(None),
    )
    missing = str(tmp_path / "missing.pem")
    server = paths["server_pem"]
    for named, why, given in (
        (missing, "No such file", {"certificate": missing}),
        (missing, "No such file", {"certificate": server, "certificate_key": missing}),
        (str(tmp_path), "Is a directory", {"certificate": str(tmp_path)}),
        (server, "no key", {"certificate": server}),
        (paths["other_pem"], "does not belong", {"certificate": server, "certificate_key": paths["other_pem"]}),
        (paths["locked_pem"], "needs a password", {"certificate": server, "certificate_key": paths["locked_pem"]}),
        (
            paths["locked_pem"],
            "wrong password",
            {"certificate": server, "certificate_key": paths["locked_pem"], "certificate_password": "x"},
        ),
        (
            paths["key_pem"],
            "has no password",
            {"certificate": server, "certificate_key": paths["key_pem"], "certificate_password": "x"},
        ),
        (paths["cert_pfx"], "without a password", {"certificate": paths["cert_pfx"]}),
        (paths["cert_pfx"], "wrong password", {"certificate": paths["cert_pfx"], "certificate_password": "x"}),
        (paths["rubbish_pem"], "no certificate", {"certificate": paths["rubbish_pem"]}),
        (paths["rubbish_pfx"], "no PEM", {"certificate": paths["rubbish_pfx"]}),
        (paths["empty_pfx"], "no PEM", {"certificate": paths["empty_pfx"]}),
        (paths["key_pem"], "no certificate", {"certificate": paths["key_pem"]}),
        (paths["weak_pfx"], "too small", {"certificate": paths["weak_pfx"]}),
    ):
        said = refusal(Endpoint("https", **given))
        assert named in said
        assert why in said


def test_no_certificate() -> None:
    """S1.5: https and wss without any certificate are refused, and the endpoint is named."""
    assert "wss localhost:1" in refusal(Endpoint("wss", port=1))


def test_reload(tmp_path: Path, issued: Issued) -> None:
    """S1.5: new handshakes get a new certificate after a reload, and not before."""
    paths = written(tmp_path, cert_pfx=issued.pfx(None))
    server = certificate(Endpoint("https", certificate=paths["cert_pfx"]))
    handshake = Handshake(server, issued.authority_file(tmp_path))
    assert handshake.serial() == issued.serial
    newer = issue()
    written(tmp_path, cert_pfx=newer.pfx(None))
    assert handshake.serial() == issued.serial
    server.reload()
    assert Handshake(server, newer.authority_file(tmp_path)).serial() == newer.serial


def test_reload_without_files(logged: list[tuple[str, str]]) -> None:
    """S1.5: a self-signed certificate has no file, and stays what it is."""
    server = certificate(Endpoint("https", port=1, self_signed=True))
    before = server.serverConnectionForTLS(None).get_context()  # type: ignore[arg-type]
    logged.clear()
    server.reload()
    assert server.serverConnectionForTLS(None).get_context() is before  # type: ignore[arg-type]
    assert logged == []


@pytest.mark.parametrize("broken", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None])
def test_a_bad_reload_keeps_the_old(
    tmp_path: Path, issued: Issued, logged: list[tuple[str, str]], broken: bytes | None
) -> None:
    """S1.5: a new file that can't be used is logged as an error, and the old certificate stays in use."""
    paths = written(tmp_path, cert_pfx=issued.pfx(None))
    server = certificate(Endpoint("https", certificate=paths["cert_pfx"]))
    if broken is None:
        Path(paths["cert_pfx"]).unlink()
    else:
        written(tmp_path, cert_pfx=broken)
    server.reload()
    assert Handshake(server, issued.authority_file(tmp_path)).serial() == issued.serial
    assert logged[-1][0] == "error"
    assert paths["cert_pfx"] in logged[-1][1]


def test_an_expired_certificate_is_said(tmp_path: Path, logged: list[tuple[str, str]]) -> None:
    """S1.5: an expired certificate is used, with a warning."""
    paths = written(tmp_path, cert_pfx=issue(valid_until=datetime.now(UTC) - timedelta(hours=1)).pfx(None))
    certificate(Endpoint("https", certificate=paths["cert_pfx"]))
    assert logged[-1][0] == "warn"


def test_pkcs12_without_a_key(tmp_path: Path, issued: Issued) -> None:
    """S1.5: a PKCS#12 file that has certificates alone, as one for clients, is refused."""
    alone = pkcs12.serialize_key_and_certificates(None, None, None, [issued.authority], NoEncryption())
    paths = written(tmp_path, cert_pfx=alone)
    said = refusal(Endpoint("https", certificate=paths["cert_pfx"]))
    assert said.endswith("cert.pfx: it has no key with a certificate")


@pytest.mark.parametrize("name", ["büro", "a\udcff", "a b", "x" * 64, "a..b", ""])
def test_a_machine_with_a_strange_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.5: a self-signed certificate is made on a machine whose name no certificate can have, too."""
    # The system's answer.
    monkeypatch.setattr(certificates, "gethostname", lambda: name)
    shown = certificate(Endpoint("https", self_signed=True)).serverConnectionForTLS(None).get_certificate()  # type: ignore[arg-type]
    assert shown is not None
    made = shown.to_cryptography()
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]

"""Certificates of TLS ports: PEM, PKCS#12 or self-signed, read again on demand. It asks for no client certificates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from socket import gethostname
from typing import TYPE_CHECKING, Any

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from zope.interface import implementer

from ..core.endpoints import Endpoint
from ..core.origin import host_name
from ..errors import ConfigurationInvalid
from .files import read_bytes, read_password
from .listeners import Listener

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOProtocol

__all__ = ["ServerCertificate"]

_SELF_SIGNED_DAYS = 30
_PEM = b"-----BEGIN "


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """The certificate of one port, as long as the port is bound. New handshakes get the certificate that was read last.

    Args:
        listener: the listener of a TLS port.

    Raises:
        ConfigurationInvalid: the listener has no certificate, or the certificate can't be used; one sentence that names
            the file.

    Attributes:
        expires: when the certificate in use expires (aware).
    """

    _log = Logger()
    expires: datetime

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._endpoint = _with_certificate(listener)
        self._context = self._read(self._endpoint)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that a reload reads."""
        return self._endpoint.certificate_files

    def reload(self, renamed: Listener | None = None) -> None:
        """Read the files again, also that of the password.

        Where they can't be used, that is logged, and the certificate stays. Open connections stay as they are. A
        self-signed certificate is not made anew.

        Args:
            renamed: the same port with other files; None reads the files that are in use.
        """
        try:
            endpoint = self._endpoint if renamed is None else _with_certificate(renamed)
            if endpoint.self_signed and self._endpoint.self_signed:
                return
            self._context = self._read(endpoint, again=True)
            self._endpoint = endpoint
        except ConfigurationInvalid as error:
            self._log.error(
                "the certificate of {listener} stays as it was: {error}",
                event="certificate.kept",
                listener=self._listener,
                error=error,
            )

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection with the certificate that was read last."""
        return SSL.Connection(self._context, None)

    def _read(self, endpoint: Endpoint, *, again: bool = False) -> SSL.Context:
        loaded = _self_signed() if endpoint.self_signed else _load(endpoint, again)
        expires = loaded.certificate.not_valid_after_utc
        say = self._log.warn if expires < datetime.now(UTC) else self._log.info
        say(
            "the certificate of {listener} is valid until {expires}",
            event="certificate.loaded",
            listener=self._listener,
            expires=expires,
        )
        try:
            # The options get objects of the package cryptography: OpenSSL has no other way for a PKCS#12 file.
            options = CertificateOptions(
                privateKey=loaded.key,
                certificate=loaded.certificate,  # type: ignore[arg-type]  # Twisted's annotation is older
                extraCertChain=list(loaded.chain),  # type: ignore[arg-type]
                raiseMinimumTo=TLSVersion.TLSv1_2,
            )
            context = options.getContext()
        # For instance, the key is too short for today's OpenSSL.
        except SSL.Error as error:
            reasons = ", ".join(str(each[-1]) for each in error.args[0]) if error.args else str(error)
            raise ConfigurationInvalid(f"{endpoint.certificate}: OpenSSL refuses it: {reasons}") from error
        self.expires = expires
        return context


@frozen
class _Loaded:
    key: Any
    certificate: x509.Certificate
    chain: Sequence[x509.Certificate]


def _with_certificate(listener: Listener) -> Endpoint:
    """The first endpoint of a port that has a certificate, which counts for all endpoints of the port."""
    for endpoint in listener.endpoints:
        if endpoint.has_certificate:
            return endpoint
    raise ConfigurationInvalid(
        f"the endpoint {listener.endpoints[0]} has no certificate: give it certificate=… or self_signed=True"
        " (--certificate FILE, --self-signed)"
    )


def _load(endpoint: Endpoint, again: bool) -> _Loaded:
    assert endpoint.certificate is not None
    data = read_bytes(endpoint.certificate, again=again)
    password = _password(endpoint, again)
    if _PEM in data:
        key_file = endpoint.certificate_key or endpoint.certificate
        key_data = data if endpoint.certificate_key is None else read_bytes(key_file, again=again)
        loaded = _load_pem(endpoint.certificate, data, key_file, key_data, password)
    else:
        loaded = _load_pkcs12(endpoint.certificate, data, password)
    if loaded.key.public_key() != loaded.certificate.public_key():
        key_file = endpoint.certificate_key or endpoint.certificate
        raise ConfigurationInvalid(f"{key_file}: the key does not belong to the certificate {endpoint.certificate}")
    return loaded


def _password(endpoint: Endpoint, again: bool) -> bytes | None:
    password = endpoint.certificate_password
    if endpoint.certificate_password_file is not None:
        password = read_password(endpoint.certificate_password_file, again=again)
    return None if password is None else password.encode("utf-8", "surrogatepass")


def _load_pem(path: str, data: bytes, key_file: str, key_data: bytes, password: bytes | None) -> _Loaded:
    try:
        certificate, *chain = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise ConfigurationInvalid(f"{path}: no certificate in PEM: {_line(error)}") from error
    try:
        key = _pem_key(key_data, password)
    except TypeError as error:
        why = "the key needs a password" if password is None else "the key has no password"
        raise ConfigurationInvalid(f"{key_file}: {why}") from error
    except (ValueError, UnsupportedAlgorithm, crypto.Error) as error:
        why = "no key in PEM" if password is None else "a wrong password, or no key in PEM"
        raise ConfigurationInvalid(f"{key_file}: {why}") from error
    return _Loaded(key, certificate, chain)


def _pem_key(data: bytes, password: bytes | None) -> Any:
    """The key in a PEM file.

    Raises:
        TypeError: the key is encrypted, and there is no password; or there is a password, and the key is not encrypted.
        ValueError, UnsupportedAlgorithm, crypto.Error: the key can't be read.
    """
    if password != b"":
        return load_pem_private_key(data, password)
    # The package cryptography takes the empty password for no password, and OpenSSL does not.
    try:
        load_pem_private_key(data, None)
    except TypeError:
        return crypto.load_privatekey(crypto.FILETYPE_PEM, data, password).to_cryptography_key()
    raise TypeError("the key is not encrypted")


def _load_pkcs12(path: str, data: bytes, password: bytes | None) -> _Loaded:
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, UnsupportedAlgorithm) as error:
        why = "no PEM, and no PKCS#12 without a password" if password is None else "a wrong password, or no PKCS#12"
        raise ConfigurationInvalid(f"{path}: {why}") from error
    if key is None or certificate is None:
        raise ConfigurationInvalid(f"{path}: it has no key with a certificate")
    return _Loaded(key, certificate, chain)


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _self_signed() -> _Loaded:
    """A certificate for this machine, for development: nobody trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pode_signals development")])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The name of a machine may have characters that no certificate can have.
    hosts = [x509.DNSName(each) for each in dict.fromkeys(("localhost", gethostname())) if host_name(each) is not None]
    addresses = [x509.IPAddress(ip_address(each)) for each in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([*hosts, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # RFC 5280 section 4.2.1.1 asks for both identifiers, and so does Python's ssl from 3.13 on.
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Loaded(key, certificate, ())

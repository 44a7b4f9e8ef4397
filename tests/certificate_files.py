"""Certificates for tests, made anew each time: a small authority of one's own, in PEM and PKCS#12."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class Issued:
    """A certificate for localhost, with its key, and what signed it: an authority, by an intermediate certificate."""

    key: Key
    certificate: x509.Certificate
    intermediate: x509.Certificate
    authority: x509.Certificate

    @property
    def serial(self) -> int:
        """What tells it from others."""
        return self.certificate.serial_number

    def pem(self) -> bytes:
        """The certificate, with its chain."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, self.intermediate))

    def key_pem(self, password: bytes | None = None) -> bytes:
        """The key."""
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def pfx(self, password: bytes | None) -> bytes:
        """Certificate, chain and key as PKCS#12."""
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        return pkcs12.serialize_key_and_certificates(
            b"test", self.key, self.certificate, [self.intermediate], encryption
        )

    def authority_file(self, folder: Path) -> Path:
        """What a client trusts."""
        path = folder / f"authority-{self.serial}.pem"
        path.write_bytes(self.authority.public_bytes(Encoding.PEM))
        return path


def issue(*, valid_until: datetime | None = None, key: Key | None = None) -> Issued:
    """A new authority and a certificate for localhost, as strict as Python's ssl is from 3.13 on (RFC 5280)."""
    authority_key, intermediate_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    key = key or ec.generate_private_key(ec.SECP256R1())
    authority_name, intermediate_name = _name("test authority"), _name("test intermediate")
    until = valid_until or datetime.now(UTC) + DAY
    authority, intermediate = (
        _builder(subject, authority_name, own_key, authority_key, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(authority_key, hashes.SHA256())
        for subject, own_key in ((authority_name, authority_key), (intermediate_name, intermediate_key))
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        _builder(_name("localhost"), intermediate_name, key, intermediate_key, until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(intermediate_key, hashes.SHA256())
    )
    return Issued(key, certificate, intermediate, authority)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, issuer_key: Key, until: datetime
) -> x509.CertificateBuilder:
    own, of_issuer = (x509.SubjectKeyIdentifier.from_public_key(each.public_key()) for each in (key, issuer_key))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 30 * DAY)
        .not_valid_after(until)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_issuer), critical=False)
    )

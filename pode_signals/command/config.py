"""The configuration: what a configuration file and the command line say together, as one value. It opens no port."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import evolve, field, frozen

from ..core.endpoints import Endpoint
from ..errors import ConfigurationInvalid
from ..ports.files import read_password, read_secrets
from .keys import SERVICE_KEYS, checked_settings, checked_value
from .operations_keys import ENDPOINTS, SECTION

__all__ = ["Configuration"]

# The keys that a reload does not take up, beside the endpoints and the settings.
_START_KEYS = ("app", "drain_seconds", "lame_duck_seconds", "log_format", "reuse_port")
# An endpoint without its certificate, which a reload takes up.
_NO_CERTIFICATE: Mapping[str, Any] = {
    "certificate": None,
    "certificate_key": None,
    "certificate_password": None,
    "certificate_password_file": None,
    "self_signed": False,
}


@frozen(kw_only=True)
class Configuration:
    """What a configuration file and the command line say together.

    Attributes:
        app: the program to serve; None is the example.
        endpoints: where to listen; empty leaves that to the program.
        secrets: the secrets that sign client ids; empty leaves signing to the program.
        drain_seconds: how long a stop waits for the clients; None leaves that to the program.
        reuse_port: whether other processes may listen on the ports of all endpoints.
        lame_duck_seconds: how long the ports still take clients then; None leaves that to the program.
        log_format: ``text`` or ``json``; None leaves the format to twistd or twist.
        log_level: which lines are logged; None is ``info``, and the level of twist itself.
        operations: the arguments of ``Operations``; None is no operations, or those of the program.
        settings: the settings of the hub, by their names.
        certificate, certificate_key, certificate_password, self_signed: for endpoints that have no certificate.
        secret_file, certificate_password_file: the files with the secrets and with the password.
    """

    app: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    secrets: tuple[str, ...] = ()
    drain_seconds: float | None = None
    lame_duck_seconds: float | None = None
    log_format: str | None = None
    reuse_port: bool = False
    log_level: str | None = None
    operations: Mapping[str, Any] | None = None
    settings: Mapping[str, Any]
    certificate: str | None = None
    certificate_key: str | None = None
    certificate_password: str | None = None
    self_signed: bool = False
    secret_file: str | None = field(default=None, eq=False)
    certificate_password_file: str | None = field(default=None, eq=False)

    @classmethod
    def of(cls, values: Mapping[str, Any], *, names_only: bool = False) -> Configuration:
        """Make a configuration of values.

        Args:
            values: the values by their keys, which are those of :data:`~pode_signals.command.keys.FILE_KEYS`.
            names_only: whether the files with the secrets and the password are not read here. A reload reads each of
                these files by itself.

        Raises:
            ConfigurationInvalid: a value makes no sense; the sentence names its key.
        """
        service = {key: checked_value(key, values[key]) for key in SERVICE_KEYS if key in values}
        settings = checked_settings(values)
        if not names_only and "certificate_password_file" in service:
            service["certificate_password"] = read_password(service["certificate_password_file"])
        if not names_only and "secret_file" in service:
            service["secrets"] = read_secrets(service["secret_file"])
        service["endpoints"] = tuple(service.get("endpoints", ()))
        return cls(settings=settings, operations=values.get(SECTION), **service)

    def differences(self, later: Configuration) -> tuple[str, ...]:
        """The keys whose values are others in a later configuration, without those that a reload takes up."""
        keys = [key for key in _START_KEYS if getattr(self, key) != getattr(later, key)]
        if _without_certificates(self.endpoints) != _without_certificates(later.endpoints):
            keys.append("endpoints")
        if _operations_without_certificates(self) != _operations_without_certificates(later):
            keys.append(SECTION)
        names = dict.fromkeys((*self.settings, *later.settings))
        return (*keys, *(name for name in names if self.settings.get(name) != later.settings.get(name)))

    def with_shared_ports(self, endpoints: Collection[Endpoint]) -> tuple[Endpoint, ...]:
        """Let other processes listen on the ports of the endpoints, where this configuration says so.

        Raises:
            ConfigurationInvalid: an endpoint has no port that could be shared.
        """
        return tuple(evolve(each, reuse_port=True) if self.reuse_port else each for each in endpoints)

    def with_certificate(self, endpoints: Collection[Endpoint]) -> tuple[Endpoint, ...]:
        """Give the certificate of this configuration to the endpoints that need one and have none.

        Raises:
            ConfigurationInvalid: no endpoint needs a certificate, or the configuration has only parts of one.
        """
        given: dict[str, Any] = {
            "certificate": self.certificate,
            "certificate_key": self.certificate_key,
            # An endpoint with a password file reads that file again each time that the certificate is read.
            "certificate_password": None if self.certificate_password_file else self.certificate_password,
            "certificate_password_file": self.certificate_password_file,
            "self_signed": self.self_signed,
        }
        if all(value is None or value is False for value in given.values()):
            return tuple(endpoints)
        needy = [each for each in endpoints if each.is_secure and not each.brings_tls and not each.has_certificate]
        if not needy:
            raise ConfigurationInvalid("no https or wss endpoint is without a certificate, so there is no use for one")
        return tuple(evolve(each, **given) if each in needy else each for each in endpoints)


def _without_certificates(endpoints: Collection[Endpoint]) -> list[Endpoint]:
    return [evolve(each, **_NO_CERTIFICATE) for each in endpoints]


def _operations_without_certificates(configuration: Configuration) -> Mapping[str, Any] | None:
    operations = configuration.operations
    if operations is None:
        return None
    return {**operations, ENDPOINTS: _without_certificates(operations.get(ENDPOINTS, ()))}

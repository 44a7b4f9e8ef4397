"""The configuration of ``twistd pode-signals``: a TOML file and what the command line adds. It opens no port."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields, frozen

from ..core.endpoints import Endpoint
from ..core.settings import SETTING_NAMES, Settings
from ..errors import ConfigurationInvalid
from ..ports.files import read_password, read_secrets, read_text

__all__ = ["FILE_KEYS", "LOG_FORMATS", "PATHS", "SERVICE_KEYS", "Configuration", "read_file", "setting_from_text"]

LOG_FORMATS = ("text", "json")

SERVICE_KEYS: Mapping[str, tuple[type, str]] = {
    "app": (
        str,
        "what to serve, MODULE:OBJECT: a SignalsService, or a function that returns one: without arguments, or with "
        "**settings, which gets the settings that are given here, for its Signals(**settings)",
    ),
    "endpoints": (
        list,
        "where to listen, and for what: PROTOCOL://ADDRESS[:PORT][?OPTION=VALUE&...], where the protocol is http, "
        "https, ws or wss, the address is an IP address, localhost, or * for every interface, and the options are "
        "name, hostname, auto_upgrade, certificate, certificate_key and self_signed; or PROTOCOL+STRING with a Twisted "
        "endpoint string, such as http+unix:/run/chat.socket; can be given several times (default: what the program "
        "says; the example says http://localhost:8091 and ws://localhost:8091)",
    ),
    "certificate": (str, "the certificate of https and wss endpoints that have none: PEM with its chain, or PKCS#12"),
    "certificate_key": (str, "the PEM file with its key, where the certificate's file has none"),
    "certificate_password_file": (str, "a file whose first line is the password of the key or the PKCS#12 file"),
    "self_signed": (bool, "make a certificate at start for https and wss endpoints that have none, for development"),
    "secret_file": (str, "sign client ids; each line of the file is a secret: the first signs, all of them verify"),
    "drain_seconds": (float, "how long a stop may take until clients that are left are aborted (default: 30)"),
    "log_format": (str, "text, or json: one flat object a line (default: text; with twist, as twist says)"),
}
"""The keys that are no settings of a hub: their types and what they mean."""

FILE_KEYS = (*SERVICE_KEYS, *SETTING_NAMES)
"""All keys of a configuration file."""

PATHS = ("certificate", "certificate_key", "certificate_password_file", "secret_file")
_TRUE_AND_FALSE = {"true": True, "yes": True, "false": False, "no": False}
_DEFAULTS: Mapping[str, Any] = {attribute.name: attribute.default for attribute in fields(Settings)}
_LISTS = ("allowed_origins", "trusted_proxies")


def read_file(path: Path, *, again: bool = False) -> dict[str, Any]:
    """Read a configuration file.

    Args:
        path: the file. Other files that it names are relative to its folder.
        again: whether it was read before.

    Returns:
        The values by their keys.

    Raises:
        ConfigurationInvalid: it can't be read or has an unknown key; one sentence that names the file.
    """
    text = read_text(path, again=again)
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        raise ConfigurationInvalid(f"{path}: {error}") from error
    try:
        for key in values:
            _check_key(key, FILE_KEYS)
        _make_relative(values, path.parent)
        values["endpoints"] = [_endpoint(each, path.parent) for each in _list_of_endpoints(values)]
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(f"{path}: {error}") from error
    return values


def setting_from_text(name: str, text: str) -> object:
    """The value of a setting as it is written on a command line: ``100``, ``2.5``, ``yes``, ``none``, ``a,b``."""
    word = text.strip().lower()
    if word == "none":
        return None
    if name in _LISTS:
        return [each.strip() for each in text.split(",") if each.strip()]
    if word in _TRUE_AND_FALSE:
        return _TRUE_AND_FALSE[word]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


@frozen(kw_only=True)
class Configuration:
    """What a file and the command line say together.

    Attributes:
        app: what to serve; None is the example.
        endpoints: where to listen; empty is where the program says.
        secrets: what client ids are signed with; empty leaves that to the program.
        drain_seconds: None leaves it to the program.
        log_format: ``text`` or ``json``; None leaves it to twistd or twist.
        settings: the hub's, by their names.
        certificate, certificate_key, certificate_password, self_signed: for endpoints that have no certificate.
        secret_file, certificate_password_file: where the secrets and the password stand.
    """

    app: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    secrets: tuple[str, ...] = ()
    drain_seconds: float | None = None
    log_format: str | None = None
    settings: Mapping[str, Any]
    certificate: str | None = None
    certificate_key: str | None = None
    certificate_password: str | None = None
    self_signed: bool = False
    secret_file: str | None = field(default=None, eq=False)
    certificate_password_file: str | None = field(default=None, eq=False)

    @classmethod
    def of(cls, values: Mapping[str, Any], *, names_only: bool = False) -> Configuration:
        """Check values by their keys, :data:`FILE_KEYS`.

        Args:
            values: the values.
            names_only: leave the secrets and the password in their files, for a reload that reads each by itself.

        Raises:
            ConfigurationInvalid: one of them makes no sense; the sentence names it.
        """
        service = {key: _checked(key, values[key]) for key in SERVICE_KEYS if key in values}
        settings = {name: _setting(name, values[name]) for name in SETTING_NAMES if name in values}
        try:
            Settings(**settings)
        except ValueError as error:
            raise ConfigurationInvalid(str(error)) from error
        if not names_only and "certificate_password_file" in service:
            service["certificate_password"] = read_password(service["certificate_password_file"])
        if not names_only and "secret_file" in service:
            service["secrets"] = read_secrets(service["secret_file"])
        service["endpoints"] = tuple(service.get("endpoints", ()))
        return cls(settings=settings, **service)

    def with_certificate(self, endpoints: Collection[Endpoint]) -> tuple[Endpoint, ...]:
        """Endpoints, those that need a certificate and have none with the one that is given here.

        Raises:
            ConfigurationInvalid: there is none that needs it, or it is given in part.
        """
        given: dict[str, Any] = {
            "certificate": self.certificate,
            "certificate_key": self.certificate_key,
            # The endpoint reads the file itself, each time that the certificate is read.
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


def _check_key(key: str, known: Collection[str]) -> None:
    if key not in known:
        nearest = get_close_matches(key, known, 1, 0)[0]
        raise ConfigurationInvalid(f"unknown key {key!r}; the nearest is {nearest!r}")


def _checked(key: str, value: Any) -> Any:
    wanted = SERVICE_KEYS[key][0]
    if key == "drain_seconds":
        number = not isinstance(value, bool) and isinstance(value, int | float)
        if not number or not math.isfinite(value) or value < 0:
            raise ConfigurationInvalid(f"drain_seconds has to be a number of seconds, not {value!r}")
    elif not isinstance(value, wanted):
        raise ConfigurationInvalid(f"{key} has to be a {wanted.__name__}, not {value!r}")
    elif key == "log_format" and value not in LOG_FORMATS:
        raise ConfigurationInvalid(f"log_format has to be one of {', '.join(LOG_FORMATS)}, not {value!r}")
    return value


def _setting(name: str, value: Any) -> Any:
    kind = type(_DEFAULTS[name])
    if not issubclass(kind, Enum):
        return value
    try:
        return kind(value)
    except ValueError:
        words = ", ".join(str(each.value) for each in kind)
        raise ConfigurationInvalid(f"{name} has to be one of {words}, not {value!r}") from None


def _list_of_endpoints(values: Mapping[str, Any]) -> list[Any]:
    found = values.get("endpoints", [])
    if not isinstance(found, list):
        raise ConfigurationInvalid("endpoints has to be a list")
    return found


def _endpoint(value: object, folder: Path) -> Endpoint:
    if isinstance(value, str):
        return Endpoint.parse(value)
    if not isinstance(value, dict) or "protocol" not in value:
        raise ConfigurationInvalid(f"an endpoint is a text or a table with a protocol, not {value!r}")
    for key in value:
        _check_key(key, [attribute.name for attribute in fields(Endpoint)])
    _make_relative(value, folder)
    return Endpoint(**value)


def _make_relative(values: dict[str, Any], folder: Path) -> None:
    for key in PATHS:
        if isinstance(values.get(key), str):
            values[key] = str(folder / values[key])

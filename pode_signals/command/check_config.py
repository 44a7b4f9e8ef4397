"""``pode-signals check-config``: every value that is given, where it comes from, and whether a start would take it.

It opens no port. What it prints is a configuration file again, without any secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from os import environ
from typing import Any
from urllib.parse import urlencode

import click
from attrs import fields

from ..core.addresses import LOCALHOST, bracketed
from ..core.endpoints import Endpoint
from ..core.settings import Settings
from .environment import unknown_variables, use_own_file, variable
from .help import dashed
from .options import Options
from .tap import service_of

__all__ = ["check_config"]

_DEFAULT = "the default"


@click.command
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--app", metavar="MODULE:OBJECT", help="The program, in place of the one that the configuration names.")
@click.option("--no-app", is_flag=True, help="Do not import the program.")
@click.option("--all", "with_defaults", is_flag=True, help="Show the settings too that have their defaults.")
@click.option("--as-env", is_flag=True, help="Print variables of the environment in place of a file.")
def check_config(file: str | None, app: str | None, no_app: bool, with_defaults: bool, as_env: bool) -> None:
    """Show each value of the configuration and where it comes from; try the certificates and the program.

    FILE is a configuration file; without it the variable PODE_SIGNALS_CONFIG names one, or the folder has a
    ``pode-signals.toml``. The status is 0 where a start would take all of it.
    """
    use_own_file(environ)
    options = Options()
    options.parseOptions(_arguments(file, app))
    values, places = _given(options, with_defaults=with_defaults)
    configuration = options.configuration()
    for line in _as_variables(values) if as_env else _as_toml(values, places):
        click.echo(line)
    for sentence in unknown_variables(environ):
        click.echo(f"pode-signals: {sentence}", err=True)
    if no_app:
        configuration.with_certificate(configuration.endpoints)
        return
    service, _ = service_of(configuration)
    service.check_certificates()
    where = ", ".join(map(str, service.endpoints)) or "nowhere"
    click.echo(f"{configuration.app or 'the example'} can be served: {where}", err=True)


def _arguments(file: str | None, app: str | None) -> list[str]:
    return [*([] if file is None else ["--config", file]), *([] if app is None else ["--app", app])]


def _given(options: Options, *, with_defaults: bool) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The values by their keys, and where each comes from."""
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    if with_defaults:
        values = {each.name: each.default for each in fields(Settings)}
        places = dict.fromkeys(values, _DEFAULT)
    for layer in options.layers():
        for key, value in layer.values.items():
            # A file without endpoints has an empty list of them.
            if key != "endpoints" or value:
                values[key] = value
                places[key] = layer.place.format(variable=variable(key), option=dashed(key))
    return values, places


def _as_toml(values: dict[str, Any], places: Mapping[str, str]) -> Iterator[str]:
    """A configuration file. Endpoints come last, since everything below their head belongs to them."""
    for key, value in values.items():
        if key != "endpoints":
            text = f"{key} = {_toml(value)}" if value is not None else f"# {key} has no value"
            yield f"{text}  # {places[key]}"
    for endpoint in values.get("endpoints", ()):
        yield ""
        yield f"[[endpoints]]  # {places['endpoints']}"
        for name, value in _parts(endpoint):
            yield f"{name} = {_toml(value)}"


def _parts(endpoint: Endpoint) -> Iterator[tuple[str, Any]]:
    for each in fields(Endpoint):
        value = getattr(endpoint, each.name)
        if each.name == "certificate_password" and value is not None:
            yield each.name, "(not shown)"
        elif each.init and value is not None and value != each.default:
            yield each.name, value


def _as_variables(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if key == "endpoints":
            text = ",".join(map(_endpoint_text, value))
        elif isinstance(value, list | tuple):
            text = ",".join(map(str, value))
        else:
            text = "none" if value is None else {True: "yes", False: "no"}.get(value, str(_plain(value)))
        yield f"{variable(key)}={text}"


def _endpoint_text(endpoint: Endpoint) -> str:
    """An endpoint as ``--endpoint`` takes it."""
    parts = dict(_parts(endpoint))
    protocol, address, port, listen = (parts.pop(each, None) for each in ("protocol", "address", "port", "listen"))
    where = f"{protocol}+{listen}" if listen else f"{protocol}://{bracketed(address or LOCALHOST)}:{port}"
    options = {name: {True: "yes", False: "no"}.get(value, value) for name, value in parts.items()}
    return f"{where}?{urlencode(options)}" if options else where


def _toml(value: Any) -> str:
    plain = _plain(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int | float):
        return repr(plain)
    if isinstance(plain, list | tuple):
        return f"[{', '.join(map(_toml, plain))}]"
    # The escapes of a basic string in TOML are those of JSON.
    return '"' + str(plain).translate(_ESCAPES) + '"'


_ESCAPES = {**{number: f"\\u{number:04x}" for number in (*range(32), 127)}, ord('"'): '\\"', ord("\\"): "\\\\"}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value

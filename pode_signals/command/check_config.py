"""``pode-signals check-config``: every value that is given, where it comes from, and whether a start would take it.

It opens no port. What it prints is a configuration file again, without any secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from os import environ
from typing import Any
from urllib.parse import urlencode

import click
from attrs import fields

from ..core.addresses import LOCALHOST, bracketed
from ..core.endpoints import Endpoint
from ..core.settings import Settings
from .environment import operations_variable, own_file, unknown_variables, variable
from .help import dashed
from .operations_keys import ENDPOINTS, SECTION, option_name
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
    options = Options()
    options.parseOptions(_arguments(file or own_file(environ), app))
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
    section: dict[str, Any] = {}
    if with_defaults:
        values = {each.name: each.default for each in fields(Settings)}
        places = dict.fromkeys(values, _DEFAULT)
    for layer in options.layers():
        for key, value in layer.values.items():
            if key == SECTION:
                for each, its_value in value.items():
                    section[each] = its_value
                    places[f"{SECTION}.{each}"] = layer.place.format(
                        variable=operations_variable(each), option=option_name(each)
                    )
            # A file without endpoints has an empty list of them.
            elif key != ENDPOINTS or value:
                values[key] = value
                places[key] = layer.place.format(variable=variable(key), option=dashed(key))
    if section:
        values[SECTION] = section
    return values, places


def _as_toml(values: Mapping[str, Any], places: Mapping[str, str], section: str = "") -> Iterator[str]:
    """A configuration file. Sections come last, since everything below a head belongs to its section."""
    for key, value in values.items():
        if key not in (ENDPOINTS, SECTION):
            text = f"{key} = {_toml(value)}" if value is not None else f"# {key} has no value"
            yield f"{text}  # {places[section + key]}"
    for endpoint in values.get(ENDPOINTS, ()):
        yield ""
        yield f"[[{section}{ENDPOINTS}]]  # {places[section + ENDPOINTS]}"
        for name, value in _parts(endpoint):
            yield f"{name} = {_toml(value)}"
    if SECTION in values:
        yield ""
        yield f"[{SECTION}]"
        yield from _as_toml(values[SECTION], places, f"{SECTION}.")


def _parts(endpoint: Endpoint) -> Iterator[tuple[str, Any]]:
    for each in fields(Endpoint):
        value = getattr(endpoint, each.name)
        if each.name == "certificate_password" and value is not None:
            yield each.name, "(not shown)"
        elif each.init and value is not None and value != each.default:
            yield each.name, value


def _as_variables(values: Mapping[str, Any], name_of: Callable[[str], str] = variable) -> Iterator[str]:
    for key, value in values.items():
        if key == SECTION:
            yield from _as_variables(value, operations_variable)
        elif key == "fast":
            # The one variable that has words of its own: every program reads it, with this command or without.
            yield f"{name_of(key)}={'on' if value else 'off'}"
        elif key == ENDPOINTS:
            yield f"{name_of(key)}={','.join(map(_endpoint_text, value))}"
        elif isinstance(value, list | tuple):
            yield f"{name_of(key)}={','.join(map(str, value))}"
        else:
            yield f"{name_of(key)}={_word(value)}"


def _endpoint_text(endpoint: Endpoint) -> str:
    """An endpoint as ``--endpoint`` takes it."""
    parts = dict(_parts(endpoint))
    protocol, address, port, listen = (parts.pop(each, None) for each in ("protocol", "address", "port", "listen"))
    where = f"{protocol}+{listen}" if listen else f"{protocol}://{bracketed(address or LOCALHOST)}:{port}"
    options = {name: _word(value) for name, value in parts.items()}
    return f"{where}?{urlencode(options)}" if options else where


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(_plain(value))


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

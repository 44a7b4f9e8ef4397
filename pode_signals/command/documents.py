"""``pode-signals asyncapi`` and ``completion``: what is printed, and nothing is served."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

__all__ = ["asyncapi", "completion"]


@click.command
@click.option("--app", metavar="MODULE:OBJECT", required=True, help="The program, as serve takes it.")
@click.option("--title", default=None, help="The title of the API; without it the module of the program.")
@click.option("--api-version", default="0.1.0", show_default=True, help="The version of the API.")
@click.option("--server", "servers", multiple=True, metavar="NAME=URL", help="Where clients connect, behind a proxy.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, in place of printing.")
def asyncapi(app: str, title: str | None, api_version: str, servers: tuple[str, ...], output: Path | None) -> None:
    """Print the AsyncAPI 3 document of a program: its signal routes, servers and messages."""
    from ..asyncapi import document, to_json
    from .config import Configuration
    from .tap import service_of

    named = {}
    for each in servers:
        name, equals, url = each.partition("=")
        if not equals:
            raise click.BadParameter(f"{each!r} is not NAME=URL", param_hint="--server")
        named[name] = url
    service, _ = service_of(Configuration(app=app, settings={}))
    found = document(
        service.signals,
        title=title or app.partition(":")[0],
        version=api_version,
        servers=named or service.endpoints,
    )
    text = to_json(found)
    if output is None:
        click.echo(text)
    else:
        output.write_text(f"{text}\n", encoding="utf-8")


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of this command for a shell.

    bash: add `eval "$(pode-signals completion bash)"` to ~/.bashrc.
    """
    from .main import commands

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(commands, {}, "pode-signals", "_PODE_SIGNALS_COMPLETE").source())

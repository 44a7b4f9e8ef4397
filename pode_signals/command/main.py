"""``pode-signals`` and ``python -m pode_signals``: subcommands, each in a module that is imported when it is called.

So that the shell's user waits for what a subcommand needs alone: this module imports neither Twisted nor the package.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

import click

from ..core.nearest import nearest

__all__ = ["commands", "main"]

WRONG_USAGE = 2


class _Place(NamedTuple):
    """Where a subcommand is.

    Attributes:
        module: its module in this package.
        text: what ``--help`` says of it.
    """

    module: str
    text: str


_PLACES: Mapping[str, _Place] = {
    "serve": _Place("serve", "Serve a program of yours, or the example."),
    "check-config": _Place("check_config", "Show each value of the configuration and where it comes from."),
    "new": _Place("starter", "Write a new program, with its tests, into a folder."),
    "asyncapi": _Place("documents", "Print the AsyncAPI document of a program."),
    "completion": _Place("documents", "Print the completion of this command for a shell."),
}


class _Commands(click.Group):
    """The subcommands. Their modules are imported when they are called, and not for ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_PLACES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        module = import_module(f".{place.module}", __package__)
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _PLACES and not args[0].startswith("-"):
            near = nearest(args[0], [*_PLACES])
            ctx.fail(f"there is no subcommand {args[0]}" + ("" if near is None else f"; did you mean {near}?"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Subcommands"):
            formatter.write_dl([(name, place.text) for name, place in _PLACES.items()])


@click.group(
    cls=_Commands,
    subcommand_metavar="SUBCOMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="pode-signals SUBCOMMAND --help tells more of each.",
)
@click.version_option(version("pode_signals"), message="pode_signals %(version)s")
def commands() -> None:
    """WebSocket connections with names, groups and client ids, beside HTTP."""


def main() -> None:
    """Run the command of this process. A mistake is one sentence, and status 2."""
    try:
        commands(prog_name="pode-signals")
    except ValueError as error:
        # Only here: the import takes longer than most subcommands.
        from ..errors import ConfigurationInvalid

        if not isinstance(error, ConfigurationInvalid):
            raise
        click.echo(f"pode-signals: {' '.join(str(error).split())}", err=True)
        sys.exit(WRONG_USAGE)

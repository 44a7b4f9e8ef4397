"""``pode-signals serve``: Twisted's ``twistd -n`` in this process, with the plugin of this package. It has no options.

What stands behind ``serve`` is read by the plugin's own options, so that the two ways to serve never differ.
"""

from __future__ import annotations

import sys
from os import environ

import click

from .environment import CONFIG, own_file

__all__ = ["serve"]


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
    options_metavar="[--reload] [--reactor NAME]",
)
@click.option("--reload", is_flag=True)
@click.option("--reactor")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def serve(reload: bool, reactor: str | None, options: tuple[str, ...]) -> None:
    """Serve a program of yours, or the example.

    ``--reload`` and ``--reactor`` come first; all other options are those of ``twistd pode-signals``. Where neither
    ``--config`` nor the variable PODE_SIGNALS_CONFIG names a file, ``pode-signals.toml`` in this folder is read.
    """
    if found := own_file(environ):
        environ[CONFIG] = found
    chosen = [] if reactor is None else [f"--reactor={reactor}"]
    if reload:
        from .reloading import serve_again_and_again

        sys.exit(serve_again_and_again([*chosen, *options]))
    from twisted.scripts import twistd

    sys.argv = ["twistd", "-n", "--pidfile=", *chosen, "pode-signals", *options]
    twistd.run()

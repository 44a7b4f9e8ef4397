"""``pode-signals new``: the files of a new program, in an empty folder. It asks nothing and overwrites nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath

import click

__all__ = ["new"]

_NAME = re.compile("[a-z][a-z0-9-]{0,63}")
_RELEASE = re.compile(r"pode-signals~=[0-9.]+")
# The modules of the new program are no modules of this package, and its list for git is none of this project's.
_SUFFIX = ".in"
_RENAMED = {"gitignore": ".gitignore"}


@click.command
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="What the program is called; without it, as the folder is.")
def new(folder: Path, name: str | None) -> None:
    """Write a new program, with its tests, into FOLDER, which is empty or does not exist yet."""
    name = name or folder.resolve().name
    if not _NAME.fullmatch(name):
        raise click.UsageError(
            f"a program is called by small letters, digits and hyphens, not {name!r}: --name gives another name"
        )
    module = name.replace("-", "_")
    if module in sys.stdlib_module_names or module in ("klein", "pode_signals", "twisted"):
        raise click.UsageError(f"there is a module {module} already: --name gives another name")
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    for place, text in _templates(files(__package__) / "new_program", PurePath()):
        path = folder / place.parent / _named(_RENAMED.get(place.name, place.name).removesuffix(_SUFFIX), name, module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_named(text, name, module), encoding="utf-8")
    click.echo(
        f"{folder} has a program. Next:\n\n  cd {folder}\n  pip install -e '.[test]' && pytest\n  pode-signals serve"
    )


def _templates(folder: Traversable, place: PurePath) -> Iterator[tuple[PurePath, str]]:
    for each in sorted(folder.iterdir(), key=lambda found: found.name):
        if each.is_dir():
            yield from _templates(each, place / each.name)
        else:
            yield place / each.name, each.read_text(encoding="utf-8")


def _named(text: str, name: str, module: str) -> str:
    """A text of the demo, which is a program itself, with another name and the version that is installed."""
    renamed = text.replace("demo-program", name).replace("demo_program", module)
    return _RELEASE.sub(f"pode-signals~={version('pode_signals')}", renamed)

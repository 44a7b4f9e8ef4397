from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pode_signals.command.starter import new

FILES = {
    ".gitignore",
    "Dockerfile",
    "README.md",
    "my-chat.service",
    "my_chat.py",
    "page.html",
    "pode-signals.toml",
    "pyproject.toml",
    "tests/test_my_chat.py",
}


def made(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(new, [str(folder), *options])


def files(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_the_files(tmp_path: Path) -> None:
    """O6.9: the folder gets the files of a program, which has its own name everywhere, and the version that made it."""
    folder = tmp_path / "my-chat"
    assert made(folder).exit_code == 0
    assert files(folder) == FILES
    assert not [each for each in FILES if "demo" in (folder / each).read_text()]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["dependencies"]) == ("my-chat", [f"pode-signals~={version('pode_signals')}"])


def test_it_works(tmp_path: Path) -> None:
    """O6.9: the tests of a new program pass, and its configuration can be served."""
    made(tmp_path / "x", "--name=my-chat")
    for command in (["pytest", "-q", "-p", "no:cacheprovider"], ["pode_signals", "check-config"]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path / "x",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "my_chat:service can be served: http localhost:8091, ws localhost:8091\n"


@pytest.mark.parametrize("name", ["Chat", "3d", "a b", "-x", "a.b", "ünter", "json", "twisted", "a" * 65])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    """O6.9: a name that can't be that of a module is refused, and nothing is written."""
    done = made(tmp_path / "x", f"--name={name}")
    assert (done.exit_code, "--name gives another name" in done.output) == (2, True)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    """O6.9: nothing is written into a folder that is not empty; an empty one is as good as a new one."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    done = made(tmp_path / "full")
    assert (done.exit_code, "is not empty" in done.output) == (2, True)
    assert files(tmp_path / "full") == {"mine"}
    (tmp_path / "empty").mkdir()
    assert made(tmp_path / "empty").exit_code == 0

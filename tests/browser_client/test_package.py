"""The browser client as npm has it: packed, installed where there is no network, type-checked and imported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from browser_client.tools import BROWSER, Tools
from conftest import require
from pages import DOCS, fences

PROJECT = {"name": "application", "private": True, "type": "module"}
OPTIONS = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "module": "esnext",
    "moduleResolution": "bundler",
    "target": "es2022",
    "lib": ["es2022", "dom"],
    "types": [],
    "noEmit": True,
}
# What the page of the documentation leaves out, as the application has it.
DECLARED = """
declare function show(...values: unknown[]): void;
declare function board(...values: unknown[]): void;
declare function token(): Promise<string>;
"""
MISTAKES = {
    "another type of a message": 'client.send({ text: 1, room: "kitchen" });',
    "a field that no signal has": 'client.on("signal", ({ data }) => data.color);',
    "an event that there is not": 'client.on("sginal", () => {});',
    "an option that there is not": 'new SignalClient("/rooms", { wacth: true });',
    "a field that no reply has": "(await client.request({ text: '', room: '' })).written;",
    "what only the client sets": "client.state = 'open';",
}


@pytest.fixture(scope="module")
def project(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the packed client without a network."""
    npm, folder = require("npm"), tmp_path_factory.mktemp("application")
    packed, source = folder / "packed", folder / "source"
    source.mkdir()
    packed.mkdir()
    for name in (".npmrc", "package.json"):
        shutil.copy(BROWSER / name, source / name)
    for name in ("dist", "src"):
        shutil.copytree(BROWSER / name, source / name)
    _run(npm, "pack", "--pack-destination", packed, cwd=source)
    (archive,) = packed.iterdir()
    (folder / "package.json").write_text(json.dumps(PROJECT), encoding="utf-8")
    shutil.copy(BROWSER / ".npmrc", folder / ".npmrc")
    _run(npm, "install", "--offline", archive, cwd=folder)
    return folder


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check(project: Path, tools: Tools, text: str) -> None:
    """Check the types of a module of the application."""
    (project / "page.ts").write_text(text, encoding="utf-8")
    settings = {"compilerOptions": OPTIONS, "files": ["page.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    tools.tsc("-p", ".", cwd=project)


def examples() -> str:
    """The examples of the guide, as one module."""
    snippets = [each.text for each in fences(DOCS / "browser-client.md", "ts")]
    assert len(snippets) > 2
    text = "\n".join(snippets)
    return DECLARED + text.replace('from "/signals.js"', 'from "pode-signals"')


def test_what_is_packed(project: Path) -> None:
    """S0.3: the package of npm has the built files and nothing else."""
    (archive,) = (project / "packed").iterdir()
    with tarfile.open(archive) as packed:
        names = {re.sub("^package/", "", each) for each in packed.getnames()}
    assert names == {"package.json", "dist/signals.js", "dist/signals.js.map", "dist/signals.d.ts"}


def test_the_examples_have_good_types(project: Path, node: str) -> None:
    """S0.3: the examples of the guide pass a strict type check in an application that has installed the package."""
    check(project, Tools(node), examples())


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_have_bad_types(project: Path, node: str, mistake: str) -> None:
    """S0.3: a message, an event, an option or a field that there is not is an error of the type check."""
    with pytest.raises(AssertionError, match=r"page\.ts"):
        check(project, Tools(node), f"{examples()}\n{mistake}\n")


def test_it_can_be_imported(project: Path, node: str) -> None:
    """S0.3: the installed package is imported by its name, has two names, and does nothing by being imported."""
    program = 'import * as all from "pode-signals"; console.log(Object.keys(all).sort().join());'
    (project / "program.js").write_text(program, encoding="utf-8")
    assert Tools(node).node("program.js", cwd=project) == "SignalClient,SignalsError\n"

"""The built files of the browser client: how large they are, and that everybody builds the same."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from browser_client.tools import BROWSER, Tools

DIST = BROWSER / "dist"
MAX_BYTES = 10_000
SOURCES = (".npmrc", "build.js", "own-names.txt", "package.json", "package-lock.json", "src", "tsconfig.json")


@pytest.fixture(scope="module")
def tools(node: str) -> Tools:
    """Node, esbuild and tsc."""
    return Tools(node)


def built_in(folder: Path, tools: Tools) -> dict[str, bytes]:
    """The files that the sources give in a folder."""
    folder.mkdir(parents=True)
    for name in SOURCES:
        copy = shutil.copytree if (BROWSER / name).is_dir() else shutil.copy
        copy(BROWSER / name, folder / name)
    (folder / "node_modules").symlink_to(tools.modules)
    tools.node("build.js", cwd=folder)
    return {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}


def test_the_build_is_the_same_everywhere(tools: Tools, tmp_path: Path) -> None:
    """S0.3: what is built from the sources is, byte for byte, what lies in the package, whichever folder builds it."""
    expected = {path.name: path.read_bytes() for path in DIST.iterdir()}
    assert expected.keys() == {"signals.js", "signals.js.map", "signals.d.ts"}
    assert built_in(tmp_path / "one", tools) == expected
    assert built_in(tmp_path / "another" / "deeper", tools) == expected


def test_it_is_small() -> None:
    """S0.3: the file that a browser loads has less than 10,000 bytes."""
    assert 1_000 < len((DIST / "signals.js").read_bytes()) < MAX_BYTES


def test_it_tells_of_no_machine() -> None:
    """S0.3: no built file, nor the lock file, names a registry or a folder of a machine; the map has all sources."""
    for path in (*DIST.iterdir(), BROWSER / "package-lock.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"registry|file:|/home/|/root/|/tmp/|" + re.escape(str(BROWSER)), text), path
    mapped = json.loads((DIST / "signals.js.map").read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"\.\./src/\w+\.ts", name) for name in mapped["sources"])
    assert len(mapped["sourcesContent"]) == len(mapped["sources"]) > 10
    assert (DIST / "signals.js").read_text(encoding="utf-8").endswith("\n//# sourceMappingURL=signals.js.map\n")


def test_the_tools_are_pinned() -> None:
    """S0.3: esbuild and tsc alone build the client, in one version each, and the client needs nothing where it runs."""
    package = json.loads((BROWSER / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((BROWSER / "package-lock.json").read_text(encoding="utf-8"))
    assert package["version"] == version("pode_signals")
    assert package["devDependencies"].keys() == {"esbuild", "typescript"}
    assert all(re.fullmatch(r"[\d.]+", each) for each in package["devDependencies"].values())
    assert lock["packages"][""]["devDependencies"] == package["devDependencies"]
    assert not package.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}


def test_shortened_names_are_its_own(tools: Tools) -> None:
    """S0.3: no property that the build shortens is one of the platform, of a frame or of the public types."""
    own = (BROWSER / "own-names.txt").read_text(encoding="utf-8").split()
    assert own == sorted(set(own))
    (compiler,) = tools.modules.glob("@typescript/*")
    platform = [*(compiler / "lib").glob("lib.es*.d.ts"), *(compiler / "lib").glob("lib.dom*.d.ts")]
    assert len(platform) > 50
    foreign = [*platform, BROWSER / "src" / "types.ts"]
    texts = [path.read_text(encoding="utf-8") for path in foreign]
    texts.append((BROWSER.parent.parent / "wire" / "v1.schema.json").read_text(encoding="utf-8"))
    members = {name for text in texts for name in re.findall(r'(?<![\w$])"?([A-Za-z_]\w*)"?(?=\??\s*[:(<])', text)}
    members |= set(re.findall(r"^\s*(?:get |readonly )*(\w+)\(?", texts[-2], re.MULTILINE))
    assert {"addEventListener", "resumeToken", "requestSeconds", "enqueue", "flush"} <= members
    assert set(own) & members == set()
    sources = "".join(path.read_text(encoding="utf-8") for path in (BROWSER / "src").glob("*.ts"))
    assert [name for name in own if not re.search(rf"(?<!\w){name}\??[:(]", sources)] == []

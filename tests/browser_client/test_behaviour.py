"""The browser client, by ``node:test``: each test of the files ``*.test.ts`` beside this one is a test here.

They run against the built file, which applications get, with a clock, WebSockets and a ``fetch`` of their own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser_client.tools import BROWSER, HERE, Tools

FILES = sorted(HERE.glob("*.test.ts"))
NAME = re.compile(r"""^\s*test\(\s*(?:"((?:[^"\\]|\\.)+)"|`([^`]+)`)""", re.MULTILINE)


def names(path: Path) -> list[str]:
    """The names of the tests in a file, as they are written: one may stand for several, with ``${…}`` in it."""
    return [plain or template for plain, template in NAME.findall(path.read_text(encoding="utf-8"))]


def pattern(name: str) -> re.Pattern[str]:
    """What the tests are called that a name stands for."""
    return re.compile(".+".join(re.escape(part) for part in re.split(r"\$\{[^}]*\}", name)))


WRITTEN = [(path.name, name) for path in FILES for name in names(path)]


@pytest.fixture(scope="module")
def results(node: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str | None]:
    """How each test that ran has failed, by its name; None for one that has passed."""
    tools, folder = Tools(node), tmp_path_factory.mktemp("browser_client")
    built = BROWSER / "dist" / "signals.js"
    tools.tsc("-p", ".")
    tools.esbuild(
        *FILES,
        "--bundle",
        "--format=esm",
        "--platform=node",
        "--target=es2022",
        "--sourcemap=inline",
        f"--alias:pode-signals={built}",
        "--out-extension:.js=.mjs",
        f"--outdir={folder}",
    )
    report = folder / "report.xml"
    subprocess.run(
        [
            *(node, "--enable-source-maps", "--test", "--test-reporter=junit"),
            *(f"--test-reporter-destination={report}", *(folder / f"{path.stem}.mjs" for path in FILES)),
        ],
        timeout=180,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    found: dict[str, str | None] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        # A test that was skipped has not passed.
        failures = [each for each in case if each.tag in ("failure", "error", "skipped")]
        assert case.attrib["name"] not in found
        found[case.attrib["name"]] = (failures[0].text or failures[0].get("message", "")) if failures else None
    return found


@pytest.mark.parametrize(("file", "name"), WRITTEN, ids=[name for _, name in WRITTEN])
def test_in_node(results: Mapping[str, str | None], file: str, name: str) -> None:
    """What the name of the test says."""
    matching = {each: failure for each, failure in results.items() if pattern(name).fullmatch(each)}
    assert matching, f"no such test of {file} ran"
    assert {each: failure for each, failure in matching.items() if failure is not None} == {}


def test_nothing_else_ran(results: Mapping[str, str | None]) -> None:
    """Each test that ran is one of those above, so that none fails unseen, and no name is there twice."""
    assert len(results) >= len(WRITTEN) > 100
    patterns = [pattern(name) for _, name in WRITTEN]
    assert len({each.pattern for each in patterns}) == len(patterns)
    assert {each: why for each, why in results.items() if not any(known.fullmatch(each) for known in patterns)} == {}


def test_each_name_begins_with_a_statement() -> None:
    """The name of each test in TypeScript begins with the statement that it holds."""
    assert [name for _, name in WRITTEN if not re.match(r"(S\d+\.\d+|P\d+): [$\w]", name)] == []

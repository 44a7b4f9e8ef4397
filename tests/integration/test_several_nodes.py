"""The example of several nodes as users start it, with its pages in a real browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path

import pytest
from browser import browsing, stay_home
from conftest import require
from playwright.sync_api import Page, expect
from programs import EXAMPLES

SECONDS = 40
SCRIPT = "several_nodes.py"
# As a shell that runs something in the background does not.
WITH_SIGINT = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv = sys.argv[1:]; "
WITH_SIGINT += f"import runpy; runpy.run_path({SCRIPT!r}, run_name='__main__')"


def free_ports() -> int:
    """The first of four ports in a row that nobody listens on."""
    for first in range(20_000, 30_000, 4):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + 4):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no four ports are free")


@contextmanager
def example(port: int) -> Iterator[subprocess.Popen[str]]:
    """The example, which has said what to open."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_SIGINT, SCRIPT, str(port)],
        cwd=EXAMPLES,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        # SIGTERM, since the example has programs to end as well.
        if process.poll() is None:
            process.terminate()
        assert process.stdout is not None
        process.stdout.close()
        process.wait(SECONDS)


def children(pid: int) -> set[int]:
    """The processes that a process has started."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def node_of(page: Page) -> int:
    """The node that a page is connected to."""
    expect(page.locator("#status")).to_have_text(re.compile("connected to node"), timeout=SECONDS * 1_000)
    found = re.search(r"node (\d+)", page.locator("#status").inner_text())
    assert found is not None
    return int(found[1])


@pytest.mark.own_event_loop
def test_several_nodes(chromium: str) -> None:
    """S17.1, S17.4: pages of several_nodes.py see each other over nodes, and go on when theirs is killed; Ctrl-C ends
    every process that it has started.
    """
    require("redis")
    require("haproxy")
    port = free_ports()
    with example(port) as process, browsing(chromium) as browser:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(4)]
        assert said[0].startswith(f"open http://localhost:{port}/?user=ada and http://localhost:{port}/?user=grace;")
        nodes = {int(words[1]): int(words[-1]) for words in (line.split() for line in said[1:])}
        started = children(process.pid)
        assert len(started) == 5
        context = browser.new_context()
        aborted = stay_home(context)
        ada, grace = context.new_page(), context.new_page()
        for page, name in ((ada, "ada"), (grace, "grace")):
            page.goto(f"http://localhost:{port}/?user={name}")
            expect(page.get_by_text("This page came from node")).to_be_visible()
            assert node_of(page) in nodes
        of_ada, of_grace = node_of(ada), node_of(grace)
        assert of_ada != of_grace
        for page in (ada, grace):
            expect(page.locator("#board li")).to_have_text([f"ada on node {of_ada}", f"grace on node {of_grace}"])
        os.kill(nodes[of_ada], signal.SIGKILL)
        expect(ada.locator("#status")).not_to_have_text(f"It is connected to node {of_ada}.")
        then = node_of(ada)
        assert then != of_ada
        for page in (ada, grace):
            expect(page.locator("#board li")).to_have_text(
                [f"ada on node {then}", f"grace on node {of_grace}"], timeout=SECONDS * 1_000
            )
        assert not aborted
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert not any(Path(f"/proc/{each}").exists() for each in started)


def test_without_redis() -> None:
    """S17.1: several_nodes.py says what to install where there is no redis-server."""
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=EXAMPLES,
        env={**os.environ, "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no redis-server is on the PATH" in done.stderr


def test_without_haproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.1: where HAProxy is not installed, several_nodes.py says how to open the nodes one by one."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    said = import_module("several_nodes").what_to_open([1, 2, 3])
    assert said.startswith(
        "open http://localhost:1/?user=ada and http://localhost:3/?user=grace; HAProxy is not installed"
    )

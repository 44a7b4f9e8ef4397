"""Real pages in Debian's Chromium, driven by playwright; nothing outside this machine is ever asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from playwright.sync_api import Browser, BrowserContext, Route, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

P = ParamSpec("P")
T = TypeVar("T")


class SharedBrowser:
    """A browser for all tests of a file, which have no thread in common: it has a thread of its own.

    Args:
        browser: the browser.
        thread: the thread that it belongs to.
    """

    def __init__(self, browser: Browser, thread: ThreadPoolExecutor) -> None:
        self._browser = browser
        self._thread = thread

    def run(self, function: Callable[Concatenate[Browser, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function with the browser as its first argument, in the browser's thread."""
        return self._thread.submit(function, self._browser, *args, **kwargs).result()


@contextmanager
def sharing(executable: str) -> Iterator[SharedBrowser]:
    """A headless browser for several tests."""
    with ThreadPoolExecutor(1) as thread:
        opened = browsing(executable)
        browser = thread.submit(opened.__enter__).result()
        try:
            yield SharedBrowser(browser, thread)
        finally:
            thread.submit(opened.__exit__, None, None, None).result()


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def stay_home(context: BrowserContext, answer: Callable[[str], str | None] = lambda url: None) -> list[str]:
    """Abort every request off this machine, unless ``answer`` gives a body for its URL.

    Returns:
        The URLs that were aborted, growing as the pages load.
    """
    aborted: list[str] = []

    def decide(route: Route) -> None:
        url = route.request.url
        if url.startswith(("http://localhost:", "https://localhost:", "http://127.0.0.1:", "http://[::1]:")):
            route.continue_()
        elif (body := answer(url)) is not None:
            route.fulfill(body=body, content_type="text/javascript")
        else:
            aborted.append(url)
            route.abort()

    context.route("**/*", decide)
    return aborted

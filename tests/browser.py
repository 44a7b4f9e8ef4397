"""Real pages in Debian's Chromium, driven by playwright; nothing outside this machine is ever asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

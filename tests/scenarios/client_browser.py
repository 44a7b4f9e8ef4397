"""A client of a scenario in a page of Chromium: what the page has written down, and what it is told to do."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from playwright.sync_api import Frame as PageFrame
from playwright.sync_api import Page
from scenarios.lines import Seen
from scenarios.matching import Bindings, Mismatch, Untaken

__all__ = ["BrowserClient"]

_KIT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")


class BrowserClient(Untaken):
    """A client, its application, and what no line has taken yet.

    It has a frame of the page to itself, of an origin of its own.

    Args:
        page: the page of the scenario.
        port: the port that the client connects to.

    Attributes:
        counts: how many messages the page has sent and received, how many connections it has, and on
            how many of them, and of its requests, something is still to come.
        found: what the frame has said when it was looked at last.
    """

    def __init__(self, page: Page, port: int) -> None:
        super().__init__()
        # A script that is shown as a text is a page of its origin like any other.
        url = f"http://localhost:{port}/signals.js"
        with page.expect_event("framenavigated", lambda each: each.url == url) as event:
            page.evaluate(
                "url => document.body.append(Object.assign(document.createElement('iframe'), { src: url }))", url
            )
        self._frame: PageFrame = event.value
        self._frame.evaluate(_KIT)
        self._seen_taken = 0
        self._answers_taken = 0
        self.found: dict[str, Any] = {}

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.found["counts"]
        return counts

    @property
    def is_connected(self) -> bool:
        """Whether the client has a connection, as far as the client knows."""
        return bool(self.found["isConnected"])

    def call(self, method: str, *arguments: Any) -> Any:
        """Have the frame do something."""
        return self._frame.evaluate("([method, given]) => kit[method](...given)", [method, list(arguments)])

    def look(self) -> dict[str, int]:
        """Look at all that has happened; gives the counts."""
        self.found = self.call("look")
        return self.counts

    def records(self) -> list[dict[str, Any]]:
        """All that went over the wire so far."""
        records: list[dict[str, Any]] = self.found["records"]
        return records

    def take_answer(self) -> Any:
        """The answer to the next attempt: status and headers, or the number of the upgrade whose answer it is."""
        answers = self.found["answers"]
        if len(answers) <= self._answers_taken:
            raise Mismatch("there is no further answer")
        answer = answers[self._answers_taken]
        number = answers[: self._answers_taken].count("websocket")
        self._answers_taken += 1
        return number if answer == "websocket" else answer

    def check_all_seen(self, who: str) -> None:
        """See that lines say everything that the application has seen."""
        if left := self._left_to_see():
            raise Mismatch(f"no line says what the application of {who} has seen: {list(left)!r}")

    def see(self, step: Seen, bindings: Bindings) -> None:
        """See that the application has seen this next."""
        left = self._left_to_see()
        if step.words == ("waiting",):
            if left or not self.found["isWaiting"]:
                raise Mismatch(f"the client is not waiting, or its application has seen {list(left)!r} before")
            return
        if not left:
            raise Mismatch("the application has seen nothing more")
        self._seen_taken += 1
        words, named = left[0]
        bindings.match(list(step.words), words)
        bindings.match(step.named, named)

    def _left_to_see(self) -> deque[Any]:
        return deque(self.found["seen"][self._seen_taken :])

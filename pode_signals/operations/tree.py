"""The paths of operations as one resource: each request is judged once, then its page answers, or a problem does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.web.resource import Resource

from ..core.operated import Operated
from ..core.text import printable_bytes
from .guard import Asking, Guard, Operator
from .problems import Problem

__all__ = ["Page", "Tree"]

# A twisted.web.server.Request: most of its attributes that are used here have no annotations.
Request = Any

_READING = (b"GET", b"HEAD")
# The labels of the metric of refusals, by the codes of the problems.
_REASONS = {
    "token-missing": "no_token",
    "token-unknown": "unknown",
    "token-expired": "expired",
    "scope-missing": "scope",
    "rate-limited": "rate",
}


@frozen
class Page:
    """What is at a path.

    Attributes:
        answer: sets the headers of the answer, and gives its body; the operator is None for anybody.
        scope: what an operator has to be allowed; None is for anybody.
    """

    answer: Callable[[Request, Operator | None], bytes]
    scope: str | None


class Tree(Resource):
    """Answers the requests to operations.

    Args:
        pages: the pages by their paths.
        guard: judges the requests.
        operated: gives what the service gives; None while the service is not started.
        is_on_application: whether the requests come by the ports of the application.

    Attributes:
        refused: how many requests were refused, by the reason.
    """

    isLeaf = True

    def __init__(
        self,
        pages: Mapping[bytes, Page],
        guard: Guard,
        operated: Callable[[], Operated],
        refused: Counter[str],
        *,
        is_on_application: bool,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self._pages = pages
        self._guard = guard
        self._operated = operated
        self._refused = refused
        self._is_on_application = is_on_application

    def has(self, path: bytes) -> bool:
        """Whether there is a page at a path."""
        return path in self._pages

    def render(self, request: Request) -> bytes:
        """Answer a request."""
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        try:
            body = self._answer(request)
        except Problem as problem:
            body = problem.render(request, request.request_id)
        if request.method == b"HEAD":
            # Twisted would leave the body out as well, and would log a warning each time.
            request.setHeader(b"Content-Length", b"%d" % len(body))
            return b""
        return body

    def _answer(self, request: Request) -> bytes:
        asking = Asking.read(request, is_from_application=self._is_on_application)
        page = self._pages.get(asking.path)
        operator = self._judge(asking, request.request_id, is_for_anybody=page is not None and page.scope is None)
        if page is None:
            raise Problem("not-found")
        if asking.method not in _READING:
            raise Problem("method-not-allowed", headers={b"Allow": b", ".join(_READING)})
        if page.scope is not None and (operator is None or not operator.allows(page.scope)):
            raise self._told(Problem("scope-missing", needed=page.scope), asking, request.request_id, operator)
        return page.answer(request, operator)

    def _judge(self, asking: Asking, request_id: str, *, is_for_anybody: bool) -> Operator | None:
        """Who asks; None for anybody where the page is for anybody.

        A page for anybody is answered with a wrong token, too: a probe whose token has expired must not have the
        process ended. The failure counts all the same.
        """
        operated = self._operated()
        now, seconds = operated.wall_time(), operated.clock.seconds()
        try:
            return self._guard.judge(asking, now=now, seconds=seconds, needs_operator=not is_for_anybody)
        except Problem as problem:
            self._told(problem, asking, request_id, None)
            if is_for_anybody and problem.code != "token-in-url":
                return None
            raise

    def _told(self, problem: Problem, asking: Asking, request_id: str, operator: Operator | None) -> Problem:
        """Count a refusal and log it; gives the problem back."""
        reason = _REASONS.get(problem.code)
        if reason is not None:
            self._refused[reason] += 1
        self._operated().report(
            "operators_refused",
            "refused a request of operator {operator} at {address}: {reason}",
            event="api.refused",
            operator="-" if operator is None else operator.label,
            address=asking.address or "-",
            path=printable_bytes(asking.path) if problem.code != "token-in-url" else "-",
            reason=problem.code,
            request=request_id,
        )
        return problem

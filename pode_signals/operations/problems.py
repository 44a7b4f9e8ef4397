"""The answers to requests of operators that can't be done, as problem documents (RFC 9457). It decides nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

__all__ = ["CONTENT_TYPE", "PROBLEMS", "Kind", "Problem"]

CONTENT_TYPE = b"application/problem+json"
_TYPE = "urn:pode-signals:problem:"


@frozen
class Kind:
    """A kind of problem.

    Attributes:
        status: the HTTP status.
        title: the kind in a few words, the same for each problem of the kind.
        detail: what is wrong, and what would help, in a sentence.
    """

    status: int
    title: str
    detail: str


# Whether a token is unknown or its time is over is nobody's business who has no good one.
_TOKEN_WRONG = "This token is not valid here. Its operator finds out why with the file of tokens."  # noqa: S105

PROBLEMS: Mapping[str, Kind] = {
    "token-in-url": Kind(
        400,
        "A token in a URL",
        "URLs are kept in logs and histories: send the token as Authorization: Bearer. Take this one out of use.",
    ),
    "token-missing": Kind(401, "No token", "Send a token as Authorization: Bearer."),
    "token-unknown": Kind(401, "No valid token", _TOKEN_WRONG),
    "token-expired": Kind(401, "No valid token", _TOKEN_WRONG),
    "scope-missing": Kind(403, "Not allowed", "The token lacks the scope that this needs."),
    "not-found": Kind(404, "Not found", "There is nothing at this path."),
    "method-not-allowed": Kind(405, "Wrong method", "This path does not take this method."),
    "rate-limited": Kind(429, "Too many refusals", "There were too many requests without a valid token: wait."),
}
"""Each kind of problem by its code, which is the end of the ``type`` of the document."""


class Problem(Exception):
    """A request can't be done.

    Args:
        code: one of :data:`PROBLEMS`.
        headers: headers of the answer.
        more: further members of the document.
    """

    def __init__(self, code: str, *, headers: Mapping[bytes, bytes] | None = None, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.kind = PROBLEMS[code]
        self.headers = headers or {}
        self.more = more

    def document(self, request_id: str) -> dict[str, Any]:
        """The problem document.

        Args:
            request_id: the id of the request, by which the operator finds the lines of the log.
        """
        return {
            "type": f"{_TYPE}{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.kind.detail,
            "requestId": request_id,
            **self.more,
        }

    def render(self, request: Any, request_id: str) -> bytes:
        """Set status and headers on a ``twisted.web`` request.

        Returns:
            The body.
        """
        request.setResponseCode(self.kind.status, HTTPStatus(self.kind.status).phrase.encode("ascii"))
        request.setHeader(b"Content-Type", CONTENT_TYPE)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return json.dumps(self.document(request_id)).encode("ascii") + b"\n"

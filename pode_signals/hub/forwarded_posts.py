"""POSTs and DELETEs that reach another node than the one of their stream: passed on, and taken there.

A client whose answer was lost posts again with the same number, so a POST that was passed on twice is taken once.
"""

from __future__ import annotations

from http import HTTPStatus

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ..backplane.contract import Answers
from ..errors import BackplaneUnavailable, UpgradeRefused
from ..wire.nodes import from_bytes, to_bytes
from .node import Node
from .posts import Posts, refused
from .resumes import Resumes

__all__ = ["ForwardedPosts"]

_KIND = "post"
_PATIENCE_SECONDS = 2.0
_RETRY_SECONDS = 1
_TAKEN = [int(HTTPStatus.ACCEPTED), "", None]


class ForwardedPosts:
    """What clients of streams send to one node for another.

    Args:
        posts: the streams of this node.
        resumes: reads tokens.
        node: asks the others.
    """

    def __init__(self, posts: Posts, resumes: Resumes, node: Node) -> None:
        self._posts = posts
        self._resumes = resumes
        self._node = node
        node.answers[_KIND] = self._answer

    def node_of(self, token: str) -> str | None:
        """The node of the stream that has issued a token; None where it is this one, and for a token that is bad."""
        if self._node.is_alone:
            return None
        holder = self._resumes.holder(token)
        return None if holder is None or holder.node == self._node.backplane.node else holder.node

    def pass_on(self, node: str, token: str, number: bytes, body: bytes | None) -> Deferred[None]:
        """Have another node take what the client of a stream sends.

        Args:
            node: that node.
            token: the client's token.
            number: the number of the POST, as it came.
            body: the frames; None is a DELETE.

        Returns:
            Fires once that node has taken it. Fails with UpgradeRefused: as that node says, 410 where there is no such
            node, 503 where it does not answer in time.
        """
        text = None if body is None else body.decode("latin-1")
        asked = self._node.ask(_KIND, to_bytes([token, number.decode("latin-1"), text]), _PATIENCE_SECONDS, (node,))

        def answered(answers: Answers) -> None:
            if node in answers.gone:
                raise refused(HTTPStatus.GONE, "The stream of this token is not open.")
            if node not in answers.given:
                raise _unreached()
            code, description, retry_seconds = from_bytes(answers.given[node])
            if code != HTTPStatus.ACCEPTED:
                raise refused(code, description, retry_seconds=retry_seconds)

        def unreached(failure: Failure) -> None:
            failure.trap(BackplaneUnavailable)
            raise _unreached()

        return asked.addCallbacks(answered, unreached)

    def _answer(self, question: bytes) -> Deferred[bytes | None]:
        token, number, text = from_bytes(question)
        try:
            link = self._posts.stream_of(token)
            if text is None:
                self._posts.leave(link)
            else:
                self._posts.take(link, number.encode("latin-1"), text.encode("latin-1"))
        except UpgradeRefused as why:
            retry = dict(why.headers).get("Retry-After")
            return succeed(to_bytes([why.code, why.description, None if retry is None else int(retry)]))
        return succeed(to_bytes(_TAKEN))


def _unreached() -> UpgradeRefused:
    return refused(
        HTTPStatus.SERVICE_UNAVAILABLE, "The node of this stream does not answer.", retry_seconds=_RETRY_SECONDS
    )

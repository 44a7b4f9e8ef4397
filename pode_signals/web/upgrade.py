"""Whether a ``twisted.web`` request is in a state to become a connection. It does not look at the request's head."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from twisted.web.http import RESPONSES, HTTPChannel

from ..errors import AlreadyConverted, ClientGone, ResponseStarted, UpgradeRefused
from .converted import ConvertedChannel
from .requests import RequestState

# A twisted.web.server.Request: most of what is used of it has no annotations.
Request = Any

__all__ = ["check_convertible"]

_UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))

# Klein and other resources set a status without a phrase, and Twisted knows no phrase for these three. The answer would
# say "421 Unknown Status".
for _status in (HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.UPGRADE_REQUIRED, HTTPStatus.TOO_MANY_REQUESTS):
    RESPONSES.setdefault(_status.value, _status.phrase.encode("ascii"))


def check_convertible(request: Request, state: RequestState) -> None:
    """Refuse a request that is past converting, or whose transport can't be taken.

    Args:
        request: the request.
        state: what is known of the request while it is handled.

    Raises:
        AlreadyConverted, ResponseStarted, ClientGone: the request is past converting.
        UpgradeRefused: 426 over HTTP/2.
    """
    # A request that has ended has no channel any more.
    channel = getattr(request, "channel", None)
    if isinstance(channel, ConvertedChannel) or state.link is not None:
        raise AlreadyConverted
    if request.startedWriting or request.finished:
        raise ResponseStarted
    if request._disconnected or channel is None:
        raise ClientGone
    # A stream of HTTP/2 has no transport of its own, and Twisted knows no WebSockets within one (RFC 8441).
    if not isinstance(channel, HTTPChannel):
        raise UpgradeRefused(426, "WebSocket connections need HTTP/1.1.", _UPGRADE)

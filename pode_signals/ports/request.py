"""Requests whose bodies are bounded in size, and whose forms are read in bounded time. They answer nothing themselves.

A part of a body that passes a bound is never kept. The channel and the site answer such a request.
"""

# The methods of Twisted that are called here have no annotations: hence the ignores.
from __future__ import annotations

import re
from functools import cached_property
from io import BytesIO
from secrets import token_hex
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.web.server import Request

from ..core.addresses import UNIX_PEER, plain_address
from ..core.upgrade import asks_for_websocket
from ..errors import UpgradeRefused
from .forms import MAX_FIELDS, MAX_HEAD_BYTES, URLENCODED, FormMalformed, FormTooLarge, form_fields, is_form, media_type

__all__ = ["BodyTooLarge", "BoundedRequest"]


_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_BYTES = 8


class BodyTooLarge(Exception):
    """The body of a request is larger than a setting allows, or its Content-Length says that it will be.

    Args:
        setting: the name of the setting.
    """

    def __init__(self, setting: str) -> None:
        super().__init__(setting)
        self.setting = setting


class BoundedRequest(Request):
    """A request of a :class:`~pode_signals.ports.channel.SignalChannel`. It reads forms, which its site does not.

    Attributes:
        refusal: the answer in place of the application's; None where nothing is wrong with the request.
    """

    channel: Any
    content: Any
    refusal: UpgradeRefused | None = None
    _is_urlencoded = False

    @cached_property
    def request_id(self) -> str:
        """The id by which lines of the log and answers belong together.

        It is that of a trusted proxy, or a new one.
        """
        peer = self.channel.getPeer()
        given = self.requestHeaders.getRawHeaders(b"x-request-id", ())
        is_proxy = bool(given) and self.channel.limits.proxies.trusts(_peer_text(peer))
        if is_proxy and len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) is not None:
            return given[0].decode("ascii")
        return token_hex(_REQUEST_ID_BYTES)

    def gotLength(self, length: int | None) -> None:
        """The head is complete, and tells the length of the body; None where the body is chunked.

        Raises:
            BodyTooLarge: the body would be too large. A client that waits for ``100 Continue`` is refused before it
                sends the body.
        """
        self._is_urlencoded = length != 0 and media_type(self._content_type()) == URLENCODED
        if length is not None:
            self._check_size(length)
        super().gotLength(length)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        """A part of the body, decoded.

        Raises:
            BodyTooLarge: with this part the body would be too large; the part was not kept.
        """
        self._check_size(self.content.tell() + len(data))
        super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    def _handleStar(self) -> None:
        """The target is ``*`` (``OPTIONS *``). An upgrade with this target is refused like other bad upgrades."""
        # Twisted 26.10 answers "*" in this private method before it asks any resource, and offers no public way.
        if asks_for_websocket(self.requestHeaders.getRawHeaders(b"upgrade", ())):
            self.render(self.channel.site.getResourceFor(self))  # type: ignore[no-untyped-call]
        else:
            super()._handleStar()  # type: ignore[no-untyped-call]

    def drop_body(self) -> None:
        """Forget the part of the body that has come: the body is too large."""
        if self.content is not None:
            self.content.close()
        self.content = BytesIO()
        self.refusal = _BODY_TOO_LARGE

    def process(self) -> None:
        """The request is complete: read its form, then have it answered."""
        if self.method == b"POST" and self.refusal is None:
            self._read_form()
        super().process()  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """The answer is complete. The transport may still hold much of it."""
        super().finish()  # type: ignore[no-untyped-call]
        self._let_go()

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone before its answer was complete."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._let_go()

    def _let_go(self) -> None:
        # Klein leaves a request in cycles. Until the garbage collector finds these, the unread answer of a client that
        # has left would stay in memory with the transport.
        self.transport = None

    def _read_form(self) -> None:
        content_type = self._content_type()
        # A body that is no form may be large, so it is not read into memory: Twisted keeps large bodies in a file.
        if not is_form(content_type):
            return
        body = self.content.read()
        self.content.seek(0)
        if not body:
            return
        limits, address = self.channel.limits, self.channel.address
        try:
            self.args.update(form_fields(content_type, body))
        except FormTooLarge:
            self.refusal = _FORM_TOO_LARGE
            limits.counters.forms_too_large += 1
            limits.reports.write(
                "forms_too_large",
                "the form of a request of {address} has too many fields",
                event="request.malformed",
                level=LogLevel.info,
                address=address,
            )
        except FormMalformed as malformed:
            self.refusal = UpgradeRefused(400, f"The form can't be read: {malformed}.")
            limits.counters.requests_malformed += 1
            limits.say_malformed("the form of a request of {address} can't be read: {why}", address, str(malformed))

    def _check_size(self, size_bytes: int) -> None:
        limits = self.channel.limits
        if self._is_urlencoded and size_bytes > limits.form_bytes:
            raise BodyTooLarge("max_form_bytes")
        if size_bytes > limits.body_bytes:
            raise BodyTooLarge("max_request_body_bytes")

    def _content_type(self) -> bytes:
        values = self.requestHeaders.getRawHeaders(b"content-type")
        content_type: bytes = values[0] if values else b""
        return content_type


def _peer_text(peer: Any) -> str:
    return UNIX_PEER if isinstance(peer, UNIXAddress) else plain_address(getattr(peer, "host", None) or "")


_BODY_TOO_LARGE = UpgradeRefused(413, "The body of the request is too large.")
_FORM_TOO_LARGE = UpgradeRefused(
    413,
    f"The form is too large: it may have {MAX_FIELDS:,} fields, and {MAX_HEAD_BYTES // 1_024} KiB for the heads of its"
    " parts.",
)

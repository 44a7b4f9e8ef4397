"""The compressed messages of one client (permessage-deflate, RFC 7692), inflated. It never keeps what it can't use.

Autobahn's takes a message for one of just the limit where its last symbol reaches past it, and keeps all that follows a
final block, from which on it would inflate nothing any more. What is sent is left to Autobahn.
"""

from __future__ import annotations

import zlib
from typing import Any

from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.compress import PerMessageDeflate

__all__ = ["Inflater"]

# What senders leave out (RFC 7692 section 7.2.1).
_TAIL = b"\0\0\xff\xff"


class Inflater(PerMessageDeflate):
    """One client's messages, one after the other, with the window that they share.

    How the data of a message is cut makes no difference; but of data that is both bad and too much, either may be
    found first.

    Args:
        agreed: what Autobahn has agreed on with the client.
    """

    def __init__(self, agreed: PerMessageDeflate) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Autobahn
            True,
            agreed.server_no_context_takeover,
            agreed.client_no_context_takeover,
            agreed.server_max_window_bits,
            agreed.client_max_window_bits,
            agreed.mem_level,
        )
        self._stream: Any = None

    def start_decompress_message(self) -> None:
        """A message begins. A final block (RFC 7692 section 7.2.3.4) has ended the window of those before."""
        if self._stream is None or self._stream.eof:
            self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)

    def decompress_message_data(self, data: bytes, max_output_len: int = 0) -> bytes:
        """Inflate a part of a message.

        Args:
            data: the part.
            max_output_len: how many bytes the message may still have.

        Raises:
            PayloadExceededError: it has more.
            PayloadCorruptError: it can't be inflated, or goes on behind a final block.
        """
        stream, rest = self._stream, data
        inflated = b""
        if not stream.eof:
            try:
                # One byte more than may be, or zlib would not tell.
                inflated = stream.decompress(data, max_output_len + 1)
            except zlib.error as error:
                raise PayloadCorruptError(str(error)) from error
            rest = stream.unused_data
        if len(inflated) > max_output_len:
            raise PayloadExceededError
        # Zeros are the empty block with which a sender fills up the last byte.
        if rest.strip(b"\0"):
            raise PayloadCorruptError("data behind a final block")
        return inflated

    def end_decompress_message(self) -> None:
        """A message ends.

        Raises:
            PayloadCorruptError: not where a block does.
        """
        try:
            missing = self._stream.decompress(_TAIL, 1)
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from error
        if missing:
            raise PayloadCorruptError("the message is cut off")

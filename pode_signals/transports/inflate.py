"""Inflates the compressed messages of one client (permessage-deflate, RFC 7692). It never keeps data that it can't use.

Autobahn's own class has two faults. A message whose last symbol reaches past the limit is taken for one of just the
limit. And all data behind a final block is kept, and no message is inflated from then on. Messages that are sent are
compressed by Autobahn.
"""

from __future__ import annotations

import zlib
from typing import Any

from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.compress import PerMessageDeflate

__all__ = ["Inflater"]

# The end of each message, which senders leave out (RFC 7692 section 7.2.1).
_TAIL = b"\0\0\xff\xff"


class Inflater(PerMessageDeflate):
    """One client's messages, one after the other, with the window that they share.

    The parts in which a message comes make no difference. Only where a message is both bad and too large, the parts
    decide which of the two is found first.

    Args:
        agreed: the parameters that Autobahn has agreed on with the client.
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
        """A message begins. A final block has ended the window of the messages before (RFC 7692 section 7.2.3.4)."""
        if self._stream is None or self._stream.eof:
            self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)

    def decompress_message_data(self, data: bytes, max_output_len: int = 0) -> bytes:
        """Inflate a part of a message.

        Args:
            data: the part.
            max_output_len: how many bytes the message may still have.

        Raises:
            PayloadExceededError: the message has more bytes.
            PayloadCorruptError: the part can't be inflated, or the message goes on behind a final block.
        """
        stream, rest = self._stream, data
        inflated = b""
        if not stream.eof:
            try:
                # One byte more than the message may have: otherwise a message of exactly the limit and a larger one
                # would look the same.
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
            PayloadCorruptError: the message ends within a block.
        """
        try:
            missing = self._stream.decompress(_TAIL, 1)
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from error
        if missing:
            raise PayloadCorruptError("the message is cut off")

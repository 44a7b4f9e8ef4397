"""The envelopes of this node that are on their way to Redis and back, which need not be opened. It sends none."""

from __future__ import annotations

from collections import OrderedDict

from ...core.envelope import Envelope

__all__ = ["OwnEnvelopes"]

_MOST_BYTES = 1_048_576
"""How many bytes are known again. What does not come back, or comes late, is opened as any other envelope."""


class OwnEnvelopes:
    """What this node has sealed, by the bytes that it has sent.

    Whoever listens to a channel gets what it publishes there itself. To verify and parse that takes as long as the
    sending; the same bytes are the same envelope.
    """

    def __init__(self) -> None:
        self._envelopes: OrderedDict[bytes, Envelope] = OrderedDict()
        self._size_bytes = 0

    def keep(self, data: bytes, envelope: Envelope) -> None:
        """An envelope is sent."""
        self._envelopes[data] = envelope
        self._size_bytes += len(data)
        while self._size_bytes > _MOST_BYTES:
            self._size_bytes -= len(self._envelopes.popitem(last=False)[0])

    def take(self, data: bytes) -> Envelope | None:
        """The envelope that this node has sent as these bytes, once; None for all others."""
        envelope = self._envelopes.pop(data, None)
        if envelope is not None:
            self._size_bytes -= len(data)
        return envelope

"""What is fuzzed: six entry points for bytes of a client, in memory, each with what has to hold whatever comes."""

from __future__ import annotations

from fuzz.frame_target import FrameStream
from fuzz.request_targets import HandshakeHead, ReferenceHeaders
from fuzz.target import Target
from fuzz.text_targets import ClientMessages, SignalsFrames, SignedIds

__all__ = ["TARGETS"]

TARGETS: tuple[type[Target], ...] = (
    HandshakeHead,
    FrameStream,
    ClientMessages,
    SignalsFrames,
    SignedIds,
    ReferenceHeaders,
)

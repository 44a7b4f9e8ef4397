"""What a target of the fuzzer is, and the server's end of a socket in memory. Nothing here makes inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

__all__ = ["CLIENT_ID", "PEER", "SECRET", "Target", "Wire", "no_logged_failure"]

PEER = IPv4Address("TCP", "192.0.2.1", 50_000)
SECRET = "a secret of more than thirty-two bytes, for sure"
CLIENT_ID = "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"


class Target(Protocol):
    """An entry point for bytes of a client. What ``run`` raises is a finding.

    Attributes:
        name: its name.
        seeds: inputs that get far.
        tokens: pieces that mean something to it.
    """

    name: str
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]

    def run(self, data: bytes, at: int) -> str:
        """Feed an input, cut in two at a place, and say what became of it."""


@contextmanager
def no_logged_failure() -> Iterator[None]:
    """A failure that is logged meanwhile is raised in the end."""
    found: list[Failure] = []

    def observe(event: Any) -> None:
        if event.get("log_failure") is not None:
            found.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
    for failure in found:
        failure.raiseException()


class Wire(StringTransport):
    """The server's end of a socket. As with real ones, most calls may come at any time, also after its end."""

    def __init__(self) -> None:
        super().__init__(peerAddress=PEER, lenient=True)

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read no further; but what one read brought may still come in pieces."""

    def resumeProducing(self) -> None:
        """Read on."""

"""Which requests may become a connection: rules on headers. Nothing here reads a request."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["asks_for_websocket", "listed"]


def asks_for_websocket(values: Sequence[bytes]) -> bool:
    """Whether the lines of an Upgrade header ask for the WebSocket protocol (RFC 6455 section 4.2.1), well or badly."""
    return list(values) == [b"websocket"] or b"websocket" in (each.lower() for each in listed(values))


def listed(values: Sequence[bytes]) -> list[bytes]:
    """The elements of a header that is a list, over all its lines."""
    return [each.strip() for value in values for each in value.split(b",") if each.strip()]

"""What nodes ask each other and answer, as JSON, since nodes may run different versions. It asks nothing itself."""

from __future__ import annotations

import json
from typing import Any

from ..core.model import Target

__all__ = ["from_bytes", "target_of", "target_to", "to_bytes"]


def to_bytes(document: Any) -> bytes:
    """A question's or an answer's body. Texts may have lone surrogates, which clients can send in names."""
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def from_bytes(body: bytes) -> Any:
    """What another node has said.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(body)


def target_to(target: Target) -> list[Any]:
    """A target as JSON."""
    return [target.names, target.groups, target.client_ids, target.exclude]


def target_of(document: list[Any]) -> Target:
    """The target that JSON is of."""
    names, groups, client_ids, exclude = document
    return Target(None if names is None else tuple(names), tuple(groups), tuple(client_ids), tuple(exclude))

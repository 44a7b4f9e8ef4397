"""The keys and channels of one application in Redis. All keys of a name are in one slot of a Redis Cluster."""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["APPLICATION", "Keys", "encoded_name"]

APPLICATION = re.compile(r"[a-z0-9_-]{1,32}")
"""What the name of an application may look like."""


def encoded_name(name: str) -> str:
    """A name as a part of a key: every byte of its UTF-8 but ``[A-Za-z0-9._~-]`` is percent-encoded."""
    # No connection has a name with a lone surrogate. A send to such a name reaches nobody, as on a node that is alone.
    return quote(name, safe="", errors="surrogatepass")


class Keys:
    """The keys of an application.

    Args:
        application: its name, which all keys begin with, so that two applications never meet on one Redis.

    Raises:
        ValueError: the name is not ``[a-z0-9_-]{1,32}``.
    """

    def __init__(self, application: str) -> None:
        if not isinstance(application, str) or not APPLICATION.fullmatch(application):
            raise ValueError(f"the name of an application has to be [a-z0-9_-]{{1,32}}, not {application!r}")
        self.application = application
        # All that is of the nodes, in one slot.
        self.nodes = f"{application}:{{nodes}}"
        self.every = f"{application}:{{every}}:ch"

    def log(self, name: str) -> tuple[str, str]:
        """The stream of a name's log, and the hash beside it."""
        start = self._of(name)
        return f"{start}:log", f"{start}:meta"

    def channel(self, name: str) -> str:
        """The channel of a name."""
        return f"{self._of(name)}:ch"

    def node_channel(self, node: str) -> str:
        """The channel of one node."""
        return f"{self.nodes}:node:{node}"

    def members(self, name: str) -> tuple[str, str]:
        """The hash of a name's members, and their version."""
        encoded = encoded_name(name)
        return f"{self.nodes}:m:{encoded}", f"{self.nodes}:v:{encoded}"

    def once(self, key: str) -> str:
        """Who does a task."""
        return f"{self.application}:{{sched}}:{encoded_name(key)}"

    def value(self, key: str) -> str:
        """A value that all nodes know."""
        return f"{self.application}:{{value}}:{encoded_name(key)}"

    def _of(self, name: str) -> str:
        return f"{self.application}:{{n:{encoded_name(name)}}}"

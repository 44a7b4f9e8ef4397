"""What all servers in Python speak: the load generator's JSON operations. It opens no socket itself.

``{"op": "all", …}`` goes back to every client, ``{"op": "echo", …}`` to its sender; upon ``{"op": "burst", "m": M,
"size": S}`` M messages of S bytes go to every client without a turn of the loop between them.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from typing import Any

__all__ = ["HOST", "PORT", "burst", "dumps", "loads"]

HOST = "127.0.0.1"
PORT = int(os.environ["PORT"])

loads = json.loads
dumps = json.JSONEncoder(separators=(",", ":")).encode

_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_files, _files))


def burst(operation: dict[str, Any]) -> Iterator[str]:
    """The messages that a trigger asks for."""
    for number in range(operation["m"]):
        empty = dumps({"op": "burst", "i": number, "pad": ""})
        yield dumps({"op": "burst", "i": number, "pad": "x" * (operation["size"] - len(empty))})

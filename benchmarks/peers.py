"""The servers that are measured, and how each is started. It starts none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["OURS", "PEERS", "SERVERS", "Server"]

SERVER_FOLDER = Path(__file__).parent / "servers"


@dataclass(frozen=True)
class Server:
    """How a server is started, and what it is called.

    Attributes:
        title: what it is called in results.
        adapter: the file that speaks the operations of the load generator: in ``servers``, or ``limit.c``.
        packages: whose versions stand beside the title; the names of peers.txt and package.json.
        environment: variables for it.
        form: how the load generator wraps messages: plain, wrapped or socketio.
        path: where it upgrades.
        is_slow: it gets fewer messages, and none at a rate that it can't hold.
    """

    title: str
    adapter: str
    packages: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    form: str = "plain"
    path: str = "/ws"
    is_slow: bool = False

    @property
    def file(self) -> Path:
        """The file of the adapter."""
        return (SERVER_FOLDER.parent if self.adapter.endswith(".c") else SERVER_FOLDER) / self.adapter

    def command(self, port: int, work: Path) -> list[str]:
        """The program and its arguments."""
        if self.adapter.endswith(".c"):
            return [str(work / self.file.stem), str(port)]
        program = "node" if self.adapter.endswith(".js") else str(work / "venv" / "bin" / "python")
        return [program, str(self.file)]


SERVERS = {
    "limit": Server("C, a loop of send()", "limit.c"),
    "pode": Server("pode_signals", "pode.py", form="wrapped"),
    "pode-stdlib": Server("pode_signals without orjson", "pode.py", (), (("PODE_JSON", "stdlib"),), "wrapped"),
    "picows": Server("picows (Cython)", "picows_server.py", ("picows",)),
    "picows-uvloop": Server("picows (Cython), uvloop", "picows_server.py", ("picows",), (("LOOP", "uvloop"),)),
    "aiohttp": Server("aiohttp, uvloop", "aiohttp_server.py", ("aiohttp",)),
    "ws": Server("node ws", "ws.js", ("ws",)),
    "websockets": Server("websockets", "websockets_server.py", ("websockets",)),
    "starlette": Server("Starlette, uvicorn", "starlette_server.py", ("starlette", "uvicorn")),
    "socketio": Server(
        "socket.io", "socketio.js", ("socket.io",), form="socketio", path="/socket.io/?EIO=4&transport=websocket"
    ),
    "stock": Server("Klein, Autobahn", "stock.py", ("klein", "autobahn")),
    "channels": Server("channels, daphne", "channels_server.py", ("channels", "daphne"), is_slow=True),
}
"""By their labels. ``limit`` is what ratios are to."""

OURS = ("pode", "pode-stdlib")
PEERS = tuple(label for label in SERVERS if label not in ("limit", *OURS))

"""The servers that are measured, and how each is started. It starts none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["NODES", "OURS", "PEERS", "SERVERS", "Server"]

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
        redis: options of the Redis that its nodes share, where they share one.
    """

    title: str
    adapter: str
    packages: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    form: str = "plain"
    path: str = "/ws"
    is_slow: bool = False
    redis: tuple[str, ...] = ()

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


_SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"

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
    "socketio": Server("socket.io", "socketio.js", ("socket.io",), form="socketio", path=_SOCKETIO_PATH),
    "stock": Server("Klein, Autobahn", "stock.py", ("klein", "autobahn")),
    "channels": Server("channels, daphne", "channels_server.py", ("channels", "daphne"), is_slow=True),
}
"""By their labels. ``limit`` is what ratios are to."""

OURS = ("pode", "pode-stdlib")
PEERS = tuple(label for label in SERVERS if label not in ("limit", *OURS))

NODES = {
    "pode-live": Server("pode_signals, live", "pode_node.py", form="wrapped"),
    "pode-logged": Server("pode_signals, logged", "pode_node.py", (), (("HISTORY", "1"),), "wrapped"),
    "pode-disk": Server(
        "pode_signals, logged, on disk at once",
        "pode_node.py",
        (),
        (("HISTORY", "1"),),
        "wrapped",
        redis=("--appendonly", "yes", "--appendfsync", "always"),
    ),
    "socketio-pubsub": Server(
        "socket.io, redis-adapter",
        "socketio_node.js",
        ("socket.io", "@socket.io/redis-adapter"),
        form="socketio",
        path=_SOCKETIO_PATH,
    ),
    "socketio-streams": Server(
        "socket.io, redis-streams-adapter",
        "socketio_node.js",
        ("socket.io", "@socket.io/redis-streams-adapter"),
        (("ADAPTER", "streams"),),
        "socketio",
        _SOCKETIO_PATH,
    ),
    "python-socketio": Server(
        "python-socketio, uvicorn",
        "socketio_node.py",
        ("python-socketio", "uvicorn"),
        form="socketio",
        path=_SOCKETIO_PATH,
    ),
    "channels-pubsub": Server(
        "RedisPubSubChannelLayer of channels_redis, channels, uvicorn",
        "channels_node.py",
        ("channels-redis", "channels", "uvicorn"),
        (("LAYER", "pubsub.RedisPubSubChannelLayer"),),
        is_slow=True,
    ),
    "channels-core": Server(
        "RedisChannelLayer of channels_redis, channels, uvicorn",
        "channels_node.py",
        ("channels-redis", "channels", "uvicorn"),
        (("LAYER", "core.RedisChannelLayer"),),
        is_slow=True,
    ),
}
"""Servers that share a Redis, by their labels."""

"""The server that is attacked: an echo, a sink, news on demand, and its inside as JSON. It defends itself by nothing.

``programs.running`` serves each of the functions below; the settings are those of the command line.
"""

from __future__ import annotations

import gc
import json
import resource
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.web.static import File

from pode_signals import Endpoint, EventType, SignalConnection, SignalEvent, Signals, SignalsService, TriggeredEvent
from pode_signals.hub.connection import ConnectionState
from pode_signals.signals import hub_of

FEW_DESCRIPTORS = 200
USUAL_DESCRIPTORS = 1_024
ROUTE_SECONDS = 0.005
BLOCKED_SECONDS = 0.3
LONG_SECONDS = 60.0
MOST_DISCONNECTS = 1_000  # that are remembered, so that what grows is the package's
NAMES = ("Echo", "Sink", "News", "Bait")
LEFT_BEHIND = (
    "FastProtocol",
    "SignalProtocol",
    "SignalConnection",
    "SignalChannel",
    "ConvertedChannel",
    "BoundedRequest",
    "Request",
    "Server",
)


class Inside:
    """What a test wants to know of connections. Its times are those of ``time.monotonic``, which all processes share.

    Args:
        signals: whose.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._closing: dict[SignalConnection, float] = {}
        self._sent: dict[str, list[str]] = {}
        self._disconnects: deque[dict[str, Any]] = deque(maxlen=MOST_DISCONNECTS)
        signals.register_event(NAMES, EventType.DISCONNECT, "record", self._gone)

    def note_closing(self) -> None:
        """Note when connections began to close."""
        for connection in self._signals.open_connections():
            if connection.state is ConnectionState.CLOSING:
                self._closing.setdefault(connection, time.monotonic())

    def note_sent(self, connection: SignalConnection, text: str) -> None:
        """Note the begin of what was sent."""
        self._sent.setdefault(connection.client_id, []).append(text[:8])

    def report(self, *, news_left: int, objects: bool) -> dict[str, Any]:
        """All of it."""
        signals = self._signals
        return {
            "open": Counter(each.name for each in signals.open_connections()),
            "news_left": news_left,
            "queued_bytes": hub_of(signals).queues.queued_bytes,
            "disconnects": list(self._disconnects),
            "sent": self._sent,
            "limits_hit": signals.counters.limits_hit,
            "callbacks_failed": signals.counters.callbacks_failed,
            "objects": _living() if objects else {},
        }

    def _gone(self, event: TriggeredEvent) -> None:
        closure, now = event.connection.closure, time.monotonic()
        assert closure is not None
        self._disconnects.append(
            {
                "client_id": event.connection.client_id,
                "code": closure.code,
                "by": closure.by.value,
                "at_seconds": now,
                "closing_at_seconds": self._closing.pop(event.connection, now),
            }
        )


class News:
    """Sends numbered messages to all that are called News.

    Args:
        signals: the hub.
        inside: where it is noted to whom they went.

    Attributes:
        left: how many messages are still to be sent.
    """

    def __init__(self, signals: Signals, inside: Inside) -> None:
        self._signals = signals
        self._inside = inside
        self._call = LoopingCall.withCount(self._tell)
        self._number = self._size_bytes = 0
        self._key: str | None = None
        self._note = False
        self.left = 0

    def begin(self, *, count: int, size_bytes: int, per_second: float, key: str | None, note: bool) -> None:
        """Send so many messages from now on."""
        self._number, self.left, self._size_bytes, self._key, self._note = 0, count, size_bytes, key, note
        self._call.start(1 / per_second)

    def _tell(self, due: int) -> None:
        for _ in range(min(due, self.left)):
            text = f"n{self._number:07d}".ljust(self._size_bytes, ".")
            if self._note:
                for connection in self._signals.connections("News"):
                    self._inside.note_sent(connection, text)
            self._signals.send(text, name="News", key=self._key)
            self._number, self.left = self._number + 1, self.left - 1
        self._inside.note_closing()
        if not self.left:
            self._call.stop()


def attacked(**settings: Any) -> SignalsService:
    """The server."""
    app, signals = Klein(), Signals(**settings)
    inside = Inside(signals)
    news = News(signals, inside)
    _add_connections(app, signals, inside)
    _add_pages(app, signals)
    _add_baits(app, signals)

    @app.route("/inside")
    def tell(request: Any) -> bytes:
        return _as_json(request, inside.report(news_left=news.left, objects=b"objects" in request.args))

    @app.route("/begin")
    def begin(request: Any) -> bytes:
        said = {key.decode(): values[0].decode() for key, values in request.args.items()}
        news.begin(
            count=int(said["count"]),
            size_bytes=int(said["size"]),
            per_second=float(said["rate"]),
            key=said.get("key"),
            note="note" in said,
        )
        return _as_json(request, None)

    @app.route("/end")
    def end(request: Any) -> bytes:
        signals.close("News", code=int(request.args[b"code"][0]))
        return _as_json(request, None)

    return SignalsService(signals, app.resource(), [Endpoint("http"), Endpoint("ws")])


def starved(**settings: Any) -> SignalsService:
    """The same, with few file descriptors, and with limits that know nothing of it."""
    service = attacked(**settings)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, FEW_DESCRIPTORS))
    return service


def scarce(**settings: Any) -> SignalsService:
    """The same, with as many file descriptors as a process usually has, which its limits know."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_DESCRIPTORS, USUAL_DESCRIPTORS))
    return attacked(**settings)


def _add_pages(app: Klein, signals: Signals) -> None:
    """Pages that read all of a request, or take long."""

    @app.route("/page", methods=["GET", "POST"])
    @app.route("/page/<path:rest>", methods=["GET", "POST"])
    def page(request: Any, rest: str = "") -> bytes:
        signals.connection_of(request)
        request.getUser(), request.content.read()
        return b"page"

    @app.route("/static/", branch=True)
    def static(request: Any) -> File:
        return File(str(Path(__file__).parent))

    @app.route("/wait")
    def wait(request: Any) -> Deferred[bytes]:
        return deferLater(signals.clock, LONG_SECONDS, lambda: b"waited")


def _add_baits(app: Klein, signals: Signals) -> None:
    """Connections whose functions take long, raise, or read all of their handshakes."""

    @app.route("/room/<name>")
    def room(request: Any, name: str) -> None:
        signals.convert(request, name)

    for path in ("/bait/blocks", "/bait/busy", "/bait/slow", "/bait/raises", "/bait/reads", "/bait/none"):
        app.route(path, endpoint=path)(lambda request: signals.convert(request, "Bait") and None)

    @signals.route("/bait/blocks")
    def blocks(event: SignalEvent) -> None:
        time.sleep(BLOCKED_SECONDS)

    @signals.route("/bait/busy")
    def busy(event: SignalEvent) -> None:
        end = time.perf_counter() + ROUTE_SECONDS
        while time.perf_counter() < end:
            pass

    @signals.route("/bait/slow")
    async def slow(event: SignalEvent) -> None:
        await deferLater(signals.clock, LONG_SECONDS, lambda: None)

    @signals.route("/bait/raises")
    def raises(event: SignalEvent) -> None:
        raise RuntimeError("on purpose")

    @signals.route("/bait/reads")
    def reads(event: SignalEvent) -> None:
        request = event.request
        dict(request.headers), request.cookies, request.args, request.path


def _add_connections(app: Klein, signals: Signals, inside: Inside) -> None:
    @app.route("/echo")
    def echo_page(request: Any) -> None:
        signals.convert(request, "Echo")

    @app.route("/sink")
    def sink_page(request: Any) -> None:
        signals.convert(request, "Sink")

    @app.route("/news")
    def news_page(request: Any) -> None:
        signals.convert(request, "News")

    @signals.route("/echo")
    def echo(event: SignalEvent) -> None:
        event.connection.send(event.data.message)

    @signals.route("/sink")
    def sink(event: SignalEvent) -> None:
        """Nothing."""

    @signals.route("/news")
    def answer(event: SignalEvent) -> None:
        if event.data.message:
            inside.note_sent(event.connection, str(event.data.message))
            event.connection.send(event.data.message)


def _as_json(request: Any, value: object) -> bytes:
    body = json.dumps(value).encode("ascii")
    request.setHeader("Content-Length", str(len(body)))
    return body


def _living() -> dict[str, int]:
    gc.collect()
    names = Counter(type(each).__name__ for each in gc.get_objects())
    return {name: names[name] for name in LEFT_BEHIND}

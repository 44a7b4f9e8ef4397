"""The server that gets the bad input: several hubs in one process, each with the settings that some cases need.

It is a program: it prints the ports of its hubs as JSON on one line, logs to standard error, and ends on SIGTERM.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from integration.bad_input.cases import SECRET
from klein import Klein
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.logger import globalLogBeginner, textFileLogObserver

from pode_signals import Endpoint, SendMode, Signals, SignalsService

FLOODS, FLOOD_BYTES = 20, 1_000_000  # more than sockets take

BOTH = (Endpoint("http", port=0, hostname="*"), Endpoint("ws", port=0, hostname="*"))

SETTINGS: dict[str, dict[str, Any]] = {
    "main": {},
    "hasty": {
        "handshake_timeout_seconds": 0.4,
        "request_timeout_seconds": 0.4,
        "close_timeout_seconds": 0.3,
        "message_timeout_seconds": 0.3,
    },
    "pinging": {"ping_interval_seconds": 0.2, "pong_timeout_seconds": 0.2},
    "tight": {"send_queue_bytes": 65_536},
    "compressing": {"compression": True},
    "few heads": {"pending_handshakes": 3},
    "full": {"max_connections": 1},
    "one per address": {"max_connections_per_address": 1},
    "one name": {"max_names": 1},
    "unique": {"duplicate_client_id": "refuse"},
    "listed": {"allowed_origins": ["https://*.example.org"], "allow_missing_origin": False},
    "signed": {},
    "strict": {},
    "loopback": {},
    "http only": {},
    "ws only": {},
    "automatic": {},
}
ENDPOINTS: dict[str, Sequence[Endpoint]] = {
    "loopback": (Endpoint("http", port=0), Endpoint("ws", port=0)),
    "http only": BOTH[:1],
    "ws only": BOTH[1:],
    "automatic": (BOTH[0], Endpoint("ws", port=0, hostname="*", auto_upgrade=True)),
}


def application(signals: Signals) -> Klein:
    """The routes of one hub; each signal route answers its sender alone."""
    app = Klein()

    @app.route("/msg")
    def msg(request: Any) -> None:
        signals.convert(request, "Msg")

    @app.route("/named")
    def named(request: Any) -> None:
        """Convert as the query says, which no real application should do."""
        given = {key.decode(): values[0].decode("utf-8") for key, values in request.args.items()}
        signals.convert(request, given.pop("name"), **given)

    @app.route("/headers")
    def headers(request: Any) -> bytes | None:
        if request.getHeader("upgrade") is not None:
            signals.convert(request, "Headers")
            return None
        return json.dumps([name.decode() for name, _ in request.requestHeaders.getAllRawHeaders()]).encode()

    @app.route("/page", methods=["GET", "POST"])
    def page(request: Any) -> bytes:
        connection = signals.connection_of(request)
        return b"nobody" if connection is None else connection.name.encode()

    @app.route("/counters")
    def counters(request: Any) -> bytes:
        return json.dumps([signals.counters.messages_bad, signals.counters.messages_refused]).encode()

    return app


def routes(signals: Signals) -> None:
    """The signal routes of one hub."""

    @signals.route("/headers")
    def header_names(event: Any) -> None:
        event.send([name.lower() for name in event.request.headers], mode=SendMode.DIRECT)

    @signals.route("/<path:any>")
    def echo(event: Any) -> None:
        event.send({"echo": event.data.message}, mode=SendMode.DIRECT)
        if event.data.message == "flood":
            for _ in range(FLOODS):
                event.send("x" * FLOOD_BYTES, mode=SendMode.DIRECT)


def main() -> None:
    """Serve until SIGTERM."""
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    services = MultiService()
    parts: dict[str, SignalsService] = {}
    for name, settings in SETTINGS.items():
        signals = Signals(**settings)
        if name in ("signed", "strict"):
            signals.enable_signing(SECRET, strict=name == "strict")
        routes(signals)
        parts[name] = SignalsService(signals, application(signals).resource(), ENDPOINTS.get(name, BOTH))
        parts[name].setServiceParent(services)
    services.privilegedStartService()
    services.startService()
    ports = {name: next(iter(part.addresses.values()))[0].port for name, part in parts.items()}
    reactor.addSystemEventTrigger("before", "shutdown", services.stopService)
    print(json.dumps(ports), flush=True)
    reactor.run()


if __name__ == "__main__":
    main()

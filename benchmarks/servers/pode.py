"""pode_signals as an application has it: SignalsService, Klein, a signal route; all that is on by default is on.

Only the rate of one client's messages is raised, since one client stands for many here. PODE_JSON=stdlib does without
orjson.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from typing import Any

if os.environ.get("PODE_JSON") == "stdlib":
    sys.modules["orjson"] = None  # type: ignore[assignment]

from klein import Klein
from operations import HOST, PORT, burst
from twisted.internet import reactor

from pode_signals import Endpoint, SignalEvent, Signals, SignalsService

app = Klein()
signals = Signals(messages_per_second=1e9, message_burst=1_000_000_000)
numbers = count()


@app.route("/ws")
def ws(request: Any) -> None:
    number = next(numbers)
    if number < 10:  # those whom "group" and "one" are for
        signals.convert(request, name="Bench", group="ten", client_id=number)
    else:
        signals.convert(request, name="Bench")


@signals.route("/ws")
def operation(event: SignalEvent) -> None:
    message = event.data.message
    kind = message["op"]
    if kind == "all":
        signals.send(message, name="Bench")
    elif kind == "echo":
        event.connection.send(message)
    elif kind == "group":
        signals.send(message, name="Bench", group="ten")
    elif kind == "one":
        signals.send(message, name="Bench", client_id=3)
    else:
        for text in burst(message):
            signals.send(text, name="Bench")


endpoints = [Endpoint(protocol, HOST, PORT) for protocol in ("http", "ws")]
SignalsService(signals, app.resource(), endpoints).startService()
reactor.run()

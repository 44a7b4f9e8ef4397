"""Auto-upgrade, Pode's older way: every WebSocket handshake becomes a connection named after its path.

    twistd -n --pidfile= pode-signals --app auto_upgrade:service

Clients connect to ws://localhost:8091/messages, or to any other path, and no route of the application is asked first.
It is here for front ends that need it; prefer a route that calls signals.convert.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService

app = Klein()
signals = Signals()


@signals.route("/messages")
def on_message(event):
    signals.send({"message": event.data.message}, name="/messages")


@app.route("/close", methods=["POST"])
def close(request):
    signals.close("/messages", code=4000, reason="closed by the example")
    return "closed\n"


service = SignalsService(
    signals,
    app.resource(),
    endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091, auto_upgrade=True)],
)

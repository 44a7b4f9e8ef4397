"""Rooms are groups of one name, and a broadcast level keeps every send within a room.

    twistd -n --pidfile= pode-signals --app groups_and_levels:service

Clients connect to ws://localhost:8091/rooms/kitchen and say {"message": "tea?"}: their room hears it, others don't.
"""

from klein import Klein

from pode_signals import BroadcastLevel, Endpoint, Signals, SignalsService
from pode_signals.errors import BroadcastRefused

app = Klein()
signals = Signals()
signals.set_broadcast_level(BroadcastLevel.GROUP, name="Rooms")


@app.route("/rooms/<room>")
def enter(request, room):
    signals.convert(request, name="Rooms", group=room)


@signals.route("/rooms/<room>")
def said(event):
    room = event.params["room"]
    signals.send({"room": room, "said": event.data.message}, name="Rooms", group=room)


@app.route("/announce", methods=["POST"])
def announce(request):
    """Refused: a send to the name alone would reach every room."""
    try:
        signals.send("Dinner is ready.", name="Rooms")
    except BroadcastRefused as refused:
        request.setResponseCode(409)
        return f"{refused}\n"
    return "sent\n"


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

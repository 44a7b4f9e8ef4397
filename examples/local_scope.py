"""A local connection: it lives as long as the route that converted it, and only the route sends to it.

    twistd -n --pidfile= pode-signals --app local_scope:service

Clients connect to ws://localhost:8091/progress, get a few messages, and are closed with 1000 when the route ends.
"""

from klein import Klein
from twisted.internet.task import deferLater

from pode_signals import Endpoint, Scope, Signals, SignalsService

app = Klein()
signals = Signals()


def pause(seconds):
    return deferLater(signals.clock, seconds, lambda: None)


@app.route("/progress")
async def progress(request):
    connection = signals.convert(request, name="Progress", scope=Scope.LOCAL)
    for percent in (0, 50, 100):
        connection.send({"percent": percent})
        await pause(0.5)


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

"""A name that something periodic feeds: every second each client of "ResponseTimes" gets the last durations.

    twistd -n --pidfile= pode-signals --app response_times:service

Clients connect to ws://localhost:8091/response-times. What is periodic here is Twisted's own TimerService, a child of
the SignalsService, so that both start and stop together.
"""

from collections import deque
from time import perf_counter

from klein import Klein
from twisted.application.internet import TimerService

from pode_signals import Endpoint, Signals, SignalsService

app = Klein()
signals = Signals()
durations = deque(maxlen=3)


@app.route("/response-times")
def response_times(request):
    signals.convert(request, name="ResponseTimes")


@app.route("/work")
def work(request):
    """Something that takes time: its duration is what the clients see."""
    started = perf_counter()
    total = sum(range(100_000))
    durations.append(round((perf_counter() - started) * 1_000_000))
    return f"{total}\n"


def broadcast():
    signals.send({"Durations": list(durations)}, name="ResponseTimes")


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])
TimerService(1, broadcast).setServiceParent(service)

"""A schedule: every minute each client of "ResponseTimes" gets the durations.

    twistd -n --pidfile= pode-signals --app schedule:service

Clients connect to ws://localhost:8091/response-times. Whoever can't wait for the minute posts to /now:

    curl -X POST http://localhost:8091/now
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService, cron

app = Klein()
signals = Signals()


@app.route("/response-times")
def response_times(request):
    signals.convert(request, name="ResponseTimes")


@signals.schedule("Example", cron=cron(every="minute"))
def broadcast():
    signals.send({"Durations": [123, 101, 104]}, name="ResponseTimes")


@app.route("/now", methods=["POST"])
def now(request):
    signals.invoke_schedule("Example")
    return f"The next one comes at {signals.next_trigger('Example'):%H:%M}.\n"


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

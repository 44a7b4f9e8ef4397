"""Serves the page of this folder as the full example of Pode's page does: the page, its script, /msg and [date]."""

from datetime import datetime
from pathlib import Path

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService

HERE = Path(__file__).parent
app = Klein()
signals = Signals()


@app.route("/")
def home(request):
    request.setHeader("Content-Type", "text/html")
    return (HERE / "index.html").read_bytes()


@app.route("/script.js")
def script(request):
    request.setHeader("Content-Type", "text/javascript")
    return (HERE / "script.js").read_bytes()


@app.route("/msg")
def convert(request):
    signals.convert(request, name="Msg")


@signals.route("/msg")
def on_message(event):
    message = event.data.message
    if message.lower() == "[date]":
        message = datetime.now().isoformat()
    signals.send({"message": message}, name="Msg")


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

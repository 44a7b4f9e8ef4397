"""A chat page: what one browser sends, every browser gets; "[date]" is answered with the date.

    twistd -n --pidfile= pode-signals --app chat:service

Then open http://localhost:8091/ in two browsers. It is the full example of Pode's page on WebSockets.
"""

from datetime import datetime

from klein import Klein
from twisted.logger import Logger

from pode_signals import Endpoint, Signals, SignalsService

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Chat</title>
<p>Clicking submit sends the message to every browser that is open here.</p>
<form id="form">
  <input id="text" placeholder="Any text, or [date]" autofocus>
  <input type="submit" value="Broadcast!">
</form>
<div id="messages"></div>
<script>
  const socket = new WebSocket(`ws://${location.host}/msg`);
  socket.onmessage = event => {
    const line = document.createElement("p");
    line.textContent = JSON.parse(event.data).message;
    document.querySelector("#messages").append(line);
  };
  document.querySelector("#form").onsubmit = event => {
    event.preventDefault();
    const text = document.querySelector("#text");
    socket.send(JSON.stringify({message: text.value}));
    text.value = "";
  };
</script>
</html>
"""

log = Logger()
app = Klein()
signals = Signals()


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/msg")
def msg(request):
    signals.convert(request, name="Msg")


@signals.route("/msg")
def on_message(event):
    text = event.data.message
    if isinstance(text, str) and text.lower() == "[date]":
        text = datetime.now().isoformat()
    signals.send({"message": text}, name="Msg")


@signals.on_connect("Msg")
def connected(event):
    log.info("connected {connection}", connection=event.connection)


@signals.on_disconnect("Msg")
def disconnected(event):
    log.info("disconnected {connection}: {closure}", connection=event.connection, closure=event.connection.closure)


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

"""Nothing is lost over a reconnect: a page that counts with the server, and a button that pulls the plug.

    twistd -n --pidfile= pode-signals --app resume:service

Then open http://localhost:8091/ and press the button: the connection of the page ends, and the server goes on counting.
Three seconds later the page comes back by itself, gets every number that it has missed, underlined, and says how many
are missing: none.
"""

from itertools import count

from klein import Klein

from pode_signals import CloseCode, Endpoint, Signals, SignalsService

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nothing is lost</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 42rem; padding: 1rem; }
  button { font: inherit; padding: 0.4rem 0.8rem; }
  #numbers { overflow-wrap: anywhere; }
  #numbers b { text-decoration: underline; }
</style>
<main>
  <h1>Nothing is lost</h1>
  <p id="status" role="status">connecting</p>
  <p><button id="plug">Pull the plug for three seconds</button></p>
  <p>Numbers, those underlined that came after a reconnect: <span id="numbers"></span></p>
  <p>Missing: <output id="missing">0</output></p>
</main>
<script type="module">
  import { SignalClient } from "/signals.js";

  const $ = place => document.querySelector(place);
  // Where the plug is out, so is the way back: an attempt to connect waits until it is in again.
  let plugIn = Promise.resolve();
  const client = new SignalClient(() => plugIn.then(() => "/numbers"), { baseSeconds: 0.5 });
  let last, missing = 0, some = false;

  client.on("open", ({ recovered }) => $("#status").textContent = recovered ? "open again" : "open");
  client.on("waiting", () => $("#status").textContent = "the plug is out");
  client.on("lost", () => {
    last = undefined;
    some = true;
  });
  client.on("signal", ({ data, replayed }) => {
    if (last !== undefined) missing += data.number - last - 1;
    last = data.number;
    const shown = document.createElement(replayed ? "b" : "span");
    shown.textContent = data.number;
    $("#numbers").append(shown, " ");
    $("#missing").textContent = some ? "some" : missing;
  });
  $("#plug").onclick = async () => {
    plugIn = new Promise(resolve => setTimeout(resolve, 3000));
    await client.fetch("/plug", { method: "POST" }).catch(() => {});
  };
</script>
</html>
"""

app = Klein()
signals = Signals()
# Four numbers a second, for clients that are away for up to a minute: 2 * 4 * 60.
signals.keep_history("Numbers", messages=480, seconds=120)
counted = count(1)


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/numbers")
def numbers(request):
    signals.convert(request, name="Numbers")


@app.route("/plug", methods=["POST"])
def plug(request):
    # The headers that client.fetch adds say which connection the request is of.
    connection = signals.connection_of(request)
    if connection is not None:
        connection.close(code=CloseCode.SERVICE_RESTART)


@signals.timer("Count", 0.25)
def tell():
    signals.send({"number": next(counted)}, name="Numbers")


endpoints = [Endpoint("http", port=8091), Endpoint("ws", port=8091)]
service = SignalsService(signals, app.resource(), endpoints, client_at="/signals.js")

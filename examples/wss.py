"""The page and its socket over TLS on one port, with a certificate made at start.

    twistd -n --pidfile= pode-signals --app wss:service

Then open https://localhost:8443/ and tell the browser to go on. For a real certificate replace self_signed=True by
certificate="fullchain.pem", certificate_key="privkey.pem", or by a PKCS#12 file and its certificate_password; SIGHUP
reads the files again.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>wss</title>
<p id="answer">connecting</p>
<script>
  const socket = new WebSocket(`wss://${location.host}/echo`);
  socket.onopen = () => socket.send(JSON.stringify({message: "over TLS", direct: true}));
  socket.onmessage = event => { document.querySelector("#answer").textContent = event.data; };
</script>
</html>
"""

app = Klein()
signals = Signals()


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/echo")
def echo(request):
    signals.convert(request, name="Echo")


@signals.route("/echo")
def on_message(event):
    signals.send(f"{event.endpoint.protocol}: {event.data.message}")


service = SignalsService(
    signals,
    app.resource(),
    endpoints=[Endpoint("https", port=8443, self_signed=True), Endpoint("wss", port=8443)],
)

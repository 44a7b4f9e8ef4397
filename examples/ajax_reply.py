"""A page sends AJAX requests and gets the answers over its socket.

    twistd -n --pidfile= pode-signals --app ajax_reply:service

Then open http://localhost:8091/. The socket tells the page its client id, and the page puts the id into the header
X-PODE-SIGNAL-CLIENT-ID of its requests; a request whose id is not that of an open connection gets 400.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>AJAX reply</title>
<form id="form"><input id="number" type="number" value="21"><input type="submit" value="Double it"></form>
<p id="status">connecting</p>
<p id="answer"></p>
<script>
  let clientId;
  const socket = new WebSocket(`ws://${location.host}/answers`);
  socket.onmessage = event => {
    const data = JSON.parse(event.data);
    if (data.clientId) {
      clientId = data.clientId;
      document.querySelector("#status").textContent = "ready";
    } else {
      document.querySelector("#answer").textContent = data.answer;
    }
  };
  document.querySelector("#form").onsubmit = async event => {
    event.preventDefault();
    const body = document.querySelector("#number").value;
    const reply = await fetch("/double", {method: "POST", body, headers: {"X-PODE-SIGNAL-CLIENT-ID": clientId}});
    document.querySelector("#status").textContent = await reply.text();
  };
</script>
</html>
"""

app = Klein()
signals = Signals()
signals.enable_signing(signals.default_secret)


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/answers")
def answers(request):
    connection = signals.convert(request, name="Answers")
    connection.send({"clientId": connection.client_id})


@app.route("/double", methods=["POST"])
def double(request):
    connection = signals.connection_of(request)
    body = request.content.read(20)
    if connection is None or not body.isdigit():
        request.setResponseCode(400)
        return "A whole number, and the header X-PODE-SIGNAL-CLIENT-ID, please."
    connection.send({"answer": 2 * int(body)})
    return "accepted"


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

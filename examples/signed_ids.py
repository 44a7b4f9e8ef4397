"""Signed client ids: a client gets one that it can hand on, and that nobody can make up.

    twistd -n --pidfile= pode-signals --app signed_ids:service

Clients connect to ws://localhost:8091/inbox and are told their id. Whoever knows an id can write to it:

    curl -X POST --data-urlencode "to=s:5d12…" -d "text=hello" http://localhost:8091/write

Here the secret is made anew at each start; to keep ids valid over a restart use one of your own, of 32 bytes or more.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService

app = Klein()
signals = Signals()
signals.enable_signing(signals.default_secret)


@app.route("/inbox")
def inbox(request):
    connection = signals.convert(request, name="Inbox")
    connection.send({"clientId": connection.client_id})


@app.route("/write", methods=["POST"])
def write(request):
    to = request.args.get(b"to", [b""])[0].decode("utf-8", "replace")
    text = request.args.get(b"text", [b""])[0].decode("utf-8", "replace")
    if not signals.is_client_id_valid(to, request):
        request.setResponseCode(400)
        return "That is none of our client ids.\n"
    delivery = signals.send({"text": text}, name="Inbox", client_id=to)
    return f"recipients: {delivery.recipients}\n"


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

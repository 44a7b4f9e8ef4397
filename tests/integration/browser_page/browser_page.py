"""A page with the client for browsers, and a server that does what the page asks: replies, signals, cuts."""

import os
from urllib.parse import unquote

from klein import Klein

from pode_signals import Endpoint, RedisBackplane, Signals, SignalsService
from pode_signals.errors import ReplyRefused

PAGE = """<!doctype html>
<html lang="en" data-since="(since)">
<meta charset="utf-8">
<title>A page</title>
<link rel="icon" href="data:,">
<pre id="log"></pre>
<script>
  const log = document.querySelector("#log");
  const show = (...words) => log.append(words.map((each) => JSON.stringify(each)).join(" ") + "\\n");
</script>
"""

# With a Redis the history outlives this process.
redis = os.environ.get("BROWSER_PAGE_REDIS")
backplane = RedisBackplane(redis, key="the key of a single node, which has nobody to share it with") if redis else None

app = Klein()
signals = Signals(allow_sse=True, backplane=backplane)
signals.keep_history("Rooms")


@app.route("/")
async def home(request):
    """The page, without a client; it knows the position at which a client of it may begin."""
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE.replace("(since)", await signals.position("Rooms"))


@app.route("/rooms")
def rooms(request):
    """A connection; ``?id=`` gives its client id."""
    client_id = request.args.get(b"id", [b""])[0].decode()
    signals.convert(request, name="Rooms", client_id=client_id or None)


@app.route("/report", methods=["POST"])
def report(request):
    """The answer goes by the connection that the request names."""
    connection = signals.connection_of(request)
    connection.send({"reported": unquote(request.getHeader("X-PODE-SIGNAL-NAME"))})
    return b""


@signals.route("/rooms")
async def said(event):
    """Do what the message says."""
    match event.data.message:
        case {"cut": int(code)}:
            signals.close("Rooms", client_id=event.connection.client_id, code=code)
            # Nobody is there to get it.
            signals.send({"text": "missed"}, name="Rooms")
        case "count":
            return signals.count("Rooms")
        case "transport":
            return event.connection.transport
        case {"refuse": str(text)}:
            raise ReplyRefused("not_invited", text)
        case {"text": str(text)}:
            delivery = await signals.send({"text": text}, name="Rooms", acknowledge=True)
            return {"read": len(delivery.acknowledged)}
    return None


endpoints = [Endpoint("http", port=8091), Endpoint("ws", port=8091)]
service = SignalsService(signals, app.resource(), endpoints, client_at="/signals.js")

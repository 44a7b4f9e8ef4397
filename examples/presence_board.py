"""Who is here: a board of cards for each of two rooms, which changes as people come, go and pick another colour.

    twistd -n --pidfile= pode-signals --app presence_board:service

Then open http://localhost:8091/?user=ada and http://localhost:8091/?user=grace in two browsers. Presence is shared per
group, so each page sees the people of its own room. Who loses the connection or closes the page stays on the board for
fifteen seconds: a page that is loaded anew, or comes back by then, was never away.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.errors import ReplyRefused

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Who is here</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 42rem; padding: 1rem; }
  #board { display: flex; flex-wrap: wrap; gap: 0.75rem; list-style: none; padding: 0; }
  #board li { border: 1px solid; border-left: 0.75rem solid; border-radius: 0.5rem; padding: 0.5rem 1rem; }
</style>
<main>
  <h1>Who is here</h1>
  <p id="status" role="status">connecting</p>
  <p>
    <label>Room <select id="room"><option>kitchen<option>garden</select></label>
    <label>Your colour <input type="color" id="color" value="#1a5fb4"></label>
  </p>
  <ul id="board" aria-label="Everybody"></ul>
</main>
<script type="module">
  import { SignalClient } from "/signals.js";

  const $ = place => document.querySelector(place);
  const user = new URLSearchParams(location.search).get("user") ?? "somebody";
  const client = new SignalClient(`/board?user=${encodeURIComponent(user)}`, { watch: true });
  const complain = error => $("#status").textContent = error.message;
  let room = "";

  client.on("open", () => {
    $("#status").textContent = "open";
    client.request({ color: $("#color").value }).catch(complain);
  });
  client.on("waiting", () => $("#status").textContent = "connecting again");
  client.on("hello", ({ groups }) => { $("#room").value = room = groups[0]; });
  client.on("presence", ({ group, members }) => {
    if (group !== room || !members) return;
    const people = [...members.values()].sort((one, other) => one.user.localeCompare(other.user));
    $("#board").replaceChildren(...people.map(({ user, info }) => {
      const card = document.createElement("li");
      card.textContent = user;
      card.style.borderColor = info.color;
      return card;
    }));
  });
  $("#room").onchange = () => client.request({ room: $("#room").value }).catch(complain);
  $("#color").onchange = () => client.request({ color: $("#color").value }).catch(complain);
</script>
</html>
"""

ROOMS = ["kitchen", "garden"]

app = Klein()
signals = Signals()
signals.share_presence("Board", per="group")


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/board")
def board(request):
    # A program of yours takes the user from the login.
    user = request.args.get(b"user", [b"somebody"])[0].decode("utf-8", "replace")
    connection = signals.convert(request, name="Board", user=user, info={"color": "#1a5fb4"})
    # Who comes back is in its room again.
    if not connection.groups:
        connection.join("kitchen")


@signals.route("/board")
def said(event):
    connection = event.connection
    match event.data.message:
        case {"room": room} if room in ROOMS:
            for other in connection.groups:
                connection.leave(other)
            connection.join(room)
        case {"color": str(color)} if len(color) == len("#123456"):
            connection.info = {"color": color}
        case _:
            raise ReplyRefused("not_understood", "Pick a room or a colour.")


endpoints = [Endpoint("http", port=8091), Endpoint("ws", port=8091)]
service = SignalsService(signals, app.resource(), endpoints, client_at="/signals.js")

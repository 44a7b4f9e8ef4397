"""Join and leave rooms on one socket, and lose nothing where the connection breaks.

    twistd -n --pidfile= pode-signals --app rooms:service

Then open http://localhost:8091/ in two browsers. Rooms are groups of one name; the server decides who is in which. Cut
the connection of one page, say something in the other, and connect again: the first page is in its rooms as before, and
has what was said meanwhile.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.errors import ReplyRefused

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Rooms</title>
<p id="status">connecting</p>
<p>
  <button id="cut">Cut the connection</button> <button id="connect">Connect again</button>
</p>
<p id="rooms">
  <label><input type="checkbox" value="kitchen"> kitchen</label>
  <label><input type="checkbox" value="garden"> garden</label>
  <label><input type="checkbox" value="attic"> attic</label>
</p>
<form id="form">
  <select id="room" aria-label="Room"></select>
  <input id="text" placeholder="Any text" aria-label="Message"> <input type="submit" value="Say">
</form>
<div id="messages"></div>
<script>
  const $ = place => document.querySelector(place);
  const boxes = document.querySelectorAll("#rooms input");
  let socket, epoch, offset, token, cameBefore = false, last = 0;

  const show = text => {
    const line = document.createElement("p");
    line.textContent = text;
    $("#messages").append(line);
  };

  const send = message => socket.send(JSON.stringify({type: "send", id: String(++last), message}));

  const take = frame => {
    // The position moves before anything else: what was shown must not come again.
    if (frame.offset) offset = frame.offset;
    if (frame.type === "hello") {
      ({epoch, resumeToken: token} = frame);
      for (const box of boxes) box.checked = frame.groups.includes(box.value);
      $("#room").replaceChildren(...frame.groups.map(room => new Option(room)));
      if (cameBefore && !frame.recovered) show("Messages may be missing here.");
      cameBefore = true;
      $("#status").textContent = "open";
    } else if (frame.type === "signal") {
      show(`${frame.group}: ${frame.data.text}`);
    } else if (frame.type === "error") {
      show(`${frame.text} (${frame.code})`);
      for (const box of boxes) box.checked = [...$("#room").options].some(each => each.value === box.value);
    }
  };

  const connect = () => {
    const offers = ["pode.signals.v1"];
    if (token) offers.push(`pode.resume.${epoch}.${offset}.${token}`);
    const mine = socket = new WebSocket(`ws://${location.host}/rooms`, offers);
    mine.onmessage = event => { if (mine === socket) take(JSON.parse(event.data)); };
    mine.onclose = () => { if (mine === socket) $("#status").textContent = "closed"; };
  };

  for (const box of boxes) box.onchange = () => send({[box.checked ? "join" : "leave"]: box.value});
  $("#form").onsubmit = event => {
    event.preventDefault();
    send({say: $("#text").value, room: $("#room").value});
    $("#text").value = "";
  };
  $("#cut").onclick = () => socket.close();
  $("#connect").onclick = connect;
  connect();
</script>
</html>
"""

ROOMS = ["kitchen", "garden", "attic"]
# By invitation alone, and nobody is invited here.
PRIVATE = ["attic"]

app = Klein()
signals = Signals()
# Ten messages a second in all rooms, for clients that are away for up to a minute: 2 * 10 * 60.
signals.keep_history("Rooms", messages=1_200, seconds=120)


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/rooms")
def rooms(request):
    signals.convert(request, name="Rooms")


@signals.route("/rooms")
def said(event):
    connection = event.connection
    match event.data.message:
        case {"join": room} if room in PRIVATE:
            raise ReplyRefused("not_invited", "This room is by invitation.")
        case {"join": room} if room in ROOMS:
            connection.join(room)
        case {"leave": room} if room in ROOMS:
            connection.leave(room)
        case {"say": str(text), "room": room} if room in connection.groups:
            signals.send({"text": text}, name="Rooms", group=room)
        case _:
            raise ReplyRefused("not_understood", "Join a room, leave a room, or say something in a room of yours.")


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

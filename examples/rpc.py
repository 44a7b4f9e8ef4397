"""A page asks and gets replies over its socket: each reply has the id of its question.

    twistd -n --pidfile= pode-signals --app rpc:service

Then open http://localhost:8091/ in two browsers and book seats. The page offers the subprotocol "pode.signals.v1". What
the signal route returns is the reply; a ReplyRefused that it raises is an error with a code and a sentence.
"""

from klein import Klein

from pode_signals import Endpoint, Signals, SignalsService
from pode_signals.errors import ReplyRefused

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Seats</title>
<form id="form">
  <input id="seat" placeholder="A seat from 1A to 3C" autofocus>
  <input type="submit" value="Book it">
</form>
<p id="answer">connecting</p>
<p>Taken: <span id="taken">none</span></p>
<script>
  const show = (place, text) => { document.querySelector(place).textContent = text; };
  const socket = new WebSocket(`ws://${location.host}/seats`, ["pode.signals.v1"]);
  const questions = new Map();
  let last = 0;

  const ask = message => new Promise((resolve, reject) => {
    const id = String(++last);
    questions.set(id, {resolve, reject});
    socket.send(JSON.stringify({type: "send", id, message}));
  });

  socket.onmessage = event => {
    const frame = JSON.parse(event.data);
    const question = questions.get(frame.id);
    questions.delete(frame.id);
    if (frame.type === "hello") show("#answer", "ready");
    if (frame.type === "signal") show("#taken", frame.data.taken.join(", "));
    if (frame.type === "reply") question.resolve(frame.data);
    if (frame.type === "error") question?.reject(new Error(`${frame.text} (${frame.code})`));
  };

  // What was asked may have been done all the same: only the server knows.
  socket.onclose = () => {
    for (const {reject} of questions.values()) reject(new Error("The connection was lost."));
    show("#answer", "closed");
  };

  document.querySelector("#form").onsubmit = async event => {
    event.preventDefault();
    try {
      const {booked, left} = await ask({seat: document.querySelector("#seat").value});
      show("#answer", `You have ${booked}; seats left: ${left}`);
    } catch (error) {
      show("#answer", error.message);
    }
  };
</script>
</html>
"""

SEATS = [f"{row}{letter}" for row in (1, 2, 3) for letter in "ABC"]

app = Klein()
signals = Signals()
taken = []


@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    return PAGE


@app.route("/seats")
def seats(request):
    connection = signals.convert(request, name="Seats")
    if taken:
        connection.send({"taken": taken})


@signals.route("/seats")
def book(event):
    match event.data.message:
        case {"seat": str(seat)} if seat in SEATS:
            pass
        case _:
            raise ReplyRefused("no_such_seat", "There is no such seat.")
    if seat in taken:
        raise ReplyRefused("seat_taken", "This seat is taken.")
    taken.append(seat)
    signals.send({"taken": taken}, name="Seats")
    return {"booked": seat, "left": len(SEATS) - len(taken)}


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])

// How a client connects, over a WebSocket and where none gets through; what its first frames tell.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SignalClient, SignalsError } from "pode-signals";
import {
  advance,
  codeOf,
  FakeSocket,
  happens,
  hello,
  opened,
  reported,
  signal,
  streaming,
  turn,
  URL_OF_ROOM,
  World,
} from "./fakes.js";

test("P2: a client offers pode.signals.v1 alone at first, to the WebSocket of its URL", async () => {
  const world = new World();
  await turn();
  assert.equal(world.socket.url, "ws://server.example/room");
  assert.deepEqual(world.socket.protocols, ["pode.signals.v1"]);
  assert.equal(world.client.state, "connecting");
  assert.equal(world.client.hello, undefined);
});

test("P2: the hello makes a client open, and fulfils ready", async () => {
  const world = await opened();
  assert.equal(world.client.state, "open");
  assert.equal(world.client.hello?.clientId, "ada");
  assert.equal(await world.client.ready, world.client.hello);
  assert.deepEqual(world.events, ["open"]);
});

test("P2: a URL may be one of http, https, ws or wss, a URL object or a function, and any other is a TypeError", async () => {
  const sources: [ConstructorParameters<typeof SignalClient>[0], string][] = [
    ["https://server.example/a?b=c#d", "wss://server.example/a?b=c"],
    ["wss://server.example/a", "wss://server.example/a"],
    [new URL("http://server.example:8091/"), "ws://server.example:8091/"],
    [async () => "ws://server.example/later", "ws://server.example/later"],
  ];
  for (const [source, expected] of sources) {
    const world = new World({}, source);
    await turn();
    assert.equal(world.socket.url, expected);
  }
  assert.throws(() => new SignalClient("ftp://server.example/"), { name: "TypeError" });
  assert.throws(() => new SignalClient("https://ada:secret@server.example/"), { name: "TypeError" });
});

test("P2: further subprotocols come behind, from a function anew for each attempt", async () => {
  let count = 0;
  const world = new World({ transport: "websocket", protocols: async () => [`bearer.${++count}`] });
  await turn();
  assert.deepEqual(world.socket.protocols, ["pode.signals.v1", "bearer.1"]);
  world.socket.accept().say(hello());
  world.socket.end(1012);
  await advance(1);
  assert.deepEqual(world.socket.protocols, ["pode.signals.v1", "pode.resume.k3v9q2.1-11.Tok_en.1", "bearer.2"]);
});

test("P2: a server that chose another subprotocol is given up, with the backoff grown", async () => {
  const world = new World({ transport: "websocket" });
  await turn();
  world.socket.accept("chat");
  await turn();
  assert.equal(world.socket.closedWith.length > 0, true);
  assert.deepEqual(world.of("waiting"), [{ seconds: 1 }]);
});

test("P2: nothing but a hello is taken before the hello", async () => {
  const world = new World();
  await turn();
  world.socket.accept().say(signal("early"), { type: "dance" }, hello());
  assert.deepEqual(world.events, ["open"]);
});

test("P7: fields that are not known are ignored, and null is the same as a field that is not there", async () => {
  const world = await opened({}, { color: "red", user: null, presence: null });
  world.socket.say(signal("soup", { group: null, offset: null, ack: null, color: "red" }));
  world.socket.say({ type: "beat", offset: null }, { type: "error", id: null, code: "failed", text: "no" });
  assert.deepEqual(world.of("signal"), [{ data: "soup", group: undefined, offset: undefined, replayed: false }]);
  assert.deepEqual(world.events, ["open", "signal", "error"]);
  assert.deepEqual(world.socket.sent, []);
});

test("P8: frames of a type that is not known, and texts that are no objects, are ignored", async () => {
  const world = await opened();
  world.socket.say({ type: "dance" }, "null", "[1]", "7", '"text"', signal("still here"));
  assert.deepEqual(world.events, ["open", "signal"]);
  assert.equal(world.client.state, "open");
});

test("P8: a text that is no JSON ends the connection, with the backoff grown", async () => {
  const world = await opened();
  world.socket.say("{");
  assert.equal(world.client.state, "waiting");
  assert.deepEqual(world.of("waiting"), [{ seconds: 1 }]);
});

test("P8: a binary message ends the connection", async () => {
  const world = await opened();
  world.socket.onmessage?.({ data: new Blob(["x"]) });
  assert.equal(world.client.state, "waiting");
});

test("P20: a later hello replaces the one before in every field, and is told as hello alone", async () => {
  const world = await opened({}, { user: "Ada", groups: ["kitchen"] });
  const told: unknown[] = [];
  world.client.on("hello", (each) => void told.push(each));
  const { epoch, offset, ...without } = hello({ groups: ["bath"], recovered: true, resumeToken: undefined });
  world.socket.say(without);
  assert.deepEqual(world.client.hello, JSON.parse(JSON.stringify(without)));
  assert.equal(told.length, 1);
  assert.deepEqual(world.events, ["open"]);
});

test("P67: a handshake has ten seconds to the hello", async () => {
  const world = new World({ transport: "websocket" });
  await turn();
  world.socket.accept();
  await advance(9.9);
  assert.equal(world.client.state, "connecting");
  await advance(0.2);
  assert.deepEqual(world.socket.closedWith[0], undefined);
  assert.equal(world.socket.closedWith.length > 0, true);
});

test("P92: a WebSocket that fails is followed by server-sent events at once", async () => {
  const world = new World();
  await turn();
  world.socket.end();
  await turn();
  assert.equal(world.request.url, URL_OF_ROOM);
  assert.equal(world.request.headers.get("Accept"), "text/event-stream;protocol=pode.signals.v1");
  assert.equal(world.request.headers.get("X-PODE-SIGNAL-RESUME"), "-");
  assert.equal(world.request.init.cache, "no-store");
  assert.equal(world.request.init.credentials, "include");
  world.request.stream().say(hello());
  await turn();
  assert.deepEqual(world.events, ["open"]);
});

test("P92: a WebSocket that is swallowed is followed by server-sent events after three seconds, and is closed", async () => {
  const world = new World();
  await turn();
  await advance(2.9);
  assert.equal(world.asked.length, 0);
  await advance(0.2);
  assert.equal(world.asked.length, 1);
  assert.equal(world.socket.closedWith.length > 0, true);
  world.socket.accept().say(hello({ clientId: "late" }));
  world.request.stream().say(hello());
  await turn();
  assert.equal(world.client.hello?.clientId, "ada");
});

test("P92: a WebSocket that opens and then brings no hello is swallowed as well", async () => {
  const world = new World();
  await turn();
  world.socket.accept();
  await advance(3.1);
  assert.equal(world.asked.length, 1);
});

test("P92: where the browser allows no WebSocket, server-sent events follow", async () => {
  FakeSocket.refusesToBeMade = true;
  try {
    const world = new World();
    await turn();
    assert.equal(world.asked.length, 1);
  } finally {
    FakeSocket.refusesToBeMade = false;
  }
});

test("P92: where both fail the next try is a WebSocket, and server-sent events follow it again", async () => {
  const world = new World();
  await turn();
  world.socket.end();
  await turn();
  world.request.fail();
  await turn();
  assert.deepEqual(world.of("waiting"), [{ seconds: 0.5 }]);
  await advance(0.6);
  assert.equal(world.sockets.length, 2);
  world.socket.end();
  await turn();
  assert.equal(world.asked.length, 2);
});

test("P92: a client on server-sent events tries a WebSocket first when it comes back", async () => {
  const world = new World();
  await turn();
  world.socket.end();
  await turn();
  const stream = world.request.stream();
  stream.say(hello());
  await turn();
  stream.end(1001);
  await turn();
  assert.deepEqual(world.events, ["open", "waiting"]);
  await advance(0.6);
  assert.equal(world.sockets.length, 2);
  world.socket.accept().say(hello({ recovered: true }));
  assert.equal(world.client.state, "open");
});

test("P92: once a WebSocket had a hello, a client stays with WebSockets, and gives each ten seconds", async () => {
  const world = await opened();
  world.socket.end();
  await advance(0.6);
  assert.equal(world.sockets.length, 2);
  await advance(5);
  assert.equal(world.asked.length, 0);
  await advance(5);
  assert.equal(world.asked.length, 1, "the status is asked for");
  world.request.stream().say(hello());
  await turn();
  assert.equal(world.client.state, "waiting");
  assert.equal(world.request.isAborted(), true);
});

test("P92: a close code before the hello is the server's word, and no blocked path", async () => {
  const world = new World();
  await turn();
  world.socket.accept().end(1013);
  await turn();
  assert.equal(world.asked.length, 0);
  assert.equal(world.client.state, "waiting");
});

test("P92: with transport websocket there are never server-sent events, and with sse never a WebSocket", async () => {
  const one = new World({ transport: "websocket" });
  await turn();
  one.socket.end();
  await turn();
  one.request.stream().say(hello());
  await turn();
  assert.equal(one.client.state, "waiting");
  const other = await streaming();
  assert.equal(other.sockets.length, 0);
  assert.equal(other.client.state, "open");
});

test("P92: where the server offers no events, a WebSocket has ten seconds from then on", async () => {
  const world = new World();
  await advance(3.1);
  world.request.answer(426);
  await advance(0.6);
  assert.equal(world.sockets.length, 2);
  await advance(9);
  assert.equal(world.asked.length, 1);
  world.socket.accept().say(hello());
  assert.equal(world.client.state, "open");
});

test("P92: an answer that is no event stream is a failure", async () => {
  const world = new World({ transport: "sse" });
  await turn();
  world.request.answer(200, { "Content-Type": "text/html" }, "<h1>Log in</h1>");
  await turn();
  assert.equal(world.client.state, "waiting");
});

test("P86: a function for the URL that fails is reported to the page, and is asked again", async () => {
  let count = 0;
  const world = new World({}, () => {
    if (!count++) throw new Error("no URL yet");
    return URL_OF_ROOM;
  });
  await turn();
  assert.equal(String(reported[0]), "Error: no URL yet");
  assert.equal(world.client.state, "waiting");
  await advance(0.6);
  assert.equal(world.sockets.length, 1);
});

test("P61: a URL that comes when its attempt was given up, or fails then, does nothing", async () => {
  const gives: ((url: string) => void)[] = [];
  const fails: ((error: Error) => void)[] = [];
  const source = () => new Promise<string>((give, fail) => void (gives.push(give), fails.push(fail)));
  const closed = new World({}, source);
  closed.client.close();
  gives[0]!(URL_OF_ROOM);
  const frozen = new World({}, source);
  happens("document", "freeze");
  fails[1]!(new Error("late"));
  await advance(5);
  assert.deepEqual([closed.sockets.length, frozen.sockets.length], [0, 0]);
  assert.deepEqual([closed.events, frozen.events], [["closed"], ["waiting"]]);
  assert.deepEqual(reported, []);
});

test("P86: a client that is closed before its first hello rejects ready, and stays away", async () => {
  const world = new World();
  const ready = codeOf(world.client.ready);
  await turn();
  world.client.close();
  await advance(60);
  assert.deepEqual(ready, { code: "closed" });
  assert.deepEqual(world.seen, [["closed", { code: 1000, reason: "", status: undefined }]]);
  assert.equal(world.client.state, "closed");
  assert.equal(world.sockets.length, 1);
  await assert.rejects(world.client.send("late"), { code: "closed" });
});

test("P86: an error is an Error with a name and a code", () => {
  const error = new SignalsError("app.seat_taken", "This seat is taken.");
  assert(error instanceof Error);
  assert.equal(String(error), "SignalsError: This seat is taken.");
  assert.equal(error.code, "app.seat_taken");
});

// Whether the server still lives; what the page does to a client.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, happens, hello, opened, page, setBack, sleep, streaming, turn, World } from "./fakes.js";

const BEAT = { type: "beat" };

test("P67: after the heartbeat and ten seconds of silence the server is asked, and given up when it stays silent", async () => {
  const world = await opened();
  await advance(39.9);
  assert.deepEqual(world.socket.sent, []);
  await advance(0.2);
  assert.deepEqual(world.socket.sent, [BEAT]);
  await advance(5.2);
  assert.equal(world.client.state, "open", "a browser may have the answer already");
  await advance(0.4);
  assert.equal(world.client.state, "waiting");
  assert.equal(world.socket.closedWith[0], undefined);
  assert.equal(world.socket.closedWith.length > 0, true);
});

test("P67: any frame is a sign of life, before the question and after it", async () => {
  const world = await opened();
  for (let each = 0; each < 5; each++) {
    await advance(30);
    world.socket.say({ type: "dance" });
  }
  assert.deepEqual(world.socket.sent, []);
  await advance(44);
  assert.deepEqual(world.socket.sent, [BEAT]);
  world.socket.say({ type: "signal", data: 1 });
  await advance(30);
  assert.equal(world.client.state, "open");
  assert.deepEqual(world.socket.sent, [BEAT]);
});

test("P67: the heartbeat of the last hello counts", async () => {
  const world = await opened();
  world.socket.say(hello({ recovered: true, heartbeatSeconds: 60 }));
  await advance(69);
  assert.deepEqual(world.socket.sent, []);
  await advance(11);
  assert.deepEqual(world.socket.sent, [BEAT]);
});

test("P68: a late timer alone gives up nothing: the server is asked first", async () => {
  const world = await opened();
  sleep(3_600);
  await advance(0.1);
  assert.deepEqual(world.socket.sent, [BEAT]);
  assert.equal(world.client.state, "open");
  world.socket.say(BEAT);
  await advance(20);
  assert.equal(world.client.state, "open");
});

test("P68: an answer that the browser hands on only after the late timer counts", async () => {
  const world = await opened();
  await advance(40.1);
  sleep(3_600);
  await advance(0.1);
  world.socket.say(BEAT);
  await advance(20);
  assert.equal(world.client.state, "open");
});

test("P68: a clock that is set back has the server asked, and no good link given up", async () => {
  const world = await opened();
  setBack(3_600);
  await advance(5.1);
  assert.equal(world.socket.sent.length, 1);
  world.socket.say(BEAT);
  await advance(20);
  assert.equal(world.client.state, "open");
});

test("P67: over server-sent events the question goes by a POST", async () => {
  const world = await streaming();
  await advance(40.1);
  assert.deepEqual(world.request.frames, [BEAT]);
  world.request.answer(202);
  world.stream.say(BEAT as never);
  await advance(20);
  assert.equal(world.client.state, "open");
});

for (const [where, type, fields] of [
  ["document", "visibilitychange", {}],
  ["document", "resume", {}],
  ["window", "pageshow", { persisted: true }],
  ["window", "online", {}],
  ["window", "offline", {}],
] as const) {
  test(`P68: ${type} has an open client ask the server, once`, async () => {
    const world = await opened();
    happens(where, type, fields);
    happens(where, type, fields);
    assert.deepEqual(world.socket.sent, [BEAT]);
    await advance(5.6);
    assert.equal(world.client.state, "waiting");
  });
}

test("P68: a page that is hidden, or shown for the first time, asks nothing", async () => {
  const world = await opened();
  page.document.visibilityState = "hidden";
  happens("document", "visibilitychange");
  happens("window", "pageshow", { persisted: false });
  happens("window", "pagehide", { persisted: false });
  assert.deepEqual(world.socket.sent, []);
  assert.equal(world.client.state, "open");
});

for (const [where, type, fields] of [
  ["document", "visibilitychange", {}],
  ["document", "resume", {}],
  ["window", "pageshow", { persisted: true }],
  ["window", "online", {}],
] as const) {
  test(`P86: ${type} has a client that waits try within half a second`, async () => {
    const world = await opened({ baseSeconds: 30 });
    world.socket.end();
    assert.deepEqual(world.of("waiting"), [{ seconds: 15 }]);
    await advance(5);
    happens(where, type, fields);
    await advance(0.2);
    assert.equal(world.sockets.length, 1);
    await advance(0.2);
    assert.equal(world.sockets.length, 2);
    await advance(9);
    assert.equal(world.sockets.length, 2, "the wait of before is over");
  });
}

test("P86: offline has a client that waits go on waiting", async () => {
  const world = await opened({ baseSeconds: 30 });
  world.socket.end();
  happens("window", "offline");
  await advance(14);
  assert.equal(world.sockets.length, 1);
});

for (const [where, type, back] of [
  ["document", "freeze", "resume"],
  ["window", "pagehide", "pageshow"],
] as const) {
  test(`P86: ${type} closes with 3001, and ${back} brings the client back`, async () => {
    const world = await opened();
    world.socket.say({ type: "signal", data: 1, offset: "2-22" });
    happens(where, type, { persisted: true });
    assert.deepEqual(world.socket.closedWith, [3001]);
    assert.deepEqual(world.seen.at(-1), ["waiting", { seconds: Infinity }]);
    world.socket.end(3001);
    await advance(100);
    assert.equal(world.sockets.length, 1);
    happens(where, back, { persisted: true });
    await advance(0.3);
    assert.equal(world.socket.resume, "k3v9q2.2-22.Tok_en.1");
    world.socket.accept().say(hello({ recovered: true }));
    assert.deepEqual(world.events, ["open", "signal", "waiting", "open"]);
  });
}

test("P86: a page that is frozen while it connects connects when it goes on", async () => {
  const world = new World();
  await turn();
  happens("document", "freeze");
  world.socket.accept().say(hello());
  assert.deepEqual(world.events, ["waiting"]);
  happens("document", "resume");
  await advance(0.3);
  assert.equal(world.sockets.length, 2);
});

test("P78: a frozen event stream is cut off without a farewell, so that presence keeps its grace", async () => {
  const world = await streaming();
  const stream = world.request;
  happens("document", "freeze");
  await turn();
  assert.equal(stream.isAborted(), true);
  assert.deepEqual(world.requests("DELETE"), []);
});

test("P86: a closed client hears no page any more", async () => {
  const world = await opened();
  world.client.close();
  happens("window", "online");
  happens("document", "freeze");
  await advance(1);
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.events, ["open", "closed"]);
});

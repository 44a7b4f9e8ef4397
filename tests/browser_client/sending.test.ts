// Sends, requests and their ends; requests by fetch that say which connection they belong to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, codeOf, hello, opened, pendingTimers, streaming, turn, URL_OF_ROOM, World } from "./fakes.js";

test("P23: a message goes out with its type first, and its address where it has one", async () => {
  const world = await opened();
  await world.client.send({ text: "soup" });
  await world.client.send("direct", { path: "/other", group: ["a", "b"], clientId: "bob", direct: true });
  assert.deepEqual(world.socket.texts, [
    '{"type":"send","message":{"text":"soup"}}',
    '{"type":"send","message":"direct","path":"/other","group":["a","b"],"clientId":"bob","direct":true}',
  ]);
});

test("P23: a request is fulfilled with the data of its reply, null included, in whatever order replies come", async () => {
  const world = await opened();
  const one = world.client.request(1);
  const two = world.client.request(2);
  const [first, second] = world.socket.sent.map(({ id }) => id);
  assert.notEqual(first, second);
  world.socket.say({ type: "reply", id: second, data: { read: 3 } }, { type: "reply", id: first, data: null });
  assert.deepEqual(await two, { read: 3 });
  assert.equal(await one, null);
});

test("P26: a request that the server did not do rejects with the code and the text of the error", async () => {
  const world = await opened();
  const request = world.client.request({ seat: "4A" });
  world.socket.say({ type: "error", id: world.socket.sent[0]?.id, code: "app.seat_taken", text: "Taken." });
  await assert.rejects(request, { name: "SignalsError", code: "app.seat_taken", message: "Taken." });
  assert.deepEqual(world.events, ["open"]);
});

test("P24: an error without an id is an event", async () => {
  const world = await opened();
  world.socket.say({ type: "error", code: "bad_frame", text: "The frame is not valid." });
  assert.equal(world.of("error")[0]?.code, "bad_frame");
});

test("P32: the requests of a connection end with lost when it does", async () => {
  const world = await opened();
  const request = codeOf(world.client.request("soup"));
  world.socket.end(1012);
  await turn();
  assert.deepEqual(request, { code: "lost" });
});

test("P32: a request ends with timeout in its time, and a late reply is nobody's", async () => {
  const world = await opened();
  const one = codeOf(world.client.request("soup"));
  const other = codeOf(world.client.request("bread", { seconds: 2 }));
  await advance(2.1);
  assert.deepEqual([one, other], [{}, { code: "timeout" }]);
  await advance(8);
  assert.deepEqual(one, { code: "timeout" });
  world.socket.say({ type: "reply", id: world.socket.sent[0]?.id, data: 1 });
  assert.deepEqual(world.events, ["open"]);
});

test("P32: close ends all with closed, what was written and what was not", async () => {
  const world = await opened();
  const written = codeOf(world.client.request("soup"));
  world.client.close();
  const waiting = new World();
  const held = [codeOf(waiting.client.send("a")), codeOf(waiting.client.request("b"))];
  waiting.client.close();
  await turn();
  assert.deepEqual([written, ...held], [{ code: "closed" }, { code: "closed" }, { code: "closed" }]);
});

test("P32: a server that closes for good ends what was written with lost, and all later with closed", async () => {
  const world = await opened();
  const written = codeOf(world.client.request("soup"));
  world.socket.end(1000);
  const later = codeOf(world.client.request("bread"));
  await turn();
  assert.deepEqual([written, later], [{ code: "lost" }, { code: "closed" }]);
});

test("P32: no timer is left of sends that ended, nor of a client that is closed", async () => {
  const count = pendingTimers();
  const world = await opened({ refresh: () => "token" }, { expiresInSeconds: 60 });
  const before = count();
  await world.client.send("one");
  const request = world.client.request("two");
  world.socket.say({ type: "reply", id: world.socket.sent[1]?.id, data: 1 });
  await request;
  assert.equal(count(), before);
  const stream = await streaming();
  const sent = stream.client.send("three");
  await turn();
  stream.request.answer(202);
  await sent;
  const connecting = new World();
  await turn();
  const waiting = await opened();
  waiting.socket.end(1012);
  for (const { client } of [world, stream, connecting, waiting]) client.close();
  await turn();
  stream.requests("DELETE")[0]?.answer(204);
  await turn();
  assert.equal(count(), 0);
});

test("P33: what was written is not written again by the next connection", async () => {
  const world = await opened();
  await world.client.send("one");
  codeOf(world.client.request("two"));
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello({ recovered: true }));
  await turn();
  assert.deepEqual(world.socket.sent, []);
});

test("P33: what is sent to a socket that is about to close waits for the next one", async () => {
  const world = await opened();
  world.socket.readyState = 2;
  const sent = world.client.send("one");
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello({ recovered: true }));
  await sent;
  assert.equal(world.socket.sent.length, 1);
});

test("P34: while a client is not open its sends wait, and go out behind the hello in order", async () => {
  const world = new World();
  const sent = world.client.send("one");
  const request = world.client.request("two");
  await turn();
  world.socket.accept();
  assert.deepEqual(world.socket.sent, []);
  world.socket.say(hello());
  await sent;
  assert.deepEqual(world.socket.sent.map(({ message }) => message), ["one", "two"]);
  world.socket.say({ type: "reply", id: world.socket.sent[1]?.id, data: "done" });
  assert.equal(await request, "done");
});

test("P34: a hundred sends wait, and the next one rejects at once", async () => {
  const world = new World();
  const sends = Array.from({ length: 101 }, (_, each) => codeOf(world.client.send(each)));
  await turn();
  assert.deepEqual(sends[100], { code: "lost" });
  assert.deepEqual(sends.slice(0, 100).filter(({ code }) => code), []);
  world.socket.accept().say(hello());
  await turn();
  assert.equal(world.socket.sent.length, 100);
  for (let each = 0; each < 200; each++) codeOf(world.client.send(each));
  assert.equal(world.socket.sent.length, 300);
});

test("P34: a send that waits for ten seconds rejects with timeout, and is never written", async () => {
  const world = new World({ transport: "websocket" });
  const one = codeOf(world.client.send("one"));
  await advance(9.5);
  world.socket.end(1012);
  await advance(0.4);
  assert.deepEqual(one, {});
  await advance(0.2);
  assert.deepEqual(one, { code: "timeout" });
  world.socket.accept().say(hello());
  assert.deepEqual(world.socket.sent, []);
});

test("P34: requestSeconds is the patience of all", async () => {
  const world = new World({ requestSeconds: 1 });
  const one = codeOf(world.client.send("one"));
  const two = codeOf(world.client.request("two"));
  await advance(1.1);
  assert.deepEqual([one, two], [{ code: "timeout" }, { code: "timeout" }]);
});

test("P14: a frame that is larger than the server takes rejects, and nothing of it goes on the wire", async () => {
  const world = await opened({}, { maxMessageBytes: 100 });
  const fits = "x".repeat(100 - '{"type":"send","message":""}'.length);
  await world.client.send(fits);
  await assert.rejects(world.client.send(`${fits}x`), { code: "bad_frame" });
  await assert.rejects(world.client.send("é".repeat(40)), { code: "bad_frame" });
  await world.client.send("next");
  assert.equal(world.socket.sent.length, 2);
});

test("P14: a frame that waited and is too large for the connection that came rejects, and the next one goes out", async () => {
  const world = new World();
  const large = codeOf(world.client.send("x".repeat(200)));
  const small = world.client.send("small");
  await turn();
  world.socket.accept().say(hello({ maxMessageBytes: 100 }));
  await small;
  assert.deepEqual(large, { code: "bad_frame" });
  assert.equal(world.socket.sent.length, 1);
});

test("P9: no message, or one that has no JSON form, rejects with a TypeError", async () => {
  const world = await opened();
  for (const message of [null, undefined, 1n]) await assert.rejects(world.client.send(message), { name: "TypeError" });
  assert.deepEqual(world.socket.sent, []);
});

test("S15.1: fetch says to the own origin which connection it belongs to, percent-encoded", async () => {
  const world = await opened({}, { clientId: "adé, 1", name: "Räume" });
  const answer = world.client.fetch("http://server.example/report", { method: "POST", headers: { "X-Own": "1" }, body: "{}" });
  await turn();
  const { headers, init, url } = world.request;
  assert.equal(url, "http://server.example/report");
  assert.equal(headers.get("X-PODE-SIGNAL-CLIENT-ID"), "ad%C3%A9%2C%201");
  assert.equal(headers.get("X-PODE-SIGNAL-NAME"), "R%C3%A4ume");
  assert.equal(headers.get("X-Own"), "1");
  assert.equal(init.redirect, "error");
  world.request.answer(204);
  assert.equal((await answer).status, 204);
});

test("S15.1: fetch tells no other origin, and follows no redirect unless it is told to", async () => {
  const world = await opened();
  const others = ["https://server.example/", "http://server.example:81/", "http://other.example/room"];
  for (const url of others) {
    void world.client.fetch(url);
    await turn();
    assert.equal(world.request.headers.has("X-PODE-SIGNAL-CLIENT-ID"), false, url);
    assert.equal(world.request.headers.has("X-PODE-SIGNAL-NAME"), false, url);
  }
  void world.client.fetch(URL_OF_ROOM, { redirect: "follow" });
  await turn();
  assert.equal(world.request.init.redirect, "follow");
});

test("S15.1: fetch waits for a connection, and rejects when the client closes before", async () => {
  const world = await opened();
  world.socket.end(1012);
  void world.client.fetch(URL_OF_ROOM);
  await turn();
  assert.equal(world.asked.length, 0);
  await advance(0.6);
  world.socket.accept().say(hello({ clientId: "again" }));
  await turn();
  assert.equal(world.request.headers.get("X-PODE-SIGNAL-CLIENT-ID"), "again");
  world.socket.end(1012);
  const late = codeOf(world.client.fetch(URL_OF_ROOM));
  world.client.close();
  await turn();
  assert.deepEqual(late, { code: "closed" });
});

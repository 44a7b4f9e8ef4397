// Where a client goes on, what it tells of losses, and what its listeners get.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SignalClient } from "pode-signals";
import { advance, hello, opened, reported, signal, streaming, turn, World } from "./fakes.js";

/** Cuts the connection, and gives the resume text of the next one. */
async function next(world: World): Promise<string | undefined> {
  world.socket.end(1012);
  await advance(5);
  return world.socket.resume;
}

test("P36: a client comes back with the position of the last frame that had one, and its token", async () => {
  const world = await opened();
  world.socket.say(signal("soup", { offset: "2-22" }), signal("alone"));
  assert.equal(await next(world), "k3v9q2.2-22.Tok_en.1");
  world.socket.accept().say(hello({ recovered: true, offset: "2-22", resumeToken: "Two" }), { type: "beat", offset: "5-55" });
  assert.equal(await next(world), "k3v9q2.5-55.Two");
});

test("P43: a cut in the middle of a replay goes on behind the last signal", async () => {
  const world = await opened();
  await next(world);
  world.socket.accept().say(hello({ recovered: true }), signal("two", { offset: "2-22" }));
  assert.equal(await next(world), "k3v9q2.2-22.Tok_en.1");
});

test("P36: signals that were missed say so, until the beat that ends the replay", async () => {
  const world = await opened();
  await next(world);
  world.socket.accept().say(hello({ recovered: true }), signal("old"), { type: "beat" }, signal("new"));
  assert.deepEqual(world.of("signal").map((each) => each.replayed), [true, false]);
});

test("P16: a client whose name keeps no history comes back by its token alone", async () => {
  const world = await opened({}, { epoch: undefined, offset: undefined });
  world.socket.say({ type: "beat", offset: "7-77" });
  assert.equal(await next(world), "-.-.Tok_en.1");
});

test("P22: a client that had a hello without a token offers nothing, not even its position or since", async () => {
  const world = await opened({ since: "abcdef.9-9" }, { resumeToken: undefined });
  assert.equal(await next(world), undefined);
});

test("P54: since is the position of the first connection, and a text of another form is a TypeError", async () => {
  const world = new World({ since: "abcdef.9-99" });
  await turn();
  assert.equal(world.socket.resume, "abcdef.9-99");
  for (const since of ["9-99", "abcdef.9-99.token", "ABCDEF.9-9", "abcdef.9-9\n", "-.-"]) {
    assert.throws(() => new SignalClient("http://server.example/", { since }), { name: "TypeError" });
  }
});

test("P54: over server-sent events the same text goes in a header", async () => {
  const world = new World({ since: "abcdef.9-99", transport: "sse" });
  await turn();
  assert.equal(world.request.headers.get("X-PODE-SIGNAL-RESUME"), "abcdef.9-99");
});

test("P60: the position moves before the listeners run, so that a listener that fails loses nothing", async () => {
  const world = await opened();
  world.client.on("signal", () => {
    throw new Error("first");
  });
  world.client.on("signal", async () => {
    throw new Error("second");
  });
  const after: unknown[] = [];
  world.client.on("signal", (each) => void after.push(each.data));
  world.socket.say(signal("soup", { offset: "2-22" }), signal("bread", { offset: "3-33" }));
  await turn();
  assert.deepEqual(after, ["soup", "bread"]);
  assert.deepEqual(reported.map(String).sort(), ["Error: first", "Error: first", "Error: second", "Error: second"]);
  assert.equal(await next(world), "k3v9q2.3-33.Tok_en.1");
});

test("P62: the first connection tells no loss, not even without a history", async () => {
  const world = await opened({}, { recovered: false, epoch: undefined, offset: undefined });
  assert.deepEqual(world.events, ["open"]);
});

test("P62: a client that comes back and could not go on tells a loss behind open", async () => {
  const world = await opened();
  await next(world);
  world.socket.accept().say(hello({ recovered: false, epoch: "another" }));
  assert.deepEqual(world.events, ["open", "waiting", "open", "lost"]);
  assert.equal(world.of("lost")[0]?.epoch, "another");
});

test("P62: a client that comes back and goes on tells none", async () => {
  const world = await opened();
  await next(world);
  world.socket.accept().say(hello({ recovered: true }));
  assert.deepEqual(world.events, ["open", "waiting", "open"]);
});

test("P62: since that is not there any more is a loss", async () => {
  const world = await opened({ since: "abcdef.9-99" }, { recovered: false });
  assert.deepEqual(world.events, ["open", "lost"]);
});

test("P56: a history that breaks on the open connection is a loss, and the new position counts", async () => {
  const world = await opened();
  world.socket.say(hello({ recovered: false, epoch: "newone", offset: "0-5" }));
  assert.deepEqual(world.events, ["open", "lost"]);
  assert.equal(await next(world), "newone.0-5.Tok_en.1");
});

test("P56: a later hello that is recovered tells no loss", async () => {
  const world = await opened();
  world.socket.say(hello({ recovered: true, groups: ["kitchen"] }));
  assert.deepEqual(world.events, ["open"]);
});

test("P61: a listener that closes the client is the last one that hears of its connection", async () => {
  const world = await opened();
  await next(world);
  world.client.on("open", () => world.client.close());
  world.socket.accept().say(hello({ recovered: false }), signal("late"));
  assert.deepEqual(world.events, ["open", "waiting", "open", "closed"]);
  assert.deepEqual(world.socket.sent, []);
});

test("P89: a signal tells its group, or all groups that the send named", async () => {
  const world = await opened();
  world.socket.say(signal(1, { group: "kitchen" }), signal(2, { group: ["kitchen", "bath"] }));
  assert.deepEqual(world.of("signal").map((each) => each.group), ["kitchen", ["kitchen", "bath"]]);
});

test("P60: a listener can be removed, and the same function may listen twice", async () => {
  const world = await opened();
  let count = 0;
  const listener = () => void count++;
  const remove = world.client.on("signal", listener);
  world.client.on("signal", listener);
  world.socket.say(signal(1));
  remove();
  remove();
  world.socket.say(signal(2));
  assert.equal(count, 3);
});

test("P75: a signal that asks for it is answered when all listeners have returned and their promises are fulfilled", async () => {
  const world = await opened();
  let release!: () => void;
  world.client.on("signal", () => new Promise<void>((resolve) => (release = resolve)));
  world.socket.say(signal("soup", { ack: "n7.12" }));
  await turn();
  assert.deepEqual(world.socket.sent, []);
  release();
  await turn();
  assert.deepEqual(world.socket.texts, ['{"type":"ack","id":"n7.12"}']);
});

test("P75: a signal for which a listener failed is not answered", async () => {
  const world = await opened();
  world.client.on("signal", async ({ data }) => {
    if (data === "bad") throw new Error("no");
  });
  world.socket.say(signal("bad", { ack: "1" }), signal("good", { ack: "2" }));
  await turn();
  assert.deepEqual(world.socket.sent, [{ type: "ack", id: "2" }]);
});

test("P72: an answer that is ready when the connection is gone goes over the next one of the same client", async () => {
  const world = await opened();
  const releases: (() => void)[] = [];
  world.client.on("signal", () => new Promise<void>((resolve) => releases.push(resolve)));
  world.socket.say(signal("soup", { ack: "1" }), signal("bread", { ack: "2" }));
  world.socket.end(1012);
  for (const release of releases) release();
  await advance(0.6);
  world.socket.accept().say(hello({ recovered: true }));
  assert.deepEqual(world.socket.sent, [{ type: "ack", id: "1" }, { type: "ack", id: "2" }]);
});

test("P73: of the answers that no connection could take the last hundred are kept", async () => {
  const world = await opened();
  const releases: (() => void)[] = [];
  world.client.on("signal", () => new Promise<void>((resolve) => releases.push(resolve)));
  for (let each = 0; each < 105; each++) world.socket.say(signal(each, { ack: `${each}` }));
  world.socket.end(1012);
  for (const release of releases) release();
  await advance(0.6);
  world.socket.accept().say(hello({ recovered: true }));
  assert.deepEqual(world.socket.sent.map(({ id }) => id), Array.from({ length: 100 }, (_, each) => `${each + 5}`));
});

test("P72: another client does not give the answer", async () => {
  const world = await opened();
  let release!: () => void;
  world.client.on("signal", () => new Promise<void>((resolve) => (release = resolve)));
  world.socket.say(signal("soup", { ack: "1" }));
  world.socket.end(1012);
  release();
  await advance(0.6);
  world.socket.accept().say(hello({ clientId: "bob" }));
  await turn();
  assert.deepEqual(world.socket.sent, []);
});

test("P64: a beat of the server is not answered", async () => {
  const world = await opened();
  world.socket.say({ type: "beat" }, { type: "beat", offset: "2-22" });
  await turn();
  assert.deepEqual(world.socket.sent, []);
});

test("P36: an event stream moves the position as well", async () => {
  const world = await streaming();
  world.stream.say(signal("soup", { offset: "2-22" }));
  await turn();
  world.stream.end(1001);
  await advance(0.6);
  assert.equal(world.request.headers.get("X-PODE-SIGNAL-RESUME"), "k3v9q2.2-22.Tok_en.1");
});

// Credentials of a connection that expires.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, hello, opened, reported, turn } from "./fakes.js";

/** A client whose credentials are numbered, and how often they were asked for. */
async function expiring(seconds: number | undefined, refresh?: () => string | Promise<string>) {
  let count = 0;
  const options = { refresh: refresh ?? (async () => `token-${++count}`) };
  return opened(options, { expiresInSeconds: seconds });
}

test("P85: at three quarters of its time a connection gets new credentials, and the reply tells the next time", async () => {
  const world = await expiring(40);
  await advance(29.9);
  const refreshes = () => world.socket.sent.filter(({ type }) => type === "refresh");
  assert.deepEqual(refreshes(), []);
  await advance(0.2);
  const [first] = refreshes();
  assert.equal(first?.token, "token-1");
  assert.equal(typeof first?.id, "string");
  assert(world.socket.texts.some((text) => text.startsWith('{"type":"refresh",')));
  world.socket.say({ type: "reply", id: first?.id, data: { expiresInSeconds: 20 } });
  await advance(15.1);
  assert.deepEqual(refreshes().map(({ token }) => token), ["token-1", "token-2"]);
});

test("P85: a hello with another time counts from then on, and one without ends it", async () => {
  const world = await expiring(20);
  world.socket.say(hello({ recovered: true, expiresInSeconds: 40 }));
  await advance(15.1);
  assert.deepEqual(world.socket.sent, []);
  await advance(15);
  assert.equal(world.socket.sent.length, 1);
  world.socket.say(hello({ recovered: true, expiresInSeconds: 20 }), hello({ recovered: true }));
  await advance(30);
  assert.equal(world.socket.sent.filter(({ type }) => type === "refresh").length, 1);
});

test("P85: refused credentials are an error, and others are asked for after five seconds, each time", async () => {
  const world = await expiring(4);
  await advance(3.1);
  for (let each = 1; each < 4; each++) {
    assert.equal(world.socket.sent.length, each);
    world.socket.say({ type: "error", id: world.socket.sent.at(-1)?.id, code: "refused", text: "No." });
    assert.equal(world.of("error").length, each);
    assert.equal(world.of("error").at(-1)?.code, "refused");
    await advance(5.1);
  }
});

test("P85: a function that fails is reported, and asked again after five seconds", async () => {
  let count = 0;
  const world = await expiring(4, () => {
    if (!count++) throw new Error("no network");
    return "token";
  });
  await advance(3.1);
  assert.equal(String(reported[0]), "Error: no network");
  await advance(5);
  assert.equal(world.socket.sent[0]?.token, "token");
});

test("P85: credentials that come when their connection is gone are not sent over the next one", async () => {
  let release!: (token: string) => void;
  const world = await expiring(4, () => new Promise((resolve) => (release = resolve)));
  await advance(3.1);
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello());
  release("late");
  await turn();
  assert.deepEqual(world.socket.sent, []);
});

test("P61: a renewal of a connection that ended does not come due on the next one", async () => {
  let count = 0;
  const world = await expiring(8, () => `${++count}`);
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello());
  await advance(10);
  assert.deepEqual(world.socket.sent, []);
  assert.equal(count, 0, "the application is not asked either");
});

test("P85: a time that is longer than a timer of the browser can have does not come due at once", async () => {
  const world = await expiring(100 * 86_400);
  await advance(10);
  assert.deepEqual(world.socket.sent, []);
});

test("P85: without refresh nothing is asked for", async () => {
  const world = await opened({}, { expiresInSeconds: 4 });
  await advance(10);
  assert.deepEqual(world.socket.sent, []);
});

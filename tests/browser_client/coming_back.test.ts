// When a client comes back, when it stays away, and how long it waits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, chance, happens, hello, opened, sleep, streaming, turn, World } from "./fakes.js";

/** Waits until the client connects again. */
async function nextSocket({ sockets }: World): Promise<void> {
  const { length } = sockets;
  for (let tenths = 0; tenths < 320 && sockets.length === length; tenths++) await advance(0.1);
}

// Each row of the table of close codes.
const AGAIN = [1001, 1005, 1006, 1008, 1011, 1012, 1013, 1014, 3000, 3001, 3499, 4008, 4409, 5000];
const AWAY = [1000, 1010, 3500, 3999, 4000, 4401, 4999];
const WRONG = [1002, 1003, 1007, 1009];

for (const code of AGAIN) {
  test(`P86: a client comes back after ${code}`, async () => {
    const world = await opened();
    world.socket.end(code);
    assert.equal(world.client.state, "waiting");
    assert.equal(world.client.hello, undefined);
    await advance(6);
    assert.equal(world.sockets.length, 2);
  });
}

for (const code of AWAY) {
  test(`P86: a client stays away after ${code}`, async () => {
    const world = await opened();
    world.socket.end(code, "bye");
    assert.deepEqual(world.seen.at(-1), ["closed", { code, reason: "bye", status: undefined }]);
    await advance(60);
    assert.equal(world.sockets.length, 1);
    assert.deepEqual(world.events, ["open", "closed"]);
  });
}

for (const code of WRONG) {
  test(`P86: a client stays away after ${code}, and tells of an error`, async () => {
    const world = await opened();
    world.socket.end(code, "why");
    await advance(60);
    assert.deepEqual(world.events, ["open", "error", "closed"]);
    assert.equal(world.of("error")[0]?.code, "bad_frame");
    assert.equal(world.of("error")[0]?.message, `${code} why`);
  });
}

test("P86: a client that was replaced comes back within five seconds, once in a minute", async () => {
  const world = await opened();
  world.socket.end(4409);
  assert.deepEqual(world.of("waiting"), [{ seconds: 2.5 }]);
  await advance(2.6);
  world.socket.accept().say(hello());
  await advance(50);
  world.socket.say({ type: "beat" });
  world.socket.end(4409);
  assert.equal(world.client.state, "closed");
});

test("P86: a client that is replaced again after more than a minute comes back", async () => {
  const world = await opened();
  world.socket.end(4409);
  await advance(2.6);
  world.socket.accept().say(hello());
  sleep(61);
  world.socket.end(4409);
  assert.equal(world.client.state, "waiting");
});

for (const option of ["protocols", "refresh", "url"]) {
  test(`P86: a client whose ${option} is a function comes back once after 4401`, async () => {
    const options = { protocols: { protocols: () => [] }, refresh: { refresh: () => "token" }, url: {} }[option];
    const url = "http://server.example/room";
    const world = new World(options, option === "url" ? () => url : url);
    await turn();
    world.socket.accept().say(hello()).end(4401);
    assert.equal(world.client.state, "waiting");
    await advance(0.6);
    world.socket.accept().say(hello());
    sleep(59);
    world.socket.end(4401);
    assert.equal(world.client.state, "closed");
  });
}

test("P86: a second 4401 after a connection that was open for a minute is another first one", async () => {
  const world = await opened({ refresh: () => "token" });
  world.socket.end(4401);
  await advance(0.6);
  world.socket.accept().say(hello());
  sleep(60);
  world.socket.end(4401);
  assert.equal(world.client.state, "waiting");
});

test("P87: each wait is drawn from 0 to a bound that doubles up to the cap", async () => {
  const world = await opened({ transport: "websocket" });
  const draws = [0, 0.999, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
  chance.next = () => draws.shift()!;
  for (let each = 0; each < 8; each++) {
    world.socket.end(1012);
    await nextSocket(world);
  }
  const waits = world.of("waiting").map(({ seconds }) => seconds);
  assert.deepEqual(waits, [0, 1.998, 2, 4, 8, 15, 15, 15]);
});

test("P87: a connection that was open for ten seconds begins the backoff anew, and a shorter one does not", async () => {
  const world = await opened();
  world.socket.end(1012);
  await advance(1);
  world.socket.accept().say(hello());
  sleep(9);
  world.socket.end(1012);
  await advance(2);
  world.socket.accept().say(hello());
  sleep(10);
  world.socket.end(1012);
  assert.deepEqual(world.of("waiting").map(({ seconds }) => seconds), [0.5, 1, 0.5]);
});

test("P86: 1008 has the backoff grow even after a connection that was open for long", async () => {
  const world = await opened();
  sleep(100);
  world.socket.end(1008);
  assert.deepEqual(world.of("waiting"), [{ seconds: 1 }]);
});

test("P87: base and cap of the waits are options", async () => {
  const world = await opened({ baseSeconds: 4, capSeconds: 6 });
  world.socket.end();
  await advance(2.1);
  world.socket.end(1012);
  assert.deepEqual(world.of("waiting").map(({ seconds }) => seconds), [2, 3]);
});

/** A generator of its own for a seed, of 32 bits (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("P87: a thousand clients that are cut off together come back uniformly within the window", async () => {
  chance.next = seeded(1);
  const worlds = Array.from({ length: 1_000 }, () => new World());
  await turn();
  for (const { socket } of worlds) socket.accept().say(hello());
  for (const { socket } of worlds) socket.end(1012);
  const counts = Array.from({ length: 10 }, () => 0);
  for (const world of worlds) {
    const { seconds } = world.of("waiting")[0] as { seconds: number };
    counts[Math.floor(seconds * 10)]! += 1;
  }
  assert.equal(counts.reduce((sum, count) => sum + count), 1_000);
  const chiSquare = counts.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  // 9 degrees of freedom, p > 0.001.
  assert(chiSquare < 27.88, `${counts}`);
});

for (const status of [401, 403, 404, 410]) {
  test(`P88: a client whose event stream is refused with ${status} stays away, and tells the status`, async () => {
    const world = new World();
    await turn();
    world.socket.end();
    await turn();
    world.request.answer(status);
    await advance(60);
    assert.deepEqual(world.seen, [["closed", { code: 1006, reason: "", status }]]);
    assert.equal(world.sockets.length, 1);
  });
}

for (const status of [409, 429, 503]) {
  test(`P88: a client that is refused with ${status} waits for Retry-After and a draw on top, whatever the page does`, async () => {
    const world = new World({ transport: "sse" });
    await turn();
    world.request.answer(status, { "Retry-After": "20" });
    await turn();
    assert.deepEqual(world.of("waiting"), [{ seconds: 20.5 }]);
    happens("window", "online");
    await advance(20);
    assert.equal(world.asked.length, 1);
    await advance(0.6);
    assert.equal(world.asked.length, 2);
  });
}

test("P88: a Retry-After of over a day or of no use is not believed", async () => {
  const waits = [];
  for (const value of ["99999999", "-5", "soon", "", "1e999"]) {
    const world = new World({ transport: "sse" });
    await turn();
    world.request.answer(503, { "Retry-After": value });
    await turn();
    waits.push(world.of("waiting")[0]?.seconds);
  }
  assert.deepEqual(waits, [86_400.5, 0.5, 0.5, 0.5, 86_400.5]);
});

test("P88: any other status, such as 426 where no events are offered, has a client go on trying", async () => {
  for (const status of [400, 426, 500, 502]) {
    const world = new World();
    await turn();
    world.socket.end();
    await turn();
    world.request.answer(status);
    await turn();
    assert.equal(world.client.state, "waiting");
    await advance(0.6);
    assert.equal(world.sockets.length, 2);
  }
});

test("P88: after the first failed handshake and after each fifth in a row the status is asked for by fetch", async () => {
  const world = await opened();
  const askedAfter: number[] = [];
  world.socket.end(1012);
  for (let failures = 1; failures <= 11; failures++) {
    await nextSocket(world);
    const before = world.asked.length;
    world.socket.end();
    await turn();
    if (world.asked.length === before) continue;
    askedAfter.push(failures);
    assert.equal(world.request.headers.get("X-PODE-SIGNAL-RESUME"), "k3v9q2.1-11.Tok_en.1");
    assert.equal(world.client.state, "connecting");
    world.request.fail();
    await turn();
    assert.equal(world.client.state, "waiting");
  }
  assert.deepEqual(askedAfter, [1, 5, 10]);
});

test("P88: the status of a refused WebSocket closes a client for good", async () => {
  const world = new World({ transport: "websocket" });
  await turn();
  world.socket.end();
  await turn();
  world.request.answer(403);
  await turn();
  assert.deepEqual(world.seen, [["closed", { code: 1006, reason: "", status: 403 }]]);
});

test("P88: a question for the status that nobody answers ends after ten seconds", async () => {
  const world = new World({ transport: "websocket" });
  await turn();
  world.socket.end();
  await advance(9.9);
  assert.equal(world.client.state, "connecting");
  await advance(0.2);
  assert.equal(world.client.state, "waiting");
  assert.equal(world.request.isAborted(), true);
});

test("P86: an event stream tells its close code by an event, and one that just ends is lost", async () => {
  const one = await streaming();
  one.stream.end(4000, "away");
  await turn();
  assert.deepEqual(one.seen.at(-1), ["closed", { code: 4000, reason: "away", status: undefined }]);
  const other = await streaming();
  other.stream.end();
  await turn();
  assert.equal(other.client.state, "waiting");
});

test("P61: a socket that was given up brings nothing any more, and its end is no end of the next one", async () => {
  const world = await opened();
  const first = world.socket;
  await advance(45.6);
  assert.equal(world.client.state, "waiting");
  await advance(1);
  world.socket.accept().say(hello({ recovered: true }));
  first.say({ type: "signal", data: "late" }, hello({ clientId: "eve" }));
  first.end(4000);
  assert.deepEqual(world.of("signal"), []);
  assert.equal(world.client.hello?.clientId, "ada");
  assert.equal(world.client.state, "open");
});

test("P61: timers of a connection that ended do nothing to the next one", async () => {
  const world = await opened();
  await advance(34);
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello());
  await advance(20);
  assert.deepEqual(world.socket.sent, []);
  assert.equal(world.client.state, "open");
});

test("P86: close ends the connection with 1000 and is the last word, also while a client waits", async () => {
  const world = await opened();
  world.client.close();
  world.client.close();
  assert.deepEqual(world.socket.closedWith, [1000]);
  assert.deepEqual(world.events, ["open", "closed"]);
  world.socket.say({ type: "signal", data: "late" }).end(1000);
  assert.deepEqual(world.events, ["open", "closed"]);
  const waiting = await opened();
  waiting.socket.end();
  waiting.client.close();
  await advance(5);
  assert.equal(waiting.sockets.length, 1);
});

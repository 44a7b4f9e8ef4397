// Server-sent events: the stream, the POSTs the other way, and the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, codeOf, hello, signal, streaming, turn, URL_OF_ROOM } from "./fakes.js";

test("P90: an event stream is read whatever its line ends, cuts, comments and fields are", async () => {
  const world = await streaming();
  const text = [
    ": a comment\n\n",
    'id: k3v9q2.2-22\ndata: {"type":"signal","data":1}\n\n',
    'data:{"type":"signal","data":2}\r\n\r\n',
    'data: {"type":"signal",\rdata: "data":3}\r\r',
    'event: other\ndata: {"type":"signal","data":"not mine"}\n\n',
    'retry: 10\nnothing\ndata: {"type":"signal","data":"é€😀"}\n\n',
    "event: without-data\n\n",
    'data: {"type":"signal","data":4}\n\n',
  ].join("");
  for (const char of text) {
    world.stream.write(char);
  }
  await turn();
  await turn();
  assert.deepEqual(world.of("signal").map(({ data }) => data), [1, 2, 3, "é€😀", 4]);
  world.stream.write('data: {"type":"signal","data":"cut');
  world.stream.end();
  await turn();
  assert.equal(world.of("signal").length, 5);
});

test("P90: a character whose bytes come in two parts is one character", async () => {
  const world = await streaming();
  const large = "€".repeat(50_000);
  world.stream.say(signal(large));
  await turn();
  assert.equal(world.of("signal")[0]?.data, large);
});

test("P91: what is sent in one turn goes in one POST, with the token and the next number", async () => {
  const world = await streaming();
  const sends = [world.client.send("one"), world.client.send("two")];
  const request = world.client.request("three");
  await turn();
  const [post] = world.requests("POST");
  assert.equal(post?.url, URL_OF_ROOM);
  assert.deepEqual(post?.frames.map(({ message }) => message), ["one", "two", "three"]);
  assert.equal(post?.headers.get("Content-Type"), "application/json");
  assert.equal(post?.headers.get("X-PODE-SIGNAL-TOKEN"), "Tok_en.1");
  assert.equal(post?.headers.get("X-PODE-SIGNAL-POST"), "1");
  assert.equal(post?.init.credentials, "include");
  post?.answer(202);
  await Promise.all(sends);
  world.stream.say({ type: "reply", id: post?.frames[2]?.id, data: "done" });
  assert.equal(await request, "done");
});

test("P91: one POST is under way at a time, so that the order is kept; a new token is used from its hello on", async () => {
  const world = await streaming();
  codeOf(world.client.send("one"));
  await turn();
  codeOf(world.client.send("two"));
  codeOf(world.client.send("three"));
  await turn();
  assert.equal(world.requests("POST").length, 1);
  world.stream.say(hello({ recovered: true, resumeToken: "Two" }));
  await turn();
  world.request.answer(202);
  await turn();
  const [, post] = world.requests("POST");
  assert.deepEqual(post?.frames.map(({ message }) => message), ["two", "three"]);
  assert.equal(post?.headers.get("X-PODE-SIGNAL-POST"), "2");
  assert.equal(post?.headers.get("X-PODE-SIGNAL-TOKEN"), "Two");
});

test("P33: a POST whose answer is lost is sent again with its number and its body, until it is taken", async () => {
  const world = await streaming();
  const sent = world.client.send("one");
  await turn();
  world.request.fail();
  await turn();
  assert.equal(world.requests("POST").length, 1);
  await advance(1);
  for (const status of [500, 502, 503]) {
    world.request.answer(status);
    await advance(1.1);
  }
  const posts = world.requests("POST");
  assert.equal(posts.length, 5);
  assert.deepEqual([...new Set(posts.map(({ headers }) => headers.get("X-PODE-SIGNAL-POST")))], ["1"]);
  assert.deepEqual([...new Set(posts.map(({ init }) => init.body))], ['[{"type":"send","message":"one"}]']);
  world.request.answer(202);
  await sent;
  await advance(5);
  assert.equal(world.requests("POST").length, 5);
});

test("P91: a POST that gets 429 is sent again after Retry-After, with its number", async () => {
  const world = await streaming({ requestSeconds: 60 });
  codeOf(world.client.send("one"));
  await turn();
  world.request.answer(429, { "Retry-After": "7" });
  await advance(6.9);
  assert.equal(world.requests("POST").length, 1);
  await advance(0.3);
  assert.equal(world.requests("POST").length, 2);
  assert.equal(world.request.headers.get("X-PODE-SIGNAL-POST"), "1");
});

test("P91: a POST that is not answered in ten seconds is sent again with its number", async () => {
  const world = await streaming({ requestSeconds: 60 });
  codeOf(world.client.send("one"));
  await advance(9.9);
  assert.equal(world.request.isAborted(), false);
  await advance(1.3);
  const posts = world.requests("POST");
  assert.deepEqual(posts.map((each) => each.isAborted()), [true, false]);
  assert.equal(posts[1]?.headers.get("X-PODE-SIGNAL-POST"), "1");
});

for (const [status, seconds] of [[400, 1], [403, 0.5], [409, 0.5], [410, 0.5], [413, 1]] as const) {
  test(`P91: a POST that gets ${status} ends the stream, what it had is lost, and the client comes back`, async () => {
    const world = await streaming();
    const written = [codeOf(world.client.send("one")), codeOf(world.client.request("two"))];
    await turn();
    const held = codeOf(world.client.send("three"));
    world.requests("POST")[0]?.answer(status);
    await turn();
    assert.deepEqual(written, [{ code: "lost" }, { code: "lost" }]);
    assert.deepEqual(world.of("waiting"), [{ seconds }]);
    assert.equal(world.asked[0]?.isAborted(), true);
    await advance(seconds + 0.1);
    world.request.stream().say(hello({ recovered: true, resumeToken: "Two" }));
    await turn();
    const last = world.requests("POST").at(-1);
    assert.deepEqual(last?.frames, [{ type: "send", message: "three" }]);
    assert.equal(last?.headers.get("X-PODE-SIGNAL-POST"), "1", "each stream counts from 1");
    assert.equal(last?.headers.get("X-PODE-SIGNAL-TOKEN"), "Two");
    last?.answer(202);
    await turn();
    assert.deepEqual(held, {});
  });
}

test("P33: a stream that ends takes its POST along, and nothing of it is written again", async () => {
  const world = await streaming();
  const sent = codeOf(world.client.send("one"));
  await turn();
  const post = world.request;
  world.stream.end(1001);
  await turn();
  assert.equal(post.isAborted(), true);
  assert.deepEqual(sent, { code: "lost" });
  await advance(5);
  assert.equal(world.requests("POST").length, 1);
});

test("P91: a POST has at most a hundred frames", async () => {
  const world = await streaming({}, { maxMessageBytes: 65_536 });
  for (let each = 0; each < 150; each++) codeOf(world.client.send(each));
  await turn();
  assert.equal(world.request.frames.length, 100);
  world.request.answer(202);
  await turn();
  assert.deepEqual(world.request.frames.map(({ message }) => message).slice(0, 2), [100, 101]);
  assert.equal(world.request.frames.length, 50);
});

test("P14: a POST has at most as many bytes as the server takes, its brackets and commas among them", async () => {
  const world = await streaming({}, { maxMessageBytes: 200 });
  const overhead = '{"type":"send","message":""}'.length;
  const sends = ["é".repeat(20), "x".repeat(200 - 2 - overhead), "y".repeat(199 - 2 - overhead + 2), "z"];
  const codes = sends.map((each) => codeOf(world.client.send(each)));
  const bytes = [];
  for (let each = 0; each < 3; each++) {
    await turn();
    bytes.push(new TextEncoder().encode(world.request.init.body as string).length);
    world.request.answer(202);
  }
  await turn();
  assert.deepEqual(codes, [{}, {}, { code: "bad_frame" }, {}]);
  assert.equal(bytes[1], 200);
  assert.equal(Math.max(...bytes), 200);
  assert.equal(world.requests("POST").length, 3);
});

test("P35: an acknowledgement goes before messages that wait", async () => {
  const world = await streaming();
  codeOf(world.client.send("one"));
  await turn();
  codeOf(world.client.send("two"));
  world.stream.say(signal("soup", { ack: "n7.12" }));
  await turn();
  world.request.answer(202);
  await turn();
  assert.deepEqual(world.request.frames, [{ type: "ack", id: "n7.12" }, { type: "send", message: "two" }]);
});

test("P78: close says farewell by DELETE with the token, in a way that outlives the page, and ends the stream", async () => {
  const world = await streaming({ credentials: "same-origin" });
  const stream = world.request;
  codeOf(world.client.send("never"));
  world.client.close();
  await turn();
  const [farewell] = world.requests("DELETE");
  assert.equal(farewell?.url, URL_OF_ROOM);
  assert.equal(farewell?.headers.get("X-PODE-SIGNAL-TOKEN"), "Tok_en.1");
  assert.equal(farewell?.init.keepalive, true);
  assert.equal(farewell?.init.credentials, "same-origin");
  // The server would take a stream that ends before for one that was lost.
  assert.equal(stream.isAborted(), false);
  assert.deepEqual(world.requests("POST"), []);
  farewell?.fail();
  await turn();
  assert.equal(stream.isAborted(), true);
  assert.deepEqual(world.events, ["open", "closed"]);
});

test("P78: a stream whose farewell gets no answer ends all the same", async () => {
  const world = await streaming();
  const stream = world.request;
  world.client.close();
  await advance(9);
  assert.equal(stream.isAborted(), false);
  await advance(2);
  assert.equal(stream.isAborted(), true);
});

test("P78: a stream that the server closes gets no farewell", async () => {
  const world = await streaming();
  world.stream.end(1000);
  await turn();
  assert.deepEqual(world.events, ["open", "closed"]);
  assert.deepEqual(world.requests("DELETE"), []);
});

test("P61: a stream that was given up brings nothing any more", async () => {
  const world = await streaming();
  world.stream.say(signal(1));
  world.stream.write('event: close\ndata: {"code":1012,"reason":""}\n\ndata: {"type":"signal","data":2}\n\n');
  await turn();
  assert.deepEqual(world.of("signal").map(({ data }) => data), [1]);
});

test("P67: an event stream has ten seconds to its hello", async () => {
  const world = await streaming();
  world.stream.end(1001);
  await advance(0.6);
  const again = world.request;
  again.stream();
  await advance(10.1);
  assert.equal(again.isAborted(), true);
  assert.equal(world.client.state, "waiting");
});

// Who is connected: views, changes, and frames that are missing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Frame, advance, hello, opened, streaming, turn, type World } from "./fakes.js";

const WATCH = { type: "presence", watch: true };

const presence = (seq: number, fields: Frame): Frame => ({ type: "presence", seq, ...fields });

/** The views that the application got: members in the order of their ids, or null; count; group. */
function views(world: World): unknown[] {
  return world.of("presence").map(({ members, count, group }) => {
    const ids = members instanceof Map ? [...members.keys()].sort().join() : members;
    return [ids, count, group];
  });
}

const ADA = { id: "ada", user: "Ada", info: { color: "red" } };
const BOB = { id: "bob" };

const watching = (fields: Frame = {}) => opened({ watch: true }, { presence: "name", ...fields });

test("P83: a client that wants it watches after each first hello, where the server shares presence", async () => {
  const world = await watching();
  assert.deepEqual(world.socket.sent, [WATCH]);
  world.socket.say(hello({ presence: "name", recovered: true }));
  assert.deepEqual(world.socket.sent, [WATCH]);
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello({ presence: "name" }));
  assert.deepEqual(world.socket.sent, [WATCH]);
  const without = await opened({ watch: true });
  assert.deepEqual(without.socket.sent, []);
  const unwilling = await opened({}, { presence: "name" });
  assert.deepEqual(unwilling.socket.sent, []);
});

test("P79: members replace the view, changes change it, and a known id in joined is replaced", async () => {
  const world = await watching();
  world.socket.say(presence(7, { members: [ADA] }), presence(8, { joined: [BOB] }));
  world.socket.say(presence(9, { joined: [{ id: "bob", user: "Bob" }, { id: "eve" }], left: ["ada"] }));
  assert.deepEqual(views(world), [["ada", 1, undefined], ["ada,bob", 2, undefined], ["bob,eve", 2, undefined]]);
  const members = world.of("presence").map((each) => each.members as Map<string, unknown>);
  assert.deepEqual(members[0]?.get("ada"), ADA);
  assert.deepEqual(members[2]?.get("bob"), { id: "bob", user: "Bob" });
  assert.equal(members[0]?.size, 1, "a view that was given stays as it was");
});

test("P81: a count alone has no members, and a snapshot follows it", async () => {
  const world = await watching();
  world.socket.say(presence(1, { count: 251 }), presence(2, { count: 252 }), presence(3, { members: [ADA, BOB] }));
  assert.deepEqual(views(world), [[null, 251, undefined], [null, 252, undefined], ["ada,bob", 2, undefined]]);
});

test("P83: a gap in seq asks once for all members, and the next snapshot ends it", async () => {
  const world = await watching();
  world.socket.say(presence(1, { members: [ADA] }), presence(3, { joined: [BOB] }), presence(4, { left: ["ada"] }));
  assert.deepEqual(world.socket.sent, [WATCH, WATCH]);
  assert.deepEqual(views(world), [["ada", 1, undefined]]);
  world.socket.say(presence(4, { members: [BOB] }), presence(5, { joined: [ADA] }), presence(9, { left: ["bob"] }));
  assert.deepEqual(views(world).slice(1), [["bob", 1, undefined], ["ada,bob", 2, undefined]]);
  assert.deepEqual(world.socket.sent, [WATCH, WATCH, WATCH]);
});

test("P83: a snapshot that was asked for counts even with the seq that the view has", async () => {
  const world = await watching();
  world.socket.say(presence(1, { members: [ADA] }), presence(3, { joined: [BOB] }), presence(1, { members: [BOB] }));
  assert.deepEqual(views(world), [["ada", 1, undefined], ["bob", 1, undefined]]);
});

test("P83: a change behind a count alone asks for all members", async () => {
  const world = await watching();
  world.socket.say(presence(1, { count: 251 }), presence(2, { joined: [BOB] }));
  assert.deepEqual(world.socket.sent, [WATCH, WATCH]);
});

test("P79: frames that are not newer than the view are dropped, and so are changes before the first members", async () => {
  const world = await watching();
  world.socket.say(presence(6, { joined: [BOB] }), presence(7, { members: [ADA] }));
  world.socket.say(presence(7, { left: ["ada"] }), presence(6, { members: [] }), presence(7, { count: 9 }));
  assert.deepEqual(views(world), [["ada", 1, undefined]]);
  assert.deepEqual(world.socket.sent, [WATCH]);
});

test("P82: each group has a view and a seq of its own", async () => {
  const world = await watching({ presence: "group", groups: ["kitchen", "bath"] });
  world.socket.say(presence(7, { group: "kitchen", members: [ADA] }), presence(1, { group: "bath", members: [BOB] }));
  world.socket.say(presence(8, { group: "kitchen", joined: [BOB] }), presence(2, { group: "bath", left: ["bob"] }));
  assert.deepEqual(views(world).slice(2), [["ada,bob", 2, "kitchen"], ["", 0, "bath"]]);
});

test("P82: the view of a group that a hello does not list any more is dropped", async () => {
  const world = await watching({ presence: "group", groups: ["kitchen", "bath"] });
  world.socket.say(presence(7, { group: "kitchen", members: [ADA] }), presence(7, { group: "bath", members: [ADA] }));
  world.socket.say(hello({ presence: "group", groups: ["bath"], recovered: true }));
  world.socket.say(presence(8, { group: "kitchen", joined: [BOB] }), presence(8, { group: "bath", joined: [BOB] }));
  world.socket.say(presence(1, { group: "kitchen", members: [BOB] }));
  assert.deepEqual(views(world).slice(2), [["ada,bob", 2, "bath"], ["bob", 1, "kitchen"]]);
  assert.deepEqual(world.socket.sent, [WATCH]);
});

test("P79: a new connection begins without a view", async () => {
  const world = await watching();
  world.socket.say(presence(7, { members: [ADA] }));
  world.socket.end(1012);
  await advance(0.6);
  world.socket.accept().say(hello({ presence: "name", recovered: true }));
  world.socket.say(presence(8, { joined: [BOB] }), presence(3, { members: [BOB] }));
  assert.deepEqual(views(world).slice(1), [["bob", 1, undefined]]);
});

test("P90: over server-sent events watch goes by a POST", async () => {
  const world = await streaming({ watch: true }, { presence: "name" });
  assert.deepEqual(world.request.frames, [WATCH]);
  world.stream.say(presence(1, { members: [ADA] }));
  await turn();
  assert.deepEqual(views(world), [["ada", 1, undefined]]);
});

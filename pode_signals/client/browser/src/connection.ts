// One connection, from the attempt to its end: frames, liveness, renewal. It does not come back.
import { later, now } from "./clock.js";
import { type End, type HelloFrame, type Link, lost, type ServerFrame, type SignalFrame, type Told } from "./frames.js";
import type { Listeners } from "./listeners.js";
import { liveness, type Liveness } from "./liveness.js";
import type { Outbox } from "./outbox.js";
import type { Place } from "./place.js";
import { presenceViews } from "./presence.js";
import { renewal, type Renewal } from "./renewal.js";
import { type Events, type Options, SignalsError } from "./types.js";

// One refresh is under way at a time, and requests have numbers.
const REFRESH_ID = "refresh";

/** What the connections of one client share. */
export interface Shared<T> {
  readonly choices: Options;
  readonly place: Place;
  readonly outbox: Outbox;
  readonly listeners: Listeners<T>;
  /** The connection is open. */
  greeted(hello: HelloFrame): void;
  /** The connection is over; after so many seconds of being open, 0 where it was not. */
  over(end: End, openSeconds: number): void;
  /** Writes a frame before others: by the connection of now, or by the next one of the same client. */
  writeFirst(frame: object, clientId?: string): void;
}

export interface Connection {
  /** The last hello; undefined until the first one. */
  lastHello(): HelloFrame | undefined;
  /** Writes what waits. */
  writeAll(): void;
  /** Asks the server for a sign of life. */
  probe(): void;
  /** Ends it, with a close code where there is one. Nothing more of it is taken or told. */
  leave(code?: number): void;
}

/** Opens a connection, which has so many seconds until its hello. */
export function connection<T>(shared: Shared<T>, seconds: number, open: (told: Told) => Link): Connection {
  const { choices, place, outbox, listeners, writeFirst } = shared;
  const views = presenceViews();
  let hello: HelloFrame | undefined;
  let link: Link | undefined;
  let isOver = false;
  let isReplaying = false;
  let openedAt = 0;
  let life: Liveness | undefined;
  let credentials: Renewal | undefined;

  const leave = (code?: number) => {
    isOver = true;
    stopWaiting();
    life?.halt();
    credentials?.halt();
    link?.leave(code);
  };
  const over = (end: End) => {
    if (isOver) return;
    leave();
    shared.over(end, hello ? now() - openedAt : 0);
  };
  const writeAll = () => link?.writeAll();
  const watch = () => writeFirst({ type: "presence", watch: true });

  const begin = (first: HelloFrame) => {
    stopWaiting();
    openedAt = now();
    isReplaying = first.recovered;
    life = liveness(
      () => hello!.heartbeatSeconds,
      () => writeFirst({ type: "beat" }),
      () => over(lost()),
    );
    if (choices.refresh) {
      credentials = renewal(choices.refresh, (token) => writeFirst({ type: "refresh", id: REFRESH_ID, token }));
    }
    shared.greeted(first);
  };

  const greet = (frame: HelloFrame) => {
    const isFirst = !hello;
    // A first connection has lost nothing, since it had nothing.
    const isLost = !frame.recovered && (!isFirst || place.isOffered());
    const emit = (type: "hello" | "open" | "lost") => {
      // A listener before may have closed the client.
      if (!isOver) void listeners.emit(type, frame);
    };
    place.greeted(frame);
    hello = frame;
    views.keep(frame.groups);
    if (isFirst) begin(frame);
    credentials?.expiresIn(frame.expiresInSeconds);
    emit("hello");
    if (isFirst) emit("open");
    if (isLost) emit("lost");
    if (!isFirst || isOver) return;
    if (choices.watch && frame.presence) watch();
    writeAll();
  };

  const signal = async ({ data, group, offset, ack }: SignalFrame, { clientId }: HelloFrame) => {
    // The position moves before anybody sees the message: what fails in the application is not sent again.
    place.moved(offset);
    const event = { data, group: group ?? undefined, offset: offset ?? undefined, replayed: isReplaying };
    const isTaken = await listeners.emit("signal", event as Events<T>["signal"]);
    if (ack != null && isTaken) writeFirst({ type: "ack", id: ack }, clientId);
  };

  const take = (frame: ServerFrame, current: HelloFrame) => {
    if (frame.type === "signal") void signal(frame, current);
    else if (frame.type === "reply") {
      if (frame.id === REFRESH_ID) credentials?.expiresIn((frame.data as HelloFrame | null)?.expiresInSeconds);
      outbox.answered(frame.id, undefined, frame.data ?? null);
    }
    else if (frame.type === "beat") {
      isReplaying = false;
      place.moved(frame.offset);
    } else if (frame.type === "error") {
      const error = new SignalsError(frame.code, frame.text);
      if (frame.id === REFRESH_ID) credentials?.refused();
      // A request has its own way to tell.
      else if (frame.id != null) return outbox.answered(frame.id, error);
      void listeners.emit("error", error);
    } else if (frame.type === "presence") {
      const view = views.applied(frame);
      if (view === "watch") watch();
      else if (view) void listeners.emit("presence", view as Events<T>["presence"]);
    }
  };

  const received = (text: string) => {
    if (isOver) return;
    let frame: ServerFrame;
    try {
      // What is no object is no frame that this version knows.
      frame = Object(JSON.parse(text));
    } catch {
      return over(lost(true));
    }
    life?.heard();
    if (frame.type === "hello") greet(frame);
    else if (hello) take(frame, hello);
  };

  const stopWaiting = later(seconds, () => over(lost()));
  try {
    link = open({
      give: (isPost) => (hello && !isOver ? outbox.give(hello.maxMessageBytes, hello.clientId, isPost) : []),
      allWritten: () => isOver || outbox.allWritten(),
      received,
      over,
    });
  } catch {
    queueMicrotask(() => over(lost()));
  }
  return { lastHello: () => hello, writeAll, probe: () => life?.ask(), leave };
}

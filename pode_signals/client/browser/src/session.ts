// One client over all its connections: whether and how it connects, when it comes back, what its page does to it.
import { later, now } from "./clock.js";
import { comebacks, WRONG_CODES } from "./comebacks.js";
import { type Connection, connection, type Shared } from "./connection.js";
import { type Ask, openEventStream } from "./event_stream.js";
import { type End, lost } from "./frames.js";
import { AWAKE_WITHIN_SECONDS, FIRST_WEBSOCKET_SECONDS, HANDSHAKE_SECONDS } from "./limits.js";
import { listeners, type Listeners, report } from "./listeners.js";
import { outbox, ownError } from "./outbox.js";
import { watchPage } from "./page.js";
import { placeAt } from "./place.js";
import { given, targetOf } from "./targets.js";
import { type Address, type Hello, type Options, SignalsError, type Source, type State } from "./types.js";
import { openWebSocket, SUBPROTOCOL } from "./websocket.js";

export interface Session<T> {
  readonly listeners: Listeners<T>;
  readonly fetchBy: typeof fetch;
  phase(): State;
  /** The last hello of the connection that is open. */
  lastHello(): Hello | undefined;
  /** Where the last attempt went to, as http or https. */
  whereTo(): string;
  /** Fulfilled with the hello once a connection is open. */
  opened(): Promise<Hello>;
  /** Sends a message as soon as a connection takes it, once; fulfilled with the reply, or when it is written. */
  sendMessage(message: unknown, to: Address & { seconds?: number | undefined }, hasReply: boolean): Promise<unknown>;
  /** Comes back no more. */
  leave(): void;
}

export function session<T>(source: Source, options: Options): Session<T> {
  const { baseSeconds = 1, capSeconds = 30, requestSeconds = 10, transport = "auto", protocols = [] } = options;
  if (typeof source !== "function") targetOf(source);
  const canRenew = [source, protocols, options.refresh].some((each) => typeof each === "function");
  const secondsAfter = comebacks(baseSeconds, capSeconds, canRenew);
  const page = new AbortController();
  const fetched = options.fetch ?? ((input, init) => fetch(input, init));
  let state: State = "connecting";
  let url = "";
  let current: Connection | undefined;
  // Whatever waits for something and finds another number has been given up.
  let generation = 0;
  let isWebSocket = false;
  // While no WebSocket had a hello, and the server may offer events.
  let mayFallBack = transport === "auto";
  let failedHandshakes = 0;
  // No attempt may begin before.
  let notBefore = 0;
  let stopWaiting: (() => void) | undefined;
  let opened = awaited<Hello>();

  const shared: Shared<T> = {
    choices: options,
    place: placeAt(options.since),
    outbox: outbox(),
    listeners: listeners(),
    greeted(hello) {
      state = "open";
      failedHandshakes = 0;
      if (isWebSocket) mayFallBack = false;
      opened.resolve(hello);
    },
    over(end, openSeconds) {
      // A browser does not tell the status of a handshake that was refused.
      if (!isWebSocket || state === "open" || end.code !== 1006 || end.isWrong) return over(end, openSeconds);
      failedHandshakes++;
      if (mayFallBack) attempt(false);
      else if (failedHandshakes === 1 || failedHandshakes % 5 === 0) attempt(false, [], true);
      else over(end, 0);
    },
    writeFirst(frame, clientId) {
      sends.putFirst(frame, clientId);
      current?.writeAll();
    },
  };
  const { place, outbox: sends } = shared;

  const ask: Ask = (init) => fetched(url, { credentials: options.credentials ?? "include", ...init });

  const connect = async () => {
    const mine = ++generation;
    state = "connecting";
    try {
      const target = targetOf(await given(source));
      const offered = await given(protocols);
      if (mine !== generation) return;
      url = target;
      attempt(transport !== "sse", offered);
    } catch (error) {
      if (mine !== generation) return;
      report(error);
      over(lost(), 0);
    }
  };

  /** One attempt; a question only asks how the server answers. */
  const attempt = (byWebSocket: boolean, offered: readonly string[] = [], isQuestion = false) => {
    isWebSocket = byWebSocket;
    const seconds = byWebSocket && mayFallBack ? FIRST_WEBSOCKET_SECONDS : HANDSHAKE_SECONDS;
    // The position is read now: what an older connection still brings is not taken any more.
    const resume = place.resumeText();
    const token = () => current?.lastHello()?.resumeToken ?? "";
    current = connection(shared, seconds, (told) =>
      byWebSocket
        ? openWebSocket(
            options.WebSocket ?? WebSocket,
            url.replace(/^http/, "ws"),
            [SUBPROTOCOL, ...(resume ? [`pode.resume.${resume}`] : []), ...offered],
            told,
          )
        : openEventStream(ask, resume, isQuestion, token, told),
    );
  };

  const leave = (code?: number) => {
    generation++;
    stopWaiting?.();
    if (current?.lastHello()) opened = awaited();
    current?.leave(code);
    current = undefined;
    sends.lose();
  };

  const over = (end: End, openSeconds: number) => {
    const seconds = secondsAfter(end, openSeconds);
    if (seconds === undefined) return finish(end);
    notBefore = now() + (end.afterSeconds ?? 0);
    // There are no events here, and a slow network needs more time for a WebSocket.
    if (end.status === 426) mayFallBack = false;
    wait(seconds);
  };

  const wait = (seconds: number, code?: number) => {
    leave(code);
    state = "waiting";
    if (seconds < Infinity) stopWaiting = later(seconds, () => void connect());
    void shared.listeners.emit("waiting", { seconds });
  };

  const finish = ({ code, reason, status }: End, closeCode?: number) => {
    leave(closeCode);
    state = "closed";
    page.abort();
    sends.failAll();
    opened.reject(ownError("closed"));
    const { emit } = shared.listeners;
    if (WRONG_CODES.includes(code)) void emit("error", new SignalsError("bad_frame", `${code} ${reason}`));
    void emit("closed", { code, reason, status });
  };

  watchPage(
    (isOnline) => {
      current?.probe();
      if (!isOnline || state !== "waiting") return;
      stopWaiting?.();
      stopWaiting = later(Math.max(0, notBefore - now()) + Math.random() * AWAKE_WITHIN_SECONDS, () => void connect());
    },
    () => {
      // A page with an open connection is kept from the back/forward cache, or cut off without a word.
      if (state === "connecting" || state === "open") wait(Infinity, 3001);
    },
    page.signal,
  );
  void connect();
  return {
    listeners: shared.listeners,
    fetchBy: fetched,
    phase: () => state,
    lastHello: () => current?.lastHello(),
    whereTo: () => url,
    opened: () => opened.promise,
    async sendMessage(message, { path, group, clientId, direct, seconds = requestSeconds }, hasReply) {
      if (message == null) throw new TypeError("there is no message");
      if (state === "closed") throw ownError("closed");
      const frame = { type: "send", message, path, group, clientId, direct };
      const sent = sends.hold(frame, seconds, hasReply, state === "open");
      current?.writeAll();
      return sent;
    },
    leave() {
      if (state === "closed") return;
      sends.failAll();
      finish({ code: 1000, reason: "" }, 1000);
    },
  };
}

function awaited<V>(): { promise: Promise<V>; resolve(value: V): void; reject(error: unknown): void } {
  let parts: { resolve(value: V): void; reject(error: unknown): void };
  const promise = new Promise<V>((resolve, reject) => (parts = { resolve, reject }));
  // Nobody has to wait for it.
  promise.catch(() => {});
  return { promise, ...parts! };
}

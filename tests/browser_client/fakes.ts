// A server as a client sees it: WebSockets and answers to fetch, by hand; a clock that moves when a test says so.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock } from "node:test";
import { type Options, SignalClient, type SignalsError, type Types } from "pode-signals";

export const URL_OF_ROOM = "http://server.example/room";
// Some time of this century.
const START = 1_700_000_000_000;

/** Errors that listeners and functions of the application threw. */
export let reported: unknown[] = [];
/** What Math.random gives: the same each time, unless a test says otherwise. */
export const chance = { next: (): number => 0.5 };
/** The page that the client is in. */
export let page: { document: EventTarget & { visibilityState: string }; window: EventTarget };

const globals = globalThis as unknown as Record<string, unknown>;
const random = Math.random;
let clients: SignalClient[] = [];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: START });
  reported = [];
  chance.next = () => 0.5;
  Math.random = () => chance.next();
  page = { document: Object.assign(new EventTarget(), { visibilityState: "visible" }), window: new EventTarget() };
  globals.document = page.document;
  globals.addEventListener = page.window.addEventListener.bind(page.window);
  globals.reportError = (error: unknown) => reported.push(error);
});

afterEach(() => {
  for (const client of clients) client.close();
  clients = [];
  mock.timers.reset();
  Math.random = random;
  delete globals.document;
  delete globals.addEventListener;
  delete globals.reportError;
});

/** Lets everything happen that needs no time. */
export async function turn(): Promise<void> {
  for (let each = 0; each < 5; each++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Moves the clock, timer by timer. */
export async function advance(seconds: number): Promise<void> {
  await turn();
  const steps = Math.round(seconds * 10);
  for (let step = 0; step < steps; step++) {
    mock.timers.tick(100);
    await turn();
  }
}

/** The machine sleeps: the clock moves, and the timers stand still until the next advance. */
export function sleep(seconds: number): void {
  mock.timers.setTime(Date.now() + seconds * 1000);
}

/** The clock is set back, and the timers go on. */
export function setBack(seconds: number): void {
  // The next test has a Date of its own again.
  const { now } = Date;
  Date.now = () => now() - seconds * 1000;
}

/** Counts the timers that are set from now on, and neither fired nor were cleared. The next test has other timers. */
export function pendingTimers(): () => number {
  const { setTimeout, clearTimeout } = globalThis;
  const pending = new Set<unknown>();
  globals.setTimeout = (then: () => void, milliseconds: number) => {
    const timer = setTimeout(() => void (pending.delete(timer), then()), milliseconds);
    pending.add(timer);
    return timer;
  };
  globals.clearTimeout = (timer: ReturnType<typeof setTimeout>) => {
    pending.delete(timer);
    clearTimeout(timer);
  };
  return () => pending.size;
}

/** The page is told of something. */
export function happens(where: "document" | "window", type: string, fields: object = {}): void {
  page[where].dispatchEvent(Object.assign(new Event(type), fields));
}

/** A WebSocket whose server is the test. */
export class FakeSocket {
  static refusesToBeMade = false;
  readyState = 0;
  protocol = "";
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
  readonly sent: Frame[] = [];
  readonly texts: string[] = [];
  readonly closedWith: (number | undefined)[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    if (FakeSocket.refusesToBeMade) throw new SyntaxError("no such WebSocket");
  }

  /** The server agrees to the handshake. */
  accept(protocol = "pode.signals.v1"): this {
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen?.();
    return this;
  }

  /** The server sends frames, or texts as they are. */
  say(...frames: unknown[]): this {
    for (const each of frames) this.onmessage?.({ data: typeof each === "string" ? each : JSON.stringify(each) });
    return this;
  }

  /** The connection ends, 1006 for one that is cut. */
  end(code = 1006, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** The last part of the resume text that the handshake offers; undefined for none. */
  get resume(): string | undefined {
    return this.protocols.find((each) => each.startsWith("pode.resume."))?.slice("pode.resume.".length);
  }

  send(text: string): void {
    assert.equal(this.readyState, 1, "a client writes to an open socket alone");
    this.texts.push(text);
    this.sent.push(JSON.parse(text));
  }

  close(code?: number): void {
    this.closedWith.push(code);
    this.readyState = 2;
  }
}

export type Frame = Record<string, unknown>;

/** A request of the client by fetch, until the test answers it. */
export interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly init: RequestInit;
  /** The frames of a POST. */
  readonly frames: Frame[];
  isAborted(): boolean;
  answer(status: number, headers?: Record<string, string>, body?: BodyInit): void;
  /** No answer comes: the network is down. */
  fail(): void;
  /** Answers with an event stream, for frames or any text. */
  stream(): Events;
}

/** An event stream that is open. */
export interface Events {
  say(...frames: Frame[]): void;
  write(text: string): void;
  /** The event `close`, or a stream that just ends. */
  end(code?: number, reason?: string): void;
}

function askedOf(url: string, init: RequestInit, resolve: (response: Response) => void, reject: (e: unknown) => void): Asked {
  init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
  return {
    url,
    init,
    method: init.method ?? "GET",
    headers: new Headers(init.headers),
    frames: init.method === "POST" ? JSON.parse(init.body as string) : [],
    isAborted: () => init.signal?.aborted ?? false,
    answer: (status, headers = {}, body) => resolve(new Response(body ?? null, { status, headers })),
    fail: () => reject(new TypeError("fetch failed")),
    stream() {
      let controller!: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
      init.signal?.addEventListener("abort", () => controller.error(new DOMException("aborted", "AbortError")));
      const write = (text: string) => controller.enqueue(new TextEncoder().encode(text));
      resolve(new Response(body, { headers: { "Content-Type": "text/event-stream; charset=utf-8" } }));
      return {
        write,
        say: (...frames) => frames.forEach((each) => write(`data: ${JSON.stringify(each)}\n\n`)),
        end(code, reason = "") {
          if (code) write(`event: close\ndata: ${JSON.stringify({ code, reason })}\n\n`);
          controller.close();
        },
      };
    },
  };
}

/** One client, its sockets, its requests, and what its application saw. */
export class World<T = Types> {
  readonly sockets: FakeSocket[] = [];
  readonly asked: Asked[] = [];
  /** Each event but hello, as `[type, event]`. */
  readonly seen: [string, unknown][] = [];
  readonly client: SignalClient<T>;

  constructor(options: Options = {}, source: ConstructorParameters<typeof SignalClient>[0] = URL_OF_ROOM) {
    const { sockets, asked } = this;
    class Socket extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    }
    const fetch = (input: string | URL | Request, init: RequestInit = {}) =>
      new Promise<Response>((resolve, reject) => asked.push(askedOf(String(input), init, resolve, reject)));
    this.client = new SignalClient<T>(source, {
      WebSocket: Socket as unknown as typeof WebSocket,
      fetch,
      ...options,
    });
    clients.push(this.client as SignalClient);
    for (const type of ["open", "lost", "signal", "presence", "waiting", "closed", "error"] as const) {
      this.client.on(type, (event) => void this.seen.push([type, event]));
    }
  }

  /** The last socket. */
  get socket(): FakeSocket {
    assert(this.sockets.length, "there is no socket");
    return this.sockets.at(-1)!;
  }

  /** The last request. */
  get request(): Asked {
    assert(this.asked.length, "there is no request");
    return this.asked.at(-1)!;
  }

  /** The requests of a method. */
  requests(method: string): Asked[] {
    return this.asked.filter((each) => each.method === method);
  }

  /** The names of the events, in order. */
  get events(): string[] {
    return this.seen.map(([type]) => type);
  }

  /** What the listeners of a type got. */
  of(type: string): Frame[] {
    return this.seen.filter(([each]) => each === type).map(([, event]) => event as Frame);
  }
}

/** A hello. */
export function hello(fields: Frame = {}): Frame {
  return {
    type: "hello",
    version: 1,
    clientId: "ada",
    name: "Room",
    groups: [],
    epoch: "k3v9q2",
    offset: "1-11",
    recovered: false,
    resumeToken: "Tok_en.1",
    heartbeatSeconds: 25,
    maxMessageBytes: 1_000,
    ...fields,
  };
}

export function signal(data: unknown, fields: Frame = {}): Frame {
  return { type: "signal", data, ...fields };
}

/** A client with an open WebSocket. */
export async function opened<T = Types>(options: Options = {}, fields: Frame = {}): Promise<World<T>> {
  const world = new World<T>(options);
  await turn();
  world.socket.accept().say(hello(fields));
  await turn();
  return world;
}

/** A client with an open event stream. */
export async function streaming(options: Options = {}, fields: Frame = {}): Promise<World & { stream: Events }> {
  const world = new World({ transport: "sse", ...options });
  await turn();
  const stream = world.request.stream();
  stream.say(hello(fields));
  await turn();
  return Object.assign(world, { stream });
}

/** The code of the error that a promise rejects with; undefined where it is fulfilled or pending. */
export function codeOf(promise: Promise<unknown>): { code?: string } {
  const found: { code?: string } = {};
  promise.catch((error: SignalsError) => (found.code = error.code ?? String(error)));
  return found;
}

// `SignalClient`: what applications hold. Its session decides and acts; it does neither itself.
import { type Session, session } from "./session.js";
import { absolute } from "./targets.js";
import type { Address, Events, Hello, Of, Options, Source, State, Types } from "./types.js";

/**
 * A client that comes back by itself and loses nothing where the server can help it.
 *
 * It connects when it is made. A relative URL belongs to the page.
 */
export class SignalClient<T = Types> {
  /** Fulfilled with the first hello; rejects where the client closes before. */
  readonly ready: Promise<Hello>;
  readonly #session: Session<T>;

  constructor(url: Source, options: Options = {}) {
    this.#session = session(url, options);
    this.ready = this.#session.opened();
  }

  get state(): State {
    return this.#session.phase();
  }

  /** The last hello of the connection that is open. */
  get hello(): Hello | undefined {
    return this.#session.lastHello();
  }

  /**
   * Calls a function at each event. A signal whose sender waits for that is acknowledged when all its listeners have
   * returned, and the promises that they gave are fulfilled.
   *
   * @returns a function that removes the listener.
   */
  on<K extends keyof Events<T>>(type: K, listener: (event: Events<T>[K]) => void | Promise<void>): () => void {
    return this.#session.listeners.on(type, listener);
  }

  /** Sends a message; fulfilled when it is written. It is written once, or the promise rejects with a SignalsError. */
  async send(message: Of<T, "send">, to: Address = {}): Promise<void> {
    await this.#session.sendMessage(message, to, false);
  }

  /** Sends a message; fulfilled with what the signal route returned. */
  async request(message: Of<T, "send">, to: Address & { seconds?: number | undefined } = {}): Promise<Of<T, "reply">> {
    return (await this.#session.sendMessage(message, to, true)) as Of<T, "reply">;
  }

  /**
   * Fetches once a connection is open, and says to the connection's own origin which one that is. A redirect is an
   * error there unless `init` says otherwise, since a browser takes the headers along wherever it leads.
   */
  async fetch(input: string | URL, init: RequestInit = {}): Promise<Response> {
    const { clientId, name } = await this.#session.opened();
    const { fetchBy, whereTo } = this.#session;
    const target = absolute(input);
    if (target.origin !== absolute(whereTo()).origin) return fetchBy(target, init);
    const headers = new Headers(init.headers);
    headers.set("X-PODE-SIGNAL-CLIENT-ID", encodeURIComponent(clientId));
    headers.set("X-PODE-SIGNAL-NAME", encodeURIComponent(name));
    return fetchBy(target, { redirect: "error", ...init, headers });
  }

  /** Leaves for good. */
  close(): void {
    this.#session.leave();
  }
}

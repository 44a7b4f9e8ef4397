/** Names the types of a client's data: what signals bring, what is sent, what requests give, what members tell. */
export interface Types {
    signal?: unknown;
    send?: unknown;
    reply?: unknown;
    info?: unknown;
}
/** One of them; unknown where an application does not name it. */
export type Of<T, K extends keyof Types> = T extends {
    [P in K]: infer V;
} ? V : unknown;
/** What a client is doing. */
export type State = "connecting" | "open" | "waiting" | "closed";
/** A message. */
export interface Signal<D> {
    readonly data: D;
    /** The group that the send named, or all of them where it named several. */
    readonly group?: string | readonly string[];
    /** Its place in the history of the name. */
    readonly offset?: string;
    /** Whether the client missed it while it was not connected, and gets it now. */
    readonly replayed: boolean;
}
/** Who the client is on its connection. */
export interface Hello {
    readonly clientId: string;
    readonly name: string;
    readonly groups: readonly string[];
    /** Whether the client gets all that it missed. */
    readonly recovered: boolean;
    readonly [field: string]: unknown;
}
/** A client that is connected, as others see it. */
export interface Member<I> {
    readonly id: string;
    readonly user?: string;
    readonly groups?: readonly string[];
    readonly info?: I;
}
/** Who is connected. */
export interface PresenceView<I> {
    /** By their client ids; null where they are too many to be listed. */
    readonly members: ReadonlyMap<string, Member<I>> | null;
    readonly count: number;
    /** The group that they are in, where presence is shared per group. */
    readonly group?: string;
}
/** The client does not come back. */
export interface Closed {
    /** The close code; 1006 where a request was refused. */
    readonly code: number;
    readonly reason: string;
    /** The HTTP status by which the server refused. */
    readonly status?: number;
}
/** The events of a client, and what their listeners get. */
export interface Events<T> {
    /** A connection is open, the first one or another one. */
    open: Hello;
    /** Something in it has changed, or a connection is open. */
    hello: Hello;
    /** Messages may be lost: load the state anew. */
    lost: Hello;
    signal: Signal<Of<T, "signal">>;
    presence: PresenceView<Of<T, "info">>;
    /** The connection is gone; the client connects again in so many seconds, Infinity while its page is frozen. */
    waiting: {
        seconds: number;
    };
    closed: Closed;
    /** The server did not take a frame or the credentials. */
    error: SignalsError;
}
/** Why something was not done. */
export declare class SignalsError extends Error {
    /**
     * `app.…` is the application's; `no_route`, `refused`, `failed`, `timed_out`, `not_available` and `bad_frame` are the
     * server's; `lost`, `timeout` and `closed` are the client's own.
     */
    readonly code: string;
    constructor(code: string, text: string);
}
/** A URL, or a function that gives one for each attempt to connect. */
export type Source = string | URL | (() => string | URL | Promise<string | URL>);
export interface Options {
    /** Further subprotocols of each handshake; servers choose among them first. */
    protocols?: readonly string[] | (() => readonly string[] | Promise<readonly string[]>) | undefined;
    /** The way to the server; "auto" is a WebSocket, and server-sent events where none gets through. */
    transport?: "auto" | "websocket" | "sse" | undefined;
    /** The position to begin at, `<epoch>.<offset>`, as a page was given it. */
    since?: string | undefined;
    /** Gives new credentials for a connection that expires. */
    refresh?: (() => string | Promise<string>) | undefined;
    /** Whether to ask who is connected, where the server shares that. */
    watch?: boolean | undefined;
    /** The first wait after a lost connection is up to so long, the next ones up to twice as long each; 1. */
    baseSeconds?: number | undefined;
    /** No wait is longer; 30. */
    capSeconds?: number | undefined;
    /** For how long a send waits for a connection, and a request for its reply; 10. */
    requestSeconds?: number | undefined;
    /** The credentials of all that goes by fetch; "include" for server-sent events, as with a WebSocket. */
    credentials?: RequestCredentials | undefined;
    WebSocket?: typeof WebSocket | undefined;
    fetch?: typeof fetch | undefined;
}
/** Where a message goes, if no signal route takes it. */
export interface Address {
    /** The name; else the client's own. */
    path?: string | undefined;
    group?: string | readonly string[] | undefined;
    clientId?: string | readonly string[] | undefined;
    /** Whether the message goes back to this client alone. */
    direct?: boolean | undefined;
}
/**
 * A client that comes back by itself and loses nothing where the server can help it.
 *
 * It connects when it is made. A relative URL belongs to the page.
 */
export declare class SignalClient<T = Types> {
    #private;
    /** Fulfilled with the first hello; rejects where the client closes before. */
    readonly ready: Promise<Hello>;
    constructor(url: Source, options?: Options);
    get state(): State;
    /** The last hello of the connection that is open. */
    get hello(): Hello | undefined;
    /**
     * Calls a function at each event. A signal whose sender waits for that is acknowledged when all its listeners have
     * returned, and the promises that they gave are fulfilled.
     *
     * @returns a function that removes the listener.
     */
    on<K extends keyof Events<T>>(type: K, listener: (event: Events<T>[K]) => void | Promise<void>): () => void;
    /** Sends a message; fulfilled when it is written. It is written once, or the promise rejects with a SignalsError. */
    send(message: Of<T, "send">, to?: Address): Promise<void>;
    /** Sends a message; fulfilled with what the signal route returned. */
    request(message: Of<T, "send">, to?: Address & {
        seconds?: number | undefined;
    }): Promise<Of<T, "reply">>;
    /**
     * Fetches once a connection is open, and says to the connection's own origin which one that is. A redirect is an
     * error there unless `init` says otherwise, since a browser takes the headers along wherever it leads.
     */
    fetch(input: string | URL, init?: RequestInit): Promise<Response>;
    /** Leaves for good. */
    close(): void;
}

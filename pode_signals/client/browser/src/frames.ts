// The frames that servers send, the end of a connection and its way, as types. Nothing here acts.
import type { Hello, Member } from "./types.js";

export interface HelloFrame extends Hello {
  readonly type: "hello";
  readonly epoch?: string | null;
  readonly offset?: string | null;
  readonly resumeToken?: string | null;
  readonly heartbeatSeconds: number;
  readonly expiresInSeconds?: number | null;
  readonly maxMessageBytes: number;
  readonly presence?: string | null;
}

export interface SignalFrame {
  readonly type: "signal";
  readonly data: unknown;
  readonly group?: string | readonly string[] | null;
  readonly offset?: string | null;
  readonly ack?: string | null;
}

export interface ReplyFrame {
  readonly type: "reply";
  readonly id: string;
  readonly data: unknown;
}

export interface ErrorFrame {
  readonly type: "error";
  readonly code: string;
  readonly text: string;
  readonly id?: string | null;
}

export interface BeatFrame {
  readonly type: "beat";
  readonly offset?: string | null;
}

export interface PresenceFrame {
  readonly type: "presence";
  readonly seq: number;
  readonly group?: string | null;
  readonly members?: readonly Member<unknown>[] | null;
  readonly joined?: readonly Member<unknown>[] | null;
  readonly left?: readonly string[] | null;
  readonly count?: number | null;
}

export type ServerFrame = HelloFrame | SignalFrame | ReplyFrame | ErrorFrame | BeatFrame | PresenceFrame;

/** How a connection ended, or an attempt failed. */
export interface End {
  /** The close code; 1006 where there was no close frame. */
  code: number;
  reason: string;
  /** The HTTP status by which the server refused. */
  status?: number;
  /** For how long the server asks to wait. */
  afterSeconds?: number;
  /** Whether the two sides do not understand each other, so that the backoff grows. */
  isWrong?: boolean;
}

/** The way of one connection: a WebSocket or an event stream. */
export interface Link {
  /** Writes what waits. */
  writeAll(): void;
  /** Ends the connection, with a close code where there is one. */
  leave(code?: number): void;
}

/** What the way of a connection asks, and tells. */
export interface Told {
  /** The frames that are to be written now; `isPost` for a list that goes in one POST. */
  give(isPost: boolean): string[];
  /** All frames that were given are written. */
  allWritten(): void;
  received(text: string): void;
  over(end: End): void;
}

/** The end of a connection without a close frame; `isWrong` where the two sides do not understand each other. */
export function lost(isWrong = false): End {
  return { code: 1006, reason: "", isWrong };
}

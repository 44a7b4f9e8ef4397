// What a client wants to send, and the answers that it waits for. Nothing that was given out is ever given out again.
import { later } from "./clock.js";
import { MOST_FIRST, MOST_IN_A_POST, MOST_WAITING } from "./limits.js";
import { SignalsError } from "./types.js";

/** An error of the client's own. */
export function ownError(code: "lost" | "timeout" | "closed"): SignalsError {
  const texts = { lost: "the connection ended", timeout: "no answer in time", closed: "the client is closed" };
  return new SignalsError(code, texts[code]);
}

/** A send that has not ended, and how it ends. */
interface Send {
  readonly id: string;
  readonly text: string;
  readonly hasReply: boolean;
  settle(error?: SignalsError, data?: unknown): void;
}

/** A frame without an answer, for the connection of now or, where it has an id, for any connection of that client. */
interface First {
  readonly text: string;
  readonly clientId?: string;
}

/** The sends and requests of one client, over all its connections. */
export interface Outbox {
  /**
   * Keeps a frame that is to be written.
   *
   * @param frame - The frame, without an id.
   * @param seconds - For how long its sender waits.
   * @param hasReply - Whether it gets an id, and its sender waits for the answer; else until it is written.
   * @param isOpen - Whether a connection is open.
   */
  hold(frame: object, seconds: number, hasReply: boolean, isOpen: boolean): Promise<unknown>;
  /** Keeps a frame without an answer. It goes before the others. */
  putFirst(frame: object, clientId?: string): void;
  /**
   * The frames that are to be written now; each is given out once.
   *
   * @param limit - How many bytes a frame may have. A larger one fails.
   * @param clientId - The client id of the connection.
   * @param isPost - Whether they go together, as a list within the same limit.
   */
  give(limit: number, clientId: string, isPost: boolean): string[];
  /** All frames that were given out are written. */
  allWritten(): void;
  /** An answer has come; one that comes late is nobody's. */
  answered(id: string, error?: SignalsError, data?: unknown): void;
  /** The connection has ended. What was not given out waits for the next one. */
  lose(): void;
  /** The client is closed. */
  failAll(): void;
}

export function outbox(): Outbox {
  let count = 0;
  let first: First[] = [];
  const waiting = new Set<Send>();
  // Given out: those that wait for their reply, and those that end when they are written.
  const asked = new Map<string, Send>();
  const unwritten = new Set<Send>();
  const fail = (code: "lost" | "closed", ...all: Iterable<Send>[]) => {
    for (const sends of all) for (const send of sends) send.settle(ownError(code));
  };
  return {
    async hold(frame, seconds, hasReply, isOpen) {
      if (!isOpen && waiting.size >= MOST_WAITING) throw new SignalsError("lost", `${MOST_WAITING} sends wait`);
      const id = `${++count}`;
      const text = JSON.stringify(hasReply ? { ...frame, id } : frame);
      return new Promise((resolve, reject) => {
        const send: Send = {
          id,
          text,
          hasReply,
          settle(error, data) {
            cancel();
            waiting.delete(send);
            unwritten.delete(send);
            asked.delete(id);
            if (error) reject(error);
            else resolve(data);
          },
        };
        const cancel = later(seconds, () => send.settle(ownError("timeout")));
        waiting.add(send);
      });
    },
    putFirst(frame, clientId) {
      first = [...first, { text: JSON.stringify(frame), clientId }].slice(-MOST_FIRST);
    },
    give(limit, clientId, isPost) {
      const texts: string[] = [];
      // Two brackets, and a comma behind each frame but the last.
      let room = isPost ? limit - 1 : Infinity;
      const take = (text: string) => {
        room -= bytesOf(text) + 1;
        // The first one goes in any case: one that is larger than the server takes has the server say so.
        const fits = !texts.length || (room >= 0 && texts.length < MOST_IN_A_POST);
        if (fits) texts.push(text);
        return fits;
      };
      while (first[0]) {
        const { text, clientId: mine = clientId } = first[0];
        if (mine === clientId && !take(text)) return texts;
        first.shift();
      }
      for (const send of waiting) {
        if (bytesOf(send.text) > limit - (isPost ? 2 : 0)) {
          send.settle(new SignalsError("bad_frame", `over ${limit} bytes`));
        } else if (!take(send.text)) break;
        else {
          waiting.delete(send);
          if (send.hasReply) asked.set(send.id, send);
          else unwritten.add(send);
        }
      }
      return texts;
    },
    allWritten() {
      for (const send of unwritten) send.settle();
    },
    answered: (id, error, data) => asked.get(id)?.settle(error, data),
    lose() {
      first = first.filter((each) => each.clientId);
      fail("lost", unwritten, asked.values());
    },
    failAll: () => fail("closed", waiting, unwritten, asked.values()),
  };
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

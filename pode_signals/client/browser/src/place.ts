// Where in the log a client is and who it was, for its next connection. It connects nothing.
import type { HelloFrame } from "./frames.js";

const POSITION = /^[a-z0-9]{6,16}\.\d+-\d+$/;

/** The place of one client, which outlives its connections. */
export interface Place {
  /** Whether the next connection is to go on somewhere: after `since`, or after the connection before. */
  isOffered(): boolean;
  /** The resume text that the next connection offers; "" for none. */
  resumeText(): string;
  /** A hello has come, and replaces all that was known. */
  greeted(hello: HelloFrame): void;
  /** The client has everything up to a place in the log; null and undefined say nothing. */
  moved(offset: string | null | undefined): void;
}

/** `since` is a position to begin with, `<epoch>.<offset>`; without one the client begins with the present. */
export function placeAt(since: string | undefined): Place {
  if (since && !POSITION.test(since)) throw new TypeError("since has to be <epoch>.<offset>");
  let [epoch, offset] = since?.split(".") ?? [];
  let token: string | null | undefined;
  let isGreeted = false;
  return {
    isOffered: () => isGreeted || !!epoch,
    resumeText() {
      const position = epoch ? `${epoch}.${offset}` : "-.-";
      if (token) return `${position}.${token}`;
      // A client that had a hello without a token has no identity that could be resumed. A position alone is for the
      // first connection.
      return epoch && !isGreeted ? position : "";
    },
    greeted(hello) {
      epoch = hello.epoch ?? "";
      offset = hello.offset ?? "";
      token = hello.resumeToken;
      isGreeted = true;
    },
    moved(to) {
      offset = to ?? offset;
    },
  };
}

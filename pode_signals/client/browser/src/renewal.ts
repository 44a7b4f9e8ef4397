// When a client renews the credentials of a connection that expires. It belongs to one connection.
import { later } from "./clock.js";
import { report } from "./listeners.js";
import { REFRESH_AGAIN_SECONDS, RENEWED_AT } from "./limits.js";

export interface Renewal {
  /** The connection expires in so many seconds; null and undefined are never. */
  expiresIn(seconds: number | null | undefined): void;
  /** The server did not take the credentials: the application is asked for others. */
  refused(): void;
  /** The connection is over: what was asked for it does nothing any more. */
  halt(): void;
}

/** `refresh` is the application's; `send` writes what it gives. */
export function renewal(refresh: () => string | Promise<string>, send: (token: string) => void): Renewal {
  let isOver = false;
  let stop: (() => void) | undefined;
  const renewIn = (seconds: number) => {
    stop?.();
    if (!isOver) stop = later(seconds, () => void renew());
  };
  const renew = async () => {
    try {
      const token = await refresh();
      if (!isOver) send(token);
    } catch (error) {
      report(error);
      renewIn(REFRESH_AGAIN_SECONDS);
    }
  };
  return {
    expiresIn(seconds) {
      stop?.();
      if (seconds != null) renewIn(seconds * RENEWED_AT);
    },
    refused: () => renewIn(REFRESH_AGAIN_SECONDS),
    halt() {
      isOver = true;
      stop?.();
    },
  };
}

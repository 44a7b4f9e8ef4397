// What the answer to a request for an event stream says, where it is no event stream. It asks nothing.
import { type End, lost } from "./frames.js";
import { MAX_RETRY_AFTER_SECONDS } from "./limits.js";

/** How the attempt ended; undefined where the answer is an event stream. */
export function refusalIn(response: Response): End | undefined {
  const { ok, status, headers } = response;
  if (ok) return headers.get("Content-Type")?.startsWith("text/event-stream") ? undefined : lost();
  return { ...lost(), status, afterSeconds: retryAfterSeconds(response) };
}

/** For how long a server asks to wait (RFC 9110 section 10.2.3); 0 where it does not say, or says a date. */
export function retryAfterSeconds({ headers }: Response): number {
  return Math.max(0, Math.min(Number(headers.get("Retry-After")) || 0, MAX_RETRY_AFTER_SECONDS));
}

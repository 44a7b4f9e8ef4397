// Whether and when a client connects again. It knows no connection and sets no timer.
import { now } from "./clock.js";
import type { End } from "./frames.js";
import {
  GOOD_AFTER_SECONDS,
  REFRESHED_AFTER_SECONDS,
  REPLACED_TWICE_SECONDS,
  REPLACED_WITHIN_SECONDS,
} from "./limits.js";

/** The server does not take what this client does, so that it would do wrong once more. */
export const WRONG_CODES = [1002, 1003, 1007, 1009];

/**
 * Decides for one client: gives a function that gives how many seconds the client waits after an end, undefined for
 * ever. `openSeconds` is 0 where no hello came.
 *
 * The waits have full jitter, so that clients which were cut off together come back spread over the whole time.
 */
export function comebacks(
  baseSeconds: number,
  capSeconds: number,
  canRenew: boolean,
): (end: End, openSeconds: number) => number | undefined {
  let failures = 0;
  // Whether the credentials expired, and no connection was open for long since then.
  let hasExpired = false;
  let replacedAt = -Infinity;
  return ({ code, status = 0, afterSeconds = 0, isWrong }, openSeconds) => {
    if ([401, 403, 404, 410].includes(status) || [1000, 1010, ...WRONG_CODES].includes(code)) return undefined;
    if (openSeconds >= REFRESHED_AFTER_SECONDS) hasExpired = false;
    if (code === 4409) {
      const before = replacedAt;
      replacedAt = now();
      return replacedAt - before > REPLACED_TWICE_SECONDS ? Math.random() * REPLACED_WITHIN_SECONDS : undefined;
    }
    if (code === 4401) {
      if (hasExpired || !canRenew) return undefined;
      hasExpired = true;
    } else if (code >= 3500 && code < 5000 && code !== 4008) return undefined;
    if (code === 1008 || isWrong) failures++;
    else if (openSeconds >= GOOD_AFTER_SECONDS) failures = 0;
    // The draw comes on top, or all clients that got one Retry-After would be back in the same second.
    return afterSeconds + Math.random() * Math.min(capSeconds, baseSeconds * 2 ** failures++);
  };
}

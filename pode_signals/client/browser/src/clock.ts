// The clock and its timers, in seconds. They decide nothing.
import { MAX_TIMER_MILLISECONDS } from "./limits.js";

/** The time. A machine that sleeps does not stop it. */
export const now = (): number => Date.now() / 1000;

/** Calls a function in so many seconds; gives what cancels that. */
export function later(seconds: number, then: () => void): () => void {
  const timer = setTimeout(then, Math.min(seconds * 1000, MAX_TIMER_MILLISECONDS));
  return () => clearTimeout(timer);
}

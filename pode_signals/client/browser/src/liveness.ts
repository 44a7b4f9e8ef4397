// Whether the server still lives, by the clock and not by counted timers. It gives up nothing by itself.
import { later, now } from "./clock.js";
import { CHECK_SECONDS, LAST_LOOK_SECONDS, LATE_SECONDS, PATIENCE_SECONDS, PROBE_SECONDS } from "./limits.js";

export interface Liveness {
  /** A frame has come, of whatever type. */
  heard(): void;
  /** Asks the server for a sign of life, now. */
  ask(): void;
  /** The connection is over. */
  halt(): void;
}

/**
 * The rule for one connection. Where nothing came for the server's heartbeat and some seconds, or a check comes late,
 * the server is asked. Only where no answer comes is the connection given up, so a late timer alone ends no good one.
 */
export function liveness(heartbeatSeconds: () => number, probe: () => void, giveUp: () => void): Liveness {
  let heardAt = now();
  let asked = 0;
  let stop: () => void;
  const wait = (seconds: number) => {
    const due = now() + seconds;
    stop?.();
    stop = later(seconds, () => {
      if (asked === 1) {
        asked = 2;
        wait(LAST_LOOK_SECONDS);
      } else if (asked) giveUp();
      // A clock that was set back tells nothing about the time that has passed, so that the server is asked as well.
      else if (now() - heardAt > heartbeatSeconds() + PATIENCE_SECONDS || Math.abs(now() - due) > LATE_SECONDS) ask();
      else wait(CHECK_SECONDS);
    });
  };
  const ask = () => {
    if (asked) return;
    asked = 1;
    wait(PROBE_SECONDS);
    probe();
  };
  wait(CHECK_SECONDS);
  return {
    heard() {
      heardAt = now();
      asked = 0;
    },
    ask,
    halt: () => stop(),
  };
}

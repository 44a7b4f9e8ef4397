// The listeners of an application. A listener that fails is reported to the page, and keeps no other one from running.
import type { Events } from "./types.js";

type Listener = (event: never) => unknown;

export interface Listeners<T> {
  /** Gives a function that removes the listener. */
  on<K extends keyof Events<T>>(type: K, listener: (event: Events<T>[K]) => unknown): () => void;
  /** Calls the listeners now. Gives whether all of them did what they do, and what they gave was fulfilled. */
  emit<K extends keyof Events<T>>(type: K, event: Events<T>[K]): Promise<boolean>;
}

export function listeners<T>(): Listeners<T> {
  // The same function may be there twice.
  const all = new Set<readonly [type: keyof Events<T>, listener: Listener]>();
  return {
    on(type, listener) {
      const entry = [type, listener as Listener] as const;
      all.add(entry);
      return () => void all.delete(entry);
    },
    async emit(type, event) {
      let isDone = true;
      const run = async (listener: Listener) => {
        try {
          await listener(event as never);
        } catch (error) {
          isDone = false;
          report(error);
        }
      };
      await Promise.all([...all].map(([each, listener]) => each === type && run(listener)));
      return isDone;
    },
  };
}

/** Tells the page of an error that nobody else can be told of. */
export function report(error: unknown): void {
  if ("reportError" in globalThis) reportError(error);
  else void Promise.reject(error);
}

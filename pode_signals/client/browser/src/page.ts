// What happens to the page: it is shown, frozen, restored, or the network changes. It connects nothing.

/**
 * Watches the page until `until` is aborted.
 *
 * @param awake - The page is there again, or its network has changed; `isOnline` is something where there may be one.
 * @param frozen - The page is about to stand still, or to go into the back/forward cache.
 */
export function watchPage(awake: (isOnline?: unknown) => void, frozen: () => void, until: AbortSignal): void {
  const { document } = globalThis;
  const on = (target: EventTarget | undefined, type: string, listener: (event: Event) => unknown) =>
    // Workers have no document, and other places no events.
    target?.addEventListener?.(type, listener, { signal: until });
  on(document, "visibilitychange", () => document.visibilityState === "visible" && awake(true));
  on(document, "freeze", frozen);
  on(document, "resume", awake);
  on(globalThis, "pagehide", (event) => (event as PageTransitionEvent).persisted && frozen());
  on(globalThis, "pageshow", (event) => (event as PageTransitionEvent).persisted && awake(true));
  on(globalThis, "online", awake);
  // The browser is often wrong here, and the server knows better.
  on(globalThis, "offline", () => awake());
}

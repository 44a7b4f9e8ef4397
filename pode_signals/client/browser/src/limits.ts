// The numbers of the client. They stand in a module of their own, so that the build puts each where it is used.

// The way to a connection.

export const HANDSHAKE_SECONDS = 10;
/** For a WebSocket, where server-sent events may follow. */
export const FIRST_WEBSOCKET_SECONDS = 3;
/** A page that is there again connects within so long. */
export const AWAKE_WITHIN_SECONDS = 0.5;
/** A longer time would leave a client away for ever, where a server made a mistake. */
export const MAX_RETRY_AFTER_SECONDS = 86_400;
/** After a connection that was open for so long the backoff begins anew. */
export const GOOD_AFTER_SECONDS = 10;
export const REPLACED_WITHIN_SECONDS = 5;
export const REPLACED_TWICE_SECONDS = 60;
export const REFRESHED_AFTER_SECONDS = 60;

// Whether the server lives.

export const CHECK_SECONDS = 5;
export const PATIENCE_SECONDS = 10;
export const PROBE_SECONDS = 5;
/** A check that comes so much later than it was due comes after a sleep of the machine. */
export const LATE_SECONDS = 10;
/** A browser may run a timer before it hands on what has come: what answers a probe may be there already. */
export const LAST_LOOK_SECONDS = 0.5;

// Credentials: at which part of their life they are renewed, and when the application is asked again.

export const RENEWED_AT = 0.75;
export const REFRESH_AGAIN_SECONDS = 5;

// What is sent.

/** How many sends may wait while no connection is open. */
export const MOST_WAITING = 100;
/** How many frames without an answer may wait. Senders wait for a minute at most: old acks are worth nothing. */
export const MOST_FIRST = 100;
export const MOST_IN_A_POST = 100;
export const POST_SECONDS = 10;
export const POST_AGAIN_SECONDS = 1;

/** Timers of browsers have no more, and fire at once for a longer time. */
export const MAX_TIMER_MILLISECONDS = 0x7fffffff;
/** `readyState` of a WebSocket that is open. */
export const OPEN = 1;

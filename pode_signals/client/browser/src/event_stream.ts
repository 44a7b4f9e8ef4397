// Server-sent events as the way of one connection: a stream of fetch, and POSTs the other way. It decides nothing.
import { later } from "./clock.js";
import { eventParser } from "./event_parser.js";
import { type Link, lost, type Told } from "./frames.js";
import { POST_AGAIN_SECONDS, POST_SECONDS } from "./limits.js";
import { refusalIn, retryAfterSeconds } from "./refusal.js";
import { SUBPROTOCOL } from "./websocket.js";

/** Sends a request to the URL of the client. */
export type Ask = (init: RequestInit) => Promise<Response>;

/**
 * Opens a stream, or only asks how the server answers.
 *
 * @param resume - The resume text, "" for none.
 * @param token - Gives the resume token of the last hello.
 */
export function openEventStream(ask: Ask, resume: string, isQuestion: boolean, token: () => string, told: Told): Link {
  const stream = new AbortController();
  let post: AbortController | undefined;
  let posts = 0;
  let isPosting = false;
  let isLeft = false;

  const send = (method: string, more: RequestInit, headers?: object) =>
    ask({ ...more, method, headers: { "X-PODE-SIGNAL-TOKEN": token(), ...headers } });

  const read = async () => {
    try {
      const headers = { Accept: `text/event-stream;protocol=${SUBPROTOCOL}`, "X-PODE-SIGNAL-RESUME": resume || "-" };
      const response = await ask({ headers, signal: stream.signal, cache: "no-store" });
      const refusal = refusalIn(response);
      if (refusal || isQuestion) return told.over(refusal ?? lost());
      const parse = eventParser((name, data) => {
        if (!name) told.received(data);
        else if (name === "close") told.over(JSON.parse(data));
      });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let part; !(part = await reader.read()).done; ) parse(part.value);
      told.over(lost());
    } catch {
      told.over(lost());
    }
  };

  const write = async () => {
    isPosting = true;
    // What the application sends in one turn goes together.
    await undefined;
    for (let texts; (texts = told.give(true))[0] && (await isTaken(`[${texts}]`, `${++posts}`)); ) told.allWritten();
    isPosting = false;
  };

  /** Posts frames until the server has taken them. The number makes a second POST nothing where the first one came. */
  const isTaken = async (frames: string, number: string) => {
    while (!isLeft) {
      let seconds = POST_AGAIN_SECONDS;
      post = new AbortController();
      const stop = later(POST_SECONDS, () => post!.abort());
      try {
        const headers = { "Content-Type": "application/json", "X-PODE-SIGNAL-POST": number };
        const response = await send("POST", { body: frames, signal: post.signal }, headers);
        const { ok, status } = response;
        if (ok) return true;
        if (status < 500 && status !== 429) {
          told.over(lost(status === 400 || status === 413));
          return false;
        }
        seconds = retryAfterSeconds(response) || seconds;
      } catch {
        // Whether the server got it is unknown: the number says.
      } finally {
        stop();
      }
      await new Promise<void>((resolve) => later(seconds, resolve));
    }
    return false;
  };

  void read();
  return {
    writeAll: () => void (isPosting || write()),
    leave(code) {
      isLeft = true;
      post?.abort();
      const isFarewell = code === 1000 && token();
      const stop = later(isFarewell ? POST_SECONDS : 0, () => stream.abort());
      const end = () => {
        stop();
        stream.abort();
      };
      // The server would take a stream that ends before for one that was lost, and keep the place of its client.
      if (isFarewell) send("DELETE", { keepalive: true }).then(end, end);
      else end();
    },
  };
}

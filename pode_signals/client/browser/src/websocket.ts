// A WebSocket as the way of one connection. It decides nothing, and tells what happens.
import { type Link, lost, type Told } from "./frames.js";
import { OPEN } from "./limits.js";

export const SUBPROTOCOL = "pode.signals.v1";

/** Throws where the browser allows no such WebSocket. */
export function openWebSocket(Socket: typeof WebSocket, url: string, protocols: readonly string[], told: Told): Link {
  const socket = new Socket(url, [...protocols]);
  // A route may have chosen a subprotocol of its own, which this client does not speak.
  socket.onopen = () => socket.protocol === SUBPROTOCOL || told.over(lost(true));
  socket.onmessage = ({ data }: MessageEvent<string>) => told.received(data);
  socket.onclose = ({ code, reason }) => told.over({ code, reason });
  return {
    writeAll() {
      // A socket that is about to close drops what it gets, without a word.
      if (socket.readyState !== OPEN) return;
      for (let texts; (texts = told.give(false))[0]; ) for (const text of texts) socket.send(text);
      told.allWritten();
    },
    leave: (code) => socket.close(code),
  };
}

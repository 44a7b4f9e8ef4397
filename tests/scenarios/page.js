// What a page of a scenario does: it holds a client and its application, and writes down what goes over the wire and what
// the application sees. It decides nothing, and knows no scenario.
(() => {
  const records = [];
  const seen = [];
  // The answer to each attempt: "websocket" for an upgrade, whose answer no page is told of.
  const answers = [];
  // Requests without an answer.
  let pending = 0;
  // WebSockets and streams that are connecting or open, and plugged; each counts its messages.
  const open = new Set();
  let client;
  let socket;
  let stream;
  let offered = [];
  let attempts = 0;
  // The client asks for its URL at each attempt, and waits there until the scenario has it come back.
  let mayConnect = true;
  let connectNow;

  const record = (direction, what) => records.push({ direction, ...what });
  const textRecord = (text) => {
    try {
      return { frame: JSON.parse(text) };
    } catch {
      return { text };
    }
  };
  const came = (way, what) => {
    way.came++;
    if (what) record("<-", what);
  };

  class RecordedSocket extends WebSocket {
    went = 0;
    came = 0;

    constructor(url, protocols) {
      super(url, protocols);
      offered = protocols.slice(1);
      answers.push("websocket");
      socket = this;
      stream = undefined;
      open.add(this);
      this.addEventListener("message", ({ data }) => came(this, textRecord(data)));
      this.addEventListener("close", ({ code, wasClean }) => {
        open.delete(this);
        if (wasClean) record("<-", { close: code });
      });
    }

    send(data) {
      this.went++;
      record("->", typeof data === "string" ? textRecord(data) : { binary: true });
      super.send(data);
    }

    // Without a code nothing is said to the server that it could act on.
    close(code) {
      if (code !== undefined && this.readyState <= WebSocket.OPEN) record("->", { close: code });
      super.close(code);
    }
  }

  const takeEvent = (way, event) => {
    const lines = event.split("\n").map((line) => /^([^:]*):? ?(.*)$/s.exec(line));
    const values = (field) => lines.filter(([, name]) => name === field).map(([, , value]) => value);
    const data = values("data").join("\n");
    if (values("event")[0] === "close") return came(way, { close: JSON.parse(data).code });
    came(way, data && textRecord(data));
    const frame = data && JSON.parse(data);
    if (frame.type === "hello") way.token = frame.resumeToken;
  };

  /** The same response, with a record of its events. */
  const recorded = (response, way) => {
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    let rest = "";
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            open.delete(way);
            return controller.close();
          }
          const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
          rest = events.pop();
          for (const event of events) takeEvent(way, event);
          controller.enqueue(value);
        } catch (error) {
          open.delete(way);
          controller.error(error);
        }
      },
    });
    return new Response(body, response);
  };

  const recordedFetch = async (url, { method = "GET", ...init }) => {
    const headers = { ...init.headers };
    if (method === "GET") {
      const resume = headers["X-PODE-SIGNAL-RESUME"];
      offered = resume === "-" ? [] : [`pode.resume.${resume}`];
      socket = undefined;
      stream = { url, posts: 0, putIn: 0, went: 0, came: 0 };
    } else if (method === "POST") {
      // A text that the scenario has put in has a number too.
      const number = Number(headers["X-PODE-SIGNAL-POST"]) + stream.putIn;
      headers["X-PODE-SIGNAL-POST"] = `${number}`;
      if (number > stream.posts) for (const frame of JSON.parse(init.body)) record("->", { frame });
      stream.posts = Math.max(stream.posts, number);
    } else record("->", { close: 1000 });
    const way = stream;
    // A POST on a dead line is not waited for.
    const isWaitedFor = !way.isUnplugged;
    if (isWaitedFor) pending++;
    try {
      const response = await fetch(url, { ...init, method, headers });
      if (method !== "GET") return response;
      answers.push([response.status, Object.fromEntries(response.headers)]);
      if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) return response;
      open.add(way);
      return recorded(response, way);
    } finally {
      if (isWaitedFor) pending--;
    }
  };

  /** Posts a text past the client. */
  const putIn = async (text) => {
    record("->", textRecord(text));
    stream.putIn++;
    const headers = {
      "Content-Type": "application/json",
      "X-PODE-SIGNAL-TOKEN": stream.token,
      "X-PODE-SIGNAL-POST": `${++stream.posts}`,
    };
    await fetch(stream.url, { method: "POST", headers, body: `[${text}]` });
  };

  const closing = () => [...open].filter((way) => way.readyState === WebSocket.CLOSING).length;
  const total = (count) => [...open].reduce((sum, way) => sum + way[count], 0);
  const sees = (words, named = {}) => seen.push([words, named]);

  globalThis.kit = {
    async connect(path, { isSilent, refresh, ...options }) {
      const { SignalClient } = await import("/signals.js");
      const url = () => {
        attempts++;
        if (mayConnect) mayConnect = false;
        else return new Promise((resolve) => (connectNow = () => resolve(path)));
        return path;
      };
      client = new SignalClient(url, {
        ...options,
        ...(refresh === undefined ? {} : { refresh: () => refresh }),
        baseSeconds: 0,
        WebSocket: RecordedSocket,
        fetch: recordedFetch,
      });
      client.on("open", ({ recovered }) => sees(["open"], { recovered }));
      client.on("lost", () => sees(["lost"]));
      client.on("signal", ({ data, replayed }) => {
        sees(["signal", data, ...(replayed ? ["replayed"] : [])]);
        if (isSilent) return new Promise(() => {});
      });
      client.on("presence", ({ members, count }) => sees(["presence", members ? [...members.keys()].sort() : count]));
      client.on("closed", ({ code, status }) =>
        status === undefined ? sees(["closed", code]) : sees(["closed"], { status }),
      );
    },
    /** Lets the client come back; gives whether it is on its way. */
    reconnect() {
      mayConnect = true;
      if (connectNow) {
        mayConnect = false;
        connectNow();
      }
      connectNow = undefined;
    },
    ask(message, hasReply) {
      (hasReply ? client.request(message) : client.send(message)).then(
        (data) => hasReply && sees(["reply", data]),
        ({ code, message: text }) => sees(["error", code, text]),
      );
    },
    close: () => client.close(),
    async write(text) {
      if (stream) await putIn(text);
      else socket.send(text);
    },
    writeBinary: (numbers) => socket.send(new Uint8Array(numbers)),
    /** Nothing arrives any more on what is open now, so that nothing of it is counted. */
    unplug() {
      for (const way of open) way.isUnplugged = true;
      open.clear();
    },
    look: () => ({
      counts: { pending: pending + closing(), open: open.size, went: total("went"), came: total("came") },
      records,
      seen,
      answers,
      offered,
      attempts,
      isConnected: client.state === "open",
      isWaiting: client.state === "waiting" || (client.state === "connecting" && connectNow !== undefined),
    }),
  };
})();

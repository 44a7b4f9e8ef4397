// The page of the example: what is typed goes to the server, what comes from the server is shown.

import { SignalClient } from "/signals.js";

const $ = (id) => document.getElementById(id);
const messages = $("messages");
let chat;

// A name for this tab: another tab is another person until it says otherwise.
let name = sessionStorage.getItem("name") || `Guest ${Math.floor(Math.random() * 900) + 100}`;

// The newest line is in sight, unless somebody has scrolled up to read older ones.
let follows = true;
const follow = () => { if (follows) messages.scrollTop = messages.scrollHeight; };
messages.addEventListener("scroll", () => {
  follows = messages.scrollTop + messages.clientHeight > messages.scrollHeight - 40;
});
new ResizeObserver(follow).observe(messages);

function show(text, from = "", at = "") {
  const line = document.createElement("p");
  const meta = document.createElement("span");
  meta.textContent = [from, at].filter(Boolean).join(" · ");
  if (meta.textContent) line.append(meta);
  line.append(text);
  messages.append(line);
  follow();
}

function showPeople({ members, count }) {
  // Over some hundreds the server tells their number alone.
  const names = members ? [...new Set([...members.values()].map(({ user }) => user ?? "somebody"))].sort() : [`${count} people`];
  $("people").replaceChildren(...names.map((each) => {
    const person = document.createElement("li");
    person.textContent = each === name ? `${each} (you)` : each;
    return person;
  }));
}

// Where in the history this page is: a client with another name goes on there.
let epoch, offset;

function connect() {
  chat?.close();
  const since = epoch && `${epoch}.${offset}`;
  const mine = chat = new SignalClient(`/msg?user=${encodeURIComponent(name)}`, { watch: true, since });
  const state = (text) => { if (mine === chat) $("state").textContent = text; };
  mine.on("open", () => state("connected"));
  mine.on("waiting", () => state("not connected, trying again…"));
  mine.on("closed", ({ reason, status }) => state(`closed: ${reason || status || "for good"}`));
  mine.on("hello", (hello) => ({ epoch, offset } = hello));
  mine.on("lost", () => show("Some messages may be missing here."));
  mine.on("signal", ({ data, offset: place }) => {
    offset = place ?? offset;
    const at = data.at ? new Date(data.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : "";
    show(String(data.message), data.user, at);
  });
  mine.on("presence", showPeople);
}

$("name").value = name;
connect();

new SignalClient("/response-times").on("signal", ({ data }) => {
  $("durations").textContent = data.Durations.join(", ");
});

$("bc-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.message;
  const text = input.value.trim();
  input.value = "";
  if (!text) return;
  // Without a connection the client keeps it for ten seconds. Where the connection breaks, nobody knows.
  await chat.request(text).catch(({ code }) => show(`${code === "lost" ? "Perhaps not" : "Not"} sent: ${text}`));
});

$("name-form").addEventListener("submit", (event) => event.preventDefault());
$("name").addEventListener("change", ({ target }) => {
  const wanted = target.value.trim();
  if (wanted && wanted !== name) {
    name = wanted;
    sessionStorage.setItem("name", name);
    connect();
  }
  target.value = name;
});

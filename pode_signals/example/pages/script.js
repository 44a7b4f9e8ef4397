"use strict";

// The page of the example: what is typed goes to the server, what comes from the server is shown.

const here = (location.protocol === "https:" ? "wss://" : "ws://") + location.host;
const state = document.getElementById("state");
const messages = document.getElementById("messages");
const form = document.getElementById("bc-form");

let chat;

// Keep a connection open: after its end another one is made, ever later while the server is away.
function connect(path, received, opened, waitSeconds = 1) {
  const socket = new WebSocket(here + path);
  let wait = waitSeconds;
  socket.onopen = () => {
    wait = 1;
    opened(socket);
  };
  socket.onmessage = (event) => received(event.data);
  socket.onclose = () => {
    opened(null);
    setTimeout(() => connect(path, received, opened, Math.min(wait * 2, 30)), wait * 1000 * Math.random());
  };
}

connect("/msg", (data) => {
  const line = document.createElement("p");
  line.textContent = JSON.parse(data).message;
  messages.append(line);
}, (socket) => {
  chat = socket;
  state.textContent = socket ? "connected" : "not connected, trying again…";
});

connect("/response-times", (data) => {
  document.getElementById("durations").textContent = JSON.parse(data).Durations.join(", ");
}, () => {});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (chat) {
    chat.send(JSON.stringify({ message: form.elements.message.value }));
    form.elements.message.value = "";
  }
});

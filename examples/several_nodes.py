"""One board for three processes that share a Redis: pages on different nodes see each other, and outlive a node.

    python several_nodes.py

This starts a redis-server, three nodes on http://localhost:8091, 8092 and 8093, and, where HAProxy is installed,
HAProxy in front of them on http://localhost:8090. Open http://localhost:8090/?user=ada and
http://localhost:8090/?user=grace, and kill one of the nodes: its page goes on at another node. Ctrl-C ends all that was
started.

A port that is given takes the place of 8090, and the nodes have the three ports after it. The program needs the extra
"redis" of pode_signals. Each node is this file as well, by "twist pode-signals --app several_nodes:service".
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from klein import Klein

from pode_signals import RedisBackplane, Signals, SignalsService

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Several nodes</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 42rem; padding: 1rem; }
  #board { display: flex; flex-wrap: wrap; gap: 0.75rem; list-style: none; padding: 0; }
  #board li { border: 1px solid; border-radius: 0.5rem; padding: 0.5rem 1rem; }
</style>
<main>
  <h1>Who is here</h1>
  <p>This page came from node %s. <span id="status" role="status">connecting</span></p>
  <ul id="board" aria-label="Everybody"></ul>
</main>
<script type="module">
  import { SignalClient } from "/signals.js";

  const $ = place => document.querySelector(place);
  const user = new URLSearchParams(location.search).get("user") ?? "somebody";
  const client = new SignalClient(`/board?user=${encodeURIComponent(user)}`, { watch: true });

  client.on("signal", ({ data }) => { $("#status").textContent = `It is connected to node ${data.node}.`; });
  client.on("waiting", () => { $("#status").textContent = "It is connecting again."; });
  client.on("presence", ({ members }) => {
    const people = [...members?.values() ?? []].sort((one, other) => one.user.localeCompare(other.user));
    $("#board").replaceChildren(...people.map(({ user, info }) => {
      const card = document.createElement("li");
      card.textContent = `${user} on node ${info.node}`;
      return card;
    }));
  });
</script>
</html>
"""
HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
    option http-server-close
frontend web
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    balance leastconn
    server node1 127.0.0.1:{nodes[0]} check
    server node2 127.0.0.1:{nodes[1]} check
    server node3 127.0.0.1:{nodes[2]} check
"""
START_SECONDS = 30
STOP_SECONDS = 10


def service(**settings):
    node = os.environ["NODE_NAME"]
    app = Klein()
    backplane = RedisBackplane(os.environ["NODE_REDIS"], key=os.environ["CHAT_KEY"])
    signals = Signals(backplane=backplane, **settings)
    signals.share_presence("Board")

    @app.route("/")
    def page(request):
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        return PAGE % node

    @app.route("/board")
    def board(request):
        # A program of yours takes the user from the login.
        user = request.args.get(b"user", [b"somebody"])[0].decode("utf-8", "replace")
        connection = signals.convert(request, name="Board", user=user, info={"node": node})
        connection.send({"node": node})

    return SignalsService(signals, app.resource(), [], client_at="/signals.js")


def main(port=8090):
    redis_server = shutil.which("redis-server")
    if redis_server is None:
        sys.exit("several_nodes: no redis-server is on the PATH; install one (Debian: apt install redis-server)")
    # Administrators alone have /usr/sbin on their PATH.
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    nodes = [port + 1, port + 2, port + 3]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
        redis = Path(folder, "redis.socket")
        options = ["--port", "0", "--unixsocket", redis, "--save", "", "--dir", folder]
        started.enter_context(running(redis_server, *options))
        environment = {"NODE_REDIS": f"unix://{redis}", "CHAT_KEY": secrets.token_hex()}
        processes = {each: started.enter_context(node_on(each, environment)) for each in nodes}
        for each, process in processes.items():
            wait_for(each, process)
        if haproxy is not None:
            config = Path(folder, "haproxy.cfg")
            config.write_text(HAPROXY.format(port=port, nodes=nodes))
            wait_for(port, started.enter_context(running(haproxy, "-db", "-f", config)))
        print(what_to_open(nodes if haproxy is None else [port]), flush=True)
        for each, process in processes.items():
            print(f"node {each} is the process {process.pid}", flush=True)
        while any(each.poll() is None for each in processes.values()):
            time.sleep(0.1)
        print("no node is left")


def what_to_open(ports):
    first, last = (f"http://localhost:{each}/?user={user}" for each, user in ((ports[0], "ada"), (ports[-1], "grace")))
    hint = "" if len(ports) == 1 else "; HAProxy is not installed, so each page stays with its own node"
    return f"open {first} and {last}{hint}; Ctrl-C ends everything"


def node_on(port, environment):
    endpoints = [f"--endpoint={protocol}://127.0.0.1:{port}" for protocol in ("http", "ws")]
    command = [
        sys.executable,
        "-m",
        "twisted",
        "pode-signals",
        "--app=several_nodes:service",
        "--drain-seconds=2",
        *endpoints,
    ]
    return running(*command, **environment, NODE_NAME=str(port))


@contextmanager
def running(*command, **environment):
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # A session of its own: Ctrl-C in the terminal would reach Redis before the nodes.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port, process):
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"several_nodes: nothing serves port {port}; what is wrong stands above")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(*map(int, sys.argv[1:2]))
    except KeyboardInterrupt:
        print("ended")

"""A good client in a process of its own, which measures how it fares while others attack. It never attacks.

``python good_client.py PORT SECONDS PID`` prints a line when it has begun, and at the end its figures as JSON. Times in
which the client could not run, or the server had no processor, are in none of them: those are the machine's doing.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from attack.stalls import Span, Stalls
from web_fakes import PING, PONG, frame, head, message  # its folder had to be named first

ECHOES_PER_SECOND = 50
HANDSHAKES_PER_SECOND = 4
LIMIT_SECONDS = 30
NEWCOMER_SECONDS = 5
LOCALHOST = ("Host", "localhost")


class GoodClient:
    """Sends at its own pace, whatever the server does, so that a stall is counted for each message that it meets.

    Args:
        port: the server's.
        seconds: for how long.

    Attributes:
        echoes: from when to when each echo was on its way.
        handshakes: from when to when each newcomer was, who got in.
        waits: from when to when each newcomer waited who heard nothing.
        refusals: how many newcomers heard that they do not get in.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._end = time.monotonic() + seconds
        self._sent: dict[int, float] = {}
        self.echoes: list[Span] = []
        self.handshakes: list[Span] = []
        self.waits: list[Span] = []
        self.refusals = 0

    def run(self) -> None:
        """All of it; the figures are there afterwards."""
        with self._open() as plug:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
            others = [
                threading.Thread(target=self._send, args=(plug,), daemon=True),
                threading.Thread(target=self._shake_hands, daemon=True),
            ]
            for each in others:
                each.start()
            self._read(plug)
            for each in others:
                each.join()

    def _open(self, limit_seconds: float = LIMIT_SECONDS) -> socket.socket:
        plug = socket.create_connection(("127.0.0.1", self._port), limit_seconds)
        plug.sendall(head("/echo", LOCALHOST))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += (read := plug.recv(4096))
            if not read:
                raise ConnectionError(answer)
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(answer)
        return plug

    def _send(self, plug: socket.socket) -> None:
        number, due = 0, time.monotonic()
        while due < self._end:
            time.sleep(max(0.0, due - time.monotonic()))
            self._sent[number] = time.monotonic()  # what it overslept is not the server's; sending never waits
            plug.sendall(message(f"{number:08d}"))
            number, due = number + 1, due + 1 / ECHOES_PER_SECOND
        plug.sendall(message("the end."))

    def _read(self, plug: socket.socket) -> None:
        data = b""
        while True:
            read = plug.recv(65_536)
            assert read, "the server closed"
            data += read
            while len(data) >= 2 and len(data) >= 2 + data[1]:  # all of the server's frames are short
                opcode, payload, data = data[0] & 15, data[2 : 2 + data[1]], data[2 + data[1] :]
                if opcode == PING:
                    plug.sendall(frame(payload, PONG))
                elif payload == b"the end.":
                    return
                else:
                    self.echoes.append((self._sent.pop(int(payload)), time.monotonic()))

    def _shake_hands(self) -> None:
        due = time.monotonic()
        while due < self._end:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            try:
                self._open(NEWCOMER_SECONDS).close()
            except TimeoutError:
                self.waits.append((began, time.monotonic()))
            except OSError:
                self.refusals += 1
            else:
                self.handshakes.append((began, time.monotonic()))
            due = max(due + 1 / HANDSHAKES_PER_SECOND, time.monotonic())


def percentile(values: list[float], percent: float) -> float:
    """So many percent of the values are no larger; 0 where there are none."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def main(port: str, seconds: str, server: str) -> None:
    """Run, and print the figures in milliseconds."""
    client = GoodClient(int(port), float(seconds))
    with Stalls(int(server)) as stalls:
        client.run()
    echoes = [stalls.charged_seconds(*each) for each in client.echoes]
    handshakes = [stalls.charged_seconds(*each) for each in client.handshakes]
    in_vain = sum(stalls.charged_seconds(*each) >= NEWCOMER_SECONDS for each in client.waits)
    figures = {
        "echoes": len(echoes),
        "echo_p50_ms": percentile(echoes, 50) * 1000,
        "echo_p99_ms": percentile(echoes, 99) * 1000,
        "echo_max_ms": percentile(echoes, 100) * 1000,
        "handshakes_failed": client.refusals + in_vain,
        "handshakes": len(handshakes),
        "handshake_p50_ms": percentile(handshakes, 50) * 1000,
        "handshake_max_ms": percentile(handshakes, 100) * 1000,
        "stalled_ms": sum(end - begin for begin, end in stalls.spans) * 1000,
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs a scenario with clients for browsers in Chromium, over real ports of a server in another process.

All clients have frames of one page, and each has a port of its own, so that its connection can be cut or unplugged. The
clock of the page is Playwright's and stands still unless the scenario lets time pass, as the clock of the server does.
A client that waits to come back asks for its URL, and gets that at ``reconnect``.

After each command the driver waits until everything has arrived: until the server and the pages have nothing to do and
agree on how many messages went over each port, twice in a row. So ``nothing`` means that nothing comes.

Plain clients are those of ``pode_signals.testing``, at the server. So is a client that is to do what no page can: a
page can't say that it comes from elsewhere and be told the status, and ``SignalClient`` refuses to begin at what is no
position.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Error
from scenarios.client_browser import BrowserClient
from scenarios.lines import ANYTHING_MORE, Command, Frame, Seen, Step, read_scenario
from scenarios.matching import Bindings, Mismatch

__all__ = ["BrowserDriver", "Server", "run_in_browser", "serving"]

_TESTS = Path(__file__).parent.parent
_START = 1_700_000_000
_SETTLE_SECONDS = 20


class Server:
    """The process of the server.

    Args:
        process: it, with pipes.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the server's half.

        Raises:
            Mismatch: something is not as the scenario says.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the server has ended"
        answer = json.loads(line)
        if "mismatch" in answer:
            raise Mismatch(answer["mismatch"])
        assert "value" in answer, answer["failure"]
        return answer["value"]


@contextmanager
def serving() -> Iterator[Server]:
    """A process of the server, for one scenario after the other."""
    command = [sys.executable, "-m", "scenarios.server_browser"]
    with subprocess.Popen(
        command, cwd=_TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(_SETTLE_SECONDS) == 0


def run_in_browser(browser: Browser, server: Server, text: str, transport: Literal["auto", "sse"] = "auto") -> None:
    """Run a scenario.

    Args:
        browser: the browser.
        server: the server.
        text: the scenario.
        transport: the option of the clients.

    Raises:
        Mismatch: something is not as the scenario says; the sentence has the number of the line.
    """
    driver = BrowserDriver(browser, server, text, transport)
    try:
        for step in read_scenario(text):
            try:
                driver.take(step)
            except AssertionError as error:
                raise Mismatch(f"line {step.line}: {error}") from error
        driver.end()
    finally:
        driver.close()


class BrowserDriver:
    """Takes one step after the other."""

    def __init__(self, browser: Browser, server: Server, text: str, transport: Literal["auto", "sse"]) -> None:
        self._server = server
        self._transport = transport
        self._bindings = Bindings()
        self._clients: dict[str, BrowserClient] = {}
        self._milliseconds = 0.0
        # Whether the turn of the last command to the server goes on.
        self._is_in_a_turn = False
        server.call("begin", text, "sse" if transport == "sse" else "websocket")
        self._context = browser.new_context()
        self._context.clock.install(time=_START)
        self._context.clock.pause_at(_START + 1)
        self._page = self._context.new_page()

    def take(self, step: Step) -> None:
        """Do what a line says, or see that it is so."""
        # The turn in which the server has sent something goes on while connections are cut: they do not get it.
        is_cut = isinstance(step, Command) and step.verb in ("cut", "vanish")
        if self._is_in_a_turn and not is_cut:
            self._settle(ends_turn=step != Seen(step.line, step.who, ("waiting",), {}))
        client = self._clients.get(step.who)
        match step:
            case Command(who="server", verb="advance"):
                self._advance(step.arguments[0])
            case Command(verb="connect"):
                self._connect(step)
            case _ if client is None:
                self._leave_to_server(step)
            case Command(verb=verb):
                getattr(self, f"_do_{verb}")(step, client)
                self._settle(ends_turn=not self._is_in_a_turn)
            case Seen():
                client.see(step, self._bindings)
            case Frame():
                self._frame(step, client)

    def end(self) -> None:
        """See that all that went over the wire was taken, that all was seen, and that nothing is left."""
        for who, client in self._clients.items():
            client.check_all_taken(who)
            client.check_all_seen(who)
        self._server.call("end")

    def close(self) -> None:
        """End the page, and whatever is still connected."""
        self._context.close()
        self._server.call("give_up")

    # Time, and what has arrived.

    def _advance(self, seconds: float, *, asleep: bool = False) -> None:
        """Let time pass for the server and the page, from one timer of the server to the next.

        Args:
            seconds: how much.
            asleep: whether the page gets there in one leap at the end.
        """
        left = seconds
        while left > 0:
            passing = self._server.call("passes", left)
            left -= passing
            if not asleep:
                self._page_passes(passing)
            self._settle()
        if asleep:
            self._context.clock.fast_forward(int(seconds * 1000))
            self._settle()

    def _page_passes(self, seconds: float) -> None:
        self._milliseconds += seconds * 1000
        whole = int(self._milliseconds)
        self._milliseconds -= whole
        if whole:
            self._context.clock.run_for(whole)

    def _settle(self, *, ends_turn: bool = True) -> None:
        """Wait until nothing happens any more; where the turn of the server goes on, nothing but on the pages."""
        self._is_in_a_turn = not ends_turn
        end = time.monotonic() + _SETTLE_SECONDS
        before = None
        while True:
            there = self._server.call("counts", ends_turn)
            here = {who: client.look() for who, client in self._clients.items()}
            if before == (before := (there, here)) and all(_agree(there[who], here[who]) for who in here):
                return
            assert time.monotonic() < end, f"the server has {there}, and the pages have {here}"

    # The server.

    def _leave_to_server(self, step: Step) -> None:
        self._bindings = Bindings(self._server.call("take_line", step.line, self._bindings.values))
        if isinstance(step, Command):
            self._is_in_a_turn = True

    # Clients.

    def _connect(self, step: Command) -> None:
        named = self._bindings.filled(step.named)
        if named.get("protocol") == "plain" or "Origin" in named:
            self._leave_to_server(step)
            return
        client = BrowserClient(self._page, self._server.call("open_port", step.who))
        options = {"transport": self._transport, "isSilent": "silent" in step.arguments[1:], **named}
        try:
            client.call("connect", step.arguments[0], options)
        except Error as error:
            if "since has to be" not in str(error):
                raise
            # The line is about the server, which has to bear such a position from other clients.
            self._leave_to_server(step)
            return
        self._clients[step.who] = client
        self._settle()

    def _do_reconnect(self, step: Command, client: BrowserClient) -> None:
        client.check_all_taken(step.who)
        if client.is_connected:
            raise Mismatch("the client is connected")
        self._server.call("plug", step.who, step.named.get("cutAfter"))
        before = len(client.found["answers"]), client.found["offered"]
        client.call("reconnect")
        # The wait of the client is no time at all.
        self._context.clock.run_for(1)
        self._settle()
        if len(client.found["answers"]) == before[0]:
            raise Mismatch("the client does not come back")
        if step.arguments:
            offered = ".".join(["pode.resume", *map(str, self._bindings.filled(step.arguments[1:]))])
            if client.found["offered"] != [offered]:
                raise Mismatch(f"the client offers {client.found['offered']!r}, and not {offered!r}")

    def _do_send(self, step: Command, client: BrowserClient) -> None:
        client.call("ask", self._bindings.filled(step.arguments[0]), False)

    def _do_request(self, step: Command, client: BrowserClient) -> None:
        client.call("ask", self._bindings.filled(step.arguments[0]), True)

    def _do_cut(self, step: Command, _client: BrowserClient) -> None:
        self._server.call("disturb", step.who, "cut")

    def _do_vanish(self, step: Command, _client: BrowserClient) -> None:
        self._server.call("disturb", step.who, "vanish")

    def _do_unplugs(self, step: Command, client: BrowserClient) -> None:
        client.call("unplug")
        self._server.call("unplug", step.who)

    def _do_sleeps(self, step: Command, _client: BrowserClient) -> None:
        self._advance(step.arguments[0], asleep=True)

    def _do_close(self, step: Command, client: BrowserClient) -> None:
        assert step.arguments == (1000,), "this client closes with 1000 and with no other code"
        client.call("close")

    def _do_writes(self, step: Command, client: BrowserClient) -> None:
        """Past the client, which would not write such things."""
        kind, _, size_or_digits = step.rest.partition(" ")
        if kind == "bytes":
            self._server.call("put_in", step.who, size_or_digits)
            return
        if kind == "binary":
            client.call("writeBinary", list(bytes.fromhex(size_or_digits)))
        elif kind == "large":
            message = {"type": "send", "message": {"large": "x" * int(size_or_digits)}}
            client.call("write", json.dumps(message))
        else:
            client.call("write", step.rest)
        client.look()
        client.take("->")

    # Frames.

    def _frame(self, step: Frame, client: BrowserClient) -> None:
        direction = "<-" if step.is_from_server else "->"
        if step.kind == "status":
            self._status(step, client)
        elif step.kind == "nothing":
            if left := client.left(direction):
                raise Mismatch(f"something has come: {left!r}")
        else:
            record = client.take(direction)
            if step.kind not in record:
                raise Mismatch(f"{record!r} is no {step.kind}")
            self._bindings.match(step.pattern, record[step.kind])

    def _status(self, step: Frame, client: BrowserClient) -> None:
        # The answer to a request for a stream is none to a WebSocket handshake.
        if self._transport == "sse" and step.pattern == 101:
            return
        status = 0
        # Nobody answers an upgrade that was swallowed.
        while not status:
            answer = client.take_answer()
            status, headers = self._server.call("answers", step.who)[answer] if isinstance(answer, int) else answer
        if status != step.pattern:
            raise Mismatch(f"the status is {status}")
        # Names of headers are the same in any case.
        wanted = {name if name == ANYTHING_MORE else name.lower(): value for name, value in step.headers.items()}
        self._bindings.match(wanted, {name.lower(): value for name, value in headers.items()})


def _agree(there: dict[str, int], here: dict[str, int]) -> bool:
    """Whether a port and its page have nothing on its way."""
    is_busy = there["pending"] or here["pending"]
    return not is_busy and (there["came"], there["went"], there["open"]) == (here["went"], here["came"], here["open"])

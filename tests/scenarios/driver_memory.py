"""Runs a scenario with clients in memory, those of ``pode_signals.testing``.

Such a client has no application. So what an application does and sees is skipped, and a frame that the client has to
send is sent where the scenario says so.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from scenarios.lines import ANYTHING_MORE, Command, Frame, Seen, Step
from scenarios.matching import Bindings, Mismatch, Untaken
from scenarios.program import Program

from pode_signals.core.resume import read_resume
from pode_signals.testing import Refused, SignalTester, TestClient

__all__ = ["MemoryDriver", "run_in_memory"]

_OF_THE_APPLICATION = ("send", "request")
_HEADERS = ("Origin", "Host")


def run_in_memory(steps: tuple[Step, ...], transport: Literal["websocket", "sse"] = "websocket") -> None:
    """Run a scenario.

    Args:
        steps: its lines.
        transport: how signals clients connect; plain ones do so by WebSocket.

    Raises:
        Mismatch: something is not as the scenario says; the sentence has the number of the line.
    """
    driver = MemoryDriver(transport)
    for step in steps:
        try:
            driver.take(step)
        except AssertionError as error:
            raise Mismatch(f"line {step.line}: {error}") from error
    driver.end()


class _Wire(Untaken):
    """A client of a scenario."""

    def __init__(self, client: TestClient) -> None:
        super().__init__()
        self.client = client

    def records(self) -> list[dict[str, Any]]:
        # A POST whose body is no array is answered with 400, and has an error on the stream like any other bad text.
        return [each for each in self.client.frames() if each.get("status") != 400]


class MemoryDriver:
    """Takes one step after the other."""

    def __init__(self, transport: Literal["websocket", "sse"] = "websocket") -> None:
        self._transport: Literal["websocket", "sse"] = transport
        self._bindings = Bindings()
        self._settings: dict[str, Any] = {}
        self._clients: dict[str, _Wire] = {}
        self._refused: dict[str, Refused] = {}
        self._begin()

    def take(self, step: Step) -> None:
        """Do what a line says, or see that it is so."""
        match step:
            case Frame():
                self._frame(step)
            case Command(who="server"):
                self._server(step)
            case Command(verb=verb) if verb not in _OF_THE_APPLICATION:
                getattr(self, f"_do_{verb}")(step)
            case Command() | Seen():
                pass

    def end(self) -> None:
        """See that all that went over the wire was taken, and that nothing is left."""
        for who, wire in self._clients.items():
            wire.check_all_taken(who)
        self._tester.end()

    # The server.

    def _begin(self) -> None:
        self._program = Program(**self._settings)
        self._tester = SignalTester(self._program.signals, self._program.root)

    def _server(self, step: Command) -> None:
        if step.verb == "settings":
            self._settings = step.named
            self._begin()
        elif step.verb == "restart":
            for each in self._clients.values():
                each.client.cut()
            self._tester.end()
            self._begin()
        elif step.verb == "advance":
            self._tester.advance(step.arguments[0])
        else:
            # This command gives a variable its value; all others take the values of theirs.
            arguments = list(step.arguments) if step.verb == "position" else self._bindings.filled(step.arguments)
            self._program.run(step.verb, arguments, self._bindings.filled(step.named), self._bindings)

    # Clients.

    def _do_connect(self, step: Command) -> None:
        named = self._bindings.filled(step.named)
        headers = {name: named[name] for name in _HEADERS if name in named}
        since, protocol = named.get("since"), named.get("protocol", "signals")
        # The kit refuses to begin where nothing can be. A client of another make may offer that.
        if since is not None and read_resume(since) is None:
            if self._transport == "sse":
                headers["X-PODE-SIGNAL-RESUME"], since = since, None
            else:
                headers["Sec-WebSocket-Protocol"], since = f"pode.resume.{since}", None
        try:
            client = self._tester.connect(
                step.arguments[0],
                protocol=protocol,
                transport=self._transport if protocol == "signals" else "websocket",
                headers=headers,
                since=since,
                auto_acknowledge=False,
            )
        except Refused as refused:
            self._refused[step.who] = refused
        else:
            self._clients[step.who] = _Wire(client)

    def _do_reconnect(self, step: Command) -> None:
        """``reconnect with $e $o $t``: offering these; ``cutAfter=2``: and losing the connection after two frames."""
        before = self._clients[step.who]
        before.check_all_taken(step.who)
        client = self._tester.reconnect(before.client, cut_after=step.named.get("cutAfter"))
        self._clients[step.who] = _Wire(client)
        if step.arguments:
            offered = ".".join(["pode.resume", *map(str, self._bindings.filled(step.arguments[1:]))])
            if client.offered[1:] != (offered,):
                raise Mismatch(f"the client offers {client.offered[1:]!r}, and not {offered!r}")

    def _do_cut(self, step: Command) -> None:
        self._clients[step.who].client.cut()

    def _do_vanish(self, step: Command) -> None:
        self._clients[step.who].client.vanish()

    def _do_close(self, step: Command) -> None:
        self._clients[step.who].client.close(*step.arguments)

    def _do_writes(self, step: Command) -> None:
        """``writes`` and a text as it stands; or ``writes bytes ff``, ``writes binary ff``, ``writes large 70000``."""
        wire = self._clients[step.who]
        kind, _, size_or_digits = step.rest.partition(" ")
        if kind == "binary":
            wire.client.send_binary(bytes.fromhex(size_or_digits))
        elif kind == "bytes":
            wire.client.send_text(bytes.fromhex(size_or_digits))
        elif kind == "large":
            wire.client.send({"large": "x" * int(size_or_digits)})
        else:
            wire.client.send_text(step.rest)
        wire.take("->")

    # Frames.

    def _frame(self, step: Frame) -> None:
        if step.kind == "status":
            self._status(step)
            return
        wire, direction = self._clients[step.who], "<-" if step.is_from_server else "->"
        if step.kind == "nothing":
            if left := wire.left(direction):
                raise Mismatch(f"something has come: {left!r}")
            return
        if step.kind == "frame" and not step.is_from_server:
            wire.client.send_text(json.dumps(self._bindings.filled(step.pattern), separators=(",", ":")))
        record = wire.take(direction)
        if step.kind not in record:
            raise Mismatch(f"{record!r} is no {step.kind}")
        self._bindings.match(step.pattern, record[step.kind])

    def _status(self, step: Frame) -> None:
        refused = self._refused.pop(step.who, None)
        if refused is None:
            # The answer to a request for a stream is none to a WebSocket handshake.
            if self._clients[step.who].client.transport == "sse":
                return
            status, headers = 101, self._clients[step.who].client.response_headers
        else:
            status, headers = refused.status, refused.headers
        if status != step.pattern:
            raise Mismatch(f"the status is {status}")
        # Names of headers are the same in any case.
        came = {name.lower(): value for name, value in headers.items()}
        self._bindings.match({_lower(name): value for name, value in step.headers.items()}, came)


def _lower(name: str) -> str:
    return name if name == ANYTHING_MORE else name.lower()

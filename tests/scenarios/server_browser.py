"""The server's half of a scenario with pages, in a process of its own: the program, its ports, and plain clients.

``python -m scenarios.server_browser`` reads a call from each line of its standard input, and answers with a line. It
ends with its input.
"""

from __future__ import annotations

import json
import traceback
from typing import Any

from scenarios.driver_memory import MemoryDriver
from scenarios.lines import Command, Step, read_scenario
from scenarios.matching import Bindings, Mismatch
from scenarios.ports_browser import BrowserPort, client_frame
from scenarios.program import Program
from twisted.internet import reactor, stdio
from twisted.protocols.basic import LineReceiver
from twisted.web.resource import IResource
from twisted.web.server import Site

from pode_signals.testing import SignalTester


class ServerHalf(MemoryDriver):
    """Takes the lines of a scenario that are not about a page.

    Args:
        text: the scenario.
        transport: how signals clients connect that are no pages.
        ports: the ports, by client; they stay open over all scenarios.
    """

    def __init__(self, text: str, transport: Any, ports: dict[str, BrowserPort]) -> None:
        self._steps: tuple[Step, ...] = read_scenario(text)
        self._ports = ports
        # What the network does outlives a server.
        self._upgrades = "pass"
        super().__init__(transport)

    def take_line(self, line: int, values: dict[str, Any]) -> dict[str, Any]:
        """Take the step of a line. Gives the variables, which it may have added to."""
        self._bindings = Bindings(values)
        (step,) = (each for each in self._steps if each.line == line)
        if isinstance(step, Command):
            # In memory nothing arrives before the turn is over either.
            self._hold(True)
        self.take(step)
        return self._bindings.values

    def open_port(self, who: str) -> int:
        """Open a port for a client, where it has none; gives its number."""
        if who not in self._ports:
            port = BrowserPort(self._site)
            port.number = reactor.listenTCP(0, port, interface="127.0.0.1").getHost().port
            self._ports[who] = port
        port = self._ports[who]
        port.begin()
        port.upgrades = self._upgrades
        return port.number

    def counts(self, ends_turn: bool) -> dict[str, dict[str, int]]:
        """Count what went over the ports, after everything has happened that is due now, unless the turn goes on."""
        clock = self._program.clock
        if ends_turn:
            self._hold(False)
            clock.advance(0)
        while ends_turn and any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            clock.advance(0)
        return {who: port.counts() for who, port in self._ports.items()}

    def passes(self, seconds: float) -> float:
        """Let time pass; gives how much. Where a page is connected, which may have to answer, at most until a timer."""
        clock = self._program.clock
        if not any(port.counts()["open"] for port in self._ports.values()):
            self._tester.advance(seconds)
            return seconds
        due = [call.getTime() - clock.seconds() for call in clock.getDelayedCalls()]
        passing = max(0.0, min([seconds, *due]))
        self._tester.advance(passing)
        return passing

    def answers(self, who: str) -> list[tuple[int, dict[str, str]]]:
        """The answers to the upgrades of a client."""
        return self._ports[who].answers

    def disturb(self, who: str, verb: str) -> None:
        """Cut the connection of a client, or have it vanish."""
        for each in self._ports[who].open_connections():
            getattr(each, verb)()

    def unplug(self, who: str) -> None:
        """Let nothing of a client arrive any more, nor anything for it."""
        self._ports[who].unplug()

    def plug(self, who: str, cut_after: int | None) -> None:
        """Let the next connection of a client be as usual; but it is cut after so many messages."""
        self._ports[who].plug(cut_after)

    def put_in(self, who: str, payload: str) -> None:
        """Have a text come to the server, which need not be UTF-8: no browser sends such a one."""
        (connection,) = self._ports[who].open_connections()
        connection.wrappedProtocol.dataReceived(client_frame(1, bytes.fromhex(payload)))

    def end(self) -> None:
        """See that nothing is left, after all pages have been cut off."""
        self._cut_pages()
        super().end()

    def give_up(self) -> None:
        """End a scenario that has failed."""
        self._cut_pages()

    def _begin(self) -> None:
        self._program = Program(**self._settings)
        resource = self._program.signals.resource(self._program.root, client_at="/signals.js")
        self._tester = SignalTester(self._program.signals, resource)
        self._site = Site(IResource(resource), timeout=None)
        for each in self._ports.values():
            each.have_server(self._site)

    def _server(self, step: Any) -> None:
        if step.verb == "restart":
            self._cut_pages()
        if step.verb == "upgrades":
            (self._upgrades,) = step.arguments
            for each in self._ports.values():
                each.upgrades = self._upgrades
        else:
            super()._server(step)

    def _hold(self, holds: bool) -> None:
        for port in self._ports.values():
            port.hold(holds)

    def _cut_pages(self) -> None:
        for each in self._ports.values():
            each.cut_all()


class Calls(LineReceiver):
    """Standard input and output."""

    delimiter = b"\n"
    MAX_LENGTH = 1_000_000

    def __init__(self) -> None:
        self._ports: dict[str, BrowserPort] = {}
        self._half: ServerHalf | None = None

    def lineReceived(self, line: bytes) -> None:
        name, arguments = json.loads(line)
        try:
            if name == "begin":
                self._half = ServerHalf(*arguments, self._ports)
                answer = {"value": None}
            else:
                answer = {"value": getattr(self._half, name)(*arguments)}
        except Mismatch as error:
            answer = {"mismatch": str(error)}
        except Exception:  # noqa: BLE001  # whatever it is, the driver raises it
            answer = {"failure": traceback.format_exc()}
        self.sendLine(json.dumps(answer).encode())

    def connectionLost(self, reason: Any = None) -> None:
        if reactor.running:
            reactor.stop()


if __name__ == "__main__":
    stdio.StandardIO(Calls())
    reactor.run()

"""Runs a scenario with clients of ``pode_signals.client``, over connections in memory. It opens no socket.

Such a client sends its frames by itself, and has an application. So the frames of both directions and what the
application sees are compared with the scenario. Each client has a clock of its own, which stands still while the client
waits to come back: the client does so at ``reconnect``, and at no other time.

Plain clients are those of ``pode_signals.testing``. So is a client that is to begin at what is no position, since
``SignalClient`` refuses that itself.
"""

from __future__ import annotations

from itertools import count

from scenarios.client_python import PythonClient
from scenarios.driver_memory import MemoryDriver
from scenarios.lines import ANYTHING_MORE, Command, Frame, Seen, Step
from scenarios.matching import Mismatch
from scenarios.program import Program
from twisted.web.resource import IResource
from twisted.web.server import Site

from pode_signals.testing import SignalTester
from pode_signals.testing.sockets import ClientEnd

__all__ = ["PythonDriver", "run_in_python"]

_FIRST_PORT = 60_000


def run_in_python(steps: tuple[Step, ...]) -> None:
    """Run a scenario.

    Raises:
        Mismatch: something is not as the scenario says; the sentence has the number of the line.
    """
    driver = PythonDriver()
    for step in steps:
        try:
            driver.take(step)
        except AssertionError as error:
            raise Mismatch(f"line {step.line}: {error}") from error
    driver.end()


class PythonDriver(MemoryDriver):
    """Takes one step after the other."""

    def __init__(self) -> None:
        self._ports = count(_FIRST_PORT)
        super().__init__()

    def take(self, step: Step) -> None:
        """Do what a line says, or see that it is so."""
        client = self._clients.get(step.who)
        if not isinstance(client, PythonClient):
            super().take(step)
            return
        match step:
            case Seen():
                client.see(step, self._bindings)
            case Command(verb="send"):
                client.ask(client.signal_client.send(self._bindings.filled(step.arguments[0])), has_reply=False)
            case Command(verb="request"):
                client.ask(client.signal_client.request(self._bindings.filled(step.arguments[0])), has_reply=True)
            case Command(verb="sleeps"):
                self._advance(step.arguments[0], asleep=client)
            case Command(verb="unplugs"):
                client.unplug()
            case Frame(kind="frame", is_from_server=False):
                record = client.take("->")
                if "frame" not in record:
                    raise Mismatch(f"{record!r} is no frame")
                self._bindings.match(step.pattern, record["frame"])
            case Frame(kind="status"):
                self._check_answer(step, client)
            case _:
                super().take(step)

    def end(self) -> None:
        """See that all that went over the wire was taken, that all was seen, and that nothing is left."""
        clients = {who: each for who, each in self._clients.items() if isinstance(each, PythonClient)}
        for who, client in clients.items():
            client.check_all_taken(who)
            client.check_all_seen(who)
        for who, client in clients.items():
            client.leave()
            del self._clients[who]
        super().end()

    # The server.

    def _begin(self) -> None:
        self._program = Program(**self._settings)
        resource = self._program.signals.resource(self._program.root)
        self._tester = SignalTester(self._program.signals, resource)
        self._site = Site(IResource(resource), timeout=None, reactor=self._program.clock)

    def _server(self, step: Command) -> None:
        if step.verb == "advance":
            self._advance(step.arguments[0])
        else:
            super()._server(step)

    def _advance(self, seconds: float, *, asleep: PythonClient | None = None) -> None:
        """Let time pass on all clocks at once, from one timer to the next; for who is asleep in one leap at the end."""
        self._turn()
        leap_seconds = seconds
        while seconds > 0:
            awake = [each for each in self._python_clients() if each.is_connected and each is not asleep]
            clocks = [self._program.clock, *(each.clock for each in awake)]
            due = [call.getTime() - clock.seconds() for clock in clocks for call in clock.getDelayedCalls()]
            passing = max(0.0, min([seconds, *due]))
            for clock in clocks:
                clock.advance(passing)
            seconds -= passing
            self._turn()
        if asleep is not None:
            asleep.clock.advance(leap_seconds)
            self._turn()

    def _turn(self) -> None:
        """Let everything happen that is due now."""
        clocks = [self._program.clock, *(each.clock for each in self._python_clients())]
        while any(call.getTime() <= clock.seconds() for clock in clocks for call in clock.getDelayedCalls()):
            for clock in clocks:
                clock.advance(0)

    def _python_clients(self) -> list[PythonClient]:
        return [each for each in self._clients.values() if isinstance(each, PythonClient)]

    # Clients.

    def _do_connect(self, step: Command) -> None:
        named = self._bindings.filled(step.named)
        if named.get("protocol") == "plain":
            super()._do_connect(step)
            return
        try:
            client = PythonClient(
                step.arguments[0],
                named,
                is_silent="silent" in step.arguments[1:],
                open_end=lambda arrived: ClientEnd(self._program.clock, self._site, next(self._ports), arrived),
                turn=self._turn,
            )
        except ValueError:
            # The line is about the server, which has to bear such a position from other clients.
            super()._do_connect(step)
            return
        self._clients[step.who] = client
        client.start()
        self._turn()

    def _do_reconnect(self, step: Command) -> None:
        client = self._clients[step.who]
        if not isinstance(client, PythonClient):
            super()._do_reconnect(step)
            return
        client.check_all_taken(step.who)
        client.come_back(step.named.get("cutAfter"))
        if step.arguments:
            offered = ".".join(["pode.resume", *map(str, self._bindings.filled(step.arguments[1:]))])
            if client.offered[1:] != [offered]:
                raise Mismatch(f"the client offers {client.offered[1:]!r}, and not {offered!r}")

    def _check_answer(self, step: Frame, client: PythonClient) -> None:
        answer = client.answer
        if answer.status != step.pattern:
            raise Mismatch(f"the status is {answer.status}")
        # Names of headers are the same in any case.
        wanted = {name if name == ANYTHING_MORE else name.lower(): value for name, value in step.headers.items()}
        self._bindings.match(wanted, {name.decode().lower(): value.decode() for name, value in answer.headers})

"""A client of ``pode_signals.client`` with an application, as a scenario has it. It decides nothing by itself."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from client_wires import run
from scenarios.lines import Seen
from scenarios.matching import Bindings, Mismatch, Untaken
from scenarios.socket_python import RecordedSocket
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from web_fakes import Answer

from pode_signals.client import ClientEvent, Closed, Lost, Opened, PresenceChanged, SignalClient, SignalReceived
from pode_signals.errors import ReplyError
from pode_signals.testing.sockets import ClientEnd

__all__ = ["PythonClient"]

# The clocks of the hub and of the clients have times of the same size, so that sums of seconds are exact in all.
_START = 1_700_000_000.0


class PythonClient(Untaken):
    """A client of a scenario, its application, and what no line has taken yet.

    Args:
        path: path and query.
        named: what the scenario says besides: ``since``, ``refresh``, ``watch``, ``Origin``.
        is_silent: whether the application leaves its loop at each event, and so acknowledges nothing.
        open_end: opens a connection to the server, with a function that is told of what arrives.
        turn: lets everything happen that is due now.

    Attributes:
        clock: the clock of the client.
        signal_client: the client.

    Raises:
        ValueError: the client does not take an argument.
    """

    def __init__(
        self,
        path: str,
        named: dict[str, Any],
        *,
        is_silent: bool,
        open_end: Callable[[Callable[[], None]], ClientEnd],
        turn: Callable[[], None],
    ) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock.advance(_START)
        self._is_silent = is_silent
        self._open_end = open_end
        self._turn = turn
        self._may_connect = True
        self._cut_after: int | None = None
        self._sockets: list[RecordedSocket] = []
        self._records: list[dict[str, Any]] = []
        self._seen: deque[tuple[list[Any], dict[str, Any]]] = deque()
        self._is_closed = False
        self.signal_client = SignalClient(
            f"ws://localhost{path}",
            reactor=self.clock,
            since=named.get("since"),
            watch=bool(named.get("watch")),
            refresh=(lambda: named["refresh"]) if "refresh" in named else None,
            headers={"Origin": named["Origin"]} if "Origin" in named else {},
            base_seconds=0.001,
            connect=lambda url: self,
        )

    @property
    def client(self) -> PythonClient:
        """What the driver of clients in memory calls: :meth:`cut`, :meth:`send_text` and others."""
        return self

    @property
    def is_connected(self) -> bool:
        """Whether the client has a connection, as far as the client knows."""
        return bool(self._sockets) and not self._sockets[-1].has_ended

    @property
    def offered(self) -> list[str]:
        """The subprotocols that the last handshake offers."""
        lines = self._sockets[-1].request_head.decode().split("\r\n")
        values = [line.partition(":")[2] for line in lines if line.lower().startswith("sec-websocket-protocol:")]
        return [each.strip() for value in values for each in value.split(",")]

    @property
    def answer(self) -> Answer:
        """What the server has answered to the last handshake."""
        self._turn()
        answer = self._sockets[-1].answer
        if answer is None:
            raise Mismatch("the server has not answered")
        return answer

    # What the endpoint does.

    def connect(self, factory: Any) -> Deferred[Any]:
        """The endpoint's own method."""
        if not self._may_connect:
            return fail(ConnectionLost("the scenario has no reconnect here"))
        self._may_connect = False
        protocol = factory.buildProtocol(None)
        socket = RecordedSocket(self.clock, protocol, self._open_end, self._records, self._cut_after)
        self._sockets.append(socket)
        protocol.makeConnection(socket)
        return succeed(protocol)

    # What the scenario has the client do.

    def start(self) -> None:
        """Connect, with an application that takes events."""
        run(self._events_left() if self._is_silent else self._events_taken())
        self.signal_client.startService()

    def come_back(self, cut_after: int | None) -> None:
        """Let the client's own wait be over."""
        self.clock.advance(0)
        if self.is_connected:
            raise Mismatch("the client is connected")
        before = len(self._sockets)
        self._may_connect, self._cut_after = True, cut_after
        while len(self._sockets) == before:
            due = [call.getTime() for call in self.clock.getDelayedCalls()]
            if not due:
                raise Mismatch("the client does not come back")
            self.clock.advance(max(0.0, min(due) - self.clock.seconds()))

    def ask(self, call: Coroutine[Any, Any, Any], has_reply: bool) -> None:
        """Have the application send or ask."""

        async def asked() -> None:
            try:
                data = await call
            except ReplyError as error:
                self._seen.append((["error", error.code, error.text], {}))
            else:
                self._seen += [(["reply", data], {})] if has_reply else []

        run(asked())

    def cut(self) -> None:
        """Lose the connection; the server sees that at once."""
        if self.is_connected:
            self._sockets[-1].cut()

    def vanish(self) -> None:
        """Lose the connection; the server does not see that."""
        self._sockets[-1].vanish()

    def unplug(self) -> None:
        """Let nothing arrive any more at either end; nobody sees that."""
        self._sockets[-1].unplug()

    def close(self, code: int) -> None:
        """Stop the client."""
        assert code == 1000, "this client closes with 1000 and with no other code"
        self.signal_client.stopService()

    def send_text(self, text: str | bytes) -> None:
        """Send a text past the client, which would not send such a one."""
        data = text.encode() if isinstance(text, str) else text
        self._sockets[-1].protocol.sendMessage(data)

    def send_binary(self, data: bytes) -> None:
        """Send a binary message past the client."""
        self._sockets[-1].protocol.sendMessage(data, isBinary=True)

    def send(self, message: object) -> None:
        """Send a message past the client, which would find that it is too big."""
        self.send_text(json.dumps({"type": "send", "message": message}))

    def leave(self) -> None:
        """Stop the client, and end what the server still holds of it."""
        self.signal_client.stopService()
        self._turn()
        for each in self._sockets:
            each.end.reset()

    # What the scenario compares.

    def records(self) -> list[dict[str, Any]]:
        """All that went over the wire so far."""
        self._turn()
        return self._records

    def check_all_seen(self, who: str) -> None:
        """See that lines say everything that the application has seen."""
        if self._seen:
            raise Mismatch(f"no line says what the application of {who} has seen: {list(self._seen)!r}")

    def see(self, step: Seen, bindings: Bindings) -> None:
        """See that the application has seen this next."""
        # The turn of the server goes on: a line about one client brings nothing to another one.
        self.clock.advance(0)
        if step.words == ("waiting",):
            if self._seen or self.is_connected or self._is_closed:
                raise Mismatch(f"the client is not waiting, or its application has seen {list(self._seen)!r} before")
            return
        if not self._seen:
            raise Mismatch("the application has seen nothing more")
        words, named = self._seen.popleft()
        bindings.match(list(step.words), words)
        bindings.match(step.named, named)

    # The application.

    async def _events_taken(self) -> None:
        async for event in self.signal_client:
            self._sees(event)

    async def _events_left(self) -> None:
        while not self._is_closed:
            async for event in self.signal_client:
                self._sees(event)
                break

    def _sees(self, event: ClientEvent) -> None:
        self._is_closed = isinstance(event, Closed)
        self._seen.append(_described(event))


def _described(event: ClientEvent) -> tuple[list[Any], dict[str, Any]]:
    """An event in the words of a scenario."""
    match event:
        case Opened(hello):
            return ["open"], {"recovered": hello.recovered}
        case Lost():
            return ["lost"], {}
        case SignalReceived(data=data, replayed=replayed):
            return ["signal", data, *(["replayed"] if replayed else [])], {}
        case PresenceChanged(members=members, count=count):
            return ["presence", count if members is None else sorted(members)], {}
        case Closed(code=code, status=None):
            return ["closed", int(code)], {}
        case Closed(status=status):
            return ["closed"], {"status": status}
    raise AssertionError(f"no scenario has words for {event!r}")

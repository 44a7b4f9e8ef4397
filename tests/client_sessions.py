"""A client's session on a clock of its own, and a server that says what a test has it say. Nothing in here is a test.

What the server says is checked against the schema of the package, and so is what the client says.
"""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any

from v1_schema import CLIENT_FRAME, SERVER_FRAME

from pode_signals.client.actions import (
    Abort,
    Action,
    AskForToken,
    Close,
    Connect,
    Greeted,
    Reading,
    Settled,
    Tell,
    Write,
)
from pode_signals.client.comebacks import Comebacks, End
from pode_signals.client.events import ClientEvent, Closed, SignalReceived
from pode_signals.client.inbox import Acknowledgement
from pode_signals.client.place import Place
from pode_signals.client.session import Session
from pode_signals.wire.client_texts import send_text

__all__ = ["EPOCH", "SessionWorld", "hello_document"]

EPOCH = "k3v9q2"


@cache
def _check_server_frame(text: str) -> None:
    SERVER_FRAME.validate(json.loads(text))


@cache
def _check_client_frame(text: bytes) -> None:
    CLIENT_FRAME.validate(json.loads(text))


def hello_document(**fields: Any) -> dict[str, Any]:
    """A hello of a name with a history; fields that are None are left out."""
    document = {
        "type": "hello",
        "version": 1,
        "clientId": "ada",
        "name": "Room",
        "groups": [],
        "epoch": EPOCH,
        "offset": "40-7",
        "recovered": False,
        "resumeToken": "token",
        "heartbeatSeconds": 25,
        "maxMessageBytes": 65_536,
        **fields,
    }
    return {key: value for key, value in document.items() if value is not None}


class SessionWorld:
    """A session, and what it has had done.

    Attributes:
        session: the session.
        now: the time.
        offers: what each attempt to connect offered.
        written: the frames of the client, each with the generation of its connection.
        settled: the outcomes of sends and requests by their tickets.
        closes: the codes of close frames that the client began with.
        aborts: how often it dropped a connection.
        reading: whether it reads, each time that it changed its mind.
        greeted: how often somebody who waits for a connection would have been told.
        asked: the generations for whose connection the application was asked for credentials.
        told: the lines for the log.
        closed: the end; None before.
    """

    def __init__(
        self,
        *,
        since: str | None = None,
        can_renew: bool = False,
        watch: bool = False,
        renews: bool = False,
        max_waiting: int = 1_000,
        seed: int = 1,
    ) -> None:
        comebacks = Comebacks(1, 30, can_renew or renews, Random(seed))
        self.session = Session(Place(since), comebacks, watch=watch, renews=renews, max_waiting_events=max_waiting)
        self.now = 1_700_000_000.0
        self.offers: list[tuple[str, ...]] = []
        self.written: list[tuple[int, dict[str, Any]]] = []
        self.settled: dict[int, Any] = {}
        self.closes: list[int] = []
        self.aborts = 0
        self.reading: list[bool] = []
        self.greeted = 0
        self.asked: list[int] = []
        self.told: list[str] = []
        self.closed: Closed | None = None
        self._ids = 0
        self._taken = 0

    # The application.

    def start(self) -> SessionWorld:
        """Start the client."""
        self.session.start()
        return self.act()

    def opened(self, **fields: Any) -> SessionWorld:
        """Start the client, and have it greeted."""
        self.start()
        return self.says(**hello_document(**fields))

    def send(self, message: Any, *, seconds: float = 10) -> int:
        """Send a message; gives the ticket."""
        ticket = self.session.send(send_text(message), None, self.now + seconds)
        self.act()
        return ticket

    def request(self, message: Any, *, seconds: float = 10) -> int:
        """Ask something; gives the ticket."""
        self._ids += 1
        ticket = self.session.send(send_text(message, id=str(self._ids)), str(self._ids), self.now + seconds)
        self.act()
        return ticket

    def take(self) -> tuple[ClientEvent, Acknowledgement | None] | None:
        """The next event with the answer that it asks for."""
        taken = self.session.take_event(self.now)
        self.act()
        return taken

    def events(self) -> list[ClientEvent]:
        """All events that wait."""
        found = []
        while (taken := self.take()) is not None:
            found.append(taken[0])
        return found

    def data(self) -> list[Any]:
        """The data of the signals that wait, and the class of each other event."""
        return [each.data if isinstance(each, SignalReceived) else type(each) for each in self.events()]

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """The application has taken a signal."""
        self.session.acknowledge(acknowledgement)
        self.act()

    def close(self) -> SessionWorld:
        """Stop the client."""
        self.session.close(self.now)
        return self.act()

    # The server.

    def says(self, generation: int | None = None, /, **document: Any) -> SessionWorld:
        """The server says something over the last connection, or another one."""
        text = json.dumps(document)
        _check_server_frame(text)
        return self.writes(text.encode(), generation)

    def writes(self, payload: bytes, generation: int | None = None) -> SessionWorld:
        """The server writes any text."""
        self.session.received(self.session.generation if generation is None else generation, payload, self.now)
        return self.act()

    def signal(self, data: Any, number: int | None = None, **fields: Any) -> SessionWorld:
        """The server sends a message, the one with a number in the log, or one that is in none."""
        place = {} if number is None else {"offset": f"{number}-7"}
        return self.says(type="signal", data=data, **place, **fields)

    def ends(self, code: int = 1006, generation: int | None = None, **known: Any) -> SessionWorld:
        """The connection ends."""
        end = End(code, **known)
        self.session.ended(self.session.generation if generation is None else generation, end, self.now)
        return self.act()

    def comes_back(self, **fields: Any) -> SessionWorld:
        """The client waits, connects and is greeted."""
        due = self.session.due()
        assert due is not None
        self.passes(due - self.now)
        return self.says(**hello_document(**fields))

    # Time.

    def passes(self, seconds: float) -> SessionWorld:
        """Let time pass, with all that is due meanwhile, each at its time."""
        end = self.now + seconds
        while (due := self.session.due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.tick(self.now)
            self.act()
        self.now = end
        return self

    def sleeps(self, seconds: float) -> SessionWorld:
        """Let time pass, with timers that come at its end only."""
        self.now += seconds
        self.session.tick(self.now)
        return self.act()

    @property
    def waits_seconds(self) -> float:
        """In how many seconds something is due."""
        due = self.session.due()
        assert due is not None
        return due - self.now

    # What was done.

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The frames of the client since the last look."""
        found = [document for _, document in self.written[self._taken :]]
        self._taken = len(self.written)
        return found

    def act(self) -> SessionWorld:
        """Do what the session wants."""
        while self.session.actions:
            self._do(self.session.actions.popleft())
        return self

    def _do(self, action: Action) -> None:  # noqa: C901  # one case for each action
        match action:
            case Connect(generation):
                offer = self.session.connecting(generation, self.now)
                assert offer is not None
                self.offers.append(offer)
            case Write(text):
                _check_client_frame(text)
                self.written.append((self.session.generation, json.loads(text)))
            case Settled(ticket, data, error):
                assert ticket not in self.settled
                self.settled[ticket] = data if error is None else getattr(error, "code", error)
            case Close(code):
                self.closes.append(code)
            case Abort():
                self.aborts += 1
            case Reading(on):
                self.reading.append(on)
            case Greeted():
                self.greeted += 1
            case AskForToken(generation):
                self.asked.append(generation)
            case Tell(text):
                self.told.append(text)
            case Closed() as closed:
                assert self.closed is None
                self.closed = closed

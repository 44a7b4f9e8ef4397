"""A client in memory: it says what a test tells it to say, and keeps what comes until the test asks. It never waits."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from ..client.events import PresenceChanged
from ..client.place import Place
from ..client.presence import PresenceViews
from ..core.model import ClosedBy, Closure
from ..core.upgrade import SIGNALS_PROTOCOL
from ..errors import ReplyError
from ..wire.client_texts import watch_text
from ..wire.frames import CloseCode, check_close_code
from ..wire.json import encode_value
from ..wire.server_frames import PresenceFrame, read_server_frame
from ..wire.v1 import Hello
from .event_wire import EventWire
from .handshake import Answer
from .sockets import ClientEnd
from .wire import ClientWire, Record

__all__ = ["Asked", "ClientProtocol", "ClientTransport", "TestClient"]

ClientProtocol = Literal["plain", "signals"]
ClientTransport = Literal["websocket", "sse"]
_NAMES_ON_THE_WIRE = {"path": "path", "group": "group", "client_id": "clientId", "direct": "direct"}


class Asked:
    """A message of a client to which the signal route gives an answer; :meth:`TestClient.ask` makes it."""

    def __init__(self, turn: Callable[[], None]) -> None:
        self._turn = turn
        self._answer: dict[str, Any] | ReplyError | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the answer is there, or can't come any more."""
        self._turn()
        return self._answer is not None

    def reply(self) -> Any:
        """What the signal route has returned.

        Raises:
            ReplyError: an error came in place of a reply; or the connection has ended, with the code ``lost`` or, where
                the client itself has closed it, ``closed``.
            AssertionError: there is no answer yet.
        """
        self._turn()
        match self._answer:
            case None:
                raise AssertionError("there is no answer yet: the signal route waits for time to pass, or for somebody")
            case ReplyError() as error:
                raise error
            case {"type": "reply", "data": data}:
                return data
            case frame:
                raise ReplyError(frame["code"], frame["text"])

    def _ends(self, answer: dict[str, Any] | ReplyError) -> None:
        self._answer = answer


class TestClient:
    """A client of a test; :meth:`SignalTester.connect` makes it, and :meth:`reconnect` the one that comes after it.

    Whatever a test asks of a client, the turn of the reactor ends first: what the program has sent has arrived.

    Attributes:
        url: where it has connected.
        protocol: ``"plain"`` or ``"signals"``.
        transport: ``"websocket"``, or ``"sse"`` for server-sent events.
        response_headers: the headers of the answer; names in any case find them.
        offered: the subprotocols that it has offered of its own accord; for server-sent events what they say.
        auto_acknowledge: whether a signal that wants an answer gets it when :meth:`receive` takes the signal.
    """

    __test__ = False

    def __init__(
        self,
        url: str,
        protocol: ClientProtocol,
        transport: ClientTransport,
        *,
        turn: Callable[[], None],
        open_socket: Callable[[Callable[[], None]], ClientEnd],
        reconnect: Callable[[TestClient, int | None], TestClient],
        headers: Mapping[str, str | None],
        place: Place,
        unread: deque[Record],
        auto_acknowledge: bool,
        cut_after: int | None = None,
    ) -> None:
        self.url = url
        self.protocol: ClientProtocol = protocol
        self.transport: ClientTransport = transport
        self.headers = headers
        self.auto_acknowledge = auto_acknowledge
        self._presence: PresenceChanged | None = None
        self._views = PresenceViews()
        self.response_headers: Mapping[str, str] = {}
        self.offered = place.subprotocols() if protocol == "signals" else ()
        self.place = place
        self.unread = unread
        told: dict[str, Any] = {"is_json": protocol == "signals", "took": self._took, "ended": self._ended}
        self.wire = (
            EventWire(url, headers, open_socket=open_socket, **told)
            if transport == "sse"
            else ClientWire(open_socket, **told)
        )
        self.wire.frames_until_cut = cut_after
        self._turn = turn
        self._reconnect = reconnect
        self._hello: Hello | None = None
        self._asked: dict[str, Asked] = {}
        self._last_id = 0

    @property
    def hello(self) -> Hello | None:
        """What the last hello said; None for a plain client of a WebSocket."""
        self._turn()
        return self._hello

    @property
    def presence(self) -> PresenceChanged | None:
        """Who is connected, as the client was told last; None before it was told, and for a plain client.

        It is a :class:`~pode_signals.client.PresenceChanged`. Where presence is shared per group, it is of one group.
        """
        self._turn()
        return self._presence

    @property
    def closed(self) -> Closure | None:
        """How the connection has ended, as the client sees that; None while it is open."""
        self._turn()
        return self.wire.closure

    @property
    def client_id(self) -> str:
        """The client id, as the server has issued it."""
        # Headers are ASCII, so the server has percent-encoded what a client id may have besides.
        return self._hello.client_id if self._hello else unquote(self.response_headers["X-PODE-SIGNAL-CLIENT-ID"])

    # Sending.

    def send(self, message: object, **to: Any) -> None:
        """Send a message to the path of the connection.

        Args:
            message: any JSON value but None.
            to: ``path``, ``group``, ``client_id`` and ``direct``, as a client may give them.

        Raises:
            TypeError: a plain client of server-sent events only reads.
        """
        self._say(message, to)

    def watch(self, *, watch: bool = True) -> None:
        """Ask who is connected, and to be told of changes; or to be told no more. :attr:`presence` has what comes.

        Raises:
            TypeError: a plain client is never told.
        """
        if self.protocol == "plain":
            raise TypeError('a plain client gets no presence: connect(…, protocol="signals") makes one that does')
        self.send_text(watch_text(watch))

    def ask(self, message: object, **to: Any) -> Asked:
        """Send a message that wants an answer, and do not wait for the answer: the test may do something first.

        ::

            asked = ada.ask({"vote": "pizza"})
            bob.receive()
            assert asked.reply() == {"votes": 1}

        Args:
            message: any JSON value but None.
            to: as for :meth:`send`.

        Raises:
            TypeError: a plain client gets no answers.
        """
        if self.protocol == "plain":
            raise TypeError('a plain client gets no replies: connect(…, protocol="signals") makes one that does')
        self._last_id += 1
        asked = self._asked[str(self._last_id)] = Asked(self._turn)
        self._say(message, to, str(self._last_id))
        return asked

    def request(self, message: object, **to: Any) -> Any:
        """Send a message, and take the answer.

        Args:
            message: any JSON value but None.
            to: as for :meth:`send`.

        Returns:
            What the signal route has returned.

        Raises:
            ReplyError: an error came in place of a reply.
            AssertionError: there is no answer yet; :meth:`ask` lets the test do something before it takes the answer.
            TypeError: a plain client gets no answers.
        """
        return self.ask(message, **to).reply()

    def send_text(self, text: str | bytes) -> None:
        """Send a text as it stands, good or bad: a message of a program that is wrong. Bytes need not be UTF-8."""
        self._check_open()
        self.wire.write_text(text.encode("utf-8") if isinstance(text, str) else text)

    def send_binary(self, data: bytes) -> None:
        """Send a binary message, which the server does not take."""
        self._check_open()
        self.wire.write_binary(data)

    # Receiving.

    def receive(self) -> Any:
        """Take the next payload that the client has not taken yet, and acknowledge it where that is wanted.

        Returns:
            The data of a signal. Of a plain client: the JSON value, or the text where it is no JSON.

        Raises:
            AssertionError: nothing waits; the sentence lists the last frames.
        """
        self._turn()
        if not self.unread:
            raise AssertionError(f"no message waits for the client of {self.url}.{self.wire.listed()}")
        signal = self.unread.popleft()
        ack = signal.get("ack")
        if ack is not None and self.auto_acknowledge and self.wire.closure is None:
            self.send_text(encode_value({"type": "ack", "id": ack}))
        return signal["data"]

    def nothing(self) -> None:
        """Assert that no message waits.

        Raises:
            AssertionError: one does; the sentence has all that wait.
        """
        self._turn()
        if self.unread:
            waiting = [each["data"] for each in self.unread]
            raise AssertionError(f"for the client of {self.url} wait {len(waiting)} messages: {waiting!r}")

    def frames(self) -> list[dict[str, Any]]:
        """What went over the wire, in both directions: all but pings and pongs.

        Returns:
            A dict for each frame, with ``direction``, which is ``"->"`` or ``"<-"``, and one more key: ``frame`` (a
            frame of ``pode.signals.v1``, as a dict), ``text`` (any other text), ``binary`` (bytes), or ``close`` (a
            close code) with ``reason``.
        """
        self._turn()
        return list(self.wire.records)

    # Ending.

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection as a client does; nothing happens where it has ended already.

        Args:
            code: the close code.
            reason: the text with the code.

        Raises:
            ValueError: no close frame may have this code.
        """
        check_close_code(code)
        self._turn()
        if self.wire.closure is None:
            self.wire.close(code, reason)
            self._turn()

    def cut(self) -> None:
        """Lose the connection now, without a close frame. What has not arrived is lost; the server sees the end."""
        if self.wire.closure is None:
            self.wire.cut()

    def vanish(self) -> None:
        """Lose the connection so that the server does not see that: nobody answers pings any more."""
        if self.wire.closure is None:
            self.wire.vanish()

    def reconnect(self, *, cut_after: int | None = None) -> TestClient:
        """Connect again, with the same headers; a signals client with its position and its token.

        What this client has not taken yet, the new one takes first. :meth:`SignalTester.reconnect` connects to another
        hub, as after a restart.

        Args:
            cut_after: how many frames arrive until the new connection is cut in its turn, as in the middle of what the
                client has missed; None cuts nothing.

        Returns:
            The new client; ``hello.recovered`` tells whether it has missed nothing.

        Raises:
            Refused: as for :meth:`SignalTester.connect`.
            AssertionError: the connection is still open.
        """
        return self._reconnect(self, cut_after)

    # For the tester.

    def opens(self, answer: Answer) -> None:
        """The server has answered that the connection is open."""
        if self.protocol == "signals" and self.transport == "websocket":
            agreed = answer.headers.get("Sec-WebSocket-Protocol")
            if agreed != SIGNALS_PROTOCOL:
                self.cut()
                raise AssertionError(
                    f"the server agrees on {agreed!r} in place of {SIGNALS_PROTOCOL}: the route prefers that, or"
                    " signals_protocol is False"
                )
        self.response_headers = answer.headers
        self.wire.opens(answer.rest)

    def ends(self) -> None:
        """End the connection in good order, or drop it where the client has vanished."""
        self.close()
        if not self.wire.socket.is_ended:
            self.wire.socket.reset()

    # Within.

    def _say(self, message: object, to: dict[str, Any], id: str | None = None) -> None:
        if unknown := to.keys() - _NAMES_ON_THE_WIRE.keys():
            raise TypeError(f"a message has no {sorted(unknown)}: only {', '.join(_NAMES_ON_THE_WIRE)}")
        frame: dict[str, Any] = {} if self.protocol == "plain" else {"type": "send"}
        if id is not None:
            frame["id"] = id
        frame["message"] = message
        frame.update((_NAMES_ON_THE_WIRE[key], value) for key, value in to.items())
        self.send_text(encode_value(frame))

    def _check_open(self) -> None:
        self._turn()
        if self.wire.closure is not None:
            raise AssertionError(f"this client was {self.wire.state}; reconnect() gives a new one")

    def _took(self, record: Record) -> None:
        if isinstance(self.wire, EventWire) and self.protocol == "plain":
            self._took_event(record, self.wire)
        if self.protocol == "plain" and "text" in record:
            text = record["text"]
            try:
                self.unread.append({"data": json.loads(text)})
            except ValueError:
                self.unread.append({"data": text})
            return
        frame: dict[str, Any] = record.get("frame", {})
        match frame:
            case {"type": "hello"} as frame:
                # Read as the client for Python reads it, so that a hello that no client can read fails here as well.
                hello = read_server_frame(encode_value(frame))
                assert isinstance(hello, Hello)
                self._hello = hello
                self.place.greeted(hello)
                self._views.keep(hello.groups)
            case {"type": "signal"} as frame:
                # The position moves first: a test that fails over a message has had it all the same.
                self.place.moved(frame.get("offset"))
                self.unread.append(frame)
            case {"type": "presence"} as frame:
                read = read_server_frame(encode_value(frame))
                assert isinstance(read, PresenceFrame)
                changed, is_missing = self._views.apply(read)
                assert not is_missing, f"a frame of presence is missing before {frame}"
                self._presence = changed or self._presence
            case {"type": "beat"} as frame:
                self.place.moved(frame.get("offset"))
            case {"type": "reply" | "error", "id": id} as frame if id in self._asked:
                self._asked.pop(id)._ends(frame)

    def _took_event(self, record: Record, wire: EventWire) -> None:
        """A plain stream tells the client's place by the ids of its events."""
        if wire.last_event_id is not None and "text" in record:
            self.place.moved(wire.last_event_id.partition(".")[2])

    def _ended(self, closure: Closure) -> None:
        is_own = closure.by is ClosedBy.CLIENT and closure.code != CloseCode.ABNORMAL
        asked, self._asked = self._asked, {}
        for each in asked.values():
            each._ends(ReplyError("closed" if is_own else "lost", "The connection has ended."))

    def __repr__(self) -> str:
        return f"<TestClient {self.url!r} {self.protocol}, {self.wire.state}>"

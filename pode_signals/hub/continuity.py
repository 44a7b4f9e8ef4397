"""Hello, replay and beat: what keeps a client of ``pode.signals.v1`` in a log without a gap. It decides on no message.

A connection begins held: what is sent to it waits. Its hello goes out as soon as it is known whether the log has all
that the client has missed. What was missed comes behind the hello, then a beat that ends the replay, then what has
waited, and from then on the connection is like any other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.python.failure import Failure

from ..backplane.contract import HistoryLog, Missed
from ..core.history import LoggedSignal, Position
from ..core.model import ClosedBy, ConnectionState
from ..core.registry import Registry
from ..core.resume import Ahead, Recovered, continuation, is_ahead
from ..core.targets import matches
from ..errors import BackplaneUnavailable
from ..wire.frames import CloseCode
from ..wire.message import Encoding
from ..wire.v1 import Hello, beat
from .dialogue import ComingBack, Dialogue, Replay
from .fanout import FanOut
from .histories import Histories, message_of
from .link import Link
from .resumes import Resumes
from .runtime import Runtime

__all__ = ["PATIENCE_SECONDS", "Continuity"]

PATIENCE_SECONDS = 2.0
"""How long hello waits for the log of another process."""
_ENTRIES_AHEAD = 64
"""How many entries of a log are written for one client before the next ones are asked for."""
_PIECE_BYTES = 32_768
"""How many bytes of payloads are written for one client before the client has to read. JSON may write six for one."""
_MOST_PIECES = 256
_MOST_PIECES_BYTES = 4_194_304
# A token is renewed at half of its life, up to a tenth of that sooner or later, so that clients differ.
_RENEWED_AT, _SPREAD = 0.5, 0.1
_RENEWAL_SECONDS = 60.0
"""Over how long the fresh tokens are spread that all clients need when a new generation has begun."""

_Piece = tuple[bytes, int]
"""Frames of a replay, and how many entries of the log they are made of."""


class Continuity:
    """The signals clients of one hub, from hello on.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        fan_out: writes to clients.
        histories: the names that keep a history.
        log: their logs.
        resumes: makes tokens.
    """

    def __init__(
        self,
        runtime: Runtime,
        registry: Registry[Link],
        fan_out: FanOut,
        histories: Histories,
        log: HistoryLog,
        resumes: Resumes,
    ) -> None:
        self._runtime = runtime
        self._settings = runtime.settings
        self._counters = runtime.counters
        self._registry = registry
        self._fan_out = fan_out
        self._histories = histories
        self._log = log
        self._resumes = resumes
        # What the client of a connection may watch.
        self.shares: Callable[[Link], Literal["name", "group"] | None] = lambda _link: None
        self._beats: dict[tuple[Encoding, Position | None], bytes] = {}
        # Pieces of replays that are the same for all clients, by where they begin and end.
        self._pieces: OrderedDict[tuple[Position, Position, Encoding], _Piece] = OrderedDict()
        self._pieces_bytes = 0
        histories.began = self._begins_anew
        histories.progress.tell = self._progressed

    def greet(
        self,
        link: Link,
        back: ComingBack | None,
        greeted: Callable[[], object],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Send hello, and what the client has missed behind it.

        Args:
            link: the connection, which has just been opened.
            back: what the client offered; None where it does not come back.
            greeted: called once, when hello is written, or the connection has ended before.
            patience_seconds: how long hello may wait for the log of another process.
        """
        place = self._place(link)
        if back is None or back.position is None or place is None:
            if back is not None and back.position is not None:
                self._counters.resumes["lost"] += 1
            self._hello(link, place, recovered=False)
            if link in self._fan_out.held:
                self._fan_out.release(link)
            greeted()
            return
        answer = self._missed(link, back.position, place, patience_seconds)
        # The log in memory has answered already, so nothing has to wait.
        if answer.called and isinstance(answer.result, Missed):
            self._come_back(link, back, place, answer.result)
            greeted()
            return
        # The client must not wait for its handshake.
        assert link.dialogue is not None
        opening, link.dialogue.opening = link.dialogue.opening, b""
        self._fan_out.write(link, opening)
        if link not in self._fan_out.held:
            self._fan_out.hold(link)
        # Entries that the client has, unless it is told otherwise, may come before the answer.
        if is_ahead(back.position, place):
            self._histories.withheld.withhold(link, back.position)

        def go_on(missed: Missed | None) -> None:
            if link.state is ConnectionState.OPEN:
                self._come_back(link, back, place, missed)
            greeted()

        def give_up(failure: Failure) -> None:
            self._unanswered(link, failure)
            go_on(None)

        answer.addCallbacks(go_on, give_up)

    def tell(self, link: Link, *, recovered: bool = True) -> None:
        """Send hello again, since something in it has changed.

        Args:
            link: the connection.
            recovered: whether nothing was lost since the hello before.
        """
        dialogue = link.dialogue
        # The first hello is still to come, and will tell.
        if dialogue is not None and dialogue.recovered is not None and link.state is ConnectionState.OPEN:
            frame = self._hello_frame(link, dialogue, self._place(link), recovered=recovered)
            self._fan_out.send_one(link, frame, must_stay=True)

    def tell_all(self, name: str) -> None:
        """Send hello again to all clients of a name, since something in it has changed for them."""
        for link in self._signals_clients(name):
            self.tell(link)

    def renew(self, link: Link, now: float) -> None:
        """Send what is due: a fresh token within a hello, or a beat. Called once a second for each signals client."""
        dialogue = link.dialogue
        if dialogue is None or dialogue.recovered is None:
            return
        if dialogue.stream is not None and now >= dialogue.stream.ends_at:
            # Its client comes back at once and loses nothing. A client that is gone without a word does not.
            link.shut(CloseCode.GOING_AWAY, "the stream was rotated", ClosedBy.SERVER)
        elif now >= dialogue.token_due:
            self.tell(link)
        elif now >= dialogue.beat_due:
            self.beat(link)

    def renew_all(self, links: tuple[Link, ...]) -> None:
        """Every client needs a fresh token: they get them spread over a minute."""
        now = self._runtime.clock.seconds()
        for link in links:
            if link.dialogue is not None:
                due = now + self._runtime.random.uniform(0, _RENEWAL_SECONDS)
                link.dialogue.token_due = min(link.dialogue.token_due, due)

    def beat(self, link: Link) -> None:
        """Tell a client that the server lives, and how far the log is that the client has all of its own of."""
        dialogue = link.dialogue
        if dialogue is None or dialogue.recovered is None:
            return
        dialogue.beat_due = self._runtime.clock.seconds() + self._settings.ping_interval_seconds
        place = self._place(link)
        self._fan_out.send_one(link, self._beat_frame(link, place), must_stay=True)

    def drained(self, link: Link) -> None:
        """A transport is empty again: a client in a replay gets more of it."""
        self._fan_out.drained(link)
        dialogue = link.dialogue
        if dialogue is not None and dialogue.replay is not None and dialogue.replay.waits_for_client:
            self._go_on(link, dialogue.replay)

    # Hello.

    def _place(self, link: Link) -> Position | None:
        return self._histories.place(link)

    def _hello(self, link: Link, place: Position | None, *, recovered: bool) -> None:
        # Not by way of the queue, where what was sent before waits for this.
        self._fan_out.write(link, self._first_hello(link, place, recovered=recovered))

    def _first_hello(self, link: Link, place: Position | None, *, recovered: bool) -> bytes:
        dialogue = link.dialogue
        assert dialogue is not None
        dialogue.beat_due = self._runtime.clock.seconds() + self._settings.ping_interval_seconds
        dialogue.recovered = recovered
        dialogue.session.greeted()
        opening, dialogue.opening = dialogue.opening, b""
        return opening + self._hello_frame(link, dialogue, place, recovered=recovered)

    def _hello_frame(self, link: Link, dialogue: Dialogue, place: Position | None, *, recovered: bool) -> bytes:
        settings, profile = self._settings, link.profile
        life = settings.resume_token_seconds
        dialogue.token_due = self._runtime.clock.seconds() + life * (
            _RENEWED_AT + _SPREAD * (self._runtime.random.random() - 0.5)
        )
        expires = None if profile is None or profile.expires is None else profile.expires
        hello = Hello(
            client_id=link.client_id,
            name=link.name,
            groups=link.groups,
            recovered=recovered,
            heartbeat_seconds=settings.ping_interval_seconds,
            max_message_bytes=settings.max_message_bytes,
            user=None if profile is None else profile.user,
            position=place,
            resume_token=self._resumes.token(link),
            expires_in_seconds=None if expires is None else (expires - self._runtime.wall_time()).total_seconds(),
            presence=self.shares(link),
        )
        return link.encoding.notice("hello", hello.encoded(), place)

    def _begins_anew(self, name: str, lost: bool) -> None:
        """A name has begun or ended to keep a history, or its log broke: its clients are told of their new place."""
        for link in self._signals_clients(name):
            self._fan_out.queues.history_changed(link)
            self.tell(link, recovered=not lost)

    def _signals_clients(self, name: str) -> list[Link]:
        return [each for each in self._registry.audience(name, (), ()) if each.dialogue is not None]

    # Beats.

    def _progressed(self, name: str) -> None:
        for link in self._signals_clients(name):
            self.beat(link)

    def _beat_frame(self, link: Link, place: Position | None) -> bytes:
        """The frame of a beat, which is the same for all clients of a name with one encoding."""
        key = link.encoding, place
        frame = self._beats.get(key)
        if frame is None:
            # Places of several names take turns while a sweep goes over the connections.
            if len(self._beats) >= _ENTRIES_AHEAD:
                self._beats.clear()
            text = beat(None if place is None else place.offset)
            frame = self._beats[key] = link.encoding.notice("beat", text, place)
        return frame

    # The replay.

    def _missed(
        self, link: Link, since: Position, until: Position, patience_seconds: float = PATIENCE_SECONDS
    ) -> Deferred[Missed]:
        """Ask the log for the next entries; the answer is a failure where it takes too long."""
        answer = self._log.missed(link.name, since, until, _ENTRIES_AHEAD)
        # The log in memory has answered already, and a timer would cost more than its answer.
        if not answer.called:
            answer.addTimeout(patience_seconds, self._runtime.clock)
        return answer

    def _come_back(self, link: Link, back: ComingBack, place: Position, missed: Missed | None) -> None:
        """Say hello to a client that comes back, with what it has missed or with the news that something is lost.

        Args:
            link: the connection.
            back: what the client offered: a position at least.
            place: the position of this node.
            missed: the first entries after the client's position; None where the log could not tell.
        """
        assert link.dialogue is not None
        assert back.position is not None
        found = continuation(
            back.position,
            place,
            has_all_after=missed is not None and missed.complete,
            identity_is_whole=back.resumption.is_whole,
        )
        if isinstance(found, Ahead):
            # This node will have those entries later, and the client has them.
            self._counters.resumes["recovered"] += 1
            here = self._histories.position(link.name)
            if here is not None and is_ahead(found.until, here):
                self._histories.withheld.withhold(link, found.until)
            self._histories.withheld.take_last(link)
            self._hello(link, found.until, recovered=True)
            self._fan_out.release(link)
            return
        if missed is None or not isinstance(found, Recovered):
            self._counters.resumes["lost"] += 1
            # What comes next is behind the entries that were withheld.
            place = self._histories.withheld.take_last(link) or place
            here = self._histories.position(link.name)
            if here is not None and here.epoch != place.epoch:
                place = here
            self._histories.withheld.forget(link)
            self._hello(link, place, recovered=False)
            self._fan_out.release(link)
            return
        self._counters.resumes["recovered"] += 1
        link.dialogue.replay = replay = Replay(back.position, place, link.groups)
        # In one write, since each costs a call of the system.
        self._write(link, replay, missed, self._first_hello(link, back.position, recovered=True))

    def _go_on(self, link: Link, replay: Replay) -> None:
        """Ask for the next entries, unless the client has still to read those before.

        There is one way on at a time: the next turn, the answer of the log, or the client. Two would write an entry
        twice.
        """
        if link.state is not ConnectionState.OPEN:
            return
        replay.waits_for_client = self._fan_out.held[link]
        if replay.waits_for_client:
            return
        answer = self._missed(link, replay.since, replay.until)

        def give_up(failure: Failure) -> None:
            self._unanswered(link, failure)
            link.shut(CloseCode.SLOW_CLIENT, "the replay took too long", ClosedBy.SERVER)

        answer.addCallbacks(lambda missed: self._write(link, replay, missed), give_up)

    def _write(self, link: Link, replay: Replay, missed: Missed, before: bytes = b"") -> None:
        """Write entries, and the beat that ends the replay where these are the last ones.

        Args:
            link: the connection.
            replay: its replay.
            missed: the next entries.
            before: what comes before them.
        """
        if link.state is not ConnectionState.OPEN:
            return
        if not missed.complete:
            self._fall_behind(link)
            return
        frames, count = self._piece(link, replay, missed.signals)
        if count:
            replay.since = missed.signals[count - 1].position
        is_over = count == len(missed.signals) < _ENTRIES_AHEAD
        if is_over:
            assert link.dialogue is not None
            link.dialogue.replay = None
            frames += self._beat_frame(link, replay.until)
        if not self._fan_out.write(link, before + frames):
            return
        if is_over:
            self._fan_out.release(link)
            return
        if link not in self._fan_out.held:
            self._fan_out.hold(link)
        self._runtime.turns.later(self._go_on, link, replay)

    def _fall_behind(self, link: Link) -> None:
        """The log has dropped what the client had still to get: it comes back, and is told."""
        self._runtime.reports.write(
            "history",
            "connection {client_id} reads what it missed more slowly than the history of {name} drops it: closed; see"
            " messages, max_bytes and seconds of keep_history",
            event="client.slow",
            client_id=link.client_id,
            name=link.name,
        )
        link.shut(CloseCode.SLOW_CLIENT, "the replay took too long", ClosedBy.SERVER)

    def _piece(self, link: Link, replay: Replay, signals: tuple[LoggedSignal, ...]) -> _Piece:
        """The frames of those entries of the next piece that are for a client, and how many entries the piece has."""
        if not signals:
            return b"", 0
        key = replay.since, signals[-1].position, link.encoding
        # After a cut all clients of a name have missed the same entries, mostly.
        piece = self._pieces.get(key)
        if piece is not None:
            self._counters.signals_replayed += piece[1]
            return piece
        entries = _first_piece(signals)
        chosen = [each for each in entries if matches(each.target, replay.groups, link.client_id)]
        self._counters.signals_replayed += len(chosen)
        piece = b"".join(message_of(each).encoded(link.encoding) for each in chosen), len(entries)
        if all(each.target.is_everybody for each in entries):
            self._keep_piece(key, piece)
        return piece

    def _keep_piece(self, key: tuple[Position, Position, Encoding], piece: _Piece) -> None:
        self._pieces[key] = piece
        self._pieces_bytes += len(piece[0])
        while len(self._pieces) > _MOST_PIECES or self._pieces_bytes > _MOST_PIECES_BYTES:
            self._pieces_bytes -= len(self._pieces.popitem(last=False)[1][0])

    def _unanswered(self, link: Link, failure: Failure) -> None:
        """The log could not tell, or not in time. That it is away is told where the state of the backplane is."""
        if failure.check(CancelledError, DeferTimeout, BackplaneUnavailable) is None:
            self._runtime.reports.failure("history", "the history of {name} can't be read", failure, name=link.name)


def _first_piece(signals: tuple[LoggedSignal, ...]) -> tuple[LoggedSignal, ...]:
    """The first entries, as many as one piece has; one at least."""
    size_bytes = 0
    for number, each in enumerate(signals):
        size_bytes += len(each.data)
        if size_bytes > _PIECE_BYTES and number:
            return signals[:number]
    return signals

"""What the targets of the search for slow inputs share: sizes, pieces of text, recipes, and clients that read all."""

from __future__ import annotations

from functools import partial

from bounded import BoundedWorld
from fakes import FakeTransport
from fuzz.recipes import NUMBER, Context, Part, Recipe
from fuzz.target import CLIENT_ID, SECRET
from twisted.internet.task import Clock

from pode_signals.core.model import Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.core.signing import Signer
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of

HEAD_BYTES = 15_500
"""Of the 16 KiB of a head, for one line of it."""
MESSAGE_BYTES = 65_000
STREAM_BYTES = 65_536
"""One read."""
WAITS = 4
WAIT_SECONDS = 0.05
_MOST_TURNS = 10_000
SIGNED_ID = Signer((SECRET,)).sign(CLIENT_ID, None)
SIGNS = tuple(bytes((each,)) for each in b"\t !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~\x00\x7f\x80\xff")
LINES = (b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b": ")
VALUE = (
    *SIGNS,
    b", ",
    b"; ",
    b"a=b",
    b'""',
    b'a="',
    b'\\"',
    b"%20",
    b"%c3%bc",
    b"a=b; ",
    b"a, ",
    b"%ff",
    NUMBER,
    b"x" * 50,
)


class _Reader(FakeTransport):
    """A good client, which keeps nothing."""

    def __init__(self, clock: Clock, link: Link) -> None:
        super().__init__(clock, lambda _link, _payload: None)
        self.link = link

    def write(self, data: bytes) -> bool:
        """Read."""
        return True

    def write_ping(self, payload: bytes) -> None:
        """Answer."""
        self._clock.callLater(0, self.link.pong, payload)


def connect_reader(world: BoundedWorld, name: str, group: str, client_id: str) -> None:
    """Connect a good client."""
    record = RequestRecord(b"GET", b"/", (), "192.0.2.9", False)
    hub_of(world.signals).open(Identity(name, (group,), client_id), record, partial(_Reader, world.clock))


def let_pass(clock: Clock, seconds: float) -> None:
    """Let time pass, and then as many turns as something is left to do in."""
    clock.advance(seconds)
    for _ in range(_MOST_TURNS):
        if not any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            return
        clock.advance(0)


def known_recipes(
    contexts: tuple[Context, ...], begins: str, *texts: bytes, before: bytes = b"", piece_bytes: int = 0
) -> tuple[Recipe, ...]:
    """Recipes for contexts whose name begins so: each text repeated, after what comes once."""
    once = (Part(before, grows=False),) if before else ()
    return tuple(
        Recipe.of(context, *once, Part(text, grows=True), piece_bytes=piece_bytes)
        for context in contexts
        if context.name.startswith(begins)
        for text in texts
    )

"""The channels of names: one for each name that this node has to hear of, whatever for. It opens no message.

The first byte of a message tells what it is: ``l`` an entry of the name's log, ``e`` an envelope, ``p`` a change among
the name's members.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from .client import RedisClient
from .connection import RedisLost
from .keys import Keys

__all__ = ["ENVELOPE", "LOGGED", "MEMBERS", "NameChannels"]

ENVELOPE = ord("e")
LOGGED = ord("l")
MEMBERS = ord("p")

log = Logger()

Listener = Callable[[str, bytes], None]


class NameChannels:
    """Which names this node hears of.

    Args:
        client: the way to Redis.
        keys: the keys of the application.
        failed: called when a function that was given here raises.
    """

    def __init__(self, client: RedisClient, keys: Keys, failed: Callable[[], None]) -> None:
        self._client = client
        self._keys = keys
        self._failed = failed
        self._listeners: dict[int, Listener] = {}
        # The kinds of messages that are wanted of each name.
        self._names: dict[str, set[int]] = {}

    def on(self, kind: int, listener: Listener) -> None:
        """Have a function called with the name and the rest of each message of a kind."""
        self._listeners[kind] = listener

    def listen(self, name: str, kind: int) -> Deferred[bool]:
        """Hear of a name.

        Returns:
            Fires with True when Redis has confirmed; with False where Redis can't be asked now. The channel is
            subscribed to with the next connect then.
        """
        wanted = self._names.get(name)
        if wanted is not None:
            wanted.add(kind)
            # A subscription may be on its way; the answer to a ping of the same connection comes behind its answer.
        else:
            self._names[name] = {kind}
        confirmed = self._client.subscribe(self._keys.channel(name), lambda content: self._received(name, content))
        return confirmed.addCallbacks(lambda _: True, lambda failure: failure.trap(RedisLost) and False)

    def end(self, name: str, kind: int) -> None:
        """No longer hear of a name, as far as a kind of messages goes."""
        wanted = self._names.get(name)
        if wanted is not None:
            wanted.discard(kind)
            if not wanted:
                del self._names[name]
                self._client.unsubscribe(self._keys.channel(name))

    def hears(self, name: str, kind: int) -> Deferred[bool] | None:
        """A Deferred that has fired where a kind of messages is heard of already; None where it is not."""
        return succeed(True) if kind in self._names.get(name, ()) else None

    def _received(self, name: str, content: bytes) -> None:
        kind = content[0] if content else None
        if kind not in self._names.get(name, ()) or kind is None:
            return
        try:
            self._listeners[kind](name, content[1:])
        except Exception:
            # One name's message must not end the connection of all.
            self._failed()
            log.failure("A message of other nodes could not be taken.", event="defect")

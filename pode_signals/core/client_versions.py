"""Versions of client ids, so that a group that a client has left stays left. It reads no clock, and knows no group.

A resume token names the groups that its client had joined, and is good for a while. A client that leaves a group may
keep an older token, which still names that group. So leaving gives the client id the next version of a count, and a
token names the version that was given last when the token was made. Groups come back from no token that is older than
the version of its client id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from .signing import bare_client_id

__all__ = ["MOST_CLIENT_VERSIONS", "ClientVersions"]

MOST_CLIENT_VERSIONS = 10_000
"""How many client ids have a version of their own at a time."""


class ClientVersions:
    """The versions of the client ids of one hub, within a bound.

    Args:
        new_generation: makes a random text, another one at each call.
        kept_seconds: how long a version is kept at least: as long as a token is good.
        most: how many versions are kept. When there would be more, all of them are dropped, and a new generation
            begins: no groups come back from any older token.

    Attributes:
        generation: the generation that new tokens name.
        version: the version that new tokens name.
    """

    __slots__ = ("_forgotten", "_kept_seconds", "_most", "_new_generation", "_versions", "generation", "version")

    def __init__(
        self, new_generation: Callable[[], str], kept_seconds: float, most: int = MOST_CLIENT_VERSIONS
    ) -> None:
        self._new_generation = new_generation
        self._kept_seconds = kept_seconds
        self._most = most
        self.generation = new_generation()
        self.version = 0
        # The version that was dropped last. All versions that are kept are newer.
        self._forgotten = 0
        # Each with the time until which it is kept, in the order of the versions.
        self._versions: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._versions)

    def left(self, name: str, client_id: str, now: float) -> bool:
        """A client has left a group, or was closed for good: its groups come back from none of its older tokens.

        Args:
            name: the name of the connection.
            client_id: its client id, with a signature or without.
            now: the time in seconds, of the clock that tokens expire by.

        Returns:
            Whether a new generation began, so that every client needs a new token.
        """
        self._forget_those_over(now)
        key = _key(name, client_id)
        # The newest version has to be the last one.
        self._versions.pop(key, None)
        self.version += 1
        if len(self._versions) >= self._most:
            self._versions.clear()
            self.generation = self._new_generation()
            return True
        self._versions[key] = (self.version, now + self._kept_seconds)
        return False

    def hold(self, name: str, client_id: str, generation: str, version: int) -> bool:
        """Whether a client has left no group since a token was made, so that the token's groups may come back.

        Args:
            name: the name of the connection.
            client_id: its client id, with a signature or without.
            generation: the generation that the token names.
            version: the version that the token names.
        """
        if generation != self.generation:
            return False
        kept = self._versions.get(_key(name, client_id))
        # A token that is older than a version that was dropped may have been made before its client left a group. By
        # the clock such a token has expired, and where the clock was set back it has not.
        return version >= (self._forgotten if kept is None else kept[0])

    def _forget_those_over(self, now: float) -> None:
        while self._versions:
            oldest = next(iter(self._versions))
            version, until = self._versions[oldest]
            if until > now:
                return
            del self._versions[oldest]
            self._forgotten = version


def _key(name: str, client_id: str) -> tuple[str, str]:
    # Whoever changes the secret changes the signatures, and not who the clients are.
    return name, bare_client_id(client_id)

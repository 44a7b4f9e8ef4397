"""Versions of client ids that all nodes share, so that a group that was left on one node stays left on another.

Each client id that has left a group has a version of its own, a random number that the backplane keeps as long as a
token is good. Groups come back from tokens that name the version that is kept now, and the generation, which is one for
all nodes. It reads no token.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import quote

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from ..core.client_versions import MOST_CLIENT_VERSIONS
from ..core.signing import bare_client_id
from ..errors import BackplaneUnavailable
from .node import Node
from .runtime import Runtime

__all__ = ["SharedVersions"]

_GENERATION_KEY = "generation"
_GENERATION_BYTES = 6
_GENERATION = re.compile(rb"[0-9a-f]{12}")
_VERSION = re.compile(rb"[1-9][0-9]{0,15}")
_GENERATION_SECONDS = 10 * 365 * 86_400.0
"""How long a generation is kept, which ends only with the store."""
_VERSION_BITS = 48
_RETRY_SECONDS = 5.0
"""How long after a failure a version is given to the backplane once more."""


class SharedVersions:
    """The versions of the client ids of all nodes.

    Args:
        runtime: the surroundings.
        node: this node, whose backplane keeps them.

    Attributes:
        generation: the generation that new tokens name.
        renewed: called when there is another generation, so that all clients need fresh tokens.
    """

    def __init__(self, runtime: Runtime, node: Node) -> None:
        self._runtime = runtime
        self._node = node
        self._kept_seconds = runtime.settings.resume_token_seconds
        self.generation = _new_generation()
        self.renewed: Callable[[], None] = lambda: None
        # The versions that this node has given or read, the oldest first. Where one is forgotten, tokens of its client
        # bring no groups back until its time is over.
        self._versions: OrderedDict[str, int] = OrderedDict()
        # Those that the backplane does not have yet.
        self._pending: dict[str, int] = {}

    def begin(self) -> None:
        """Find out the generation; where there is none, the one of this node is that of all."""
        self._node.backplane.recall(_GENERATION_KEY).addCallback(self._found).addErrback(self._failed)

    def version(self, name: str, client_id: str) -> int:
        """The version that a new token of a client names."""
        return self._versions.get(_key(name, client_id), 0)

    def left(self, name: str, client_id: str) -> None:
        """A client has left a group, or was closed for good: its groups come back from none of its older tokens."""
        key, version = _key(name, client_id), secrets.randbits(_VERSION_BITS) + 1
        self._keep(key, version)
        self._pending[key] = version
        self._remember(key, version, self._runtime.clock.seconds() + self._kept_seconds)

    def hold(self, name: str, client_id: str, generation: str, version: int) -> Deferred[bool]:
        """Whether a client has left no group since a token was made.

        Args:
            name: the name of the connection.
            client_id: its client id, with a signature or without.
            generation: the generation that the token names.
            version: the version that the token names.

        Returns:
            Fires with whether the token's groups may come back. Fails with BackplaneUnavailable.
        """
        key = _key(name, client_id)
        backplane = self._node.backplane
        asked = gatherResults([backplane.recall(_GENERATION_KEY), backplane.recall(key)], consumeErrors=True)

        def known(found: list[bytes | None]) -> bool:
            self._found(found[0])
            kept = self._pending.get(key) or _version_of(found[1])
            if kept is not None:
                self._keep(key, kept)
            return generation == self.generation and (kept is None or version == kept)

        def failed(failure: Failure) -> Failure:
            assert isinstance(failure.value, FirstError)
            return failure.value.subFailure

        return asked.addCallbacks(known, failed)

    def _found(self, generation: bytes | None) -> None:
        if generation is None or not _GENERATION.fullmatch(generation):
            # The store is new, or has lost all, and the versions with it. Or somebody else has written there: a token
            # is lines, and must not have those that another than a node has made up.
            self._take(_new_generation())
            value = self.generation.encode("ascii")
            kept = self._node.backplane.remember(_GENERATION_KEY, value, _GENERATION_SECONDS)
            kept.addErrback(self._failed)
        else:
            self._take(generation.decode("ascii"))

    def _take(self, generation: str) -> None:
        if generation != self.generation:
            self.generation = generation
            self.renewed()

    def _keep(self, key: str, version: int) -> None:
        self._versions[key] = version
        self._versions.move_to_end(key)
        if len(self._versions) > MOST_CLIENT_VERSIONS:
            self._versions.popitem(last=False)

    def _remember(self, key: str, version: int, until: float) -> None:
        # A later one counts.
        if self._pending.get(key) != version:
            return
        seconds = until - self._runtime.clock.seconds()
        if seconds <= 0:
            del self._pending[key]
            return

        def kept(_: None) -> None:
            if self._pending.get(key) == version:
                del self._pending[key]

        def again(failure: Failure) -> None:
            self._failed(failure)
            self._runtime.clock.callLater(_RETRY_SECONDS, self._remember, key, version, until)

        self._node.backplane.remember(key, b"%d" % version, seconds).addCallbacks(kept, again)

    def _failed(self, failure: Failure) -> None:
        # That the nodes can't be reached is told elsewhere.
        if failure.check(BackplaneUnavailable) is None:
            self._runtime.reports.failure("resume", "what nodes share of clients that come back has failed", failure)


def _version_of(value: bytes | None) -> int | None:
    """The version that is kept; None where there is none. One that no node has written is a version of no token."""
    if value is None:
        return None
    return int(value) if _VERSION.fullmatch(value) else -1


def _new_generation() -> str:
    return secrets.token_hex(_GENERATION_BYTES)


def _key(name: str, client_id: str) -> str:
    # Whoever changes the secret changes the signatures, and not who the clients are.
    return f"left:{quote(name, safe='')}:{quote(bare_client_id(client_id), safe='')}"

"""Opens the connections to a Redis, or to all masters of a cluster, and has them let in. It keeps none of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from .address import RedisAddress
from .connection import RedisConnection, RedisLost, RedisRefused
from .slots import Master, SlotsUnknown, read_slots
from .way import Masters, Pair

__all__ = ["Opening"]

_TRY_SECONDS = 1.8
"""How long each step of a try to connect may take. Whoever was tried when an outage ended is tried anew within 2
seconds."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


class Opening:
    """Opens the way to one address.

    Args:
        address: the Redis, or the cluster.
        reactor: connects, and measures time.
        random: chooses which node of a cluster is asked first.
        authorities: a file with the certificates, PEM, of those who may vouch for Redis; None is whom the system
            trusts.
    """

    def __init__(self, address: RedisAddress, reactor: Any, random: Random, authorities: Path | None) -> None:
        self._address = address
        self._reactor = reactor
        self._random = random
        self._authorities = authorities
        # The masters of the cluster as they were last.
        self._masters: tuple[Master, ...] = ()

    @inlineCallbacks
    def open(self, lost: Callable[[str], None]) -> Any:
        """All connections.

        Args:
            lost: called with the reason for each connection that ends.

        Returns:
            Fires with a :data:`~.way.Way`. Where one connection can't be made, the others are dropped.
        """
        if not self._address.is_cluster:
            return (yield self._pair(self._address, lost))
        slots = yield self._slots()
        self._masters = slots.masters
        pairs: tuple[Pair, ...] = ()
        try:
            for master in slots.masters:
                pairs += ((yield self._master(master, lost)),)
        except BaseException:
            for pair in pairs:
                pair.drop("another master can't be reached")
            raise
        return Masters(pairs, slots.owners)

    @inlineCallbacks
    def _slots(self) -> Any:
        """Which master has each slot, by the first node of the cluster that tells."""
        nodes = list({*map(Master._make, self._address.seeds), *self._masters})
        # A node that is cut off from the others tells of the past. Another one is asked with the next try.
        self._random.shuffle(nodes)
        for left, node in reversed(tuple(enumerate(nodes))):
            try:
                return (yield self._slots_of(node))
            except (ConnectError, DNSLookupError, RedisLost, RedisRefused, SlotsUnknown):
                if not left:
                    raise

    @inlineCallbacks
    def _slots_of(self, node: Master) -> Any:
        connection = yield self._one(self._address.at(*node), lambda _why: None)
        try:
            answer = yield connection.call("CLUSTER", "SLOTS")
        except RedisRefused as error:
            if error.code == "ERR":
                raise SlotsUnknown("this Redis is no part of a cluster") from None
            raise
        finally:
            connection.drop("it has told of the slots")
        return read_slots(answer, node.host)

    @inlineCallbacks
    def _master(self, master: Master, lost: Callable[[str], None]) -> Any:
        """Both connections to one master. Where they end, or can't be made, the reason says of which."""
        address = self._address.at(*master)
        place = str(address).partition("://")[2]
        try:
            return (yield self._pair(address, lambda why: lost(f"{place}: {why}")))
        except RedisLost as error:
            raise RedisLost(f"{place}: {error.why}", was_sent=False) from None
        except (ConnectError, DNSLookupError) as error:
            raise RedisLost(f"{place}: no connection: {error}", was_sent=False) from None

    @inlineCallbacks
    def _pair(self, address: RedisAddress, lost: Callable[[str], None]) -> Any:
        """Both connections to one Redis."""
        commands = yield self._one(address, lost)
        try:
            subscriptions = yield self._one(address, lost)
        except BaseException:
            commands.drop("the other connection can't be made")
            raise
        return Pair(commands, subscriptions)

    @inlineCallbacks
    def _one(self, address: RedisAddress, lost: Callable[[str], None]) -> Any:
        """One connection that Redis has let in."""
        connection = yield self._endpoint(address).connect(_Factory(self._reactor, lost))
        try:
            if address.password is not None:
                user = () if address.username is None else (address.username,)
                yield connection.call("AUTH", *user, address.password)
            if address.database:
                yield connection.call("SELECT", address.database)
            # A Redis that wants a password says so here, and so does one that loads its data.
            yield connection.call("PING")
        except BaseException:
            connection.drop("it does not let this node in")
            raise
        return connection

    def _endpoint(self, address: RedisAddress) -> IStreamClientEndpoint:
        if address.path:
            return UNIXClientEndpoint(self._reactor, address.path, timeout=_TRY_SECONDS)
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=_TRY_SECONDS
        )
        if address.is_tls:
            endpoint = wrapClientTLS(optionsForClientTLS(address.host, self._trust_root()), endpoint)
        return endpoint

    def _trust_root(self) -> Any:
        if self._authorities is None:
            return None
        # Read anew for each connection, since the file may be replaced.
        return trustRootFromCertificates(
            [Certificate.loadPEM(each) for each in _PEM.findall(self._authorities.read_bytes())]
        )


class _Factory(Factory):
    """Makes connections."""

    noisy = False

    def __init__(self, clock: Any, lost: Callable[[str], None]) -> None:
        self._clock = clock
        self._connection_lost = lost

    def buildProtocol(self, addr: IAddress | None) -> RedisConnection:
        """A connection."""
        return RedisConnection(self._clock, _TRY_SECONDS, self._connection_lost)

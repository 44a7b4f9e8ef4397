"""What nobody has to turn on: every protection of a hub that was made with no argument, and of the one of twistd."""

from __future__ import annotations

import resource
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import asdict
from autobahn.websocket.compress import PerMessageDeflateOffer
from bounded import BoundedWorld
from fakes import clock_of, connected, new_signals, turn
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from web_fakes import head

from pode_signals import Scope, Signals, SignalsService, Unrouted
from pode_signals.command.tap import Options, makeService
from pode_signals.core.settings import SETTING_NAMES
from pode_signals.ports import port_set
from pode_signals.ports.channel import SignalChannel
from pode_signals.signals import hub_of
from pode_signals.transports.websocket import SignalFactory
from pode_signals.wire.frames import CloseCode

KIB, MIB = 1_024, 1_048_576

PROTECTIONS = {
    # What a client sends.
    "max_message_bytes": 64 * KIB,
    "max_fragments": 1_024,
    "message_timeout_seconds": 10,
    "messages_per_second": 100,
    "message_burst": 200,
    "max_pending_messages": 64,
    "inbox_bytes": 262_144,
    "total_inbox_bytes": 67_108_864,
    "max_json_depth": 32,
    "max_json_keys": 1_000,
    "bad_messages_limit": 10,
    "bad_messages_window_seconds": 60,
    "control_frames_per_second": 10,
    "control_frame_burst": 20,
    "compression": False,
    # What a client does not read, or answer.
    "max_outgoing_bytes": MIB,
    "send_queue_bytes": MIB,
    "total_queue_bytes": 256 * MIB,
    "slow_client": "close",
    "response_timeout_seconds": 60,
    "ping_interval_seconds": 25,
    "pong_timeout_seconds": 10,
    "close_timeout_seconds": 5,
    # Who comes in, and how many.
    "pending_handshakes": 1_000,
    "handshake_head_bytes": 16 * KIB,
    "handshake_timeout_seconds": 10,
    "max_request_body_bytes": MIB,
    "max_form_bytes": 256 * KIB,
    "request_timeout_seconds": 60,
    "signals_protocol": True,
    "allow_sse": False,
    "resume_token_seconds": 3_600,
    "total_history_bytes": 64 * MIB,
    "max_pending_acknowledgements": 100_000,
    "expiry_grace_seconds": 25,
    "presence_grace_seconds": 15,
    "listen_backlog": 1_024,
    "max_connections": None,  # what the process can hold, see below
    "max_connections_per_address": None,  # behind a proxy all share one
    "max_names": 10_000,
    "max_groups": 100,
    "allowed_origins": None,  # the page's own
    "allow_null_origin": False,
    "allow_missing_origin": None,  # but not through a trusted proxy
    "trusted_proxies": (),
    "duplicate_client_id": "replace",
    # What runs for a message.
    "handler_timeout_seconds": 30,
    # Pode's own, which are no protections.
    "unrouted": Unrouted.BROADCAST,
    "default_scope": Scope.GLOBAL,
    # What comes to the same in less time.
    "fast": True,
}


def of_twistd(monkeypatch: pytest.MonkeyPatch) -> SignalsService:
    """The service of ``twistd -n pode-signals``; its port is not looked at."""
    monkeypatch.setattr(port_set, "check_free", lambda reactor, listener: None)
    options = Options()
    options.parseOptions([])
    (made,) = makeService(options)
    assert isinstance(made, SignalsService)
    return made


@pytest.fixture(params=["Signals()", "twistd"])
def signals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Signals:
    """A hub that nobody configured."""
    return Signals() if request.param == "Signals()" else of_twistd(monkeypatch).signals


def test_the_list_is_complete() -> None:
    """S16.7: every setting is in the list above."""
    assert sorted(PROTECTIONS) == sorted(SETTING_NAMES)


def test_every_default(signals: Signals) -> None:
    """S16.7: with no argument and no option every protection is on, with these numbers."""
    assert asdict(signals.settings) == PROTECTIONS


def test_connections_are_bounded(signals: Signals) -> None:
    """S16.5: with no number given, open connections are bounded by what the process can hold."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    descriptors = 1_000_000 if soft == resource.RLIM_INFINITY else soft
    assert 1 <= hub_of(signals).max_pending_handshakes <= min(1_000, descriptors)
    assert 1 <= hub_of(signals).capacity.max_connections < descriptors


def test_the_wire(signals: Signals) -> None:
    """S16.3: with no argument messages are bounded on the wire, text is validated, and nothing is compressed."""
    factory: Any = SignalFactory(hub_of(signals))
    assert factory.maxMessagePayloadSize == 64 * KIB
    assert factory.perMessageCompressionAccept([PerMessageDeflateOffer()]) is None
    assert (factory.utf8validateIncoming, factory.requireMaskedClientFrames) == (True, True)
    assert (factory.webStatus, factory.failByDrop) == (False, False)
    # Its timers would use the real reactor.
    assert (factory.openHandshakeTimeout, factory.closeHandshakeTimeout, factory.autoPingInterval) == (0, 0, 0)


def test_slow_clients(signals: Signals) -> None:
    """S16.2: with no argument a slow client is closed."""
    made = new_signals(**asdict(signals.settings))
    slow = connected(made)
    slow.link.congested()
    for _ in range(3):
        slow.connection.send("x" * 500_000)
    assert slow.connection.closure is not None
    assert slow.connection.closure.code == CloseCode.SLOW_CLIENT


def test_pings() -> None:
    """S16.1: with no argument pings begin with the first connection."""
    signals = new_signals()
    assert clock_of(signals).getDelayedCalls() == []
    client = connected(signals)
    turn(signals, seconds=24)
    assert client.pings == []
    for _ in range(3):
        turn(signals, seconds=1)
    assert len(client.pings) == 1


def test_request_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.4: with no option every port of twistd's service bounds the heads of requests, together with the others."""
    made = of_twistd(monkeypatch)
    channels = []
    for listener in made._ports.listeners:
        factory: Any = made._ports.factory(listener, made._clock, made._resource_of(listener))
        channel: Any = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5555))
        channel.callLater = lambda seconds, function: None
        channel.makeConnection(StringTransport())
        channels.append(channel)
    for channel in channels:
        assert isinstance(channel, SignalChannel)
        assert (channel.timeOut, channel.totalHeadersSize, channel.maxHeaders) == (10, 16 * KIB, 100)
        assert channel.limits is channels[0].limits
    assert len(channels[0].limits.pending) == len(channels) > 0
    pending = channels[0].limits.pending
    # None has to go for those that come up to the limit, and one for the next.
    going = [pending.add(object(), "192.0.2.1") for _ in range(hub_of(made.signals).max_pending_handshakes)]
    assert [each is None for each in going].index(False) == len(going) - len(channels)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://example.com", 101), (None, 101), ("http://evil.example", 403), ("null", 403)],
)
def test_origins(origin: str | None, status: int) -> None:
    """S16.6: with no argument a page's own origin may connect, and others may not."""
    more = () if origin is None else (("Origin", origin),)
    assert BoundedWorld().client().ask(head("/msg", *more)).status == status


def test_no_proxy_is_trusted() -> None:
    """S16.5: with no argument nobody can say that his address is another."""
    world = BoundedWorld()
    world.client("203.0.113.7").open("/msg", ("X-Forwarded-For", "198.51.100.9"))
    assert world.converted[0].address == "203.0.113.7"


@pytest.mark.parametrize("name", sorted(PROTECTIONS))
def test_none_can_be_turned_off_by_mistake(name: str) -> None:
    """S16.7: nonsense for a setting is an error at construction, never a protection that is off."""
    with pytest.raises(ValueError, match=rf"^{name} has to be "):
        Signals(**{name: -1})  # type: ignore[arg-type]


def test_a_platform_without_a_limit_on_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.5: where nothing tells how many descriptors a process may have, or there is no end, it is a million."""
    endless = SimpleNamespace(RLIMIT_NOFILE=7, RLIM_INFINITY=-1, getrlimit=lambda _which: (-1, -1))
    for module in (None, endless):
        monkeypatch.setitem(sys.modules, "resource", module)
        hub = hub_of(new_signals())
        assert (hub.max_pending_handshakes, hub.capacity.max_connections) == (1_000, 998_936)

from __future__ import annotations

import pytest
from served import PAGE, SOCKET, Served, fired
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel, capturedLogs, formatEvent

from pode_signals.core.endpoints import Endpoint
from pode_signals.errors import ConfigurationInvalid
from pode_signals.service import ServiceState
from pode_signals.signals import hub_of


class Slow:
    """An endpoint of Twisted whose port comes when the test says.

    Attributes:
        waiting: fires with the port.
        cancelled: how often it was told to give up.
    """

    def __init__(self, *, stubborn: bool = False) -> None:
        self.cancelled = 0
        self.waiting: Deferred[object] = Deferred(self._cancel)
        self._stubborn = stubborn
        self._after: Deferred[object] = Deferred()

    def _cancel(self, _waiting: object) -> None:
        self.cancelled += 1

    def listen(self, factory: object) -> Deferred[object]:
        if self._stubborn:
            self.waiting.addErrback(lambda _: self._after)
        return self.waiting

    def port_comes(self, port: object) -> None:
        (self._after if self.cancelled else self.waiting).callback(port)


class Port:
    """A port that an endpoint of Twisted has bound."""

    def __init__(self) -> None:
        self.is_open = True
        self.closed: Deferred[None] = Deferred()

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 8093)

    def stopListening(self) -> Deferred[None]:
        self.is_open = False
        return self.closed


def test_an_endpoint_of_twisted_that_takes_a_while() -> None:
    """S1.6: a Twisted endpoint may bind its port after the start, which does not wait; the log tells both."""
    by, port = Slow(), Port()
    late = Endpoint("http", listen=by)
    served = Served(PAGE, SOCKET, late)
    with capturedLogs() as logs:
        served.service.startService()
        assert served.service.state is ServiceState.READY
        assert (served.service.addresses[late], hub_of(served.signals).own_ports) == ((), {8091})
        by.port_comes(port)
    lines = [formatEvent(event) for event in logs if "where" in event]
    assert lines[0].startswith("listening: http+ws on 127.0.0.1:8091, http Slow (not yet);")
    assert lines[1:] == ["listening: http on 127.0.0.1:8093"]
    assert served.service.addresses[late] == (port.getHost(),)
    assert hub_of(served.signals).own_ports == {8091, 8093}
    stopped = served.service.stopService()
    assert not port.is_open
    assert not fired(stopped)
    port.closed.callback(None)
    assert fired(stopped)
    assert hub_of(served.signals).own_ports == set()


def test_an_endpoint_of_twisted_that_fails_later() -> None:
    """S1.6: a Twisted endpoint that fails after the start is one error in the log, and the others are served."""
    by = Slow()
    served = Served(PAGE, Endpoint("http", listen=by))
    served.service.startService()
    with capturedLogs() as logs:
        by.waiting.errback(CannotListenError("127.0.0.1", 8093, OSError(98, "Address already in use")))
    (event,) = logs
    assert event["log_level"] is LogLevel.error
    assert (
        formatEvent(event)
        == "a port could not be bound: Couldn't listen on 127.0.0.1:8093: [Errno 98] Address already in use."
    )
    assert b"hello" in served.get()
    assert fired(served.service.stopService())


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_stop_before_an_endpoint_of_twisted_is_bound(stubborn: bool) -> None:
    """S12.2: a stop gives up the Twisted endpoints that are not bound yet; a port that comes all the same is closed."""
    by, port = Slow(stubborn=stubborn), Port()
    served = Served(PAGE, Endpoint("http", listen=by))
    served.service.startService()
    with capturedLogs() as logs:
        stopped = served.service.stopService()
        assert by.cancelled == 1
        if stubborn:
            assert not fired(stopped)
            by.port_comes(port)
            assert not port.is_open
            assert not fired(stopped)
            port.closed.callback(None)
        assert fired(stopped)
    assert [event for event in logs if event["log_level"] is not LogLevel.info] == []
    assert served.service.state is ServiceState.STOPPED


def test_a_taken_port_beside_an_endpoint_of_twisted() -> None:
    """S12.2: where another port is taken, a Twisted endpoint that is not bound yet is given up."""
    by = Slow()
    served = Served(Endpoint("http", listen=by), PAGE, taken=[8091])
    with pytest.raises(CannotListenError):
        served.service.startService()
    assert by.cancelled == 1


class Failing:
    """An endpoint of Twisted that raises or gives something at once."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    def listen(self, factory: object) -> object:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (LookupError("no such thing"), "the endpoint http Failing can't be used: no such thing"),
        (LookupError(), "the endpoint http Failing can't be used: LookupError()"),
        (fail(OSError(13, "denied")), "the endpoint http Failing can't be used: [Errno 13] denied"),
        (5, "the endpoint http Failing can't be used: its listen gave 5, which is no port"),
    ],
)
def test_an_endpoint_of_twisted_that_fails(outcome: object, sentence: str) -> None:
    """S1.6: a Twisted endpoint that fails at the start is refused in one sentence, and the other ports are let go."""
    served = Served(PAGE, Endpoint("http", listen=Failing(outcome)))
    with pytest.raises(ConfigurationInvalid) as refused:
        served.service.startService()
    assert str(refused.value) == sentence
    assert served.reactor.listening == {}
    assert served.service.state is ServiceState.STOPPED

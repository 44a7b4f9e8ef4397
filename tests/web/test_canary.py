"""Canaries: the private parts of Twisted and Autobahn that the hand-over touches are there and behave as it expects.

Each fails with the name of the attribute, so that a new release of either says by itself what has to be looked at.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from web_fakes import KEY, close_frame, frame, head, plain


class Kept(Resource):
    """Keeps its requests and answers none."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def render(self, request: Any) -> Any:
        self.requests.append(request)
        return NOT_DONE_YET


def needs(thing: object, attribute: str, what_for: str) -> Any:
    """The attribute, or a failure that says which one is gone and what for it was."""
    if not hasattr(thing, attribute):
        pytest.fail(f"{type(thing).__module__}.{type(thing).__name__}.{attribute} is gone: {what_for}")
    return getattr(thing, attribute)


def expect(holds: bool, attribute: str, what_for: str) -> None:
    """Fail with the attribute's name where it does not behave."""
    if not holds:
        pytest.fail(f"{attribute} behaves differently: {what_for}")


def handling(data: bytes) -> tuple[Any, Any, StringTransport, Clock]:
    """A request that is being handled, its channel, its transport and the clock, after these bytes came in."""
    clock = Clock()
    resource = Kept()
    site = Site(resource, timeout=10, reactor=clock)
    wrapper = site.buildProtocol(None)
    transport = StringTransport()
    wrapper.makeConnection(transport)
    wrapper.dataReceived(data)
    (request,) = resource.requests
    expect(isinstance(request.channel, HTTPChannel), "Request.channel", "the HTTPChannel of the connection")
    return request, request.channel, transport, clock


def test_data_buffer() -> None:
    """S2.6: HTTPChannel._dataBuffer has what came behind a request that is being handled."""
    _, channel, _, _ = handling(head() + b"first")
    what_for = "a list of the bytes behind the request, read by web/hand_over.py so that no frame is lost"
    buffer = needs(channel, "_dataBuffer", what_for)
    channel.dataReceived(b"second")
    expect(isinstance(buffer, list) and b"".join(channel._dataBuffer) == b"firstsecond", "_dataBuffer", what_for)


def test_buffer_of_a_synchronous_route() -> None:
    """S2.6: within render, clearLineBuffer has what came behind the request in the same read, and nobody else."""
    clock = Clock()
    got: list[bytes] = []
    what_for = "read by web/hand_over.py so that no frame is lost"

    class Taking(Resource):
        isLeaf = True

        def render(self, request: Any) -> Any:
            expect(request.channel._dataBuffer == [], "_dataBuffer", "empty while render runs")
            got.append(needs(request.channel, "clearLineBuffer", what_for)())
            request.channel.dataReceived = got.append
            return NOT_DONE_YET

    wrapper = Site(Taking(), reactor=clock).buildProtocol(None)
    wrapper.makeConnection(StringTransport())
    wrapper.dataReceived(head() + b"first")
    wrapper.dataReceived(b"second")
    expect(got == [b"first", b"second"], "clearLineBuffer", what_for)


def test_the_idle_timeout() -> None:
    """S2.1: HTTPChannel's idle timeout is off while a request is handled; requestDone alone starts it again."""
    request, channel, transport, clock = handling(plain("/"))
    what_for = (
        "web/hand_over.py relies on requestDone, which a converted request's channel never sees, to start it again"
    )
    needs(channel, "setTimeout", "web/hand_over.py switches the idle timeout off with it")
    expect(channel.timeOut is None, "timeOut", "off while a request is handled")
    channel.dataReceived(b"x")
    clock.advance(100)
    expect(not transport.disconnecting, "HTTPChannel.dataReceived", what_for)
    channel._dataBuffer.clear()
    request.finish()
    clock.advance(100)
    expect(transport.disconnecting, "HTTPChannel.requestDone", what_for)


def test_the_channel_is_the_transports_producer() -> None:
    """S4.7: HTTPChannel registers itself with the transport, which has room for one producer."""
    _, channel, transport, _ = handling(head())
    what_for = "HTTPChannel made itself the transport's producer; web/hand_over.py unregisters it"
    expect(transport.producer is channel, "HTTPChannel.connectionMade", what_for)


def test_the_channel_pauses_the_transport() -> None:
    """S2.6: above 16 KiB of bytes behind a request the channel pauses its transport; nobody resumes it but us."""
    _, channel, transport, _ = handling(head())
    channel.dataReceived(b"x" * 20_000)
    expect(transport.producerState == "paused", "HTTPChannel.rawDataReceived", "pauses above _optimisticEagerReadSize")
    expect(b"".join(channel._dataBuffer) == b"x" * 20_000, "_dataBuffer", "keeps what came before it paused")


def test_started_writing_and_finished() -> None:
    """S2.7: Request.startedWriting and .finished say whether the response has begun and ended."""
    request, _, _, _ = handling(head())
    what_for = "web/upgrade.py refuses to convert once the response has begun, and sets it at the hand-over"
    expect(not needs(request, "startedWriting", what_for), "startedWriting", what_for)
    request.write(b"x")
    expect(bool(request.startedWriting), "startedWriting", what_for)
    expect(not needs(request, "finished", what_for), "finished", what_for)
    request.finish()
    expect(bool(request.finished), "finished", what_for)
    expect(getattr(request, "channel", None) is None, "channel", "a request that has ended has none")


def test_writing_after_started_writing_was_set() -> None:
    """S2.5: with startedWriting set the Request writes no head, and everything else goes to its channel."""
    request, _, transport, _ = handling(head())
    calls: list[str] = []

    class Recording:
        factory = None

        def __getattr__(self, name: str) -> Any:
            return lambda *args: calls.append(name)

    request.channel = Recording()
    request.startedWriting = 1
    request.write(b"x")
    request.finish()
    expect(transport.value() == b"", "Request.write, Request.finish", "go through request.channel alone")
    expect(calls == ["write", "requestDone"], "Request.finish", f"requestDone means that the route has ended: {calls}")


def test_disconnected_and_notify_finish() -> None:
    """S2.5: HTTPChannel.connectionLost tells each request of HTTPChannel.requests, which then is _disconnected."""
    request, channel, _, _ = handling(head())
    told: list[Any] = []
    finished: Deferred[None] = request.notifyFinish()
    finished.addErrback(told.append)
    what_for = "web/upgrade.py tells a client that is gone by it"
    expect(needs(request, "_disconnected", what_for) is False, "_disconnected", what_for)
    expect(needs(channel, "requests", "the requests in work") == [request], "requests", "the requests in work")
    channel.connectionLost(Failure(ConnectionDone()))
    expect(request._disconnected is True, "_disconnected", what_for)
    expect(request.channel is None, "channel", "None once the client is gone")
    expect(len(told) == 1, "HTTPChannel.connectionLost", "fires notifyFinish, which cancels routes")


def test_the_wrapper_of_the_channel() -> None:
    """S2.6: what Site makes passes dataReceived and connectionLost on to the channel's attributes of that moment."""
    clock = Clock()
    resource = Kept()
    wrapper = Site(resource, reactor=clock).buildProtocol(None)
    wrapper.makeConnection(StringTransport())
    wrapper.dataReceived(head())
    channel = resource.requests[0].channel
    got: list[object] = []
    channel.dataReceived = channel.connectionLost = got.append
    wrapper.dataReceived(b"x")
    wrapper.connectionLost("reason")
    expect(got == [b"x", "reason"], "_GenericHTTPChannelProtocol", "asks the channel each time")


def test_the_access_log() -> None:
    """S2.6: HTTPChannel.factory is the Site, whose log writes a request's line; Request.finish asks the channel's."""
    _, channel, _, _ = handling(head())
    what_for = "web/hand_over.py writes the line of the 101 by channel.factory.log(request)"
    expect(callable(needs(needs(channel, "factory", what_for), "log", what_for)), "factory.log", what_for)
    source = inspect.getsource(Request.finish)
    expect("self.channel.factory" in source, "Request.finish", "writes no line where channel.factory is None")


def test_cookies() -> None:
    """S2.3: Request.cookies holds the values of Set-Cookie as bytes; responseHeaders has none of them."""
    request, _, _, _ = handling(head())
    request.addCookie("name", "value")
    what_for = "written to the 101 by web/hand_over.py"
    expect(needs(request, "cookies", what_for) == [b"name=value"], "cookies", what_for)
    expect(not request.responseHeaders.hasHeader("Set-Cookie"), "cookies", "they are not among responseHeaders")


def protocol() -> tuple[Any, StringTransport]:
    """A stock Autobahn protocol that is open, with the options that ours has."""
    factory = WebSocketServerFactory(reactor=Clock())
    factory.setProtocolOptions(
        openHandshakeTimeout=0, closeHandshakeTimeout=0, failByDrop=False, maxMessagePayloadSize=100, autoPingInterval=0
    )
    factory.protocol = WebSocketServerProtocol
    made = factory.buildProtocol(None)
    transport = StringTransport(lenient=True)
    transport.registerProducer(object(), True)
    made.makeConnection(transport)
    lines = (b"GET / HTTP/1.1", b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade")
    more = (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + KEY)
    made.dataReceived(b"\r\n".join((*lines, *more, b"", b"")))
    return made, transport


def test_autobahn_opens_at_once() -> None:
    """S2.1: Autobahn answers a handshake synchronously, through sendData, where onConnect is synchronous."""
    made, transport = protocol()
    expect(made.state == made.STATE_OPEN, "WebSocketServerProtocol.state", "OPEN when the head has been fed")
    expect(transport.value().startswith(b"HTTP/1.1 101 "), "sendData", "the 101 is its first output, in one piece")
    expect("self.sendData(" in inspect.getsource(type(made).succeedHandshake), "succeedHandshake", "uses sendData")


def test_autobahn_fails_by_a_close_frame() -> None:
    """S5.8: a failure goes through _fail_connection and sendCloseFrame(isReply=False), and leaves TCP up."""
    made, transport = protocol()
    calls: list[Any] = []
    send, fail = (
        made.sendCloseFrame,
        needs(made, "_fail_connection", "only the first one counts"),
    )
    made.sendCloseFrame = lambda **given: calls.append(given) or send(**given)
    made._fail_connection = lambda *given: calls.append("fail") or fail(*given)
    made.dataReceived(frame(b"x" * 101))
    expect(calls[0] == "fail" and calls[1]["code"] == 1009 and not calls[1]["isReply"], "_fail_connection", str(calls))
    expect(not transport.disconnecting, "_fail_connection", "waits for the client's close frame")


def test_autobahn_replies_to_a_close_frame() -> None:
    """S9.3: a close frame is answered by sendCloseFrame(isReply=True), then TCP ends by dropConnection(abort=False)."""
    made, transport = protocol()
    calls: list[Any] = []
    send, drop = made.sendCloseFrame, made.dropConnection
    made.sendCloseFrame = lambda **given: calls.append(given["isReply"]) or send(**given)
    made.dropConnection = lambda abort=False: calls.append(abort) or drop(abort)
    made.dataReceived(close_frame(1000))
    expect(calls == [True, False], "onCloseFrame", f"replies, then drops: {calls}")
    expect(made.wasClean and made.remoteCloseCode == 1000, "wasClean, remoteCloseCode", "set before the reply")
    expect(transport.producer is None, "dropConnection", "unregisters the producer, or TLS would never close")


def test_autobahn_skips_and_parses_by_these() -> None:
    """S5.8: onFrameData and onFrameEnd see each frame as current_frame; False from them stops the parsing."""
    made, _ = protocol()
    seen: list[Any] = []
    original = needs(made, "onFrameData", "transports/websocket.py skips what follows a failure")
    made.onFrameData = lambda data: (
        seen.append((made.current_frame.opcode, made.current_frame.length)) or original(data)
    )
    made.dataReceived(frame(b"hello") + frame(b"", 9))
    expect(seen == [(1, 5), (9, 0)], "onFrameData, current_frame", str(seen))
    for attribute in ("_isMessageCompressed", "utf8validateIncomingCurrentMessage"):
        needs(made, attribute, "transports/websocket.py switches it off after a failure")


def test_tls_does_not_close_while_a_producer_is_registered() -> None:
    """S9.3: why the producer has to be unregistered before loseConnection: TLS waits for it."""
    source = inspect.getsource(TLSMemoryBIOProtocol.loseConnection)
    expect("_producer is None" in source, "TLSMemoryBIOProtocol.loseConnection", "waits for its producer")

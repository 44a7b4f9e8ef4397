from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from pode_signals.backplane.redis.connection import RedisConnection, RedisLost, RedisRefused


class Connected:
    """A connection whose other end the test is."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ends: list[str] = []
        self.connection = RedisConnection(self.clock, 2.0, self.ends.append)
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)

    def call(self, *words: Any) -> list[Any]:
        """Send a command; the list gets its answer, or its failure."""
        found: list[Any] = []
        self.connection.call(*words).addBoth(found.append)
        return found

    def answer(self, data: bytes) -> None:
        """Redis says something."""
        self.connection.dataReceived(data)


@pytest.fixture
def redis() -> Connected:
    return Connected()


def lost(found: list[Any]) -> tuple[str, bool]:
    """What a command is told that has no answer."""
    error = found[0].value
    assert isinstance(error, RedisLost)
    return error.why, error.was_sent


def test_answers_come_in_order(redis: Connected) -> None:
    """S17.3: each command gets its own answer, whole or in pieces, and errors among them."""
    first, second, third = redis.call("GET", b"a"), redis.call("NO", 1), redis.call("LRANGE", "ü")
    assert redis.transport.value() == (
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$2\r\nNO\r\n$1\r\n1\r\n*2\r\n$6\r\nLRANGE\r\n$2\r\n\xc3\xbc\r\n"
    )
    for byte in b"$3\r\none\r\n-WRONG it is\r\n*2\r\n:1\r\n$-1\r\n":
        redis.answer(bytes([byte]))
    assert (first, third) == ([b"one"], [[1, None]])
    error = second[0].value
    assert isinstance(error, RedisRefused)
    assert (error.code, error.text) == ("WRONG", "it is")
    assert redis.connection.pending_bytes == 0


def test_the_deadline(redis: Connected) -> None:
    """S17.3: a connection whose oldest command has no answer in time is dropped, and all who wait are told."""
    first = redis.call("ONE")
    redis.clock.advance(1.5)
    second = redis.call("TWO")
    redis.answer(b"+OK\r\n")
    redis.clock.advance(1.9)
    assert (first, second, redis.ends) == ([b"OK"], [], [])
    redis.clock.advance(0.2)
    assert lost(second) == ("no answer in time", True)
    assert redis.ends == ["no answer in time"]
    assert redis.transport.disconnecting or redis.transport.disconnected
    assert not redis.clock.getDelayedCalls()


def test_no_timer_where_nothing_waits(redis: Connected) -> None:
    """S17.3: the timer of a command that was answered ends by itself, and drops nothing."""
    redis.call("ONE")
    redis.answer(b"+OK\r\n")
    redis.clock.advance(10)
    assert (redis.ends, redis.clock.getDelayedCalls()) == ([], [])


@pytest.mark.parametrize(
    ("reason", "why"),
    [(ConnectionDone(), "it closed the connection"), (ConnectionLost(), "Connection to the other side was lost")],
)
def test_the_end(redis: Connected, reason: Exception, why: str) -> None:
    """S17.3: when the connection ends, all who wait are told, and later commands fail at once."""
    waiting = redis.call("ONE")
    redis.connection.connectionLost(Failure(reason))
    assert lost(waiting)[0].startswith(why)
    assert lost(waiting)[1]
    assert lost(redis.call("TWO")) == (lost(waiting)[0], False)
    assert (len(redis.ends), redis.clock.getDelayedCalls()) == (1, [])
    redis.connection.drop("again")
    assert len(redis.ends) == 1


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x15\x03\x01\x00\x02"])
def test_no_redis(redis: Connected, data: bytes) -> None:
    """S17.3: a server that is no Redis is dropped."""
    waiting = redis.call("PING")
    redis.answer(data)
    assert lost(waiting) == ("the answer is not that of a Redis", True)


def test_an_answer_that_nobody_asked_for(redis: Connected) -> None:
    """S17.3: where an answer is too many, no later one could be told whose it is, so the connection is dropped."""
    redis.answer(b"+OK\r\n+OK\r\n")
    assert redis.ends == ["an answer came that nobody asked for"]


def test_cancelled(redis: Connected) -> None:
    """S17.3: who no longer waits gets nothing, and the next answer goes to the next command."""
    answer: Deferred[Any] = redis.connection.call("ONE")
    found: list[Any] = []
    answer.addErrback(lambda failure: found.append(failure.type))
    second = redis.call("TWO")
    answer.cancel()
    redis.answer(b"+one\r\n+two\r\n")
    assert (found, second) == ([CancelledError], [b"two"])
    third: Deferred[Any] = redis.connection.call("THREE")
    third.addErrback(lambda failure: found.append(failure.type))
    third.cancel()
    redis.connection.drop("over")
    assert found == [CancelledError, CancelledError]


def test_messages(redis: Connected) -> None:
    """S17.3: on a connection that subscribes, messages are no answers."""
    heard: list[tuple[bytes, bytes]] = []
    redis.connection.received = lambda channel, content: heard.append((channel, content))
    waiting = redis.call("PING")
    redis.answer(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n")
    assert (heard, waiting) == ([(b"c", b"hi")], [[b"pong", b""]])


def test_an_answer_that_looks_like_a_message(redis: Connected) -> None:
    """S17.3: on a connection for commands the same bytes are an answer."""
    waiting = redis.call("HMGET")
    redis.answer(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n")
    assert waiting == [[b"message", b"c", b"hi"]]


def test_dropped_in_the_middle_of_data(redis: Connected) -> None:
    """S17.3: what comes behind the answer that made somebody drop the connection is not read."""
    redis.connection.call("ONE").addCallback(lambda _: redis.connection.drop("enough"))
    second = redis.call("TWO")
    redis.answer(b"+one\r\n+two\r\n")
    assert lost(second) == ("enough", True)

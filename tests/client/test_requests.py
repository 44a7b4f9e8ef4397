"""What a client sends and asks, and how each of that ends."""

from __future__ import annotations

from collections import Counter

import pytest
from client_sessions import SessionWorld, hello_document

from pode_signals.client.requests import MOST_WAITING
from pode_signals.errors import MessageTooBig, ReplyError


def messages(world: SessionWorld) -> list[object]:
    """The messages that were written since the last look."""
    return [frame["message"] for frame in world.frames if frame["type"] == "send"]


class TestRequests:
    def test_replies_and_errors(self) -> None:
        """P32: each request ends with the reply or the error that has its id, in whatever order they come."""
        world = SessionWorld().opened()
        first, second, third = world.request("one"), world.request("two"), world.request("three")
        world.says(type="error", id="2", code="app.taken", text="Taken.")
        world.says(type="reply", id="3", data={"ok": 1}).says(type="reply", id="1", data=None)
        assert world.settled == {first: None, second: "app.taken", third: {"ok": 1}}

    def test_answers_that_nobody_waits_for(self) -> None:
        """P32: a second answer, one with an unknown id and a late one are nobody's."""
        world = SessionWorld().opened()
        ticket = world.request("one", seconds=3)
        world.passes(3)
        world.says(type="reply", id="1", data=1).says(type="reply", id="1", data=2).says(type="reply", id="9", data=3)
        world.says(type="error", id="1", code="failed", text="Failed.")
        assert world.settled == {ticket: "timeout"}

    def test_the_connection_ends(self) -> None:
        """P32: an open request ends with lost when its connection ends; an answer over the next one is too late."""
        world = SessionWorld().opened()
        ticket = world.request("one")
        world.ends().comes_back(recovered=True).says(type="reply", id="1", data=1)
        assert world.settled == {ticket: "lost"}

    def test_in_time(self) -> None:
        """P32: a request without an answer ends with timeout in its own time, not before."""
        world = SessionWorld().opened()
        long, short = world.request("one", seconds=5), world.request("two", seconds=2)
        world.passes(1.9)
        assert world.settled == {}
        world.passes(0.1)
        assert world.settled == {short: "timeout"}
        world.passes(3)
        assert world.settled == {short: "timeout", long: "timeout"}

    def test_the_client_is_stopped(self) -> None:
        """P32: what is open and what waits ends with closed when the client is stopped; further ones fail at once."""
        world = SessionWorld().opened()
        is_open = world.request("one")
        world.session.congested(1, True)
        waits = world.send("two")
        world.close()
        assert world.settled == {is_open: "closed", waits: "closed"}
        with pytest.raises(ReplyError) as raised:
            world.send("three")
        assert raised.value.code == "closed"

    def test_the_client_is_closed_by_the_server(self) -> None:
        """P32: after a final end what was written is lost, and what was not can't be sent any more."""
        world = SessionWorld().opened()
        is_open = world.request("one")
        world.session.congested(1, True)
        waits = world.request("two")
        world.ends(4000)
        assert world.settled == {is_open: "lost", waits: "closed"}

    def test_nothing_is_kept(self) -> None:
        """P32: after a thousand requests that ended in each way nothing of them is kept."""
        world = SessionWorld().opened()
        for number in range(1_000):
            ticket = world.request(number, seconds=1_000_000)
            if number % 2:
                world.says(type="reply", id=str(number + 1), data=None)
            else:
                world.session.requests.forget(ticket)
        requests = world.session.requests
        assert len(requests) == 0
        assert requests.due is None
        assert all(len(each) < 100 for each in (requests._ends, requests._ids, requests._open, requests._waiting))

    def test_one_that_is_cancelled(self) -> None:
        """P32: a request that nobody waits for any more is not written, and its answer is nobody's."""
        world = SessionWorld()
        waits = world.request("one")
        world.session.requests.forget(waits)
        world.opened()
        is_open = world.request("two")
        world.session.requests.forget(is_open)
        world.says(type="reply", id="2", data=1).ends()
        assert (messages(world), world.settled) == (["two"], {})


class TestWhileNotOpen:
    def test_they_wait(self) -> None:
        """P34: before the first connection and between two, sends wait, and are written in order after hello."""
        world = SessionWorld()
        tickets = [world.send("one")]
        world.start()
        tickets.append(world.send("two"))
        assert world.settled == {}
        world.says(**hello_document())
        tickets.append(world.send("three"))
        assert messages(world) == ["one", "two", "three"]
        world.ends()
        tickets.append(world.send("four"))
        assert messages(world) == []
        world.comes_back()
        assert messages(world) == ["four"]
        assert world.settled == dict.fromkeys(tickets)

    def test_the_101st(self) -> None:
        """P34: while the client is not open 100 sends wait; the next one fails at once, and the others are written."""
        world = SessionWorld().start()
        for number in range(MOST_WAITING):
            world.send(number)
        with pytest.raises(ReplyError) as raised:
            world.send("too many")
        assert raised.value.code == "lost"
        world.says(**hello_document())
        assert messages(world) == list(range(100))

    def test_they_do_not_wait_for_ever(self) -> None:
        """P34: a send that could not be written in its time ends with timeout, and is not written any more."""
        world = SessionWorld().start()
        tickets = world.send("one"), world.request("two", seconds=3)
        world.passes(3)
        assert world.settled == {tickets[1]: "timeout"}
        world.passes(7)
        assert world.settled == dict.fromkeys(tickets, "timeout")
        world.comes_back()
        assert messages(world) == []

    def test_a_full_socket(self) -> None:
        """P34: while the socket takes nothing, sends wait as if the client were not open."""
        world = SessionWorld().opened()
        world.session.congested(1, True)
        world.send("one")
        assert messages(world) == []
        world.session.congested(1, False)
        world.act()
        assert messages(world) == ["one"]
        world.session.congested(1, True)
        world.send("two")
        world.ends().comes_back()
        world.session.congested(1, True)
        world.send("three")
        assert messages(world) == ["two", "three"]


class TestWrittenOnce:
    def test_what_was_written(self) -> None:
        """P33: what was written is never written again, whether it was answered or not, and however often it is cut."""
        world = SessionWorld().opened()
        world.send("one")
        world.request("two")
        for _ in range(5):
            world.ends().comes_back(recovered=True)
        world.close().ends(1000)
        world.closed = None
        world.start().says(**hello_document())
        assert Counter(map(str, messages(world))) == {"one": 1, "two": 1}


class TestSizes:
    def test_too_large(self) -> None:
        """P14: a message over the server's limit is refused, and nothing of it is written; one at the limit is sent."""
        world = SessionWorld().opened(maxMessageBytes=len('{"type":"send","message":"1234"}'))
        world.send("1234")
        with pytest.raises(MessageTooBig):
            world.send("12345")
        assert messages(world) == ["1234"]

    def test_too_large_for_the_next_server(self) -> None:
        """P14: a message that waits for hello is measured by that hello; the others behind it are sent."""
        world = SessionWorld().start()
        large, small = world.send("x" * 100), world.send("small")
        world.says(**hello_document(maxMessageBytes=50))
        assert isinstance(world.settled[large], MessageTooBig)
        assert world.settled[small] is None
        assert messages(world) == ["small"]
        world.send("x" * 5)
        world.says(**hello_document(maxMessageBytes=40, recovered=True))
        with pytest.raises(MessageTooBig):
            world.send("x" * 20)

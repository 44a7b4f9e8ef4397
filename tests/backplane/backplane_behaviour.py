"""What every backplane has to do besides: what is published, asked, done once and remembered."""

from __future__ import annotations

from typing import Any

import pytest
from backplane.node import ADA, BOB, ROOM, Node
from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from pode_signals.backplane.contract import Answers, Question
from pode_signals.core.model import Target
from pode_signals.errors import BackplaneUnavailable
from pode_signals.wire.message import Message, Outgoing


class BackplaneBehaviour:
    def test_publish(self, node: Node) -> None:
        """S17.1: what is published has been delivered here, as it is and in order, when ``publish`` returns."""
        outgoing = [
            Outgoing(ROOM, Message(b"1")),
            Outgoing(Target(None), Message(b"0")),
            Outgoing(ROOM, Message(b"2")),
        ]
        for each in outgoing:
            node.backplane.publish(each)
        assert [id(each) for each in node.delivered] == [id(each) for each in outgoing]

    def test_publish_after_the_end(self, node: Node) -> None:
        """S17.1: after ``stop`` nobody gets what is published, and nothing is raised."""
        node.result(node.backplane.stop())
        node.backplane.publish(Outgoing(ROOM, Message(b"1")))
        assert node.delivered == []

    def test_ask_every_node(self, node: Node) -> None:
        """S17.1: a question reaches this node too, and its answer is given by the name of the node."""
        asked: list[Question] = []

        def answer(question: Question) -> Deferred[bytes | None]:
            asked.append(question)
            return succeed(b"41")

        node.answer = answer
        question = Question("count", b"Room")
        answers = node.result(node.backplane.ask(question, 2))
        assert answers == Answers({node.backplane.node: b"41"})
        assert asked == [question]

    def test_ask_one_node(self, node: Node) -> None:
        """S17.1: nodes that are asked by name and are no nodes are missing, and known to be gone."""
        node.answer = lambda question: succeed(b"yes")
        mine = node.backplane.node
        answers = node.result(node.backplane.ask(Question("count", nodes=(mine, "gone")), 0.2))
        assert answers == Answers({mine: b"yes"}, ("gone",), ("gone",))
        assert node.result(node.backplane.ask(Question("count", nodes=("gone",)), 0.2)) == Answers({}, *[("gone",)] * 2)
        assert node.result(node.backplane.ask(Question("count", nodes=()), 0.2)) == Answers({})

    def test_no_answer(self, node: Node) -> None:
        """S17.1: a node that has no answer is missing."""
        assert node.result(node.backplane.ask(Question("new word"), 2)) == Answers({}, (node.backplane.node,))

    def test_an_answer_that_fails(self, node: Node) -> None:
        """S17.1: a node whose answer fails is missing; who asked learns no more."""
        node.answer = lambda question: fail(ValueError("a defect"))
        assert node.result(node.backplane.ask(Question("count"), 2)) == Answers({}, (node.backplane.node,))

    def test_an_answer_that_takes_too_long(self, node: Node) -> None:
        """S17.1: after the timeout a node is missing, its answer is cancelled, and what it says then is nothing."""
        answer: Deferred[bytes | None] = Deferred()
        node.answer = lambda question: answer
        got: list[Answers] = []
        node.backplane.ask(Question("count"), 2).addCallback(got.append)
        node.advance(1)
        assert got == []
        node.advance(1.5)
        assert got == [Answers({}, (node.backplane.node,))]
        answer.callback(b"late")
        assert len(got) == 1

    def test_an_answer_that_takes_its_time(self, node: Node) -> None:
        """S17.1: an answer within the timeout counts, and comes when it is there."""
        answer: Deferred[bytes | None] = Deferred()
        node.answer = lambda question: answer
        got: list[Answers] = []
        node.backplane.ask(Question("count"), 2).addCallback(got.append)
        node.advance(1)
        answer.callback(b"1")
        node.advance(0)
        assert got == [Answers({node.backplane.node: b"1"})]

    def test_cancel_a_question(self, node: Node) -> None:
        """S17.1: who cancels a question waits no more, and the answer is cancelled."""
        cancelled: list[Any] = []
        node.answer = lambda question: Deferred(cancelled.append)
        asked = node.backplane.ask(Question("count"), 2)
        asked.cancel()
        with pytest.raises(CancelledError):
            node.result(asked)
        assert len(cancelled) == 1

    def test_questions_end_with_the_backplane(self, node: Node) -> None:
        """S17.1: ``stop`` leaves nobody waiting: questions under way fire without the answers that had not come."""
        node.answer = lambda question: Deferred()
        waiting = [node.backplane.ask(Question("count"), 60) for _ in range(3)]
        node.result(node.backplane.stop())
        assert [node.result(each) for each in waiting] == [Answers({}, (node.backplane.node,))] * 3
        node.advance(60)

    def test_nothing_is_told_after_the_end(self, node: Node) -> None:
        """S17.1: after ``stop`` no function is called any more."""
        room = node.follow()
        node.join(ADA, BOB)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.leave("bob")
        node.result(node.backplane.stop())
        node.advance(60)
        assert (room, changes, node.delivered) == ([], [], [])

    def test_once(self, node: Node) -> None:
        """S17.1: the first node that asks is the one to do something, and is told so again."""
        assert node.result(node.backplane.once("backup 12:00", 60)) is True
        assert node.result(node.backplane.once("backup 12:00", 60)) is True
        assert node.result(node.backplane.once("backup 12:01", 60)) is True

    def test_remember(self, node: Node) -> None:
        """S17.1: a value is kept for its key, byte for byte, and another takes its place."""
        assert node.result(node.backplane.recall("a")) is None
        node.result(node.backplane.remember("a", b"\x00\xff", 60))
        node.result(node.backplane.remember("b", b"", 60))
        assert node.result(node.backplane.recall("a")) == b"\x00\xff"
        assert node.result(node.backplane.recall("b")) == b""
        node.result(node.backplane.remember("a", b"other", 60))
        assert node.result(node.backplane.recall("a")) == b"other"

    def test_forget_what_is_old(self, node: Node) -> None:
        """S17.1: a value goes when its time is over, not before, and the time of the last one counts."""
        node.result(node.backplane.remember("a", b"1", 10))
        node.result(node.backplane.remember("b", b"1", 10))
        node.advance(9)
        assert node.result(node.backplane.recall("a")) == b"1"
        node.result(node.backplane.remember("b", b"2", 10))
        node.advance(2)
        assert node.result(node.backplane.recall("a")) is None
        assert node.result(node.backplane.recall("b")) == b"2"

    def test_no_room(self, full_node: Node) -> None:
        """S17.1: where there is no room a value is refused; the key keeps the one it had, and nothing goes for it."""
        full_node.result(full_node.backplane.remember("a", b"1", 60))
        for key in ("a", "b"):
            with pytest.raises(BackplaneUnavailable):
                full_node.result(full_node.backplane.remember(key, bytes(1 << 20), 60))
        assert full_node.result(full_node.backplane.recall("a")) == b"1"
        assert full_node.result(full_node.backplane.recall("b")) is None

from __future__ import annotations

import json
from unicodedata import category
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, eventAsText, formatEvent
from twisted.python.failure import Failure

from pode_signals.command.json_log import json_line
from pode_signals.core.counters import Counters
from pode_signals.core.signing import Signer
from pode_signals.core.text import printable
from pode_signals.hub.reports import LINES_PER_WINDOW, MOST_KINDS, WINDOW_SECONDS, Reports

SIGNED = Signer(["super-secret"]).sign("a.b", None)
SIGNATURE = SIGNED.rpartition(".")[2]


class Lines:
    """Reports on a clock, and what they wrote."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.counters = Counters()
        self.reports = Reports(lambda: self.clock, self.counters)

    def written(self, times: int, kind: str = "test", text: str = "{who} did it", **fields: object) -> list[str]:
        """What so many reports write."""
        with capturedLogs() as logs:
            for _ in range(times):
                self.reports.write(kind, text, **{"who": "somebody", **fields}, event="test.event")
        return [formatEvent(event) for event in logs]

    def passing(self, seconds: float) -> list[str]:
        """What is written while time passes."""
        with capturedLogs() as logs:
            self.clock.advance(seconds)
        return [formatEvent(event) for event in logs]


@pytest.fixture
def lines() -> Lines:
    return Lines()


class TestEscaping:
    @given(st.text(st.characters(), max_size=40))
    def test_any_text(self, text: str) -> None:
        """S16.7: whatever a client sends stays on one line and can be written as UTF-8."""
        with capturedLogs() as logs:
            Lines().reports.write("test", "{who}", who=text, event="test.event")
        line = formatEvent(logs[0])
        assert len(line.splitlines()) <= 1
        assert not any(category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for character in line)
        line.encode("utf-8")

    @given(st.text(st.characters(), max_size=40))
    def test_fields(self, text: str) -> None:
        """S16.7: the texts that a report names are escaped in the line and in what a log in JSON has of it."""
        with capturedLogs() as logs:
            Lines().reports.write("test", "{who} did it", who=text, count=3, event="test.event")
        (event,) = logs
        assert formatEvent(event) == f"{printable(text)} did it"
        assert (event["who"], event["count"]) == (printable(text), 3)
        assert json.loads(json_line(event))["who"] == printable(text)


class TestRate:
    def test_a_few_lines_of_a_kind(self, lines: Lines) -> None:
        """S16.7: of one kind ten lines are written in a minute, whoever and whatever they are about."""
        assert (LINES_PER_WINDOW, WINDOW_SECONDS) == (10, 60.0)
        assert lines.written(10) == ["somebody did it"] * 10
        assert lines.written(500, who="another") == []
        lines.clock.advance(59.9)
        assert lines.written(1) == []

    def test_the_number_of_those_left_out(self, lines: Lines) -> None:
        """S20.4: when the minute of a kind is over, a line tells how many were left out; nothing has to come for it."""
        lines.written(510)
        assert lines.passing(59.9) == []
        assert lines.passing(0.2) == ["test: 500 more lines of this kind were left out"]
        assert lines.passing(600) == []
        assert lines.written(1) == ["somebody did it"]

    def test_floods_that_go_on(self, lines: Lines) -> None:
        """S20.4: each minute of a flood has ten lines and one that tells of the others."""
        for _ in range(3):
            written = [line for _ in range(480) for line in lines.written(1) + lines.passing(0.125)]
            told = [line for line in written if line.endswith("left out")]
            assert (len(written), told) == (11, ["test: 470 more lines of this kind were left out"])

    def test_kinds_of_different_minutes(self, lines: Lines) -> None:
        """S20.4: each kind is told of when its own minute is over, with the level of its lines."""
        lines.written(12, "a")
        lines.clock.advance(20)
        lines.written(13, "b", level=LogLevel.error)
        with capturedLogs() as logs:
            lines.clock.pump([1] * 100)
        assert [(event["kind"], event["suppressed"], event["log_level"]) for event in logs] == [
            ("a", 2, LogLevel.warn),
            ("b", 3, LogLevel.error),
        ]

    def test_no_timer_where_nothing_was_left_out(self, lines: Lines) -> None:
        """S20.4: a call waits on the clock only while there is something to tell."""
        lines.written(10)
        assert lines.clock.getDelayedCalls() == []
        lines.written(1)
        assert len(lines.clock.getDelayedCalls()) == 1
        lines.written(50, "another")
        assert len(lines.clock.getDelayedCalls()) == 1
        lines.clock.pump([1] * 61)
        assert lines.clock.getDelayedCalls() == []

    def test_the_end(self, lines: Lines) -> None:
        """S20.4: at the end what was left out is told at once, and nothing waits."""
        lines.written(11, "a")
        lines.written(12, "b")
        lines.written(3, "c")
        with capturedLogs() as logs:
            lines.reports.tell()
            lines.reports.tell()
        assert [(event["kind"], event["suppressed"]) for event in logs] == [("a", 1), ("b", 2)]
        assert lines.clock.getDelayedCalls() == []

    def test_more_kinds_than_there_should_be(self, lines: Lines) -> None:
        """S20.4: kinds are bounded: those beyond the bound share one, until the minute of others is over."""
        lines.written(11, "first")
        for number in range(MOST_KINDS - 1):
            assert lines.written(1, f"kind {number}") == ["somebody did it"]
        assert sum(len(lines.written(1, f"more {number}")) for number in range(500)) == 10
        assert lines.written(1, "kind 3") == ["somebody did it"]
        lines.clock.advance(61)
        for number in range(MOST_KINDS):
            assert lines.written(1, f"yet more {number}") == ["somebody did it"]
        assert sum(len(lines.written(1, f"one more {number}")) for number in range(500)) == 10

    def test_kinds_do_not_share(self, lines: Lines) -> None:
        """S16.7: much of one kind does not keep lines of another from the log."""
        lines.written(500)
        assert lines.written(1, "another") == ["somebody did it"]

    def test_a_clock_that_is_set_back(self, lines: Lines) -> None:
        """S16.7: a clock that is set back does not silence the log."""
        lines.clock.advance(1_000)
        lines.written(11)
        lines.clock.rightNow = 5.0
        assert lines.written(1) == ["test: 1 more lines of this kind were left out", "somebody did it"]

    def test_levels(self, lines: Lines) -> None:
        """S16.7: a line is a warning unless another level is given."""
        with capturedLogs() as logs:
            lines.reports.write("a", "a", event="test.event")
            lines.reports.write("b", "b", level=LogLevel.info, event="test.event")
        assert [event["log_level"] for event in logs] == [LogLevel.warn, LogLevel.info]


class TestFailures:
    def test_few_of_a_kind(self, lines: Lines) -> None:
        """S20.4: of one kind ten tracebacks are written in a minute; the others are counted and told."""
        with capturedLogs() as logs:
            for kind in ["a"] * 60 + ["b"]:
                lines.reports.failure(kind, "{where} raised", Failure(LookupError("why")), where=kind)
        assert [event["where"] for event in logs] == ["a"] * 10 + ["b"]
        assert all(event["log_failure"].check(LookupError) for event in logs)
        assert lines.passing(61) == ["a: 50 more lines of this kind were left out"]

    def test_the_exception_that_is_handled(self, lines: Lines) -> None:
        """S5.7: without a failure it is the exception that is being handled, with its frames."""
        with capturedLogs() as logs:
            try:
                raise LookupError("of the test")
            except LookupError:
                lines.reports.failure("a", "it raised")
        (event,) = logs
        assert "test_the_exception_that_is_handled" in event["log_failure"].getTraceback()
        assert event["log_failure"].getErrorMessage() == "of the test"

    @given(st.text(st.characters(), max_size=30))
    def test_any_text_in_an_exception(self, text: str) -> None:
        """S16.7: what an exception says of a client's text is one line of the traceback, and hides nothing."""
        with capturedLogs() as logs:
            Lines().reports.failure("a", "{who} raised", Failure(ValueError(f"<{text}>")), who="it")
        written = eventAsText(logs[0], includeTimestamp=False, includeSystem=False)
        assert written.splitlines()[-1] == f"Failure: builtins.ValueError: <{printable(text)}>"
        assert len(written.splitlines()) == 3
        assert not any(category(character) in {"Cc", "Cf", "Cs"} for character in written.replace("\n", ""))


class TestSignatures:
    def test_a_client_id(self, lines: Lines) -> None:
        """S8.1: a signed client id is logged without its signature, for that is what makes it worth something."""
        assert lines.written(1, text="of {client_id}", client_id=SIGNED) == ["of a.b"]
        assert lines.written(1, text="of {client_id}", client_id="plain.id") == ["of plain.id"]

    @pytest.mark.parametrize("text", [f"/to/{SIGNED}/x", f"/to/{quote(SIGNED, safe='')}", f"an id, {SIGNED}, in text"])
    def test_in_any_text(self, lines: Lines, text: str) -> None:
        """S8.1: nor does it stand in any other text of a line, a path for instance, or an exception's."""
        with capturedLogs() as logs:
            lines.reports.write("a", "{path}", path=text, event="test.event")
            lines.reports.failure("b", "raised", Failure(ValueError(text)))
        assert formatEvent(logs[0]) == text.replace(f".{SIGNATURE}", "").replace(f".{quote(SIGNATURE, safe='')}", "")
        assert not any(SIGNATURE[:20] in eventAsText(event) for event in logs)


class TestLimits:
    def test_each_is_counted_few_are_written(self, lines: Lines) -> None:
        """S16.7: a limit that acts is counted each time, by its name, and written as a kind of its own."""
        with capturedLogs() as logs:
            for _ in range(25):
                lines.reports.limit("max_names", "no more than {count}", count=5)
            lines.reports.write("upgrades_refused", "refused", limit="max_connections", event="test.event")
            lines.reports.write("upgrades_refused", "refused", event="test.event")
        assert lines.counters.limits_hit == {"max_names": 25, "max_connections": 1}
        assert [event["kind"] for event in logs] == ["max_names"] * 10 + ["max_connections", "upgrades_refused"]

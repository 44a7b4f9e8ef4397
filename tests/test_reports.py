from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from pode_signals.core.counters import Counters
from pode_signals.json_log import json_line
from pode_signals.reports import LINES_PER_WINDOW, WINDOW_SECONDS, Reports, printable


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
                self.reports.write(kind, text, **{"who": "somebody", **fields})
        return [formatEvent(event) for event in logs]


@pytest.fixture
def lines() -> Lines:
    return Lines()


class TestEscaping:
    @pytest.mark.parametrize(
        ("text", "escaped"),
        [
            ("a\nb", r"a\u000ab"),
            ("a\r\nb", r"a\u000d\u000ab"),
            ("\x00\x1b[2J\x7f", r"\u0000\u001b[2J\u007f"),
            ("\x85\x9b2J", r"\u0085\u009b2J"),
            ("\u2028\u2029", r"\u2028\u2029"),
            ("\ud800 \udfff", r"\ud800 \udfff"),
            ("plain, ünïcode, 漢字, \U0001f600 {braces} %s", "plain, ünïcode, 漢字, \U0001f600 {braces} %s"),
        ],
    )
    def test_what_ends_a_line_or_commands_a_terminal(self, text: str, escaped: str) -> None:
        """S16.7: C0, DEL, C1, the two line separators and lone surrogates are escaped, other text is not."""
        assert printable(text) == escaped

    @given(st.text(st.characters(), max_size=40))
    def test_any_text(self, text: str) -> None:
        """S16.7: whatever a client sends stays on one line and can be written as UTF-8."""
        line = printable(text)
        assert len(line.splitlines()) <= 1
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)
        line.encode("utf-8")

    @given(st.text(st.characters(), max_size=40))
    def test_fields(self, text: str) -> None:
        """S16.7: the texts that a report names are escaped in the line and in what a log in JSON has of it."""
        with capturedLogs() as logs:
            Lines().reports.write("test", "{who} did it", who=text, count=3)
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
        """S16.7: the first line of the next minute tells how many were left out, and only that one."""
        lines.written(510)
        lines.clock.advance(60)
        assert lines.written(2) == [
            "somebody did it (500 lines like this were left out before)",
            "somebody did it",
        ]
        lines.clock.advance(60)
        assert lines.written(1) == ["somebody did it"]

    def test_kinds_do_not_share(self, lines: Lines) -> None:
        """S16.7: much of one kind does not keep lines of another from the log."""
        lines.written(500)
        assert lines.written(1, "another") == ["somebody did it"]

    def test_a_clock_that_is_set_back(self, lines: Lines) -> None:
        """S16.7: a clock that is set back does not silence the log."""
        lines.clock.advance(1_000)
        lines.written(11)
        lines.clock.rightNow = 5.0
        assert lines.written(1) == ["somebody did it (1 lines like this were left out before)"]

    def test_levels(self, lines: Lines) -> None:
        """S16.7: a line is a warning unless another level is given."""
        with capturedLogs() as logs:
            lines.reports.write("a", "a")
            lines.reports.write("b", "b", level=LogLevel.info)
        assert [event["log_level"] for event in logs] == [LogLevel.warn, LogLevel.info]


class TestLimits:
    def test_each_is_counted_few_are_written(self, lines: Lines) -> None:
        """S16.7: a limit that acts is counted each time, by its name, and written as a kind of its own."""
        with capturedLogs() as logs:
            for _ in range(25):
                lines.reports.limit("max_names", "no more than {count}", count=5)
            lines.reports.write("upgrades_refused", "refused", limit="max_connections")
            lines.reports.write("upgrades_refused", "refused")
        assert lines.counters.limits_hit == {"max_names": 25, "max_connections": 1}
        assert [event["kind"] for event in logs] == ["max_names"] * 10 + ["max_connections", "upgrades_refused"]

"""The events of the log: each call that logs has one, each one is in the table, and each in the table is logged."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pode_signals
from pode_signals.core.log_events import EVENTS

PACKAGE = Path(pode_signals.__file__).parent
LOGGERS = {"_log", "log", "_access_log"}
LEVELS = {"debug", "info", "warn", "error", "critical", "failure", "emit"}
REPORTS = {"reports", "_reports"}
# Their default is the event of most calls.
DEFAULTS = {"limit": "limit.acted", "failure": "defect"}
# Here the event is an argument.
PASSED_ON = {"hub/reports.py"}


class Logged(NamedTuple):
    """A call that logs.

    Attributes:
        where: its place.
        events: the events that it may have; none where it gives none.
    """

    where: str
    events: set[str]


def texts(node: ast.AST, names: dict[str, set[str]]) -> set[str]:
    """The texts that an expression may be."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return texts(node.body, names) | texts(node.orelse, names)
    if isinstance(node, ast.Name):
        return names.get(node.id, set())
    if isinstance(node, ast.Dict):
        return set().union(*(texts(each, names) for each in node.values))
    if isinstance(node, ast.Subscript):
        return texts(node.value, names)
    return set()


def logged_in(source: str, where: str) -> Iterator[Logged]:
    """The calls of a module that log."""
    tree = ast.parse(source)
    names: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.setdefault(node.targets[0].id, set()).update(texts(node.value, {}))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        # A partial of a call that logs.
        is_partial = isinstance(node.func, ast.Name) and node.func.id == "partial" and node.args
        function = node.args[0] if is_partial else node.func
        if isinstance(function, ast.Name) and function.id in ("say", "tell"):
            default = ""
        elif isinstance(function, ast.Attribute):
            receiver = ast.unparse(function.value).rpartition(".")[2]
            is_report = receiver in REPORTS and function.attr in ("write", "limit", "failure")
            is_report = is_report or (function.attr == "report" and ast.unparse(function.value).endswith("operated()"))
            if not is_report and not (receiver in LOGGERS and function.attr in LEVELS):
                continue
            default = DEFAULTS.get(function.attr, "") if is_report else ""
        else:
            continue
        given = [texts(each.value, names) for each in node.keywords if each.arg == "event"]
        yield Logged(f"{where}:{node.lineno}", given[0] if given else {default} - {""})


CALLS = [
    each
    for path in sorted(PACKAGE.rglob("*.py"))
    if (where := str(path.relative_to(PACKAGE))) not in PASSED_ON
    for each in logged_in(path.read_text(encoding="utf-8"), where)
]


def test_every_call_has_an_event() -> None:
    """O7.1: each call of the package that logs says which event it is."""
    assert len(CALLS) > 80
    assert [each.where for each in CALLS if not each.events] == []


def test_every_event_is_known() -> None:
    """O7.1: each event is in the table, and the table has no other one."""
    # What is left out is told by the reports themselves.
    logged = set().union(*(each.events for each in CALLS)) | {"lines.suppressed"}
    assert logged == set(EVENTS)
    assert list(EVENTS) == sorted(EVENTS)
    assert all(text.endswith(".") for text in EVENTS.values())


@pytest.mark.parametrize(
    ("source", "events"),
    [
        ("self._log.info('a')", set()),
        ("self._log.info('a', event='b.c')", {"b.c"}),
        ("log.warn('a', event='b' if c else 'd')", {"b", "d"}),
        ("reports.limit('a', 'b')", {"limit.acted"}),
        ("self.hub.reports.write('a', 'b')", set()),
        ("x = 'b'\nreports.write('a', 'b', event=x)", {"b"}),
        ("X = {'a': 'b'}\nreports.write('a', 'b', event=X[1])", {"b"}),
        ("partial(self._log.failure, 'a')", set()),
    ],
)
def test_the_check_can_fail(source: str, events: set[str]) -> None:
    """O7.1: a call without an event is found."""
    (found,) = logged_in(source, "x.py")
    assert found.events == events

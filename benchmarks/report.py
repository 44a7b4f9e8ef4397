"""Rows of measurements to tables: medians over rounds of ratios within a round, beside what is to be reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

__all__ = [
    "GOALS",
    "Figures",
    "Goal",
    "Place",
    "Spread",
    "judged",
    "markdown_table",
    "tables",
    "text_of",
    "with_results",
]

Row = Mapping[str, Any]


class Spread(NamedTuple):
    """A median with the least and the most of all rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """The spread of some values; None of none."""
        found = list(values)
        return cls(median(found), min(found), max(found)) if found else None

    def __str__(self) -> str:
        return f"{_number(self.median)} ({_number(self.least)}–{_number(self.most)})"


class Place(NamedTuple):
    """What was measured, of whom; ``clients`` None is whatever number there is."""

    plan: str
    phase: str
    label: str
    clients: int | None = None
    value: str = "cpu_us"


class Figures:
    """What can be asked of rows.

    Args:
        rows: the rows of ``measure.Run``.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def by_round(self, place: Place) -> dict[int, float]:
        """A figure in each round that has it."""
        return {
            row["round"]: _value(row, place.value)
            for row in self._rows
            if (row["plan"], row["phase"], row["label"]) == (place.plan, place.phase, place.label)
            and place.clients in (None, row["clients"])
            and (place.value in row or place.value == "kb")
        }

    def spread(self, place: Place) -> Spread | None:
        """A figure over all rounds."""
        return Spread.of(self.by_round(place).values())

    def ratio(self, above: Place, below: Place) -> Spread | None:
        """The ratio of two figures of the same round, over all rounds that have both."""
        ours, theirs = self.by_round(above), self.by_round(below)
        return Spread.of(ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number])

    def clients(self, plan: str) -> list[int]:
        """The numbers of clients in a plan."""
        return sorted({row["clients"] for row in self._rows if row["plan"] == plan})


@dataclass(frozen=True)
class Goal:
    """A figure, and how large or small it has to be.

    Attributes:
        title: what it is.
        above: the figure.
        below: what it is divided by; None is nothing.
        must: the bound that has to be kept; None is none.
        aim: the bound that is wished for; None is none.
        more_is_better: whether the bounds are lower ones.
    """

    title: str
    above: Place
    below: Place | None
    must: float | None
    aim: float | None
    more_is_better: bool = False

    def reached(self, value: float, bound: float | None) -> str:
        """``yes``, ``no``, or ``–`` where there is no bound."""
        if bound is None:
            return "–"
        return "yes" if (value >= bound if self.more_is_better else value <= bound) else "no"


def _fan_out(label: str, value: str = "cpu_us") -> Place:
    return Place("fan-out", "rate" if value == "p99_us" else "all", label, value=value)


def _echo(label: str) -> Place:
    return Place("echo", "echo", label)


def _grown(phase: str, clients: int) -> Place:
    return Place("growth", phase, "pode", clients)


GOALS = (
    Goal("fan-out to 1,000, × C", _fan_out("pode"), _fan_out("limit"), 1.40, 1.20),
    Goal("fan-out: times cheaper than websockets", _fan_out("websockets"), _fan_out("pode"), 1.25, 1.4, True),
    Goal("fan-out: times cheaper than node ws", _fan_out("ws"), _fan_out("pode"), 1.1, 1.3, True),
    Goal("fan-out: times cheaper than socket.io", _fan_out("socketio"), _fan_out("pode"), 1.5, 1.75, True),
    Goal("fan-out: times cheaper than channels, daphne", _fan_out("channels"), _fan_out("pode"), 25, 35, True),
    Goal("fan-out, × picows", _fan_out("pode"), _fan_out("picows"), 1.15, 1.0),
    Goal("burst in one turn, × C", Place("fan-out", "burst", "pode"), Place("fan-out", "burst", "limit"), 0.30, 0.15),
    Goal("echo with orjson, × C", _echo("pode"), _echo("limit"), 2.5, None),
    Goal("echo with the standard library's json, × C", _echo("pode-stdlib"), _echo("limit"), 3.2, 2.6),
    Goal(
        "handshake, × Klein with Autobahn",
        Place("echo", "connect", "pode"),
        Place("echo", "connect", "stock"),
        0.64,
        0.5,
    ),
    Goal("memory of an idle connection, kB", Place("memory", "open", "pode", value="kb"), None, 7.0, 5.5),
    Goal("p99 at 20 broadcasts a second, × C", _fan_out("pode", "p99_us"), _fan_out("limit", "p99_us"), 1.5, 1.25),
    Goal("a group of 10: among 10,000, × among 100", _grown("group", 10_000), _grown("group", 100), 1.3, 1.15),
    Goal("one client id: among 10,000, × among 100", _grown("one", 10_000), _grown("one", 100), 1.3, 1.15),
    Goal("fan-out to 10,000, × to 1,000, per delivery", _grown("all", 10_000), _grown("all", 1_000), 1.3, 1.15),
)
"""What this package is to reach."""


def judged(figures: Figures, *, is_quick: bool) -> str:
    """The table of goals. A quick run has too few clients for a judgement."""
    rows = []
    for goal in GOALS:
        spread = figures.spread(goal.above) if goal.below is None else figures.ratio(goal.above, goal.below)
        reached = ["not measured"] * 2 if spread is None else ["quick run"] * 2
        if spread is not None and not is_quick:
            reached = [goal.reached(spread.median, bound) for bound in (goal.must, goal.aim)]
        sign = "≥" if goal.more_is_better else "≤"
        bounds = ["–" if bound is None else f"{sign} {bound:g}" for bound in (goal.must, goal.aim)]
        rows.append([goal.title, text_of(spread), bounds[0], reached[0], bounds[1], reached[1]])
    return markdown_table(["", "measured", "must", "reached", "aim", "reached"], rows)


def tables(figures: Figures, titles: Mapping[str, str]) -> dict[str, str]:
    """The tables beside the goals, by their headings."""
    found = {
        f"Fan-out to {_clients(figures, 'fan-out')} clients, CPU µs per delivery": _fan_out_table(figures, titles),
        f"Echo of {_clients(figures, 'echo')} clients, and handshakes, CPU µs": _echo_table(figures, titles),
        f"Memory of the second half of {_clients(figures, 'memory')} connections": _memory_table(figures, titles),
        "Growth of one name, CPU µs": _growth_table(figures),
    }
    return {heading: table for heading, table in found.items() if table}


def with_results(page: str, results: str, mark: str = "results") -> str:
    """A page with its part between ``<!-- results -->`` and ``<!-- end of results -->`` replaced, or between others."""
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)"
    return re.sub(pattern, lambda match: f"{match[1]}\n{results.strip()}\n\n{match[2]}", page, flags=re.DOTALL)


def _fan_out_table(figures: Figures, titles: Mapping[str, str]) -> str:
    rows = []
    for label, title in _by_cost(figures, titles, Place("fan-out", "all", "")):
        times = [figures.spread(Place("fan-out", "rate", label, value=value)) for value in ("p50_us", "p99_us")]
        rows.append(
            [
                title,
                text_of(figures.spread(Place("fan-out", "all", label))),
                text_of(figures.ratio(Place("fan-out", "all", label), Place("fan-out", "all", "limit"))),
                text_of(figures.spread(Place("fan-out", "burst", label))),
                " / ".join("–" if each is None else _number(each.median / 1000) for each in times),
            ]
        )
    head = ["", "one message", "× C", "burst in one turn", "p50 / p99 ms at 20 a second"]
    return markdown_table(head, rows) if rows else ""


def _echo_table(figures: Figures, titles: Mapping[str, str]) -> str:
    echo, connect = Place("echo", "echo", "limit"), Place("echo", "connect", "limit")
    rows = [
        [
            title,
            text_of(figures.spread(echo._replace(label=label))),
            text_of(figures.ratio(echo._replace(label=label), echo)),
            text_of(figures.spread(connect._replace(label=label))),
        ]
        for label, title in _by_cost(figures, titles, echo)
    ]
    return markdown_table(["", "echo", "× C", "handshake"], rows) if rows else ""


def _memory_table(figures: Figures, titles: Mapping[str, str]) -> str:
    place = Place("memory", "open", "", value="kb")
    rows = [
        [title, text_of(figures.spread(place._replace(label=label)))]
        for label, title in _by_cost(figures, titles, place)
    ]
    return markdown_table(["", "kB per connection"], rows) if rows else ""


def _growth_table(figures: Figures) -> str:
    rows = []
    for clients in figures.clients("growth"):
        ours, limit = (Place("growth", "all", label, clients) for label in ("pode", "limit"))
        others = [figures.spread(ours._replace(phase=phase)) for phase in ("group", "one")]
        spreads = [figures.spread(ours), figures.ratio(ours, limit), *others]
        rows.append([f"{clients:,}", *map(text_of, spreads)])
    head = ["clients", "per delivery to all", "× C", "per delivery to a group of 10", "to one client id"]
    return markdown_table(head, rows) if rows else ""


def _by_cost(figures: Figures, titles: Mapping[str, str], place: Place) -> list[tuple[str, str]]:
    """The labels that have a figure, and their titles, the cheapest first."""
    found = [(figures.spread(place._replace(label=label)), label) for label in titles]
    return [(label, titles[label]) for spread, label in sorted(each for each in found if each[0]) if spread]


def _clients(figures: Figures, plan: str) -> str:
    return ", ".join(f"{clients:,}" for clients in figures.clients(plan)) or "no"


def _value(row: Row, name: str) -> float:
    if name == "kb":
        return (row["rss_kb"] - row["rss_before_kb"]) / row["counted"]
    return float(row[name])


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def text_of(spread: Spread | None) -> str:
    """A figure of a table; a dash for none."""
    return "–" if spread is None else str(spread)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

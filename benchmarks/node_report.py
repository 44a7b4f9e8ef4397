"""Rows of several nodes to tables; it measures nothing."""

from __future__ import annotations

from collections.abc import Mapping

from peers import NODES
from report import Figures, Place, markdown_table, text_of
from run import titled

__all__ = ["titled_nodes", "two_node_tables", "two_process_table"]

_OURS = {"socketio-streams": "pode-logged"}
"""Which of ours a peer is compared with; the others, which keep no log, with a live name."""


def titled_nodes(pins: Mapping[str, str]) -> dict[str, str]:
    """The titles of all kinds of nodes, with versions, by their labels."""
    return {label: titled(server, dict(pins)) for label, server in NODES.items()}


def two_node_tables(figures: Figures, titles: Mapping[str, str]) -> list[str]:
    """What two nodes came to, as Markdown."""
    found = {
        "### From one node to another, as fast as it goes": _flow_table(figures, titles),
        "### From one node to another, at a rate": _rate_table(figures, titles),
        "### Beside peers": _compared(figures, titles),
        "### Memory of a client": _memory_table(figures, titles),
    }
    return [part for heading, table in found.items() if table for part in (heading, table)]


def two_process_table(figures: Figures) -> list[str]:
    """What two processes at one port came to beside one, as Markdown."""
    rows = []
    for phase, what in (("echo", "answers to clients"), ("flow", "one message to all clients")):
        places = [Place("port", phase, label, value="per_second") for label in ("1", "2")]
        cpu = [figures.spread(place._replace(value="node_cpu_us")) for place in places]
        spreads = [*map(figures.spread, places), figures.ratio(places[1], places[0]), *cpu]
        if any(spreads):
            rows.append([what, *map(text_of, spreads)])
    head = ["", "a second, one process", "two processes", "two × one", "CPU µs on the node, one", "two"]
    return ["### Two processes at one port", markdown_table(head, rows)] if rows else []


def _flow_table(figures: Figures, titles: Mapping[str, str]) -> str:
    rows = []
    for label in _measured(figures, titles, "flow", "per_second", more_is_better=True):
        place = Place("nodes", "flow", label)
        values = ("per_second", "sender_cpu_us", "receiver_cpu_us", "redis_cpu_us")
        rows.append([titles[label], *(text_of(figures.spread(place._replace(value=value))) for value in values)])
    head = ["", "messages a second", "CPU µs a message: node that sends", "node that receives", "Redis"]
    return markdown_table(head, rows) if rows else ""


def _rate_table(figures: Figures, titles: Mapping[str, str]) -> str:
    rows = []
    for label in _measured(figures, titles, "rate", "p99_us"):
        place = Place("nodes", "rate", label)
        values = ("p50_us", "p99_us", "sender_cpu_us", "receiver_cpu_us", "redis_cpu_us")
        rows.append([titles[label], *(text_of(figures.spread(place._replace(value=value))) for value in values)])
    head = ["", "p50 µs", "p99 µs", "CPU µs a message: node that sends", "node that receives", "Redis"]
    return markdown_table(head, rows) if rows else ""


def _compared(figures: Figures, titles: Mapping[str, str]) -> str:
    """Ours × a peer's of the same round: less is better but for messages a second."""
    rows = []
    for label in titles:
        ours = _OURS.get(label, "pode-live")
        if label.startswith("pode"):
            continue
        columns = (("rate", "p99_us"), ("flow", "per_second"), ("flow", "node_cpu_us"), ("flow", "redis_cpu_us"))
        ratios = [
            figures.ratio(Place("nodes", phase, ours, value=value), Place("nodes", phase, label, value=value))
            for phase, value in columns
        ]
        if any(ratios):
            rows.append([f"{titles[ours]}, × {titles[label]}", *map(text_of, ratios)])
    head = ["", "p99", "messages a second", "CPU of both nodes", "CPU of Redis"]
    return markdown_table(head, rows) if rows else ""


def _memory_table(figures: Figures, titles: Mapping[str, str]) -> str:
    rows = []
    for label in titles:
        place = Place("members", "open", label)
        spreads = [figures.spread(place._replace(value=value)) for value in ("kb", "redis_bytes")]
        if all(spreads):
            node, redis = (f"{spread.median:.2f}" if spread else "" for spread in spreads)
            rows.append([titles[label], node, f"{float(redis):.0f}"])
    return markdown_table(["", "kB on the node", "bytes in Redis"], rows) if rows else ""


def _measured(
    figures: Figures, titles: Mapping[str, str], phase: str, value: str, *, more_is_better: bool = False
) -> list[str]:
    """The labels that have a figure, the best first."""
    found = [(figures.spread(Place("nodes", phase, label, value=value)), label) for label in titles]
    return [label for _, label in sorted((each for each in found if each[0]), reverse=more_is_better)]

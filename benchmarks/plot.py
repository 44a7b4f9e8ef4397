"""A picture of two figures as SVG: cost per delivery beside peers, and cost as clients grow more. Text in, text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["picture"]

_WIDTH, _BAR, _GAP, _LABELS, _NUMBERS = 720, 18, 8, 200, 60
_GROWTH_HEIGHT = 220
_INK, _FAINT, _PAPER = "#1f2933", "#9aa5b1", "#ffffff"
_OURS, _LIMIT, _OTHERS = "#0b6e99", "#d9822b", "#b8c2cc"


def picture(
    bars: Sequence[tuple[str, float]],
    lines: Mapping[str, Sequence[tuple[int, float]]],
    *,
    ours: str,
    limit: str,
    caption: str,
) -> str:
    """Draw.

    Args:
        bars: titles with µs per delivery, in the order of drawing.
        lines: titles with their points: clients, and µs per delivery.
        ours: the title that is ours.
        limit: the title of the limit.
        caption: one line below: what run it was.

    Returns:
        The SVG document.
    """
    colours = {ours: _OURS, limit: _LIMIT}
    parts = [_text(16, 28, "Fan-out: CPU µs per delivery (logarithmic)", weight="bold")]
    parts += _bars(bars, colours, top=48)
    top = 48 + len(bars) * (_BAR + _GAP) + 40
    parts.append(_text(16, top, "Growth: CPU µs per delivery, by clients in one name", weight="bold"))
    parts += _lines(lines, colours, top=top + 24)
    height = top + 24 + _GROWTH_HEIGHT + 64
    parts.append(_text(16, height - 14, caption, size=11, colour=_FAINT))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
            f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _bars(bars: Sequence[tuple[str, float]], colours: Mapping[str, str], *, top: int) -> list[str]:
    """Horizontal bars from 1 µs, or from the power of ten below the least."""
    if not bars:
        return []
    low = math.floor(math.log10(min(value for _, value in bars)) - 0.01)
    high = math.log10(max(value for _, value in bars))
    room = _WIDTH - _LABELS - _NUMBERS - 16
    parts = []
    for number, (title, value) in enumerate(bars):
        y = top + number * (_BAR + _GAP)
        width = room * (math.log10(value) - low) / (high - low)
        colour = colours.get(title, _OTHERS)
        parts.append(_text(_LABELS - 8, y + 13, title, anchor="end", size=12))
        parts.append(f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
        parts.append(_text(_LABELS + width + 6, y + 13, f"{value:.3g}", size=12))
    return parts


def _lines(lines: Mapping[str, Sequence[tuple[int, float]]], colours: Mapping[str, str], *, top: int) -> list[str]:
    """Lines over a logarithmic axis of clients; the other axis begins at 0."""
    points = [point for each in lines.values() for point in each]
    if not points:
        return []
    fewest, most = min(clients for clients, _ in points), max(clients for clients, _ in points)
    highest = max(value for _, value in points) * 1.15
    left, right, bottom = 56, _WIDTH - 130, top + _GROWTH_HEIGHT

    def place(clients: int, value: float) -> tuple[float, float]:
        across = math.log(clients / fewest) / (math.log(most / fewest) or 1)
        return left + across * (right - left), bottom - value / highest * _GROWTH_HEIGHT

    parts = [f'<path d="M{left} {top} V{bottom} H{right}" fill="none" stroke="{_FAINT}"/>']
    parts += [
        _text(place(clients, 0)[0], bottom + 18, f"{clients:,}", anchor="middle", size=12)
        for clients in sorted({clients for clients, _ in points})
    ]
    for number, (title, found) in enumerate(lines.items()):
        if not found:
            continue
        colour = colours.get(title, _OTHERS)
        placed = [place(*point) for point in sorted(found)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(placed, sorted(found), strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            beside = y - 8 if number else y + 16  # the first line is the lower one
            parts.append(_text(x, beside, f"{value:.3g}", anchor="middle", size=11))
        parts.append(_text(placed[-1][0] + 18, placed[-1][1] + 4, title, size=12, colour=colour))
    return parts


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 14, weight: str = "normal", colour: str = _INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
        f' fill="{colour}">{escape(text)}</text>'
    )

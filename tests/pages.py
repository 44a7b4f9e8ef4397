"""The pages of the documentation for tests: their fenced blocks and their inline code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
"""Parametrizes a test by ``page``."""


class Fence(NamedTuple):
    """A fenced block of a page.

    Attributes:
        language: what stands behind the fence.
        text: what is in it, at its own line of the page: tracebacks tell where.
        not_run: the reason in ``<!-- not run: … -->`` before it; None where there is none.
    """

    language: str
    text: str
    not_run: str | None


_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
SPAN = re.compile(r"`([^`\n]+)`")


def fences(page: Path, *languages: str) -> list[Fence]:
    """The fenced blocks of a page in some languages."""
    source = page.read_text(encoding="utf-8")
    found = (
        Fence(each["language"], "\n" * source.count("\n", 0, each.start("text")) + each["text"], each["reason"])
        for each in _FENCE.finditer(source)
    )
    return [each for each in found if each.language in languages]


def spans(page: Path) -> list[str]:
    """The inline code of a page."""
    return SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))

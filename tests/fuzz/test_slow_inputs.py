"""The search for slow inputs finds some that were planted, and none in a short run; ``slow_inputs.py`` makes long ones.

``PODE_SIGNALS_SLOW_EXECUTIONS=100000`` looks at so many inputs of each way in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from random import Random

import pytest
from fuzz import slow_inputs
from fuzz.growth import MOST_GROWTH, Growth, SlowTarget
from fuzz.recipes import NUMBER, NUMBER_BEFORE, Context, Cook, Part, Recipe
from fuzz.slow_inputs import main, search
from fuzz.slow_targets import SLOW_TARGETS

EXECUTIONS = int(os.environ.get("PODE_SIGNALS_SLOW_EXECUTIONS", "60"))

PLACE = Context("a place", bytes, (b";", b'"', b"a=b", b"%", NUMBER), 16_384)
# Where the square of a size is not to be waited for.
SMALL = Context("a small place", PLACE.build, PLACE.tokens, 4_096)
OTHER = Context("another place", lambda payload: b"<" + payload + b">", (b"/", b"\n"), 16_384)


class _Parser:
    """Reads each byte once."""

    name = "a parser"
    contexts = (PLACE, OTHER)
    known: tuple[Recipe, ...] = ()

    def prepare(self, context: Context, pieces: list[bytes]) -> Callable[[], object]:
        return lambda: [self.parse(piece) for piece in pieces]

    def parse(self, data: bytes) -> None:
        for _ in data:
            pass


class _Quadratic(_Parser):
    """For each semicolon within a quoted text it looks at all that follows."""

    contexts = (SMALL, OTHER)

    def parse(self, data: bytes) -> None:
        super().parse(data)
        quote = data.find(b'"')
        at = data.find(b";", quote) if quote >= 0 else -1
        while at >= 0:
            data = data[at + 1 :]
            at = data.find(b";")
            sum(data)


class _KnownQuadratic(_Quadratic):
    """Is known to do so."""

    known = (Recipe.of(SMALL, Part(b'"', grows=False), Part(b";", grows=True)),)


class _Limited(_Parser):
    """What is large is read in another way, which costs eight times as much; and what is larger still not at all."""

    def parse(self, data: bytes) -> None:
        for _ in range(1 if len(data) < 3_000 else 8):
            super().parse(data if len(data) < 12_000 else b"")


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_inputs, "SMALLEST_SECONDS", 1)
    monkeypatch.setattr(slow_inputs, "MAX_FINDINGS", 1)


@pytest.mark.usefixtures("briefly")
class TestTheSearch:
    def test_it_finds_what_was_planted(self, capsys: pytest.CaptureFixture[str]) -> None:
        """S16.8: an input that costs four times as much when it is twice as large is found, and made small."""
        (found,) = search(_Quadratic, 600, 1).findings
        assert found.recipe.context is SMALL
        assert set(b';"') <= set(found.recipe.payload(1))
        assert found.growth.factor > MOST_GROWTH
        assert "a small place" in capsys.readouterr().err

    @pytest.mark.parametrize("parser", [_Parser, _Limited])
    def test_it_finds_nothing_else(self, parser: type[SlowTarget]) -> None:
        """S16.8: a parser that takes as long for each byte is none; nor is one that reads large inputs otherwise."""
        assert search(parser, 300, 1).findings == []

    def test_the_known_ones_come_first(self) -> None:
        """What was slow once is looked at before anything else."""
        (found,) = search(_KnownQuadratic, 1, 1).findings
        assert (found.number, str(found.recipe)) == (1, """a small place: b'"' + b';' * n""")

    def test_the_exit_status(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """What is found is reported with its input and told by the exit status."""
        monkeypatch.setattr(slow_inputs, "SLOW_TARGETS", (_KnownQuadratic,))
        assert main(["--executions", "1"]) == 1
        assert "a small place: " in capsys.readouterr().out
        monkeypatch.setattr(slow_inputs, "SLOW_TARGETS", (_Parser,))
        assert main(["--executions", "40"]) == 0


class TestRecipes:
    def test_sizes(self) -> None:
        """A recipe of twice the count is one with twice as many repetitions; what does not grow stays."""
        recipe = Recipe.of(OTHER, Part(b"a", grows=False), Part(b"bc", grows=True), piece_bytes=4)
        assert b"".join(recipe.pieces(2)) == b"<abcbc>"
        assert recipe.pieces(4) == [b"<abc", b"bcbc", b"bc>"]
        assert len(recipe.payload(recipe.largest_count)) <= OTHER.most_bytes

    def test_numbers(self) -> None:
        """Each repetition can have its number, and that of the one before, which the first has not."""
        assert Part(b"--b" + NUMBER_BEFORE + b"%;b" + NUMBER + b"\n", grows=True).times(3) == (
            b"--b%;b0\n--b0%;b1\n--b1%;b2\n"
        )

    def test_a_seed_repeats_itself(self) -> None:
        """A seed gives the same recipes again, another seed gives others; each grows, and keeps within its place."""

        def recipes(seed: int) -> list[Recipe]:
            cook = Cook(Random(seed), (PLACE, OTHER))
            made = [cook.new() for _ in range(100)]
            return [*made, *map(cook.like, made)]

        assert recipes(1) == recipes(1) != recipes(2)
        for recipe in recipes(1):
            assert any(part.grows for part in recipe.parts)
            assert len(recipe.payload(recipe.largest_count)) <= recipe.context.most_bytes


def test_growth() -> None:
    """Growth is what a doubling costs, where the doubling before cost something too; trifles are none."""
    assert Growth(10, 40, (1.0, 2.0, 4.0)).factor == 2
    assert Growth(10, 40, (11.0, 14.0, 42.0)).factor == 1
    assert Growth(10, 40, (1.0, 4.0, 16.0)).exceeds(2.6)
    assert not Growth(10, 40, (1e-5, 4e-5, 16e-5)).exceeds(2.6)


@pytest.mark.skipif("coverage" in sys.modules, reason="what coverage counts takes longer than what it counts")
@pytest.mark.parametrize("target", SLOW_TARGETS, ids=lambda target: target.name)
def test_no_slow_input(target: type[SlowTarget]) -> None:
    """S16.4, S16.8: whatever a client sends within the limits, twice as much costs about twice as much."""
    report = search(target, EXECUTIONS, 1)
    assert [(str(found.recipe), str(found.growth)) for found in report.findings] == []
    assert report.executions == EXECUTIONS

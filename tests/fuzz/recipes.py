"""Inputs that can be had in any size: recipes, parts of which repeat, made by chance from pieces that mean something.

Nothing here runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

__all__ = ["NUMBER", "NUMBER_BEFORE", "Context", "Cook", "Part", "Recipe"]

NUMBER = b"<i>"
"""Stands for the number of a repetition, so that each can be another; ``NUMBER_BEFORE`` for that of the one before."""

NUMBER_BEFORE = b"<i-1>"
_DIGITS = 5  # that a number may have
_MOST_PARTS = 5
_PIECE_BYTES = (1, 2, 7, 64, 1_460)
_MOST_PIECES = 8_000


@dataclass(frozen=True)
class Part:
    """A piece of an input.

    Attributes:
        text: its bytes.
        grows: whether it is repeated, the more often the larger the input is to be; else it comes once.
    """

    text: bytes
    grows: bool

    def times(self, count: int) -> bytes:
        """So many repetitions."""
        if not self.grows:
            return self.text
        if NUMBER not in self.text and NUMBER_BEFORE not in self.text:
            return self.text * count
        template = self.text.replace(b"%", b"%%").replace(NUMBER, b"%(i)d").replace(NUMBER_BEFORE, b"%(before)d")
        first = self.text.replace(NUMBER, b"0").replace(NUMBER_BEFORE, b"")
        return first + b"".join([template % {b"i": at, b"before": at - 1} for at in range(1, count)])

    @property
    def most_bytes(self) -> int:
        """How long one repetition may be."""
        markers = self.text.count(NUMBER) + self.text.count(NUMBER_BEFORE)
        return len(self.text) + markers * _DIGITS


@dataclass(frozen=True)
class Context:
    """A place in an input where bytes of a client may stand.

    Attributes:
        name: its name.
        build: puts bytes into that place; what is built is fed whole, or cut in pieces.
        tokens: pieces that mean something there.
        most_bytes: how many bytes the defaults allow there.
        opening: what the target has to do before, in words of its own.
    """

    name: str
    build: Callable[[bytes], bytes]
    tokens: tuple[bytes, ...]
    most_bytes: int
    opening: str = ""


@dataclass(frozen=True)
class Recipe:
    """An input of any size.

    Attributes:
        context: where its parts stand.
        parts: one after the other; at least one grows.
        piece_bytes: how many bytes come at once; 0 is all of them.
        largest_bytes: how large its parts are together, at the most.
    """

    context: Context
    parts: tuple[Part, ...]
    piece_bytes: int
    largest_bytes: int

    @property
    def largest_count(self) -> int:
        """How often the parts that grow are repeated where it is as large as it gets."""
        once = sum(part.most_bytes for part in self.parts if part.grows)
        fixed = sum(len(part.text) for part in self.parts if not part.grows)
        return max(0, self.largest_bytes - fixed) // once

    @classmethod
    def of(cls, context: Context, *parts: bytes | Part, piece_bytes: int = 0) -> Recipe:
        """One as large as may be; parts that are bytes grow."""
        whole = tuple(Part(part, grows=True) if isinstance(part, bytes) else part for part in parts)
        return cls(context, whole, piece_bytes, context.most_bytes).at_its_largest()

    def at_its_largest(self) -> Recipe:
        """The same, as large as the defaults allow."""
        most = self.context.most_bytes
        return replace(self, largest_bytes=min(most, self.piece_bytes * _MOST_PIECES) if self.piece_bytes else most)

    def payload(self, count: int) -> bytes:
        """Its parts, those that grow so often."""
        return b"".join(part.times(count) for part in self.parts)

    def pieces(self, count: int) -> list[bytes]:
        """The input as it comes in."""
        data = self.context.build(self.payload(count))
        size = self.piece_bytes or len(data) or 1
        return [data[at : at + size] for at in range(0, len(data), size)]

    def __str__(self) -> str:
        parts = " + ".join(f"{part.text!r}{' * n' if part.grows else ''}" for part in self.parts)
        cut = f", {self.piece_bytes} bytes at a time" if self.piece_bytes else ""
        return f"{self.context.name}: {parts}{cut}"


class Cook:
    """An endless source of recipes, and of recipes that are nearly like another.

    Args:
        random: the source of chance.
        contexts: where their parts may stand.
    """

    def __init__(self, random: Random, contexts: Sequence[Context]) -> None:
        self._random = random
        self._contexts = contexts

    def new(self) -> Recipe:
        """Any recipe."""
        random = self._random
        context = random.choice(self._contexts)
        parts = []
        for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
            if random.random() < 0.4:
                parts.append(Part(self._text(context), grows=False))
            parts.append(Part(self._text(context), grows=True))
        if random.random() < 0.3:
            parts.append(Part(self._text(context), grows=False))
        return self._sized(context, parts)

    def like(self, recipe: Recipe) -> Recipe:
        """A recipe that differs a little."""
        random, parts = self._random, list(recipe.parts)
        at = random.randrange(len(parts))
        part, context = parts[at], recipe.context
        change = random.randrange(6)
        if change == 0:
            cut = random.randrange(len(part.text) + 1)
            parts[at] = replace(part, text=part.text[:cut] + random.choice(context.tokens) + part.text[cut:])
        elif change == 1:
            first, last = sorted(random.randrange(len(part.text) + 1) for _ in range(2))
            parts[at] = replace(part, text=part.text[:first] + part.text[last:])
        elif change == 2:
            parts[at] = replace(part, grows=not part.grows)
        elif change == 3:
            parts[at] = replace(part, text=self._text(context))
        elif change == 4 and len(parts) > 1:
            del parts[at]
        else:
            parts.insert(at, Part(self._text(context), grows=random.random() < 0.5))
        return self._sized(context, parts[:_MOST_PARTS])

    def _text(self, context: Context) -> bytes:
        random = self._random
        text = b"".join(random.choice(context.tokens) for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))))
        return text * random.choice((2, 8, 40)) if random.random() < 0.05 else text

    def _sized(self, context: Context, parts: Sequence[Part]) -> Recipe:
        random = self._random
        kept = [part for part in parts if part.text]
        if not any(part.grows for part in kept):
            kept.append(Part(random.choice(context.tokens), grows=True))
        piece_bytes = random.choice(_PIECE_BYTES) if random.random() < 0.08 else 0
        recipe = Recipe.of(context, *kept, piece_bytes=piece_bytes)
        return replace(recipe, largest_bytes=recipe.largest_bytes // random.choice((1, 2, 4, 8)))

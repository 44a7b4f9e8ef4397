"""Bytes that are nearly right: seeds, changed a little, from one seeded source. The same seed gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

__all__ = ["MAX_BYTES", "Mutator"]

MAX_BYTES = 2_048

_INTERESTING = bytes(
    (0, 1, 9, 10, 11, 12, 13, 28, 30, 32, 34, 44, 58, 91, 92, 123, 125, 126, 127, 128, 133, 194, 237, 255)
)


class Mutator:
    """An endless source of inputs.

    Args:
        random: the source of chance.
        seeds: inputs that get far; each one made is one of them, changed up to six times.
        tokens: pieces that mean something to who reads the input.
    """

    def __init__(self, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
        self._random = random
        self._seeds = seeds
        self._tokens = tokens
        self._changes: tuple[Callable[[bytearray, int], object], ...] = (
            self._flip_bit,
            self._set_byte,
            self._set_byte,
            self._insert_token,
            self._insert_token,
            self._overwrite_with_token,
            self._delete,
            self._repeat,
            self._swap,
            self._cut,
            self._splice,
        )

    def next(self) -> bytes:
        """Another input; one in fifty is a seed as it is."""
        random = self._random
        data = bytearray(random.choice(self._seeds))
        if random.random() < 0.02:
            return bytes(data)
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4, 6))):
            if data:
                random.choice(self._changes)(data, int(random.random() * len(data)))
            else:
                data += random.choice(self._seeds)
        return bytes(data[:MAX_BYTES])

    def _flip_bit(self, data: bytearray, at: int) -> None:
        data[at] ^= 1 << self._random.randrange(8)

    def _set_byte(self, data: bytearray, at: int) -> None:
        data[at] = self._random.choice(_INTERESTING)

    def _insert_token(self, data: bytearray, at: int) -> None:
        data[at:at] = self._random.choice(self._tokens)

    def _overwrite_with_token(self, data: bytearray, at: int) -> None:
        token = self._random.choice(self._tokens)
        data[at : at + len(token)] = token

    def _delete(self, data: bytearray, at: int) -> None:
        del data[at : at + self._length()]

    def _repeat(self, data: bytearray, at: int) -> None:
        data[at:at] = data[at : at + self._length()] * self._random.choice((1, 1, 2, 16))

    def _swap(self, data: bytearray, at: int) -> None:
        other, length = int(self._random.random() * len(data)), self._length()
        data[at : at + length], data[other : other + length] = data[other : other + length], data[at : at + length]

    def _cut(self, data: bytearray, at: int) -> None:
        del data[at:]

    def _splice(self, data: bytearray, at: int) -> None:
        """Go on as another seed does."""
        other = self._random.choice(self._seeds)
        data[at:] = other[int(self._random.random() * (len(other) + 1)) :]

    def _length(self) -> int:
        return int(self._random.expovariate(0.2)) + 1

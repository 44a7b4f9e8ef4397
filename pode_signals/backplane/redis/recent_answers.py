"""What logs have answered last, for the clients that ask the same soon after. It asks nobody.

After a cut nearly all clients of a name have missed the same entries, up to the same place. An answer counts until the
place is another one; and for a second at most, since the log drops what is too old.
"""

from __future__ import annotations

from itertools import takewhile

from ...core.history import Missed, Position

__all__ = ["Asked", "RecentAnswers"]

Asked = tuple[Position, Position, int | None]
"""The position after which entries are asked for, the last one of these, and how many at most."""

_SECONDS = 1.0
_ENTRY_BYTES = 700
"""How much memory an entry takes beside its payload."""


class _Answers:
    """The answers of one name's log, and until when they count."""

    __slots__ = ("by_question", "ends_at", "size_bytes")

    def __init__(self, ends_at: float) -> None:
        self.by_question: dict[Asked, Missed] = {}
        self.size_bytes = 0
        self.ends_at = ends_at


class RecentAnswers:
    """The answers of one node, within a bound.

    Args:
        max_bytes: how much memory they may take. Beyond that number those of the name go that was asked for first.
    """

    def __init__(self, max_bytes: int = 8_388_608) -> None:
        self._max_bytes = max_bytes
        # Those that end first stand first.
        self._by_name: dict[str, _Answers] = {}
        self._bytes = 0

    def get(self, name: str, asked: Asked, now: float) -> Missed | None:
        """An answer; None where there is none that counts."""
        found = self._by_name.get(name)
        return None if found is None or found.ends_at <= now else found.by_question.get(asked)

    def keep(self, name: str, asked: Asked, answer: Missed, now: float) -> None:
        """Keep an answer, if it is a whole one: another may be whole when it is asked for again."""
        if not answer.complete:
            return
        self.drop_old(now)
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = _Answers(now + _SECONDS)
        if asked not in found.by_question:
            size_bytes = _ENTRY_BYTES + sum([_ENTRY_BYTES + len(each.data) for each in answer.signals])
            found.by_question[asked] = answer
            found.size_bytes += size_bytes
            self._bytes += size_bytes
            while self._bytes > self._max_bytes:
                self.forget(next(iter(self._by_name)))

    def drop_old(self, now: float) -> None:
        """Keep none that does not count any more."""
        for name in [*takewhile(lambda each: self._by_name[each].ends_at <= now, self._by_name)]:
            self.forget(name)

    def forget(self, name: str) -> None:
        """Keep none of a name: this node is at another place in its log."""
        found = self._by_name.pop(name, None)
        if found is not None:
            self._bytes -= found.size_bytes

from __future__ import annotations

import pytest

from pode_signals.wire.frames import CloseCode
from pode_signals.wire.reconnect import ComesBack, comes_back


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([1000, 1010, 3500, 3999, 4000, 4007, 4009, 4400, 4402, 4408, 4410, 4999], ComesBack.NO),
        ([1001, 1004, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 1016, 2999, 3000, 3002, 3499, 4008], ComesBack.YES),
        ([1002, 1003, 1007, 1009], ComesBack.CLIENT_IS_WRONG),
        ([1008], ComesBack.LATER),
        ([3001], ComesBack.WHEN_SHOWN),
        ([4401], ComesBack.ONCE_WITH_CREDENTIALS),
        ([4409], ComesBack.ONCE),
    ],
    ids=lambda value: value.name if isinstance(value, ComesBack) else "",
)
def test_who_comes_back(codes: list[int], expected: ComesBack) -> None:
    """P86: each close code says whether the client comes back; an unknown code by its range."""
    assert {code: comes_back(code) for code in codes} == dict.fromkeys(codes, expected)


def test_every_code_of_ours_has_a_rule() -> None:
    """P86: a code is taken as a member of CloseCode as well as by its number."""
    assert [comes_back(code) for code in CloseCode] == [comes_back(int(code)) for code in CloseCode]

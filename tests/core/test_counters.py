from __future__ import annotations

import pytest
from growing import DECREASES

from pode_signals.core.counters import Counters


def test_no_test_misses_a_decrease() -> None:
    """S16.7: a count that gets smaller fails each test that sees it, whichever count it is."""
    counters = Counters()
    counters.recipients_queued += 2
    counters.limits_hit["max_names"] += 1
    with pytest.raises(AssertionError, match="recipients_queued went from 2 to 1"):
        counters.recipients_queued -= 1
    with pytest.raises(AssertionError, match="'max_names' went from 1 to 0"):
        counters.limits_hit["max_names"] -= 1
    DECREASES.clear()

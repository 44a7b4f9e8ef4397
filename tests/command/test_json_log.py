from __future__ import annotations

import json

from twisted.logger import Logger
from twisted.python.failure import Failure

from pode_signals.command.json_log import json_line


def test_json_lines() -> None:
    """S12.1: with ``--log-format json`` a log line is one flat object: what the text says, and plain fields."""
    events: list[dict] = []
    log = Logger("test", observer=events.append)
    log.info("{who} sent {count}\n", who="cl\u00efent", count=3, where=object(), ratio=float("nan"), text="own")
    line = json_line(events[0])
    assert line.count("\n") == 1
    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    expected = {"level": "info", "namespace": "test", "text": "cl\u00efent sent 3\n", "who": "cl\u00efent", "count": 3}
    assert record == expected
    log.failure("it broke", Failure(ValueError("why")))
    assert "ValueError: why" in json.loads(json_line(events[1]))["traceback"]

from __future__ import annotations

import json
import re

from twisted.logger import Logger
from twisted.python.failure import Failure

from pode_signals.command.json_log import json_line


def test_json_lines() -> None:
    """S12.1: with ``--log-format json`` a log line is one flat object: what the text says, and plain fields.

    O7.1: it has the time in UTC with milliseconds and a Z, and the id of its event, where the line has one.
    """
    events: list[dict] = []
    log = Logger("test", observer=events.append)
    log.info("{who} sent {count}\n", who="cl\u00efent", count=3, where=object(), ratio=float("nan"), text="own")
    line = json_line(events[0])
    assert line.count("\n") == 1
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    expected = {"level": "info", "namespace": "test", "text": "cl\u00efent sent 3\n", "who": "cl\u00efent", "count": 3}
    assert record == expected
    log.info("named", event="thing.happened", extra=1)
    assert list(json.loads(json_line(events[1]))) == ["time", "level", "namespace", "event", "text", "extra"]
    log.failure("it broke", Failure(ValueError("why")))
    assert "ValueError: why" in json.loads(json_line(events[2]))["traceback"]

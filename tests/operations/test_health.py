from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import connect
from operated import Operated

from pode_signals.operations.causes import BEAT_SECONDS, ReactorLag
from pode_signals.signals import hub_of


def started(**more: Any) -> Operated:
    operated = Operated(**more)
    operated.service.startService()
    return operated


def look(operated: Operated) -> None:
    """Let a second pass, in which everything is looked at."""
    for _ in range(int(1 / BEAT_SECONDS)):
        operated.reactor.advance(BEAT_SECONDS)


def test_a_start() -> None:
    """O2.2: before the service has started it says ``starting`` and is live, and then it is ready."""
    operated = Operated()
    operated.service.privilegedStartService()
    answer = operated.ask("/readyz", host="192.0.2.1")
    assert (answer.status, answer.data, answer.headers["retry-after"]) == (503, {"status": "starting"}, "1")
    assert operated.codes() == ["starting"]
    assert operated.ask("/livez").status == 200
    operated.service.startService()
    assert operated.ready() == (200, "ready")
    assert operated.codes() == []


def test_health_on_the_application_while_it_starts() -> None:
    """O2.5: on the application's ports health is answered while everything else gets 503."""
    operated = Operated(health_on_application=True)
    operated.service.privilegedStartService()
    assert operated.ask("/livez", port=8091).status == 200
    assert operated.ask("/readyz", port=8091).data == {"status": "starting"}
    assert operated.ask("/", port=8091).status == 503


def test_details_are_for_readers() -> None:
    """O2.1: who may read gets the causes with their times; anybody else one word."""
    operated = Operated()
    operated.service.privilegedStartService()
    (cause,) = operated.ask("/readyz").data["causes"]
    assert (cause["code"], cause["blocking"], cause["detail"]) == ("starting", True, "the service has not started yet")
    since = datetime.fromisoformat(cause["since"])
    assert since.utcoffset() == timedelta(0)
    assert cause["since"].endswith("Z")
    look(operated)
    assert operated.ask("/readyz").data["causes"][0]["since"] == cause["since"]
    assert operated.ask("/readyz", address="192.0.2.1").data == {"status": "starting"}


def test_full() -> None:
    """O2.2: from 95 % of the connections on no new clients should come, and again when there are less than 90 %."""
    operated = started(settings={"max_connections": 20})
    clients = [connect(operated.signals, str(number)) for number in range(18)]
    look(operated)
    assert operated.ready() == (200, "ready")
    clients.append(connect(operated.signals, "19"))
    look(operated)
    assert operated.ready() == (503, "full")
    (cause,) = operated.ask("/readyz").data["causes"]
    assert cause["detail"] == "19 of 20 connections are there"
    look(operated)
    # Since it began, and not since it was looked at.
    assert operated.ask("/readyz").data["causes"][0]["since"] == cause["since"]
    for expected in ((503, "full"), (200, "ready")):
        clients.pop().vanishes()
        look(operated)
        assert operated.ready() == expected


@pytest.mark.parametrize("is_needed", [True, False])
def test_other_nodes_that_are_away(is_needed: bool) -> None:
    """O2.2: where the other nodes are not reached the service is degraded, or not ready where it needs them."""
    operated = started(ready_needs_backplane=is_needed)
    node = hub_of(operated.signals).node
    node._changed("Redis refuses the connection")
    look(operated)
    assert operated.ready() == ((503, "backplane") if is_needed else (200, "degraded"))
    assert operated.codes() == ["backplane_away"]
    assert "Redis" not in operated.ask("/readyz").body.decode()
    node._changed("up")
    look(operated)
    assert operated.ready() == (200, "ready")


def test_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """O2.2: queues of slow clients over 90 % of their limit degrade the service."""
    operated = started(settings={"total_queue_bytes": 1_000_000})
    queues = hub_of(operated.signals).queues
    monkeypatch.setattr(queues, "queued_bytes", 900_000)
    look(operated)
    assert operated.codes() == []
    monkeypatch.setattr(queues, "queued_bytes", 900_001)
    look(operated)
    assert operated.ready() == (200, "degraded")
    assert operated.codes() == ["queues_full"]


def test_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """O2.2: a certificate that has expired degrades the service, and its endpoint is named."""
    operated = started()
    now = datetime.fromtimestamp(operated.reactor.seconds(), UTC)
    expiries = {"https *:443": now + timedelta(days=365)}
    monkeypatch.setattr(type(operated.service._ports), "expiries", property(lambda _: expiries))
    look(operated)
    assert operated.codes() == []
    expiries["https *:443"] = now - timedelta(seconds=1)
    look(operated)
    assert operated.ask("/readyz").data["causes"][0]["detail"] == "the certificate has expired of: https *:443"


def test_a_job() -> None:
    """O2.2: a job that has failed three times in a row degrades the service until a run is good."""
    operated = started()
    is_bad = True

    def work() -> None:
        if is_bad:
            raise ValueError("a secret")

    operated.signals.add_timer("Clean", 10, work)
    operated.signals.add_schedule("Report", "0 0 1 1 *", work)
    for expected in ([], [], ["job_failing"], ["job_failing"]):
        for _ in range(10):
            look(operated)
        assert operated.codes() == expected
    assert operated.ask("/readyz").data["causes"][0]["detail"] == "failed 3 times in a row: timer Clean"
    is_bad = False
    for _ in range(10):
        look(operated)
    assert operated.codes() == []


def test_a_job_that_was_invoked() -> None:
    """O2.2: runs that the program asks for count as well."""
    operated = started()
    operated.signals.add_schedule("Report", "0 0 1 1 *", lambda: 1 / 0)
    for expected in ([], [], ["job_failing"]):
        operated.signals.invoke_schedule("Report")
        look(operated)
        assert operated.codes() == expected


def test_a_cause_of_the_program() -> None:
    """O2.2: the program's own function is asked once a second, and never by a request; its sentence is the detail."""
    operated = Operated()
    asked: list[object] = [None]
    operated.operations.add_cause("database_away", lambda: asked.append(1) or asked[0], blocking=True)
    operated.service.startService()
    calls = len(asked)
    for _ in range(3):
        operated.ask("/readyz")
    assert len(asked) == calls
    look(operated)
    assert len(asked) == calls + 1
    for answer, detail in (("no route to it", "no route to it"), (True, "the program says so"), ("x" * 600, "x" * 500)):
        asked[0] = answer
        look(operated)
        (cause,) = operated.ask("/readyz").data["causes"]
        assert (cause["code"], cause["blocking"], cause["detail"]) == ("database_away", True, detail)
        assert operated.ready() == (503, "database_away")
    for answer in (False, 0, ""):
        asked[0] = answer
        look(operated)
        assert operated.ready() == (200, "ready")


def test_a_cause_that_raises() -> None:
    """O2.3: a function of a cause that raises is something wrong; no text of its exception is told to anybody."""
    operated = started()
    operated.operations.add_cause("database_away", lambda: 1 / 0)
    look(operated)
    answer = operated.ask("/readyz")
    assert (answer.status, answer.data["status"]) == (200, "degraded")
    assert answer.data["causes"][0]["detail"] == "the function of this cause raised"
    assert b"division" not in answer.body
    assert operated.signals.counters.functions_failed == 1


@pytest.mark.parametrize(
    ("code", "function", "error"),
    [
        ("Bad", lambda: None, ValueError),
        ("", lambda: None, ValueError),
        ("a-b", lambda: None, ValueError),
        ("full", lambda: None, ValueError),
        ("taken", lambda: None, ValueError),
        ("other", None, TypeError),
        (1, lambda: None, ValueError),
    ],
)
def test_bad_causes(code: Any, function: Any, error: type[Exception]) -> None:
    """O2.2: a code that is no word or is taken, and a function that is none, are refused."""
    operations = Operated().operations
    operations.add_cause("taken", lambda: None)
    with pytest.raises(error):
        operations.add_cause(code, function)


def test_blocking_causes_come_first() -> None:
    """O2.2: of several causes the blocking ones come first, and give the word."""
    operated = started()
    operated.operations.add_cause("first", lambda: True)
    operated.operations.add_cause("second", lambda: True, blocking=True)
    look(operated)
    assert operated.codes() == ["second", "first"]
    assert operated.ready() == (503, "second")
    assert [cause.code for cause in operated.operations.causes()] == ["second", "first"]
    assert not operated.operations.is_ready


def lag(*late_seconds: float) -> ReactorLag:
    """A minute of beats, of which the first ones came late."""
    found, now = ReactorLag(), 0.0
    found.beat(now)
    for late in (*late_seconds, *(0.0,) * (200 - len(late_seconds))):
        now += BEAT_SECONDS + late
        found.beat(now)
    return found


def test_a_reactor_that_is_late() -> None:
    """O2.2: one long stall counts for all the calls that did not come meanwhile, and short ones count for nothing."""
    assert lag(3.0)() == "of the calls of the last minute one in a hundred came 2.5 s late or later"
    assert lag(1.2)() is None
    assert lag(*(0.5,) * 20)() is None
    assert lag(*(1.1,) * 5)() is not None
    assert ReactorLag()() is None


def test_a_stall_is_forgotten() -> None:
    """O2.2: a minute after a stall the service is ready again."""
    operated = started()
    operated.reactor.rightNow += 3
    look(operated)
    assert operated.codes() == ["reactor_lag"]
    for _ in range(61):
        look(operated)
    assert operated.codes() == []


def test_a_stall_without_end() -> None:
    """O2.2: a stall of an hour costs as little to count as one of a minute."""
    found = ReactorLag()
    found.beat(0)
    found.beat(3_600)
    assert len(found._late_seconds) == 240


def test_nothing_runs_on() -> None:
    """O2.2: when the service has stopped nothing is looked at any more."""
    operated = started()
    operated.service.stopService()
    assert operated.reactor.getDelayedCalls() == []
    operated.service.startService()
    assert operated.ready() == (200, "ready")

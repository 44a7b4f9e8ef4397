"""``signals.insight``: each number by the name of its metric."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from backplane.cluster import Cluster
from bounded import BoundedWorld
from dialogues import room, signals_world, talk
from fakes import clock_of, connect, connected, new_signals, turn
from queue_model import PLACE_BYTES, slowed
from web_fakes import World, head, plain

from pode_signals import BroadcastLevel, Scope, Signals
from pode_signals.core.envelope import Unopened
from pode_signals.insight.numbers import _LOST, NUMBERS
from pode_signals.wire.frames import text_frame

ROOT = Path(__file__).parents[2]


def labelled(signals: Signals, name: str) -> dict[Any, Any]:
    """The numbers of a metric that has labels."""
    found = signals.insight.number(f"pode_signals_{name}")
    assert isinstance(found, dict)
    return found


def number(signals: Signals, name: str) -> int | float:
    """The number of a metric that has none."""
    found = signals.insight.number(f"pode_signals_{name}")
    assert isinstance(found, int | float)
    return found


def fails(*_: Any) -> None:
    """A function with a mistake."""
    raise LookupError


def test_all_at_once() -> None:
    """O1.2: the numbers come by their names, each the one that is asked for alone."""
    signals = new_signals()
    numbers = signals.insight.numbers()
    assert numbers.keys() == NUMBERS.keys()
    assert all(numbers[name] == signals.insight.number(name) for name in NUMBERS)


def test_a_name_that_does_not_exist() -> None:
    """S20.2: a wrong name is told with the nearest one."""
    with pytest.raises(ValueError, match=r"^there is no number pode_signals_name; did you mean pode_signals_names\?$"):
        new_signals().insight.number("pode_signals_name")


def test_labels_are_as_the_table_says() -> None:
    """O1.13: a number has as many labels as the table gives it."""
    signals = new_signals()
    signals.insight.count_traffic(str)
    signals.add_timer("tick", 1, fails)
    signals.start_schedules()
    with_one = connected(signals)
    with_one.says("hello")
    with_one.writes(b"{")
    turn(signals, seconds=1)
    for name, each in NUMBERS.items():
        found = signals.insight.number(name)
        for key in found if isinstance(found, dict) else ():
            assert len((key,) if isinstance(key, str) else key) == len(each.labels), name
        assert found is None or isinstance(found, dict) == bool(each.labels), name


def test_connections() -> None:
    """O1.3, O1.15: open connections by name, by protocol and scope, and by the side that closed."""
    signals = new_signals()
    clients = [connected(signals, "A"), connected(signals, "A", group="g"), connected(signals, "B")]
    connect(signals, "B", scope=Scope.LOCAL)
    assert labelled(signals, "connections") == {"A": 2, "B": 1}
    assert labelled(signals, "connections_open") == {("plain", "global"): 3, ("plain", "local"): 1}
    assert labelled(signals, "connections_opened_total") == {"plain": 4}
    assert (number(signals, "names"), number(signals, "groups")) == (2, 1)
    clients[0].vanishes()
    clients[1].connection.close()
    assert labelled(signals, "connections") == {"B": 1}
    # Its client has not answered the close frame yet.
    assert labelled(signals, "connections_open")["plain", "global"] == 2
    turn(signals)
    assert labelled(signals, "connections_open")["plain", "global"] == 1
    assert labelled(signals, "connections_closed_total") == {"client": 1, "server": 1}
    assert labelled(signals, "connections_opened_total") == {"plain": 4}


def test_messages() -> None:
    """O1.3: messages that were received, that went nowhere and that wait."""
    signals = new_signals(unrouted="drop", max_pending_messages=8, messages_per_second=1, message_burst=3)
    client = connected(signals)
    turn(signals)
    client.writes(b"{")
    client.says("nobody takes it")
    client.says("in the name of another", clientId="somebody.forged")
    client.says("too fast")
    assert number(signals, "messages_received_total") == 4
    assert labelled(signals, "messages_rejected_total") == {"bad": 1, "refused": 0, "unrouted": 2}
    assert number(signals, "messages_waiting") == 1
    turn(signals, seconds=2)
    assert number(signals, "messages_waiting") == 0
    assert labelled(signals, "limits_hit_total") == {"messages_per_second": 1}


def test_sends_and_deliveries() -> None:
    """O1.3: sends by who said something, recipients by what became of each; a send of nothing counts nowhere."""
    signals = new_signals(send_queue_bytes=PLACE_BYTES + len(text_frame(b"x")), slow_client="drop_newest")
    slow = slowed(connected(signals), 0)
    quick = connected(signals)
    slow.connection.send("fills")
    signals.send("x", name="Msg")
    signals.send("y", name="Msg")
    signals.send("", name="Msg")
    quick.says("to all", path="Msg")
    turn(signals)
    assert labelled(signals, "sends_total") == {"code": 3, "client": 1}
    assert labelled(signals, "deliveries_total") == {"sent": 4, "queued": 1, "dropped": 2}
    assert labelled(signals, "dropped_total") == {"newest": 2}
    assert number(signals, "queue_bytes") == PLACE_BYTES + len(text_frame(b"x"))
    assert number(signals, "queue_limit_bytes") == signals.settings.total_queue_bytes
    assert number(signals, "slow_connections") == 1


def test_functions_and_jobs() -> None:
    """O1.3, S13.6: functions that failed, and of each job its runs, failures and skipped triggers."""
    signals = new_signals()
    signals.add_timer("tick", 10, fails)
    signals.add_schedule("tock", "@hourly", lambda: None, limit=1)
    signals.start_schedules()
    turn(signals, seconds=10)
    turn(signals, seconds=10)
    assert labelled(signals, "handler_failures_total") == {"raised": 2, "timed_out": 0}
    assert labelled(signals, "job_runs_total") == {("tock", "schedule"): 0, ("tick", "timer"): 2}
    assert labelled(signals, "job_failures_total") == {("tock", "schedule"): 0, ("tick", "timer"): 2}
    assert labelled(signals, "job_skipped_total") == {("tock", "schedule"): 0, ("tick", "timer"): 0}
    assert labelled(signals, "job_running") == {("tock", "schedule"): 0, ("tick", "timer"): 0}
    next_runs = labelled(signals, "job_next_run_timestamp_seconds")
    assert next_runs["tick", "timer"] == signals.clock.seconds() + 10
    assert next_runs["tock", "schedule"] % 3600 == 0
    signals.remove_timer("tick")
    for _ in range(60):
        turn(signals, seconds=60)
    # A schedule that has run as often as it may has no next run.
    assert labelled(signals, "job_next_run_timestamp_seconds") == {}


def test_requests() -> None:
    """O1.3: refused handshakes by reason and status, and what the log left out."""
    world = World(allowed_origins=["https://example.com"]).converting()
    for _ in range(12):
        world.client().ask(head("/msg", ("Origin", "https://elsewhere.example")))
    assert labelled(world.signals, "handshakes_refused_total") == {("OriginRefused", "403"): 12}
    assert labelled(world.signals, "log_lines_suppressed_total") == {"upgrades_refused": 2}
    world.client().ask(plain("/ok", ("X-PODE-SIGNAL-CLIENT-ID", "forged")))
    assert number(world.signals, "references_refused_total") == 1
    world.client().ask(plain("/%ff"))
    assert number(world.signals, "requests_malformed_total") == 1
    assert number(world.signals, "defects_total") == 0


@pytest.mark.parametrize(
    ("request_line", "headers", "reason"),
    [
        ("/msg", (("X-PODE-SIGNAL-CLIENT-ID", "forged"),), "ClientIdInvalid"),
        ("/%ff", (), "UpgradeRefused"),
        ("/msg", (("Origin", "https://elsewhere.example"),), "OriginRefused"),
    ],
)
def test_refused_before_a_route(request_line: str, headers: tuple[tuple[str, str], ...], reason: str) -> None:
    """O1.3: a handshake counts as refused wherever it is refused, and is among the last refusals."""
    world = World(allowed_origins=["https://example.com"]).converting()
    answer = world.client().ask(head(request_line, *headers))
    assert answer.status in (400, 403)
    assert labelled(world.signals, "handshakes_refused_total") == {(reason, str(answer.status)): 1}
    assert [each.reason for each in world.signals.insight.recent_refusals()] == [reason]
    world.client().ask(plain(request_line, *headers))
    assert len(world.signals.insight.recent_refusals()) == 1


def test_every_answer_counts() -> None:
    """O1.3: answers that are written before a request is complete count as well, each once."""
    world = BoundedWorld()
    world.client().ask(plain("/ok"))
    world.client().ask(b"nonsense\r\n\r\n")
    world.client().ask(b"GET /ok HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n")
    world.client().ask(b"GET /" + b"x" * 100_000)
    slow = world.client().send(b"GET /ok HTTP/1.1\r\n")
    world.clock.pump([1] * 12)
    assert slow.answers[-1].status == 408
    world.client().open("/msg")
    assert labelled(world.signals, "requests_total") == {"2xx": 1, "4xx": 4, "1xx": 1}


def test_clients_that_come_back() -> None:
    """O1.3: clients that came back, by whether they lost anything, and as refused the tokens that did not count."""
    world = room(signals_world(ping_interval_seconds=1_000))
    world.signals.keep_history("Room", messages=3)
    assert labelled(world.signals, "resumes_total") == {"recovered": 0, "lost": 0, "refused": 0}
    talker = talk(world)
    place = talker.place
    talker.cut()
    talker = talker.again()
    for number in range(4):
        world.signals.send(number, name="Room")
    talker.cut()
    talker = talker.again(place)
    talker.cut()
    talker.again(f"{talker.place}x").cut()
    assert labelled(world.signals, "resumes_total") == {"recovered": 1, "lost": 2, "refused": 1}


def test_what_histories_hold() -> None:
    """O1.3: how many messages histories hold, and how much they count for ``total_history_bytes``."""
    world = room(signals_world())
    world.signals.keep_history(["Room", "Other"], messages=3)
    assert (number(world.signals, "history_messages"), number(world.signals, "history_bytes")) == (0, 0)
    for _ in range(4):
        world.signals.send("four", name=["Room", "Other"])
    assert number(world.signals, "history_messages") == 6
    payloads = 6 * len("four")
    assert payloads < number(world.signals, "history_bytes") < payloads + 8 * 1_000
    world.signals.forget_history(["Room", "Other"])
    assert (number(world.signals, "history_messages"), number(world.signals, "history_bytes")) == (0, 0)


def test_acknowledgements() -> None:
    """O1.3: recipients of acknowledged sends, by what they answered."""
    world = room(signals_world(ping_interval_seconds=1_000))
    assert labelled(world.signals, "acknowledgements_total") == {"acknowledged": 0, "unanswered": 0, "gone": 0}
    answers, silent, gone = (talk(world) for _ in range(3))
    world.signals.send("x", name="Room", acknowledge=True, timeout=1)
    world.turn()
    answers.says(type="ack", id=answers.all[-1]["ack"])
    gone.cut()
    world.turn(1)
    assert silent.is_open
    assert labelled(world.signals, "acknowledgements_total") == {"acknowledged": 1, "unanswered": 1, "gone": 1}


def test_broadcast_levels() -> None:
    """S7.1: ``signals.insight`` tells the levels that were set, and that of every other name."""
    signals = new_signals()
    signals.set_broadcast_level("group", "Rooms")
    assert signals.insight.broadcast_levels() == {None: BroadcastLevel.NAME, "Rooms": BroadcastLevel.GROUP}


def of_cluster() -> tuple[Signals, Any]:
    """A node among others, not started, and its backplane."""
    backplane = Cluster(clock_of(new_signals())).node()
    return Signals(clock=backplane.cluster.clock, backplane=backplane), backplane


def test_every_counter_of_redis() -> None:
    """O1.3: whatever a node on Redis counts is in a metric, or is known to be in none, and is in the documentation."""
    sources = (ROOT / "pode_signals" / "backplane" / "redis").glob("*.py")
    written = re.findall(r"\bcount\(f?\"([a-z_]+(?:\{\w+\})?)\"", "".join(map(Path.read_text, sources)))
    expanded = {
        "envelopes_{why}": [f"envelopes_{each.value}" for each in Unopened],
        "appends_{outcome}": ["appends_refused", "appends_unknown"],
    }
    counted = {name for each in written for name in expanded.get(each, [each])}
    lost = {name for names in _LOST.values() for name in names}
    # A lease that is lost and a change that is missed are mended by themselves; a refusal shows in what it refused.
    assert counted - lost == {"callbacks_failed", "commands_refused", "leases_lost", "members_missed"}
    assert lost <= counted
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").partition("## What to watch")[2]
    assert [name for name in sorted(counted) if f"`{name}`" not in page] == []


def test_defects_between_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """O1.3: a defect in the backplane is one of this package's, for which there is an alert."""
    signals, backplane = of_cluster()
    monkeypatch.setattr(type(backplane), "counters", {"callbacks_failed": 2})
    assert number(signals, "defects_total") == 2


def test_between_nodes() -> None:
    """O1.3: what happens between nodes has numbers where there are other nodes, and none where a node is alone."""
    between = {
        "pode_signals_backplane_up": 0,
        "pode_signals_backplane_queue_messages": 0,
        "pode_signals_backplane_queue_bytes": 0,
        "pode_signals_backplane_reconnects_total": 0,
    }
    assert {name: new_signals().insight.number(name) for name in between} == dict.fromkeys(between)
    signals, backplane = of_cluster()
    assert {name: signals.insight.number(name) for name in between} == between
    lost = labelled(signals, "backplane_lost_total")
    assert {cause: count for cause, count in lost.items() if count} == {"refused": 2, "forged": 1}
    signals.start_backplane()
    turn(signals, seconds=1)
    assert number(signals, "backplane_up") == 1
    backplane.cut()
    turn(signals, seconds=1)
    assert (number(signals, "backplane_up"), number(signals, "backplane_reconnects_total")) == (0, 0)
    backplane.mend()
    turn(signals, seconds=1)
    assert (number(signals, "backplane_up"), number(signals, "backplane_reconnects_total")) == (1, 1)

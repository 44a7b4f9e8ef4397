"""The metrics of a hub: what Prometheus reads, how many series there are at most, and that the figures agree."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from attrs import fields
from conftest import require
from dialogues import pass_seconds, room, signals_world, talk
from fakes import connect, connected, new_signals, turn
from presence_rooms import shared
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format
from prometheus_client.registry import DuplicateTimeseries
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from pode_signals import EVERY_NAME, Scope, Signals
from pode_signals.core.settings import Settings
from pode_signals.errors import ReplyRefused, UpgradeRefused
from pode_signals.hub.fence import SAMPLE
from pode_signals.insight.numbers import NUMBERS
from pode_signals.operations.labels import OTHER
from pode_signals.operations.metric_table import METRICS, Cost, Source, Type
from pode_signals.operations.metrics import LAG_SECONDS, Metrics
from pode_signals.signals import hub_of

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
Series = dict[tuple[str, tuple[str, ...]], float]


def measured(**arguments: Any) -> tuple[Signals, Metrics]:
    """Signals with metrics."""
    signals = new_signals()
    return signals, Metrics(signals.insight, **arguments)


def series(metrics: Metrics) -> Series:
    """Each series of this package by its name and the values of its labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


def values(metrics: Metrics, name: str) -> Mapping[Any, float]:
    """The values of one metric by its label."""
    return {labels[0]: value for (found, labels), value in series(metrics).items() if found == f"pode_signals_{name}"}


def value(metrics: Metrics, name: str) -> float:
    """The value of a metric without labels."""
    return series(metrics)[f"pode_signals_{name}", ()]


class TestTheTable:
    def test_every_number_is_a_metric(self) -> None:
        """O1.13: each number of the hub is a row of the table, with its labels and its meaning."""
        of_the_hub = {each.name: each for each in METRICS.values() if each.source is Source.HUB}
        assert of_the_hub.keys() == NUMBERS.keys()
        assert all(each.labels == NUMBERS[name].labels for name, each in of_the_hub.items())

    @pytest.mark.parametrize("name", METRICS)
    def test_a_row(self, name: str) -> None:
        """O1.13, O1.8, O1.11: a row says what its metric is; no label is a client's, a histogram has one at most."""
        row = METRICS[name]
        assert row.text.endswith(".")
        assert name.endswith("_total") == (row.type is Type.COUNTER)
        assert bool(row.buckets) == (row.type is Type.HISTOGRAM)
        assert bool(row.labels) == bool(row.known or row.bound)
        assert not {"client_id", "address", "path", "user_agent"} & set(row.labels)
        if row.type is Type.HISTOGRAM:
            assert len(row.labels) <= 1
            assert "name" not in row.labels

    def test_three_count_for_each_message(self) -> None:
        """O1.4: three metrics count for each message, and no more."""
        assert [name for name, row in METRICS.items() if row.cost is Cost.MESSAGE] == [
            "pode_signals_received_bytes_total",
            "pode_signals_sent_bytes_total",
            "pode_signals_handler_seconds",
        ]


class TestTheText:
    @pytest.mark.parametrize(
        ("accept", "content_type", "parse"),
        [
            ("", "text/plain", text_format),
            ("text/plain;version=0.0.4", "text/plain", text_format),
            (OPEN_METRICS, "application/openmetrics-text", open_metrics),
        ],
    )
    def test_both_formats(self, accept: str, content_type: str, parse: Any) -> None:
        """O1.3, O1.8: both formats can be read, hold the same values, and have nothing of when a series began."""
        signals, metrics = measured()
        client = connected(signals, 'A "name" \\ of two\\n', path="/ws")
        client.says("hello")
        shown, text = metrics.render(accept)
        assert shown.startswith(content_type)
        found = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parse(text.decode())
            for sample in family.samples
        }
        ours = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in metrics.collect()
            for sample in family.samples
        }
        assert ours.items() <= found.items()
        assert not any(name.endswith("_created") for name, _ in found)

    def test_what_python_and_the_process_do(self) -> None:
        """O1.1: the registry has the process, the platform and the collection of garbage beside the hub."""
        text = measured()[1].render("")[1].decode()
        for name in ("process_resident_memory_bytes", "python_info", "python_gc_collections_total"):
            assert f"\n{name}" in text

    def test_promtool(self) -> None:
        """O1.13: promtool has nothing to say about the names, the types and the texts."""
        program = require("promtool")
        signals, metrics = measured()
        for name in ("state", "ready", "certificate_expiry_timestamp_seconds", "api_refused_total"):
            labels = METRICS[f"pode_signals_{name}"].labels
            metrics.feed(f"pode_signals_{name}", lambda labels=labels: {"x": 1} if labels else 1)
        connected(signals)
        signals.add_timer("tick", 1, lambda: None)
        done = subprocess.run(
            [program, "check", "metrics"], input=metrics.render("")[1], capture_output=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


class TestTheRegistry:
    def test_two_hubs(self) -> None:
        """O1.1: two hubs of a process have a registry each, and nothing is in the global one."""
        from prometheus_client import REGISTRY

        first, second = measured(), measured()
        connected(first[0])
        assert (value(first[1], "names"), value(second[1], "names")) == (1, 0)
        assert not any(each.name.startswith("pode_signals") for each in REGISTRY.collect())

    def test_an_application_adds_its_own(self) -> None:
        """O1.1: an application registers its own metrics, and can't take a name of ours."""
        metrics = measured()[1]
        Counter("orders", "Orders.", registry=metrics.registry).inc(3)
        assert b"\norders_total 3.0\n" in metrics.render("")[1]
        with pytest.raises(DuplicateTimeseries):
            Gauge("pode_signals_names", "Names.", registry=metrics.registry)

    def test_no_object_of_the_library_is_touched(self) -> None:
        """O1.2: what is counted is counted in numbers; the registry has collectors alone."""
        registry = measured()[1].registry
        assert isinstance(registry, CollectorRegistry)
        kinds = {type(each).__name__ for each in registry._collector_to_names}
        assert kinds == {"Metrics", "ProcessCollector", "PlatformCollector", "GCCollector"}


class TestNames:
    def test_the_first_ones(self) -> None:
        """O1.10: given names and the first ones of routes have series, which stay; all others are in one."""
        signals, metrics = measured(metric_names=["Given"], max_metric_names=2)
        clients = [connected(signals, name) for name in ("A", "B", "C", "D")]
        connected(signals, "Given")
        assert values(metrics, "connections") == {"Given": 1, "A": 1, "B": 1, OTHER: 2}
        assert (value(metrics, "names_unlabelled"), value(metrics, "names")) == (2, 5)
        clients[0].vanishes()
        clients[2].vanishes()
        turn(signals)
        connected(signals, "E")
        assert values(metrics, "connections") == {"Given": 1, "A": 0, "B": 1, OTHER: 2}
        signals.send("x", name=["A", "B", "D", "E"])
        assert values(metrics, "name_sends_total") == {"Given": 0, "A": 0, "B": 1, OTHER: 2}
        assert values(metrics, "name_deliveries_total") == {"Given": 0, "A": 0, "B": 1, OTHER: 2}

    def test_names_of_clients(self) -> None:
        """O1.10: a name that is the path of its request, as those of auto-upgrade are, gets no series."""
        signals, metrics = measured()
        connected(signals, "/chat", path="/chat")
        connected(signals, "Local", scope=Scope.LOCAL)
        assert values(metrics, "connections") == {OTHER: 1}
        assert value(metrics, "names_unlabelled") == 1

    def test_a_hundred_at_most(self) -> None:
        """O1.10: no more than 100 names have series, given ones among them."""
        signals, metrics = measured(metric_names=map(str, range(90)), max_metric_names=100)
        for number in range(30):
            connect(signals, f"Name{number}")
        assert len(values(metrics, "connections")) == 101

    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ({"metric_names": "Chat"}, TypeError, "metric_names has to be several names, not the text 'Chat'"),
            ({"metric_names": map(str, range(101))}, ValueError, "metric_names has 101 names, and may have 100"),
            ({"metric_names": [""]}, ValueError, "name"),
            ({"max_metric_names": 101}, ValueError, "max_metric_names has to be from 0 to 100, not 101"),
            ({"max_metric_names": "20"}, TypeError, "max_metric_names has to be a whole number, not '20'"),
        ],
    )
    def test_mistakes(self, arguments: Any, error: type[Exception], text: str) -> None:
        """S20.1: names and numbers that make no sense are refused when the metrics are made."""
        with pytest.raises(error, match=text):
            measured(**arguments)


class TestJobs:
    def test_the_first_hundred(self) -> None:
        """O1.12: the first 100 jobs have series of their own, all others are in one."""
        signals, metrics = measured()
        for number in range(103):
            signals.add_timer(f"job {number}", 1, lambda: None, skip=1)
        signals.start_schedules()
        turn(signals, seconds=1)
        turn(signals, seconds=1)
        runs = values(metrics, "job_runs_total")
        assert (len(runs), runs["job 0"], runs[OTHER]) == (101, 1, 3)
        due = values(metrics, "job_next_run_timestamp_seconds")
        assert due[OTHER] == due["job 0"]

    def test_a_job_that_is_removed(self) -> None:
        """O1.12: a counter of jobs does not go back where a job is removed, or begins anew."""
        signals, metrics = measured()
        signals.add_timer("tick", 1, lambda: None)
        signals.start_schedules()
        for _ in range(3):
            turn(signals, seconds=1)
        assert values(metrics, "job_runs_total") == {"tick": 3}
        signals.remove_timer("tick")
        assert values(metrics, "job_runs_total") == {"tick": 3}
        signals.add_timer("tick", 1, lambda: None)
        turn(signals, seconds=1)
        turn(signals, seconds=1)
        assert values(metrics, "job_runs_total") == {"tick": 5}
        assert values(metrics, "job_running") == {"tick": 0}
        # This time nobody looks between.
        signals.remove_timer("tick")
        signals.add_timer("tick", 1, lambda: None)
        turn(signals, seconds=1)
        assert values(metrics, "job_runs_total") == {"tick": 6}


class TestMeasures:
    def test_durations(self) -> None:
        """O1.2: how long connections, handshakes and pongs took is in histograms, in the bucket of the table."""
        signals, metrics = measured()
        client = connected(signals)
        client.answers_pings = False
        turn(signals, seconds=12)
        hub = hub_of(signals)
        assert hub.shook_hands is not None
        hub.shook_hands(client.link, 0.002)
        assert hub.ponged is not None
        hub.ponged(client.link, 0.2)
        client.vanishes()
        turn(signals)
        found = series(metrics)
        for name, below, above in (
            ("connection_duration", "5.0", "15.0"),
            ("handshake", "0.001", "0.0025"),
            ("pong", "0.1", "0.25"),
        ):
            bucket = f"pode_signals_{name}_seconds_bucket"
            assert (found[bucket, (below,)], found[bucket, (above,)]) == (0, 1), name
        assert found["pode_signals_connection_duration_seconds_sum", ()] == 12

    def test_batches(self) -> None:
        """O1.2: a batch is measured once: how long the writing took, and how many got it."""
        signals, metrics = measured()
        for _ in range(3):
            connected(signals)
        signals.send("a", name="Msg")
        signals.send("b", name="Msg")
        turn(signals)
        assert value(metrics, "fan_out_recipients_sum") == 3
        assert (value(metrics, "fan_out_recipients_count"), value(metrics, "fan_out_seconds_count")) == (1, 1)

    def test_functions(self) -> None:
        """O1.6: one function in eight is in the histogram of its kind."""
        signals, metrics = measured()
        signals.add_route("/ws", lambda event: None)
        client = connected(signals)
        for number in range(2 * SAMPLE):
            client.says(number)
        assert values(metrics, "handler_seconds_count") == {
            "route": 2,
            "connect": 0,
            "disconnect": 0,
            "job": 0,
            "check": 0,
        }

    def test_how_late_calls_come(self) -> None:
        """O1.7: a call is due each quarter of a second; how late it is comes from the clock that is given for that."""
        metrics, clock, seconds = measured()[1], Clock(), [0.0]
        metrics.stop()
        metrics.start(clock, lambda: seconds[0])
        for late in (0.0, 0.003, 3.0):
            seconds[0] += LAG_SECONDS + late
            clock.advance(LAG_SECONDS)
        found = series(metrics)
        buckets = [
            found["pode_signals_reactor_lag_seconds_bucket", (each,)] for each in ("0.001", "0.005", "2.5", "5.0")
        ]
        assert buckets == [1, 2, 2, 3]
        metrics.stop()
        assert clock.getDelayedCalls() == []


class TestSources:
    def test_a_source(self) -> None:
        """O1.13: what neither the hub nor an observer has is read where it is fed, and left out until then."""
        metrics = measured()[1]
        assert not any(name in ("pode_signals_ready", "pode_signals_state") for name, _ in series(metrics))
        metrics.feed("pode_signals_ready", lambda: 1)
        metrics.feed("pode_signals_state", lambda: {"ready": 1})
        metrics.feed("pode_signals_certificate_expiry_timestamp_seconds", lambda: None)
        assert value(metrics, "ready") == 1
        assert values(metrics, "state") == {"starting": 0, "ready": 1, "draining": 0}
        assert values(metrics, "certificate_expiry_timestamp_seconds") == {}

    def test_an_unknown_one(self) -> None:
        """S20.1: a source for a metric that the table does not leave to others is refused."""
        with pytest.raises(ValueError, match="did you mean pode_signals_ready"):
            measured()[1].feed("pode_signals_redy", lambda: 1)

    def test_after_a_connection(self) -> None:
        """S20.2: metrics that would miss connections are refused when they are made."""
        signals = new_signals()
        connected(signals)
        with pytest.raises(RuntimeError, match="before the first connection"):
            Metrics(signals.insight)


class TestFigures:
    def test_they_agree(self) -> None:
        """O1.15: while clients come and go, the connections by name are as many as the registry has, at each turn."""
        signals, metrics = measured(max_metric_names=5)
        clients = []
        for number in range(500):
            clients.append(connected(signals, f"Name{number % 20}", at_once=True))
            if number % 3 == 2:
                clients.pop(number % len(clients)).vanishes()
            if number % 50 == 0:
                found = series(metrics)
                by_name = sum(values(metrics, "connections").values())
                assert by_name == signals.count() == len(clients)
                opened = found["pode_signals_connections_opened_total", ("plain",)]
                closed = sum(values(metrics, "connections_closed_total").values())
                assert opened - closed == len(clients) == found["pode_signals_connections_open", ("plain", "global")]

    def test_the_bound(self) -> None:
        """O1.9: no number of names, client ids, refusals, limits, jobs and log lines makes more than 1,500 series."""
        signals, metrics = measured(metric_names=map(str, range(80)), max_metric_names=100)
        for number in range(9_700):
            connect(signals, f"Name{number}", client_id=f"client {number}", address=f"2001:db8::{number:x}")
            # Each connection has a call wait for the next turn, and a test's clock sorts those that wait.
            if number % 20 == 0:
                turn(signals)
        for number in range(200):
            signals.add_timer(f"timer {number}", 60, lambda: None)
            signals.add_schedule(f"schedule {number}", "@hourly", lambda: None)
        counters = signals.counters
        for refusal, status in all_refusals():
            counters.upgrades_refused[refusal, status] += 1
        for setting in fields(Settings):
            counters.limits_hit[setting.name] += 1
        for number in range(1_000):
            counters.lines_suppressed[f"timer {number} raised"] += 1
        for status in range(400, 430):
            counters.posts_refused[status] += 1
        signals.send("x", name=EVERY_NAME)
        metrics.feed("pode_signals_state", lambda: {"ready": 1})
        before = series(metrics).keys()
        assert 900 < sum(b"#" not in line[:1] for line in metrics.render("")[1].splitlines()) <= 1_500
        for number in range(9_700, 10_000):
            connect(signals, f"Name{number}", client_id=f"client {number}")
            signals.add_timer(f"timer {number}", 60, lambda: None)
            counters.lines_suppressed[f"timer {number} raised"] += 1
        signals.send("x", name=EVERY_NAME)
        assert series(metrics).keys() == before
        assert value(metrics, "names_unlabelled") == 9_980
        assert values(metrics, "connections")[OTHER] == 9_980
        text = metrics.render("")[1]
        assert b"client 1" not in text
        assert b"2001:db8" not in text


class TestCounts:
    def test_replies(self) -> None:
        """O1.3: answers to messages with an id are counted, those that are an error apart."""
        world = signals_world(max_outgoing_bytes=100).converting("/room", "Room")

        def answers(event: Any) -> Any:
            if event.data.message == "fails":
                raise LookupError
            if event.data.message == "refuses":
                raise ReplyRefused("no", "No.")
            return "x" * 200 if event.data.message == "much" else event.data.message

        world.signals.add_route("/room", answers)
        talker = talk(world)
        with capturedLogs():
            answered = [talker.asks(each)["type"] for each in ("fails", "refuses", "much", "fine")]
        talker.says(type="send", message="no id")
        assert answered == ["error", "error", "error", "reply"]
        assert world.signals.insight.number("pode_signals_replies_total") == {"ok": 1, "error": 3}

    def test_refreshes(self) -> None:
        """O1.3: connections that are renewed, refused or expire are counted."""
        world = signals_world(ping_interval_seconds=10_000)
        now = hub_of(world.signals).wall_time()
        room(world, expires=now + timedelta(seconds=100))
        talker = talk(world)
        talker.says(type="refresh", id="1", token="x")
        for answer in (now + timedelta(seconds=200), None):
            world.signals.refresh_check = lambda _connection, _token, answer=answer: answer
            talker.says(type="refresh", id="1", token="x")
        pass_seconds(world, 240)
        assert world.signals.insight.number("pode_signals_refreshes_total") == {
            "accepted": 1,
            "refused": 2,
            "expired": 1,
        }

    def test_presence(self) -> None:
        """O1.3: clients that come and go are counted once others are told of them, after the grace."""
        rooms = shared()
        rooms.watcher()
        ada = rooms.connect("id=ada")
        rooms.advance(2)
        rooms.connect("id=bob")
        ada.cut()
        rooms.advance(14)
        changes = "pode_signals_presence_changes_total"
        assert rooms.signals.insight.number(changes) == {"join": 2, "leave": 0}
        rooms.advance(1)
        assert rooms.signals.insight.number(changes) == {"join": 2, "leave": 1}
        rooms.tester.end()


def all_refusals() -> set[tuple[str, int]]:
    """Every error that refuses a handshake, with each status that this package gives it."""
    found = set()
    waiting: list[type[UpgradeRefused]] = [UpgradeRefused]
    while waiting:
        each = waiting.pop()
        waiting += each.__subclasses__()
        found.add(each.__name__)
    return {(name, status) for name in found for status in (400, 403, 409, 410, 421, 426, 429, 503)}

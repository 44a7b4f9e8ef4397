"""The metrics of one hub for Prometheus, read when somebody looks. No object of prometheus-client is touched before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .. import Insight
from ..core.histogram import Histogram
from ..core.names import check_name
from ..core.nearest import unknown
from .labels import MOST_NAMES, OTHER, Growth, Labels
from .measures import Measures, histogram_of
from .metric_table import METRICS, Metric, Source, Type

__all__ = ["LAG_SECONDS", "Metrics", "Values"]

LAG_SECONDS = 0.25
"""How often a call is due whose lateness is measured."""
_MOST_JOBS = 100
_MOST_KINDS = 60
_CONNECTIONS = "pode_signals_connections"
_HANDLERS = "pode_signals_handler_seconds"
_LAG = "pode_signals_reactor_lag_seconds"
_NEXT_RUN = "pode_signals_job_next_run_timestamp_seconds"
_SUPPRESSED = "pode_signals_log_lines_suppressed_total"
_NAME_LABELS = ("name",)
_JOB_LABELS = ("job", "kind")

Values = int | float | Mapping[str, int | float] | Mapping[tuple[str, ...], int | float] | None
"""A number; numbers by the value of a label, or by those of several; None where there is none."""
_Labelled = Mapping[tuple[str, ...], float]


class Metrics:
    """The metrics of one hub.

    It attaches an observer, so it has to be made before the first connection. All of it belongs to the reactor's
    thread, :meth:`render` too: elsewhere the numbers would change while they are read.

    Args:
        insight: ``signals.insight``.
        metric_names: names that have series of their own from the start.
        max_metric_names: how many names have series of their own; those beside ``metric_names`` are the first ones that
            routes convert under.

    Attributes:
        registry: the one registry, in which an application may register collectors of its own.
        lag: how late calls came since :meth:`start`.

    Raises:
        ValueError, TypeError: an argument makes no sense.
        RuntimeError: there have been connections.
    """

    def __init__(self, insight: Insight, *, metric_names: Iterable[str] = (), max_metric_names: int = 20) -> None:
        given = _checked_names(metric_names)
        if isinstance(max_metric_names, bool) or not isinstance(max_metric_names, int):
            raise TypeError(f"max_metric_names has to be a whole number, not {max_metric_names!r}")
        if not 0 <= max_metric_names <= MOST_NAMES:
            raise ValueError(f"max_metric_names has to be from 0 to {MOST_NAMES}, not {max_metric_names}")
        self._insight = insight
        # What is given takes none of the places of what comes, as long as there are places at all.
        self._names: Labels[str] = Labels(min(MOST_NAMES, len(given) + max_metric_names), given)
        self._jobs: Labels[tuple[str, ...]] = Labels(_MOST_JOBS)
        self._kinds: Labels[str] = Labels(_MOST_KINDS)
        self._growths: dict[str, Growth[tuple[str, ...]]] = {}
        self._measures = Measures(self._names)
        self.lag = histogram_of(_LAG)
        self._next: IDelayedCall | None = None
        self._sources: dict[str, Callable[[], Values]] = {"pode_signals_names_unlabelled": self._unlabelled}
        insight.count_traffic(self._label)
        insight.attach(self._measures)
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def render(self, accept: str) -> tuple[str, bytes]:
        """All metrics, as the ``Accept`` header of a request wants them: its content type, and the text.

        Args:
            accept: the header; ``""`` where there is none.
        """
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self.registry)

    def feed(self, name: str, read: Callable[[], Values]) -> None:
        """Say where a metric is read that neither the hub nor its observer has; unfed ones are left out.

        Args:
            name: the metric, one whose source is ``operations``.
            read: gives its value or values, at each scrape.

        Raises:
            ValueError: there is no such metric.
        """
        fed = {each.name for each in METRICS.values() if each.source is Source.OPERATIONS}
        if name not in fed:
            raise ValueError(unknown("metric", name, fed))
        self._sources[name] = read

    def start(self, clock: IReactorTime, seconds: Callable[[], float] = perf_counter) -> None:
        """Measure from now on how late calls come.

        Args:
            clock: has the call made each quarter of a second.
            seconds: tells how late it is, and is never set.
        """
        # Not a LoopingCall: that keeps to a grid, so the time from one late call to the next would be shorter.
        due = 0.0

        def plan() -> None:
            nonlocal due
            due = seconds() + LAG_SECONDS
            self._next = clock.callLater(LAG_SECONDS, tick)

        def tick() -> None:
            self.lag.observe(max(0.0, seconds() - due))
            plan()

        plan()

    def stop(self) -> None:
        """Measure no longer; nothing happens where nothing was started."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    # What the registry calls.

    def describe(self) -> Iterator[Family]:
        """The names, so that an application can't register one of them again."""
        return map(_family, METRICS.values())

    def collect(self) -> Iterator[Family]:
        """Every metric that there is now."""
        numbers = self._insight.numbers()
        for name, metric in METRICS.items():
            family = _family(metric)
            if metric.type is Type.HISTOGRAM:
                for labels, histogram in self._histograms(name).items():
                    family.add_metric(labels, _buckets(histogram), histogram.sum)
            else:
                values = numbers[name] if metric.source is Source.HUB else self._sources.get(name, _nothing)()
                found: dict[tuple[str, ...], float] = {}
                if values is not None:
                    found.update(((each,), 0) for each in metric.known)
                found.update(self._bounded(name, _labelled(values)))
                for labels, value in found.items():
                    family.add_metric(labels, value)
            if family.samples:
                yield family

    def _histograms(self, name: str) -> Mapping[tuple[str, ...], Histogram]:
        if name == _LAG:
            return {(): self.lag}
        if name == _HANDLERS:
            return {(kind,): each for kind, each in self._measures.handlers.items()}
        return {(): self._measures.histograms[name]}

    def _label(self, name: str) -> str:
        return name if name in self._names else OTHER

    def _zeros(self) -> _Labelled:
        return {(each,): 0 for each in (*self._names.own, OTHER)}

    def _unlabelled(self) -> int:
        connections = self._insight.number(_CONNECTIONS)
        assert isinstance(connections, Mapping)
        return sum(each not in self._names for each in connections)

    def _bounded(self, name: str, values: _Labelled) -> _Labelled:
        """The values of a metric, with those in one series that have none of their own."""
        if name == _CONNECTIONS:
            names = self._names
            folded = _folded(values, lambda labels: labels if labels[0] in names else (OTHER,), sum)
            return {**self._zeros(), **folded}
        if METRICS[name].labels == _NAME_LABELS:
            return {**self._zeros(), **values}
        if name == _SUPPRESSED:
            return _folded(values, lambda labels: labels if self._kinds.came(labels[0]) else (OTHER,), sum)
        if METRICS[name].labels == _JOB_LABELS:
            labels = {each: each if self._jobs.came(each) else (OTHER, *each[1:]) for each in values}
            if METRICS[name].type is Type.COUNTER:
                return self._growths.setdefault(name, Growth()).totals(values, labels)
            # Of the times of all that share a series the next one counts.
            return _folded(values, labels.__getitem__, min if name == _NEXT_RUN else sum)
        return values


def _checked_names(metric_names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(metric_names, str):
        raise TypeError(f"metric_names has to be several names, not the text {metric_names!r}")
    names = tuple(dict.fromkeys(metric_names))
    for each in names:
        check_name("name", each)
    if len(names) > MOST_NAMES:
        raise ValueError(f"metric_names has {len(names)} names, and may have {MOST_NAMES}")
    return names


def _family(metric: Metric) -> Any:
    return _FAMILIES[metric.type](metric.name, metric.text, labels=metric.labels)


def _labelled(values: Values) -> _Labelled:
    """Values by the values of all labels; a single number has none."""
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return {labels if isinstance(labels, tuple) else (labels,): value for labels, value in values.items()}
    return {(): values}


def _folded(
    values: _Labelled,
    label: Callable[[tuple[str, ...]], tuple[str, ...]],
    join: Callable[[Iterable[float]], float],
) -> _Labelled:
    found: dict[tuple[str, ...], list[float]] = {}
    for labels, value in values.items():
        found.setdefault(label(labels), []).append(value)
    return {labels: join(each) for labels, each in found.items()}


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = (*map(floatToGoString, histogram.bounds), "+Inf")
    return list(zip(bounds, histogram.cumulative(), strict=True))


def _nothing() -> None:
    """What stands for a source that nobody has fed."""


_FAMILIES = {
    Type.COUNTER: CounterMetricFamily,
    Type.GAUGE: GaugeMetricFamily,
    Type.HISTOGRAM: HistogramMetricFamily,
}

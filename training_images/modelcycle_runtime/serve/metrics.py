"""The server's metrics, as ``docs/reference/pods.md`` names them; read by Prometheus from a thread of its own.

The core counts requests and rows, the ledger feedback; here they get their names. Every series of the pod's own
version is there from the start, with 0: a counter that appears late has no increase.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

import modelcycle_core as core
from modelcycle_runtime import contract
from modelcycle_runtime.serve.feedback import Ledger, Sums
from modelcycle_runtime.serve.histograms import Series
from modelcycle_runtime.serve.loading import Loaded
from modelcycle_runtime.serve.settings import Settings

_FIRST_CODES = (200, 400, 500)
_SUMS = (
    (contract.METRIC_FEEDBACK_ROWS, "Labelled rows with a finite loss.", "rows"),
    (contract.METRIC_LOSS_POSITIVE, "Sum of max(loss, 0).", "positive"),
    (contract.METRIC_LOSS_NEGATIVE, "Sum of max(-loss, 0).", "negative"),
    (contract.METRIC_LOSS_SQUARED, "Sum of the squared losses.", "squared"),
    (contract.METRIC_LOSS_NONFINITE, "Labelled rows whose loss is NaN or infinite.", "nonfinite"),
)


class Metrics:
    """Collects what core and ledger have counted."""

    def __init__(
        self, settings: Settings, server: core.Server, loaded: Loaded, ledger: Ledger, lost: Mapping[str, int]
    ) -> None:
        """``lost`` has the requests that the core kept something of which could not be brought, by what it was."""
        self._version, self._digest = settings.version, settings.digest
        self._server, self._histograms, self._ledger = server, loaded.histograms, ledger
        self._load_seconds, self._lost = loaded.seconds, lost
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            contract.METRIC_MODEL_INFO, "The version that is served.", labels=("version", "digest")
        )
        info.add_metric((self._version, self._digest), 1)
        yield info
        load = GaugeMetricFamily(
            contract.METRIC_MODEL_LOAD_SECONDS,
            "Time that loading, testing and warming up the version took.",
            labels=("version",),
        )
        load.add_metric((self._version,), self._load_seconds)
        yield load
        yield from self._requests()
        yield from self._bins()
        yield from self._feedback()
        yield self._told()

    def _told(self) -> Metric:
        family = CounterMetricFamily(
            contract.METRIC_TOLD_REQUESTS,
            "Inference requests of which spans or payloads were kept, dropped for want of room, or lost on their way.",
            labels=("version", "what", "outcome"),
        )
        for what, (kept, dropped) in (("spans", self._server.traced()), ("payloads", self._server.logged())):
            for outcome, count in (("kept", kept), ("dropped", dropped), ("lost", self._lost[what])):
                family.add_metric((self._version, what, outcome), count)
        return family

    def _requests(self) -> Iterator[Metric]:
        codes = {**dict.fromkeys(_FIRST_CODES, 0), **dict(self._server.requests())}
        yield self._counter(contract.METRIC_REQUESTS, "Inference requests.", "code", codes)
        in_flight = GaugeMetricFamily(contract.METRIC_IN_FLIGHT, "Inference requests under way.", labels=("version",))
        in_flight.add_metric((self._version,), self._server.in_flight())
        yield in_flight
        rejected = dict(self._server.rejected())
        yield self._counter(
            contract.METRIC_REJECTED, "Inference requests that were turned away or given up.", "reason", rejected
        )
        for name, text, counted in (
            (
                contract.METRIC_REQUEST_SECONDS,
                "Time from a request's last byte to its answer.",
                self._server.request_seconds(),
            ),
            (
                contract.METRIC_QUEUE_SECONDS,
                "Time from a request's last byte to the run of the model that answered it.",
                self._server.queue_seconds(),
            ),
            (contract.METRIC_BATCH_ROWS, "Rows in a run of the model.", self._server.batch_rows()),
        ):
            yield self._distribution(name, text, counted)

    def _counter(self, name: str, text: str, label: str, counts: dict[int, int] | dict[str, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=("version", label))
        for value, count in counts.items():
            family.add_metric((self._version, str(value)), count)
        return family

    def _distribution(self, name: str, text: str, counted: core.Cumulative) -> Metric:
        counts, total = counted
        family = HistogramMetricFamily(name, text, labels=("version",))
        buckets = [("+Inf" if math.isinf(bound) else str(bound), count) for bound, count in counts]
        family.add_metric((self._version,), buckets=buckets, sum_value=total)
        return family

    def _bins(self) -> Iterator[Metric]:
        features, predictions = self._server.feature_bins(), self._server.prediction_bins()
        known = self._histograms
        live = "Rows by {} and bin."
        yield self._series(
            CounterMetricFamily, contract.METRIC_FEATURE_BINS, live, "feature", known.feature_counts(features)
        )
        yield self._series(
            CounterMetricFamily, contract.METRIC_PREDICTION_BINS, live, "output", known.prediction_counts(predictions)
        )
        # What the live bins are compared with: with it here, drift needs the metric store alone.
        trained = "Rows at training by {} and bin."
        yield self._series(
            GaugeMetricFamily,
            contract.METRIC_BASELINE_FEATURE_BINS,
            trained,
            "feature",
            known.feature_baseline(features),
        )
        yield self._series(
            GaugeMetricFamily,
            contract.METRIC_BASELINE_PREDICTION_BINS,
            trained,
            "output",
            known.prediction_baseline(),
        )

    def _series(
        self,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        label: str,
        series: Iterator[Series],
    ) -> Metric:
        family = kind(name, text.format(label), labels=("version", label, "bin"))
        for one, bin_, count in series:
            family.add_metric((self._version, one, bin_), count)
        return family

    def _feedback(self) -> Iterator[Metric]:
        # A copy: the event loop may add a version meanwhile.
        sums = {int(self._version): Sums(), **self._ledger.sums}
        for name, text, field in _SUMS:
            family = CounterMetricFamily(name, text, labels=("version",))
            for version, one in sums.items():
                family.add_metric((str(version),), getattr(one, field))
            yield family
        rejected = CounterMetricFamily(contract.METRIC_FEEDBACK_REJECTED, "Feedback rows refused.", labels=("reason",))
        for outcome, count in self._ledger.rejected.items():
            rejected.add_metric((outcome.value,), count)
        yield rejected
        if self._ledger.watermark is not None:
            seconds = self._ledger.watermark / 1e9
            yield GaugeMetricFamily(contract.METRIC_WATERMARK, "Greatest event time among the labels.", seconds)

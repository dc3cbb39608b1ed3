"""The server's metrics, as ``docs/reference/pods.md`` names them; read by Prometheus from a thread of its own.

Every series of the pod's own version is there from the start, with 0: a counter that appears late has no increase.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from modelcycle_runtime import contract
from modelcycle_runtime.serve.feedback import Ledger, Sums
from modelcycle_runtime.serve.histograms import Histograms

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
_FIRST_CODES = ("200", "400", "500")
_SUMS = (
    (contract.METRIC_FEEDBACK_ROWS, "Labelled rows with a finite loss.", "rows"),
    (contract.METRIC_LOSS_POSITIVE, "Sum of max(loss, 0).", "positive"),
    (contract.METRIC_LOSS_NEGATIVE, "Sum of max(-loss, 0).", "negative"),
    (contract.METRIC_LOSS_SQUARED, "Sum of the squared losses.", "squared"),
    (contract.METRIC_LOSS_NONFINITE, "Labelled rows whose loss is NaN or infinite.", "nonfinite"),
)


class Metrics:
    """Counts requests itself; histograms and feedback are read from where they are counted."""

    def __init__(self, version: str, digest: str, histograms: Histograms, ledger: Ledger) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            contract.METRIC_REQUESTS, "Inference requests.", ("version", "code"), registry=self.registry
        )
        self._seconds = Histogram(
            contract.METRIC_REQUEST_SECONDS,
            "Time from a request's last byte to its answer.",
            ("version",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        ).labels(version)
        info = Gauge(
            contract.METRIC_MODEL_INFO, "The version that is served.", ("version", "digest"), registry=self.registry
        )
        info.labels(version, digest).set(1)
        self._by_code = {int(code): self._requests.labels(version, code) for code in _FIRST_CODES}
        self._version = version
        self.registry.register(_Counted(version, histograms, ledger))

    def request(self, code: int, seconds: float | None) -> None:
        """Counts an inference request; one whose body never came has no ``seconds``."""
        if code not in self._by_code:
            self._by_code[code] = self._requests.labels(self._version, str(code))
        self._by_code[code].inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Counted:
    def __init__(self, version: str, histograms: Histograms, ledger: Ledger) -> None:
        self._version, self._histograms, self._ledger = version, histograms, ledger

    def collect(self) -> Iterator[Metric]:
        yield self._bins(contract.METRIC_FEATURE_BINS, "feature", self._histograms.feature_counts())
        yield self._bins(contract.METRIC_PREDICTION_BINS, "output", self._histograms.prediction_counts())
        yield self._baseline(contract.METRIC_BASELINE_FEATURE_BINS, "feature", self._histograms.feature_baseline())
        yield self._baseline(contract.METRIC_BASELINE_PREDICTION_BINS, "output", self._histograms.prediction_baseline())
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

    def _baseline(self, name: str, label: str, counts: Iterator[tuple[str, str, int]]) -> Metric:
        """What the live bins are compared with: with it here, drift needs the metric store alone."""
        family = GaugeMetricFamily(name, f"Rows at training by {label} and bin.", labels=("version", label, "bin"))
        for one, bin_, count in counts:
            family.add_metric((self._version, one, bin_), count)
        return family

    def _bins(self, name: str, label: str, counts: Iterator[tuple[str, str, int]]) -> Metric:
        family = CounterMetricFamily(name, f"Rows by {label} and bin.", labels=("version", label, "bin"))
        for one, bin_, count in counts:
            family.add_metric((self._version, one, bin_), count)
        return family

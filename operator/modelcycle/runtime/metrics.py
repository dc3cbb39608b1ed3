"""The operator's own metrics. Those of queues and passes are named as in controller-runtime, for its dashboards."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_QUEUE_BUCKETS = (1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000)
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One set of metrics in a registry of its own, so that several operators fit into one process (tests)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self.depth = Gauge("workqueue_depth", "Keys that wait", ["name"], registry=to)
        self.adds = Counter("workqueue_adds", "Keys added", ["name"], registry=to)
        self.waited = Histogram(
            "workqueue_queue_duration_seconds", "Time in the queue", ["name"], registry=to, buckets=_QUEUE_BUCKETS
        )
        self.worked = Histogram(
            "workqueue_work_duration_seconds", "Time of work on a key", ["name"], registry=to, buckets=_QUEUE_BUCKETS
        )
        self.retries = Counter("workqueue_retries", "Keys tried again", ["name"], registry=to)
        self.passes = Counter("controller_runtime_reconcile", "Passes", ["controller", "result"], registry=to)
        self.pass_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Time of a pass",
            ["controller"],
            registry=to,
            buckets=_PASS_BUCKETS,
        )
        self.failing = Gauge("modelcycle_failing_keys", "Keys whose last pass failed", ["controller"], registry=to)
        self.leader = Gauge("modelcycle_leader", "1 where this replica may write", registry=to)
        self.cached = Gauge("modelcycle_cache_objects", "Objects in the cache", ["kind"], registry=to)
        self.repairs = Counter(
            "modelcycle_cache_repairs", "Objects that a relist found and the watch had missed", ["kind"], registry=to
        )
        self.watch_age = Gauge(
            "modelcycle_watch_age_seconds", "Since the last watch event of the kind", ["kind"], registry=to
        )
        self.writes = Counter(
            "modelcycle_api_writes", "Writes to the API server", ["verb", "kind", "result"], registry=to
        )
        self.effects = Counter(
            "modelcycle_effects", "Effects carried out outside of the cluster", ["effect", "result"], registry=to
        )
        self.events = Counter("modelcycle_events", "Events told", ["kind", "reason", "type"], registry=to)
        self.readings = Counter(
            "modelcycle_fact_readings",
            "Readings of facts outside of the cluster",
            ["fact", "endpoint", "result"],
            registry=to,
        )
        self.loop_lag = Gauge("modelcycle_event_loop_lag_seconds", "How late the event loop is", registry=to)

    def wrote(self, verb: str, kind: str, result: str) -> None:
        self.writes.labels(verb, kind, result).inc()

"""What the cache counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from modelcycle_runtime.cache.store import Store

ASKED = ("hit", "miss", "wait")
REFUSED = ("digest", "room", "disk", "broken")


class Metrics:
    """``asked``: questions for a file by what came of them; ``refused``: files that were not taken in."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.asked = Counter(
            "modelcycle_model_cache_requests", "Questions for a file, by result", ["result"], registry=self.registry
        )
        self.sent = Counter("modelcycle_model_cache_sent_bytes", "Bytes of files handed out", registry=self.registry)
        self.kept = Counter("modelcycle_model_cache_kept", "Files taken in", registry=self.registry)
        self.refused = Counter(
            "modelcycle_model_cache_refused", "Files not taken in, by reason", ["reason"], registry=self.registry
        )
        self.evicted = Counter("modelcycle_model_cache_evictions", "Files that made room", registry=self.registry)
        self._bytes = Gauge("modelcycle_model_cache_bytes", "Bytes of all files", registry=self.registry)
        self._files = Gauge("modelcycle_model_cache_files", "Files", registry=self.registry)
        for result in ASKED:
            self.asked.labels(result)
        for reason in REFUSED:
            self.refused.labels(reason)

    def watch(self, store: Store) -> None:
        self._bytes.set_function(lambda: store.used)
        self._files.set_function(lambda: store.files)

    def exposed(self) -> bytes:
        return generate_latest(self.registry)

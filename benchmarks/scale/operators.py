"""The operator under test: one process, as its container runs it."""

from __future__ import annotations

import re
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from benchmarks.scale.plane import Plane, child
from benchmarks.scale.processes import cpu_seconds, memory_mib

READY_SECONDS = 120
_PASSES = "controller_runtime_reconcile_time_seconds"
_SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Operator:
    pid: int
    port: int

    @property
    def cpu(self) -> float:
        """Seconds so far."""
        return cpu_seconds(self.pid)

    @property
    def memory(self) -> float:
        """MiB now."""
        return memory_mib(self.pid)

    def counted(self, metric: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        samples = _SAMPLE.findall(self.page())
        return sum(
            float(value) for name, found, value in samples if name == metric and all(one in found for one in wanted)
        )

    def buckets(self, **labels: str) -> dict[float, float]:
        """How many passes took up to so many seconds."""
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        found: defaultdict[float, float] = defaultdict(float)
        for name, said, value in _SAMPLE.findall(self.page()):
            if name == f"{_PASSES}_bucket" and all(one in said for one in wanted):
                found[float(said.partition('le="')[2].partition('"')[0])] += float(value)
        return dict(found)

    def page(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())


@contextmanager
def operator(plane: Plane, port: int, mlflow: str, prometheus: str = "http://127.0.0.1:1") -> Iterator[Operator]:
    """Run it until the block ends; it is on duty when the block begins."""
    endpoints = plane.folder / "endpoints.yaml"
    stores = {"mlflow": [{"name": "default", "url": mlflow}], "prometheus": [{"name": "default", "url": prometheus}]}
    endpoints.write_text(yaml.safe_dump(stores))
    flags = {
        "--kubeconfig": plane.kubeconfig,
        "--endpoints": endpoints,
        "--serving-image": "localhost/modelcycle/serving:1",
        "--port": port,
        "--qps": 500,
        "--burst": 1000,
        "--log-level": "WARNING",
    }
    flat = [str(text) for pair in flags.items() for text in pair]
    with child([sys.executable, "-m", "modelcycle", "run", *flat], plane.folder / "operator.log") as process:
        running = Operator(process.pid, port)
        _until_on_duty(running)
        yield running


def _until_on_duty(running: Operator) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if running.counted("modelcycle_leader"):
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"the operator is not on duty after {READY_SECONDS} s: see operator.log")
        time.sleep(0.02)

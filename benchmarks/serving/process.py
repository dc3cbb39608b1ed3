"""The server's process: how soon it is ready, and what it takes of memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.serving import bodies, floors, models, servers
from benchmarks.serving.figures import ratio
from benchmarks.serving.load import closed, pinned
from benchmarks.serving.report import Report
from benchmarks.serving.sizes import Sizes
from tests.support.processes import free_port

READY_SECONDS = 60.0
PROBE_SECONDS = 0.005
"""Between two looks at whether it is ready."""


def measure(folder: Path, sizes: Sizes, report: Report) -> None:
    starts(folder, sizes, report)
    memory(folder, sizes, report)


def starts(folder: Path, sizes: Sizes, report: Report) -> None:
    """From the start of the process until it is ready, and the bare import of onnxruntime, in turns."""
    small = models.small()
    version = small.save(folder / "started", baseline=models.small_baseline())
    ready, bare = [], []
    for _ in range(sizes.starts):
        bare.append(_import())
        ready.append(_start(version, small.name))
    report.figures["start"] = ratio(ready, bare)
    report.seen["start to ready, s"] = {"ready": ready, "import onnxruntime": bare}


def _import() -> float:
    began = time.perf_counter()
    subprocess.run([*pinned(0), sys.executable, "-c", "import onnxruntime"], check=True)
    return time.perf_counter() - began


def _start(version: Path, name: str) -> float:
    port, metrics_port = free_port(), free_port()
    command, env = servers.ours_command(version, name, port, metrics_port)
    began = time.perf_counter()
    with servers.process([*pinned(0), *command], env) as running:
        while not servers.is_ready(metrics_port):
            if running.poll() is not None or time.perf_counter() - began > READY_SECONDS:
                raise RuntimeError(f"{command} did not get ready (exit status {running.poll()})")
            time.sleep(PROBE_SECONDS)
        return time.perf_counter() - began


def memory(folder: Path, sizes: Sizes, report: Report) -> None:
    """What the server has beyond a process that has run the same model with the same batches, after a load."""
    small = models.small()
    version = small.save(folder / "held", baseline=models.small_baseline())
    examples = folder / "held.npz"
    np.savez(examples, **small.rows)  # type: ignore[arg-type]
    bare = floors.memory(version / "model" / "model.onnx", examples, floors.SIZES)
    request = bodies.v2_json(folder, small.name, {name: values[:1] for name, values in small.rows.items()})
    with servers.ours(version, small.name, folder / "held.log") as server, server.awake():
        idle = server.memory()
        closed(server.address, request, sizes.seconds, connections=64)
        loaded = server.memory()
    report.figures["memory"] = loaded - bare
    report.seen["memory, MiB"] = {"bare": bare, "ready": idle, "after a load of 64 connections": loaded}

"""What ONNX Runtime does with no server around it, each in a process of its own.

python -m benchmarks.serving.floors loop MODEL ROWS SECONDS [BATCH]
python -m benchmarks.serving.floors memory MODEL ROWS BATCH ...
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.serving.load import pinned

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TRY_SECONDS = 0.5
LONGEST_SECONDS = 1.0
"""No batch is tried whose half takes so long."""


def loop(model: Path, rows: Path, seconds: float, batch: int | None = None) -> tuple[int, float]:
    """The batch that is best (unless it is given), and the rows a second with it on one thread."""
    told = _run("loop", model, rows, str(seconds), *([str(batch)] if batch else []))
    return int(told["batch"]), float(told["rate"])


def memory(model: Path, rows: Path, batches: Sequence[int]) -> float:
    """The resident memory, MiB, of a process that has run the model with these batches."""
    return float(_run("memory", model, rows, *map(str, batches))["memory"])


def _run(what: str, model: Path, rows: Path, *words: str) -> dict[str, Any]:
    command = [*pinned(0), sys.executable, "-m", "benchmarks.serving.floors", what, str(model), str(rows), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


Rows = Mapping[str, NDArray[np.generic]]


def _session(model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _batch(rows: Rows, size: int) -> Rows:
    """So many rows: the examples over and over."""
    return {name: np.resize(values, (size, *values.shape[1:])) for name, values in rows.items()}


def _rate(session: onnxruntime.InferenceSession, inputs: Rows, size: int, seconds: float) -> float:
    """Rows a second."""
    runs, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        session.run(None, inputs)
        runs += 1
    return runs * size / took


def _tried(session: onnxruntime.InferenceSession, rows: Rows) -> Iterator[tuple[float, int]]:
    for size in SIZES:
        inputs = _batch(rows, size)
        session.run(None, inputs)
        rate = _rate(session, inputs, size, TRY_SECONDS)
        yield rate, size
        if size / rate > LONGEST_SECONDS:
            return


def _main(words: list[str]) -> dict[str, float]:
    what, model, path, *rest = words
    session = _session(model)
    rows = dict(np.load(path))
    if what == "loop":
        seconds, *given = rest
        size = int(given[0]) if given else max(_tried(session, rows))[1]
        inputs = _batch(rows, size)
        session.run(None, inputs)
        return {"batch": size, "rate": _rate(session, inputs, size, float(seconds))}
    for word in rest:
        session.run(None, _batch(rows, int(word)))
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return {"memory": int(line.split()[1]) / 1024}


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1:])))

"""Models as the experiment sees them: whatever was fitted is known by its answers to every row of the table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.table import Table

Floats = NDArray[np.float64]
RIDGE_PENALTY = 10.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training on rows ``first`` to ``last`` (exclusive) gave: ``answers`` [rows of the table]."""

    first: int
    last: int
    answers: Floats


class Fit(Protocol):
    """Trains on the rows ``first`` to ``last`` (exclusive) with a seed."""

    def __call__(self, first: int, last: int, seed: int) -> Fitted: ...


def ridge(table: Table) -> Fit:
    """Ridge regression on standardised features; it has no use for a seed."""

    def fit(first: int, last: int, seed: int) -> Fitted:
        features, label = table.features[first:last], table.label[first:last]
        mean, scale = features.mean(axis=0), features.std(axis=0)
        inputs = (features - mean) / scale
        penalty = RIDGE_PENALTY * np.eye(inputs.shape[1])
        weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ (label - label.mean()))
        return Fitted(first, last, (table.features - mean) / scale @ weights + label.mean())

    return fit


@contextmanager
def network(table_file: Path) -> Iterator[Fit]:
    """Yield the sample's own network, trained inside of the training image by ``e2e.demo.fit_worker``."""
    command = [
        sys.executable, "-m", "e2e.images", "run", "--repo", "--mount", f"{table_file}:/table/hedge.csv:ro",
        "training", "--", "python", "/repository/e2e/demo/fit_worker.py", "/table/hedge.csv",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        yield lambda first, last, seed: _ask(worker, first, last, seed)
        assert worker.stdin is not None
        worker.stdin.close()


def _ask(worker: subprocess.Popen[str], first: int, last: int, seed: int) -> Fitted:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps({"first": first, "last": last, "seed": seed}) + "\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        message = f"the training image's worker ended with status {worker.wait()}; its last words are above"
        raise RuntimeError(message)
    return Fitted(first, last, np.array(json.loads(line)))

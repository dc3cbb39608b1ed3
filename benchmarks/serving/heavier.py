"""Models that take longer than HTTP does: served, beside ONNX Runtime in a bare loop, in turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.serving import bodies, floors, models, servers
from benchmarks.serving.figures import ratio
from benchmarks.serving.load import closed
from benchmarks.serving.models import Model
from benchmarks.serving.report import Report
from benchmarks.serving.sizes import Sizes
from e2e.progress import say

# Rows in a request: where one takes less time than HTTP does, several.
MODELS: dict[str, tuple[Callable[[], Model], int]] = {
    "boosted": (models.boosted, 32),
    "cnn": (models.cnn, 1),
    "minilm": (models.mini_lm, 1),
}


def measure(folder: Path, sizes: Sizes, report: Report) -> None:
    """The rows a second of each model as a share of the bare loop's."""
    for name, (make, rows) in MODELS.items():
        say(f"{name}, served and in a bare loop")
        _measure(make(), rows, folder / name, sizes, report)


def _measure(model: Model, rows: int, folder: Path, sizes: Sizes, report: Report) -> None:
    version = model.save(folder / "version")
    examples = folder / "rows.npz"
    np.savez(examples, **model.rows)  # type: ignore[arg-type]
    request = bodies.v2_binary(folder, model.name, {name: values[:rows] for name, values in model.rows.items()})
    path = version / "model" / "model.onnx"
    batch, _ = floors.loop(path, examples, sizes.model_seconds)
    bare, served, failed = [], [], 0
    with servers.ours(version, model.name, folder / "log") as server:
        for _ in range(sizes.model_rounds):
            bare.append(floors.loop(path, examples, sizes.model_seconds, batch)[1])
            with server.awake():
                load = closed(server.address, request, sizes.model_seconds)
            served.append(load.rate * rows)
            failed += load.failed
    report.figures[f"{model.name}_share"] = ratio(served, bare)
    report.seen[f"{model.name}, rows/s"] = {
        "the loop": bare,
        "its batch": batch,
        "served": served,
        "failed": failed,
        "the server's log": [line for line in (folder / "log").read_text().splitlines() if "batches of" in line],
    }

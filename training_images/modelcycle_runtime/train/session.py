"""A training, from its environment to its last words."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx

from modelcycle_runtime.errors import DataError, UserError
from modelcycle_runtime.errors.termination import write_record
from modelcycle_runtime.losses import LossName
from modelcycle_runtime.split import Split, dataset_record, split
from modelcycle_runtime.table import Table, TableColumns, read_table, timestamp
from modelcycle_runtime.train.artifacts import Judged, write_artifacts
from modelcycle_runtime.train.context import Context, ParameterT, parameter_like, read_context
from modelcycle_runtime.train.ending import EXIT_TERMINATED, Terminated, failure_of
from modelcycle_runtime.train.graph import TorchModule, export_torch, predict_onnx, predict_torch
from modelcycle_runtime.train.parity import check_parity
from modelcycle_runtime.train.progress import Progress
from modelcycle_runtime.train.seeds import seed_everything
from modelcycle_runtime.train.tracking import RunEnd, Tracking

# torch.export takes a size of 0 or 1 for a constant.
EXAMPLE_ROWS = 16


class Training:
    """What :func:`training` hands to a script: its inputs, and where its results go."""

    def __init__(self, context: Context, tracking: Tracking) -> None:
        self._context = context
        self._tracking = tracking
        self._progress = Progress(tracking.log_metrics)
        self._split: Split | None = None

    @property
    def seed(self) -> int:
        return self._context.seed

    @property
    def run_id(self) -> str:
        return self._tracking.run_id

    @property
    def as_of(self) -> str | None:
        """RFC 3339 in UTC, or None: nothing that became known later may be used."""
        return None if self._context.as_of is None else timestamp(self._context.as_of)

    @property
    def parameters(self) -> Mapping[str, str]:
        return self._context.parameters

    def parameter(self, name: str, default: ParameterT) -> ParameterT:
        """A parameter in the type of ``default``, which stands in where the training does not have it."""
        return parameter_like(self._context.parameters, name, default)

    def path(self, source: str) -> Path:
        """Where the data set of that name is mounted.

        Raises:
            DataError: the training has no such data set.
        """
        try:
            return self._context.data[source]
        except KeyError:
            known = ", ".join(self._context.data) or "none"
            raise DataError(f"there is no data set {source!r} in spec.data; there is {known}") from None

    def table(
        self,
        source: str,
        file: str,
        *,
        time_column: str,
        label_column: str,
        known_column: str | None = None,
        features: Sequence[str] | None = None,
        latest: int | None = None,
    ) -> Table:
        """Rows of a CSV file that this training may use, oldest first; ``latest`` keeps so many of them.

        Left out are rows that became known after asOf (by ``known_column``, or else ``time_column``), and the holdout
        with its gap. ``features=None`` takes every column that has no other part.

        Raises:
            DataError: the file can't be read, or no row is left.
            UserError: it was called before: one table is what a training's digest covers.
        """
        if self._split is not None:
            raise UserError("t.table() was called twice: join the tables before, so that one digest covers all data")
        names = None if features is None else tuple(features)
        whole = read_table(self.path(source) / file, TableColumns(time_column, label_column, names, known_column))
        parts = split(whole, self._context.as_of, self._context.holdout)
        if latest is not None:
            parts = replace(
                parts, train=parts.train.take(np.arange(len(parts.train))[max(len(parts.train) - latest, 0) :])
            )
        if not len(parts.train):
            raise DataError(
                f"{file}: no row is left to train on: of {len(whole)} rows {parts.refused} became known after asOf "
                f"({self.as_of}) or have no label, {len(parts.withheld)} are withheld, {parts.purged} are their gap"
            )
        self._split = parts
        print(_describe(file, parts), flush=True)
        return parts.train

    def progress(self, step: int, total: int, **metrics: float) -> None:
        """Report that ``step`` of ``total`` is done, with metrics such as ``loss``.

        Raises:
            NonFiniteLoss: a metric is NaN or infinite.
        """
        self._progress.report(step, total, metrics)

    def export_torch(
        self, model: TorchModule, *, loss: LossName | str = LossName.SQUARED, pinball_quantile: float = 0.5
    ) -> None:
        """Export a torch module (features [n, k] to predictions [n] or [n, 1]) to ONNX, compare the two, and log it.

        Raises:
            UserError: it can't be exported, or the export answers otherwise than the module does.
        """
        model.eval()
        features = self._read().train.features.astype(np.float32)
        graph = export_torch(model, np.resize(features, (EXAMPLE_ROWS, features.shape[1])))
        check_parity(predict_torch(model), predict_onnx(graph), features)
        self.log_onnx(graph, loss=loss, pinball_quantile=pinball_quantile)

    def log_onnx(
        self, graph: onnx.ModelProto, *, loss: LossName | str = LossName.SQUARED, pinball_quantile: float = 0.5
    ) -> None:
        """Log a ready graph (one float input [n, k], one output) with everything that it is judged by later."""
        judged = Judged(graph, predict_onnx(graph), self._read(), LossName(loss), pinball_quantile)
        with tempfile.TemporaryDirectory() as name:
            baseline = write_artifacts(Path(name), judged)
            self._tracking.log_artifacts(Path(name))
        # Last: where there is a model, everything that belongs to it is there too.
        self._tracking.log_model(graph, judged.split.train.feature_names, tuple(o.name for o in graph.graph.output))
        if baseline.loss is not None:
            self._tracking.log_metrics({"baseline_loss": baseline.loss.mean}, 0)
            print(f"logged the model; its {baseline.loss.name} loss on its training rows is {baseline.loss.mean:.6g}")

    def data(self) -> dict[str, Any] | None:
        """What the termination message says of the data: ``dataset.json`` without its columns."""
        if self._split is None:
            return None
        return {name: value for name, value in dataset_record(self._split).items() if name != "columns"}

    def _read(self) -> Split:
        if self._split is None:
            raise UserError("call t.table() first: what a model was trained on is logged together with it")
        return self._split


@contextmanager
def training() -> Iterator[Training]:
    """Run a training: the body of the ``with`` statement.

    On any way out the run in MLflow is ended and the termination message written; an error ends the process with the
    exit code of its class, SIGTERM with 143.
    """
    signal.signal(signal.SIGTERM, _terminate)
    started: Training | None = None
    tracking: Tracking | None = None
    try:
        context = read_context(os.environ)
        seed_everything(context.seed)
        tracking = Tracking(context.run_id)
        started = Training(context, tracking)
        yield started
    except Terminated:
        _end(tracking, RunEnd.KILLED, started, None, "stopped by SIGTERM")
        sys.exit(EXIT_TERMINATED)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and not error.code:
            _end(tracking, RunEnd.FINISHED, started, None, "")
            raise
        failure = failure_of(error)
        traceback.print_exception(error)
        _end(tracking, RunEnd.FAILED, started, failure.kind, str(failure))
        sys.exit(failure.exit_code)
    else:
        _end(tracking, RunEnd.FINISHED, started, None, "")


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _end(tracking: Tracking | None, how: RunEnd, training: Training | None, failure: str | None, message: str) -> None:
    # The message first: MLflow may be down, and a pod that is being stopped has little time.
    data = training.data() if training is not None else None
    write_record({"class": failure, "message": message, "data": data})
    if tracking is not None:
        tracking.end(how)


def _describe(file: str, parts: Split) -> str:
    first, last = (timestamp(int(parts.train.time[place])) for place in (0, -1))
    return (
        f"{file}: training on {len(parts.train)} rows from {first} to {last}; {parts.refused} refused (known after "
        f"asOf or without a label), {len(parts.withheld)} withheld for the gate, {parts.purged} in the gap"
    )

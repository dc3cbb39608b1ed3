"""The evidence of a verdict: one JSON file beside the challenger's run, from which the verdict can be made again."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from typing import Any

import numpy as np
import onnxruntime

from modelcycle_runtime.evaluate.candidate import Candidate
from modelcycle_runtime.evaluate.gate import Result
from modelcycle_runtime.evaluate.rules import Losses
from modelcycle_runtime.evaluate.settings import GateSettings
from modelcycle_runtime.table import Table, timestamp

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def evidence_of(settings: GateSettings, result: Result) -> bytes:
    """The file's content: verdict, rules, digests of models and rows, summaries of losses, versions of libraries."""
    record = {
        "version": 1,
        "verdict": asdict(result.verdict),
        "rules": {**asdict(settings.rules), "loss": settings.loss, "pinball_quantile": settings.pinball_quantile},
        "challenger": _candidate(result.challenger),
        "champion": None if result.champion is None else _candidate(result.champion),
        "data": _data(settings, result),
        "losses": _losses(result),
        "libraries": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }
    return json.dumps(record, indent=1, default=str).encode()


def _candidate(candidate: Candidate) -> dict[str, Any]:
    trained_on = candidate.trained_on()
    return {
        "version": candidate.version,
        "files": candidate.files(),
        "columns": candidate.columns,
        "rows_trained_on": None if trained_on is None else len(trained_on),
    }


def _data(settings: GateSettings, result: Result) -> dict[str, Any]:
    record: dict[str, Any] = {
        "table": str(settings.table),
        "time_column": settings.time_column,
        "label_column": settings.label_column,
        "known_column": settings.known_column,
        "as_of": None if settings.as_of is None else timestamp(settings.as_of),
        "holdout": asdict(settings.holdout),
    }
    if result.parts is not None:
        record |= {"refused": result.parts.refused, "withheld": _rows(result.parts.withheld)}
    if result.rows is not None:
        record["judged_on"] = _rows(result.rows)
    return record


def _rows(table: Table) -> dict[str, Any]:
    ends = [timestamp(int(time)) for time in (table.time[:1], table.time[-1:]) for time in time]
    return {"rows": len(table), "digest": table.digest(), "columns": table.feature_names, "from_to": ends}


def _losses(result: Result) -> dict[str, Any]:
    new, old = result.challenger_losses, result.champion_losses
    return {
        "challenger": None if new is None else _summary(new),
        "champion": None if old is None else _summary(old),
        "champion_minus_challenger": None if new is None or old is None else _summary(_difference(old, new)),
    }


def _difference(old: Losses, new: Losses) -> Losses:
    with np.errstate(invalid="ignore"):
        return old - new


def _summary(losses: Losses) -> dict[str, Any]:
    finite = losses[np.isfinite(losses)]
    record: dict[str, Any] = {"rows": len(losses), "non_finite": len(losses) - len(finite)}
    if len(finite):
        quantiles = {f"{q:g}": float(np.quantile(finite, q)) for q in _QUANTILES}
        record |= {"mean": float(finite.mean()), "deviation": float(finite.std()), "quantiles": quantiles}
        record["autocorrelation"] = _autocorrelation(finite)
    return record


def _autocorrelation(values: Losses) -> float | None:
    """Of lag one; None where it is not defined."""
    centred = values - values.mean()
    total = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / total if total else None

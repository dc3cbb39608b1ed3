"""From the files that were gathered to results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from e2e.demo.kube import DemoError
from e2e.demo.market import day_of, first_row_from, load_market
from e2e.demo.results import Floats, Results, assemble
from modelcycle_runtime.table import Table

Json = dict[str, Any]


def tell(folder: Path) -> Results:
    """Results of the replay whose files lie in ``folder``."""
    records = _read(folder / "records.json")
    if not records:
        message = f"{folder / 'records.json'} has no day: the replay did not come to its end"
        raise DemoError(message)
    table = load_market()
    first = first_row_from(table, records[0]["time"])
    days = range(first, first + len(records))
    _check(table, days, records)
    trainings, policies = _read(folder / "modeltrainings.json"), _read(folder / "retrainpolicys.json")
    return assemble(
        table,
        days,
        static=scored(folder / "first.onnx", table, days),
        loop=np.array([one["prediction"] for one in records]),
        versions=[one["version"] for one in records],
        retrains=retrains(policies[0]["status"]),
        stages=_read(folder / "stages.json"),
        events=tuple(events(_read(folder / "events.json"))),
        counts=_read(folder / "counts.json"),
        replayed={
            "asOf": min(t["spec"]["asOf"] for t in trainings if "asOf" in t["spec"]),
            "requests": sum(one["tries"] for one in records),
            "labelsRefused": sum(one["feedback"] not in ("accepted", "duplicate") for one in records),
        },
    )


def scored(model: Path, table: Table, days: range) -> Floats:
    """Answers of a model to the rows that were replayed, given beside the replay."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    features = table.features[days.start : days.stop].astype(np.float32)
    (answers,) = session.run(None, {session.get_inputs()[0].name: features})
    return np.asarray(answers, dtype=np.float64).reshape(-1)


def retrains(status: Json) -> list[Json]:
    """One record for each cycle, from the policy's history and what is under way."""
    return [_retrain(one) for one in status.get("history", []) if one.get("number")] + (
        [_retrain(status["cycle"] | {"outcome": "UnderWay", "message": ""})] if status.get("cycle") else []
    )


def _retrain(decision: Json) -> Json:
    evidence, gate = decision.get("evidence", {}), decision.get("gate")
    return {
        "number": decision["number"],
        # The market's day, not the wall clock's: six years pass in minutes.
        "date": str(evidence.get("watermark") or decision.get("asOf") or "")[:10],
        "trigger": evidence.get("trigger"),
        "evidence": {
            name: evidence.get(name) for name in ("query", "time", "value", "threshold", "rows", "watermark", "detail")
        },
        "gate": None if gate is None else {"message": "", **gate},
        "verdict": decision["outcome"],
        "reason": decision.get("reason"),
        "message": decision.get("message", ""),
        "training": decision.get("training"),
        "asOf": decision.get("asOf"),
        "versions": {"champion": decision.get("champion"), "challenger": decision.get("version")},
    }


def events(found: list[Json]) -> list[Json]:
    """Our own resources' events in the order of time."""
    ours = [one for one in found if str(one["involvedObject"].get("apiVersion", "")).startswith("modelcycle.dev/")]
    told = [
        {
            "time": one.get("eventTime") or one.get("lastTimestamp") or one["metadata"]["creationTimestamp"],
            "type": one.get("type", "Normal"),
            "object": f"{one['involvedObject']['kind']}/{one['involvedObject']['name']}",
            "reason": one.get("reason", ""),
            "note": one.get("message", ""),
        }
        for one in ours
    ]
    return sorted(told, key=lambda one: str(one["time"]))


def _check(table: Table, days: range, records: list[Json]) -> None:
    """The journal and the table must be of the same days, or every number of the report would be wrong."""
    for row, record in zip(days, records, strict=True):
        if day_of(table, row) != record["time"][:10] or abs(table.label[row] - record["label"]) > 1e-9:
            message = f"the journal's {record['time']} is not the table's {day_of(table, row)}: replay again"
            raise DemoError(message)


def _read(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        message = f"{path} is not there: run the demo, or its stage collect, first"
        raise DemoError(message) from error

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from e2e.demo.kube import DemoError
from e2e.demo.market import first_row_from, load_market
from e2e.demo.results import as_json
from e2e.demo.story import events, retrains, tell
from modelcycle_runtime.table import timestamp

DAYS = 90
DECISION = {
    "number": 2,
    "outcome": "Promoted",
    "reason": "Promoted",
    "message": "version 3 serves",
    "time": "2026-01-01T10:05:00Z",
    "training": "hedge-2",
    "asOf": "2012-06-26T20:00:00Z",
    "champion": "1",
    "version": "3",
    "evidence": {"trigger": "loss", "value": "1.78", "threshold": "1.45", "watermark": "2012-06-26T20:00:00Z"},
    "gate": {"outcome": "Passed", "reason": "Better", "rows": 60, "message": "mean loss 1.2"},
}  # fmt: skip


def line(weights: list[float]) -> bytes:
    """A model that multiplies."""
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size])
        for name, size in (("features", len(weights)), ("prediction", 1))
    ]
    weight = numpy_helper.from_array(np.array(weights, dtype=np.float32).reshape(-1, 1), "w")
    node = helper.make_node("MatMul", ["features", "w"], ["prediction"])
    graph = helper.make_graph([node], "line", values[:1], values[1:], [weight])
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    return content


@pytest.fixture
def gathered(tmp_path: Path) -> Path:
    table = load_market()
    first = first_row_from(table, "2012-05-01")
    records = [
        {
            "time": timestamp(int(table.time[row])),
            "label": float(table.label[row]),
            "prediction": 0.5,
            "version": "1",
            "token": "t",
            "feedback": "accepted",
            "tries": 1,
        }
        for row in range(first, first + DAYS)
    ]
    files: dict[str, Any] = {
        "records": records,
        "modeltrainings": [{"spec": {"asOf": "2012-06-26T20:00:00Z"}}, {"spec": {"asOf": "2006-12-31T00:00:00Z"}}],
        "retrainpolicys": [{"status": {"history": [{"number": 0, "outcome": "Observed"}, DECISION]}}],
        "events": [],
        "stages": {"replay": 100.0},
        "counts": {"requests": DAYS, "labels": DAYS},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "first.onnx").write_bytes(line([0, 0, 0, 0]))
    return tmp_path


def test_what_was_gathered_becomes_results(gathered: Path) -> None:
    results = tell(gathered)
    record = as_json(results)
    assert len(results.days) == DAYS
    assert record["totals"]["static"] == record["totals"]["none"], "the first model says zero"
    label = load_market().label[first_row_from(load_market(), "2012-05-01") :][:DAYS]
    assert record["totals"]["loop"] == pytest.approx(np.mean((label - 0.5) ** 2), abs=1e-5)
    assert record["replayed"]["asOf"] == "2006-12-31T00:00:00Z"
    assert record["replayed"]["labelsRefused"] == 0


def test_a_cycle_becomes_a_retraining_on_the_markets_day() -> None:
    (one,) = retrains({"history": [DECISION]})
    assert (one["date"], one["trigger"], one["verdict"]) == ("2012-06-26", "loss", "Promoted")
    assert one["versions"] == {"champion": "1", "challenger": "3"}
    assert one["evidence"]["value"] == "1.78"
    assert one["evidence"]["query"] is None


def test_a_cycle_under_way_is_told_as_such_and_a_decision_without_a_cycle_is_not_one() -> None:
    cycle = {"number": 3, "phase": "Rollout", "training": "hedge-3", "evidence": {"trigger": "features"}}
    found = retrains({"history": [DECISION | {"number": 0}], "cycle": cycle})
    assert [(one["number"], one["verdict"], one["gate"]) for one in found] == [(3, "UnderWay", None)]


def test_a_journal_of_other_data_is_refused(gathered: Path) -> None:
    records = json.loads((gathered / "records.json").read_text())
    records[7]["label"] += 1
    (gathered / "records.json").write_text(json.dumps(records))
    with pytest.raises(DemoError, match="is not the table's"):
        tell(gathered)


def test_a_replay_that_did_not_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"records.json is not there: run the demo"):
        tell(tmp_path)


def test_only_our_resources_events_are_told_in_the_order_of_time() -> None:
    def event(kind: str, api: str, time: str) -> dict[str, Any]:
        return {
            "involvedObject": {"apiVersion": api, "kind": kind, "name": "hedge"},
            "metadata": {"creationTimestamp": time},
            "reason": "R",
            "message": "m",
        }

    found = [
        event("ModelDeployment", "modelcycle.dev/v1alpha1", "2026-01-01T02:00:00Z"),
        event("Pod", "v1", "2026-01-01T00:00:00Z"),
        event("RetrainPolicy", "modelcycle.dev/v1alpha1", "2026-01-01T01:00:00Z"),
    ]
    assert [one["object"] for one in events(found)] == ["RetrainPolicy/hedge", "ModelDeployment/hedge"]

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from modelcycle_runtime.errors import ModelUnusable, UserError
from modelcycle_runtime.evaluate.evidence import evidence_of
from modelcycle_runtime.evaluate.gate import Result, run_gate
from modelcycle_runtime.evaluate.settings import GateSettings, parse_settings
from modelcycle_runtime.split import Holdout, split
from modelcycle_runtime.table import TableColumns, read_table
from tests.support.models import linear_model
from tests.support.versions import write_version

RIGHT, WRONG = (1.0, -2.0), (0.5, 1.0)
AS_OF = "2008-04-29T00:00:00Z"  # the 120th day of 150


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """150 days of y = a - 2 b + 0.5 + noise, with a column of text that nobody asks for."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(150, 2))
    labels = features @ RIGHT + 0.5 + rng.normal(scale=0.1, size=150)
    days = np.datetime64("2008-01-01") + np.arange(150)
    lines = [f"{d},x,{b},{a},{y}\n" for d, (a, b), y in zip(days, features, labels, strict=True)]
    path = tmp_path / "table.csv"
    path.write_text("day,note,b,a,y\n" + "".join(lines))
    return path


@pytest.fixture
def settings(tmp_path: Path, table: Path) -> GateSettings:
    """A right challenger against a wrong champion, on the 60 days up to AS_OF."""
    challenger = write_version(tmp_path / "challenger", linear_model(RIGHT), columns=["a", "b"])
    champion = write_version(tmp_path / "champion", linear_model(WRONG), columns=["a", "b"])
    return parse_settings(_text(challengerDir=str(challenger), championDir=str(champion), table=str(table)))


def _text(**change: Any) -> str:
    record = {
        "trackingUri": "http://mlflow",
        "challengerDir": "/challenger",
        "championDir": "/champion",
        "challenger": "2",
        "champion": "1",
        "runId": "r",
        "evidencePath": "modelcycle/gate-1.json",
        "table": "/table.csv",
        "timeColumn": "day",
        "labelColumn": "y",
        "knownColumn": None,
        "asOf": AS_OF,
        "holdout": {"rows": 60},
        "minRows": 40,
        "alpha": "0.1",
        "minImprovementPercent": 0,
        "maxLoss": None,
        "loss": "Squared",
        "pinballQuantile": 0.5,
    }
    return json.dumps({**record, **change})


def _said(result: Result) -> str:
    return f"{result.verdict.outcome}/{result.verdict.reason}"


def test_a_better_challenger_passes_on_the_rows_before_as_of(settings: GateSettings) -> None:
    result = run_gate(settings)
    assert _said(result) == "Passed/Better"
    assert result.verdict.rows == 60
    assert result.parts is not None
    assert result.parts.refused == 30
    assert result.rows is not None
    assert result.rows.time.max() <= settings.as_of


def test_a_worse_challenger_is_refused(settings: GateSettings) -> None:
    assert settings.champion_dir is not None
    swapped = replace(settings, challenger_dir=settings.champion_dir, champion_dir=settings.challenger_dir)
    assert _said(run_gate(swapped)) == "Rejected/NotBetter"


def test_without_a_champion_the_bound_decides(settings: GateSettings) -> None:
    alone = replace(settings, champion=None, champion_dir=None)
    assert _said(run_gate(alone)) == "Passed/WithinBound"
    assert _said(run_gate(replace(alone, rules=replace(settings.rules, max_loss=0.001)))) == "Rejected/AboveBound"


def test_each_model_gets_its_columns_in_its_own_order(settings: GateSettings, tmp_path: Path) -> None:
    swapped = write_version(tmp_path / "swapped", linear_model(RIGHT[::-1]), columns=["b", "a"])
    result = run_gate(replace(settings, champion_dir=swapped))
    assert result.champion_losses is not None
    assert result.challenger_losses is not None
    assert result.champion_losses.tolist() == pytest.approx(result.challenger_losses.tolist(), abs=1e-5)


def test_a_model_of_named_inputs_gets_the_columns_of_these_names(settings: GateSettings, tmp_path: Path) -> None:
    folder = write_version(tmp_path / "named", _named_inputs())
    result = run_gate(replace(settings, challenger_dir=folder, champion=None, champion_dir=None))
    assert result.verdict.challenger_loss == pytest.approx(0.01, abs=0.01)


def _named_inputs() -> Any:
    """Y = a - 2 b + 0.5 of two inputs [n, 1], for eight rows at a time."""
    two, half = (helper.make_tensor(n, TensorProto.FLOAT, [1], [v]) for n, v in (("two", 2.0), ("half", 0.5)))
    nodes = [("Mul", ["b", "two"], "twice"), ("Sub", ["a", "twice"], "less"), ("Add", ["less", "half"], "y")]
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output]) for op, inputs, output in nodes],
        "named",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [8, 1]) for name in "ba"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 1])],
        [two, half],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_plain_script_that_names_no_columns_gets_all_of_the_table(settings: GateSettings, tmp_path: Path) -> None:
    lines = [line.split(",") for line in settings.table.read_text().splitlines()]
    plain = tmp_path / "plain.csv"
    plain.write_text("".join(f"{day},{a},{b},{y}\n" for day, _, b, a, y in lines))
    folder = write_version(tmp_path / "plain", linear_model(RIGHT))
    alone = replace(settings, challenger_dir=folder, champion=None, champion_dir=None, table=plain)
    assert run_gate(alone).verdict.challenger_loss == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"label_column": "z"}, "has no column z", id="no label"),
        pytest.param({"table": Path("/no/such/table.csv")}, "table.csv", id="no table"),
        pytest.param({"time_column": "note"}, "is no ISO 8601 time", id="no time"),
    ],
)
def test_data_that_can_not_be_read_is_no_verdict(settings: GateSettings, change: dict[str, Any], said: str) -> None:
    result = run_gate(replace(settings, **change))
    assert _said(result) == "Unknown/DataUnreadable"
    assert said in result.verdict.message


def test_a_model_that_takes_other_columns_is_no_verdict(settings: GateSettings, tmp_path: Path) -> None:
    folder = write_version(tmp_path / "three", linear_model((1.0, 1.0, 1.0)), columns=["a", "b"])
    result = run_gate(replace(settings, challenger_dir=folder, champion=None, champion_dir=None))
    assert _said(result) == "Unknown/DataUnreadable"
    assert "takes 3 features" in result.verdict.message


def test_a_window_with_too_few_rows_is_no_verdict(settings: GateSettings) -> None:
    assert _said(run_gate(replace(settings, holdout=Holdout(rows=20)))) == "Unknown/TooFewRows"


def test_a_challenger_of_another_signature_is_refused(settings: GateSettings, tmp_path: Path) -> None:
    folder = write_version(tmp_path / "wider", linear_model((1.0, 1.0, 1.0)), columns=["a", "b", "a"])
    result = run_gate(replace(settings, challenger_dir=folder))
    assert _said(result) == "Rejected/SignatureDiffers"
    assert "the champion has x: FP32 [?, 2], the challenger x: FP32 [?, 3]" in result.verdict.message


def _digests(settings: GateSettings, rows: slice) -> np.ndarray:
    table = read_table(settings.table, TableColumns("day", "y", ("a", "b")))
    return split(table, settings.as_of, settings.holdout).withheld.digests[rows]


def test_a_challenger_that_was_trained_on_the_holdout_is_refused(settings: GateSettings) -> None:
    write_version(settings.challenger_dir, linear_model(RIGHT), trained_on=_digests(settings, slice(3)))
    result = run_gate(settings)
    assert _said(result) == "Rejected/TrainedOnHoldout"
    assert "3 of the 60" in result.verdict.message


def test_rows_that_the_champion_was_trained_on_are_left_out(settings: GateSettings) -> None:
    assert settings.champion_dir is not None
    write_version(settings.champion_dir, linear_model(WRONG), trained_on=_digests(settings, slice(15)))
    assert run_gate(settings).verdict.rows == 45


def test_a_loss_of_the_model_is_the_champions(settings: GateSettings) -> None:
    with pytest.raises(ModelUnusable, match=r"version 1 has no modelcycle/loss\.onnx"):
        run_gate(replace(settings, loss=parse_settings(_text(loss="Model")).loss))


def test_the_evidence_has_what_the_verdict_rests_on(settings: GateSettings) -> None:
    record = json.loads(evidence_of(settings, run_gate(settings)))
    assert record["verdict"]["reason"] == "Better"
    assert record["challenger"]["files"][0][0] == "model/model.onnx"
    assert record["data"]["judged_on"]["rows"] == 60
    assert record["data"]["judged_on"]["from_to"] == ["2008-03-01T00:00:00Z", "2008-04-29T00:00:00Z"]
    assert record["losses"]["champion_minus_challenger"]["mean"] > 0
    assert record["libraries"]["onnxruntime"]


def test_the_evidence_of_no_verdict_is_evidence_too(settings: GateSettings) -> None:
    record = json.loads(evidence_of(settings, run_gate(replace(settings, label_column="z"))))
    assert (record["verdict"]["reason"], record["losses"]["champion"]) == ("DataUnreadable", None)


@pytest.mark.parametrize("text", ["", "{}", "[]", _text(loss="Hinge"), _text(minRows=None), _text(alpha="x")])
def test_settings_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="MODELCYCLE_GATE"):
        parse_settings(text)

"""Whole trainings in processes of their own, with a real MLflow (SQLite): what they leave, and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from mlflow.entities import LoggedModelStatus, Run
from mlflow.tracking import MlflowClient

from modelcycle_runtime.bins import read_baseline
from modelcycle_runtime.table import TableColumns, nanoseconds, read_table

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS, KNOWN_ROWS, HELD_ROWS = 400, 300, 60
AS_OF = "2001-01-01T00:00:00Z"
PRELUDE = """
import math, os, time
import numpy as np, onnx
from onnx import helper, numpy_helper
from modelcycle_runtime.train import training

def line(weights):
    value = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    node = helper.make_node("MatMul", ["features", "w"], ["prediction"])
    initial = numpy_helper.from_array(np.asarray(weights, dtype=np.float32).reshape(-1, 1), "w")
    graph = helper.make_graph([node], "line", [value("features", ["n", len(weights)])],
                              [value("prediction", ["n", 1])], [initial])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

def table(t, **more):
    return t.table("market", "t.csv", time_column="time", label_column="y", known_column="known", **more)
"""
GOOD = """
with training() as t:
    rows = table(t, latest=t.parameter("rows", 1000))
    assert rows.features.shape == (200, 2), rows.features.shape
    assert t.seed == 3 and t.as_of == "2001-01-01T00:00:00Z"
    for step in range(1, 4):
        t.progress(step, 3, loss=1 / step)
    t.log_onnx(line([1, 2]))
"""


@dataclass(frozen=True)
class Place:
    folder: Path
    client: MlflowClient
    run_id: str

    def environment(self) -> dict[str, str]:
        root = Path(__file__).parents[3]
        return os.environ | {
            "PYTHONPATH": str(root / "training_images"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "MLFLOW_RUN_ID": self.run_id,
            "MODELCYCLE_AS_OF": AS_OF,
            "MODELCYCLE_HOLDOUT": json.dumps({"rows": HELD_ROWS}),
            "MODELCYCLE_DATA": json.dumps({"market": str(self.folder)}),
            "MODELCYCLE_PARAMETERS": json.dumps({"rows": "200"}),
            "MODELCYCLE_SEED": "3",
            "MODELCYCLE_TERMINATION_LOG": str(self.folder / "termination-log"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def start(self, code: str, **variables: str) -> subprocess.Popen[str]:
        (self.folder / "termination-log").write_text("")
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PRELUDE + code],
            env=self.environment() | variables,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, code: str, **variables: str) -> tuple[int, str]:
        process = self.start(code, **variables)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def last_words(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((self.folder / "termination-log").read_text())
        assert said.pop("modelcycle") == 1
        return said

    def model_folder(self) -> Path:
        (model,) = self.client.search_logged_models([self.mlflow_run().info.experiment_id])
        return self.folder / "artifacts" / "models" / model.model_id / "artifacts"

    def mlflow_run(self) -> Run:
        return self.client.get_run(self.run_id)


def write_table(path: Path) -> None:
    """Rows 0 to 299 were known by asOf; the others are planted: future days whose labels would be a great help."""
    random = np.random.default_rng(0)
    start = nanoseconds(AS_OF)
    day = 86_400 * 10**9
    with path.open("w") as file:
        file.write("time,known,a,b,y\n")
        for i in range(ROWS):
            moment = np.datetime64(start + (i - KNOWN_ROWS) * day, "ns").astype("datetime64[s]")
            known = moment + np.timedelta64(1, "D")
            a, b = random.normal(size=2)
            file.write(f"{moment}Z,{known}Z,{a:.6f},{b:.6f},{a + 2 * b + random.normal():.6f}\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("training")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("e", artifact_location=(folder / "artifacts").as_uri())
    write_table(folder / "t.csv")
    return Place(folder, client, client.create_run(experiment).info.run_id)


@pytest.fixture(scope="module")
def trained(place: Place) -> tuple[int, str, dict[str, Any]]:
    # Twice: an attempt that was taken away right after it had logged its model, and the next one.
    place.run(GOOD)
    code, output = place.run(GOOD)
    return code, output, place.last_words()


def test_a_training_ends_well_and_says_what_it_read(place: Place, trained: tuple[int, str, dict[str, Any]]) -> None:
    code, output, words = trained
    assert (code, words["class"], words["message"]) == (0, None, ""), output
    assert "training on 200 rows" in output
    assert "3/3 (100%) loss=0.333333" in output
    assert place.mlflow_run().info.status == "FINISHED"
    assert place.mlflow_run().data.metrics["loss"] == pytest.approx(1 / 3)


def test_rows_of_the_future_are_refused_and_the_gates_rows_withheld(
    place: Place, trained: tuple[int, str, dict[str, Any]]
) -> None:
    data = trained[2]["data"]
    whole = read_table(place.folder / "t.csv", TableColumns("time", "y", None, "known"))
    assert (data["rows"], data["refused"], data["withheld"]) == (200, ROWS - KNOWN_ROWS, HELD_ROWS)
    used = whole.take(np.arange(KNOWN_ROWS - HELD_ROWS - 200, KNOWN_ROWS - HELD_ROWS))
    assert data["digest"] == used.digest()
    logged = np.load(place.client.download_artifacts(place.run_id, "modelcycle/rows.npy", str(place.folder)))
    assert logged.tolist() == sorted(used.digests.tolist())


def test_one_model_is_left_with_named_columns(place: Place, trained: tuple[int, str, dict[str, Any]]) -> None:
    experiment = place.mlflow_run().info.experiment_id
    models = place.client.search_logged_models([experiment])
    assert len(models) == 1
    assert models[0].source_run_id == place.run_id
    assert models[0].status is LoggedModelStatus.READY
    description = (place.model_folder() / "MLmodel").read_text()
    assert '"name": "a"' in description
    assert '"name": "prediction"' in description


def test_the_recorded_rows_are_answered_alike(place: Place, trained: tuple[int, str, dict[str, Any]]) -> None:
    graph = place.model_folder() / "model.onnx"
    record = np.load(place.client.download_artifacts(place.run_id, "modelcycle/smoke.npz", str(place.folder)))
    session = onnxruntime.InferenceSession(str(graph))
    (answer,) = session.run(None, {"features": record["input_features"]})
    np.testing.assert_allclose(answer, record["output_prediction"], rtol=1e-6)


def test_the_baseline_knows_features_predictions_and_loss(
    place: Place, trained: tuple[int, str, dict[str, Any]]
) -> None:
    path = place.client.download_artifacts(place.run_id, "modelcycle/baseline.json", str(place.folder))
    baseline = read_baseline(Path(path))
    assert [one.name for one in baseline.features] == ["a", "b"]
    assert [one.name for one in baseline.predictions] == ["prediction"]
    assert all(sum(one.counts) == 200 for one in (*baseline.features, *baseline.predictions))
    assert baseline.loss is not None
    assert (baseline.loss.name, baseline.loss.rows) == ("Squared", 200)
    assert baseline.loss.mean == pytest.approx(1.0, rel=0.2)
    assert place.mlflow_run().data.metrics["baseline_loss"] == pytest.approx(baseline.loss.mean)


@pytest.mark.parametrize(
    ("code", "exit_code", "kind", "words"),
    [
        pytest.param("    1 / 0\n", 1, "UserError", "ZeroDivisionError: division by zero", id="the script raises"),
        pytest.param("    t.progress(1, 2, loss=math.nan)\n", 70, "NonFiniteLoss", "loss is nan", id="NaN loss"),
        pytest.param("    t.path('news')\n", 65, "DataError", "no data set 'news'.* market", id="unknown data set"),
        pytest.param("    table(t, latest=0)\n", 65, "DataError", "no row is left", id="no row is left"),
        pytest.param("    t.log_onnx(line([1]))\n", 1, "UserError", "call t.table", id="model without data"),
        pytest.param("    table(t); table(t)\n", 1, "UserError", "called twice", id="two tables"),
        pytest.param("    raise SystemExit(4)\n", 1, "UserError", "exit code 4", id="the script ends itself"),
    ],
)
def test_a_training_that_fails_says_why(place: Place, code: str, exit_code: int, kind: str, words: str) -> None:
    found, output = place.run("with training() as t:\n" + code)
    said = place.last_words()
    assert (found, said["class"]) == (exit_code, kind), output
    assert re.search(words, said["message"])
    assert place.mlflow_run().info.status == "FAILED"


def test_sigterm_stops_it_cleanly_even_in_a_script_that_catches_all_errors(place: Place) -> None:
    process = place.start(
        "with training() as t:\n    print('ready', flush=True)\n    while True:\n"
        "        try:\n            time.sleep(60)\n        except Exception:\n            pass\n"
    )
    assert process.stdout is not None
    while "ready" not in process.stdout.readline():
        time.sleep(0)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert place.last_words() == {"class": None, "message": "stopped by SIGTERM", "data": None}
    assert place.mlflow_run().info.status == "KILLED"


def test_no_mlflow_is_told_apart_from_an_error_of_the_code(place: Place) -> None:
    code, output = place.run(
        "with training() as t:\n    pass\n",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    assert (code, place.last_words()["class"]) == (69, "Unknown"), output

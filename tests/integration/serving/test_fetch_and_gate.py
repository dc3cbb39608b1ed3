"""A version from a real MLflow server: fetched, served, and judged in the gate."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.models import log_onnx

RIGHT, WRONG = (1.0, -2.0), (0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Logged:
    """A model in MLflow, with what the operator knows of it."""

    run_id: str
    model_root: str
    run_root: str
    files: list[tuple[str, int, str]]


def _post(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode())  # noqa: S310
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return dict(json.load(answer))


def _log(mlflow: Any, weights: tuple[float, ...]) -> Logged:
    run_id = _post(mlflow.url, "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    columns = {"version": 1, "columns": ["a", "b"]}
    model_id = log_onnx(mlflow.url, run_id, weights=weights, artifacts={"dataset.json": columns})
    model, run = f"0/models/{model_id}/artifacts", f"0/{run_id}/artifacts"
    files = [*_files(mlflow.artifacts / model, "model"), *_files(mlflow.artifacts / run / "modelcycle", "modelcycle")]
    return Logged(run_id, f"mlflow-artifacts:/{model}", f"mlflow-artifacts:/{run}", files)


def _files(folder: Path, prefix: str) -> list[tuple[str, int, str]]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths, folder
    return [
        (f"{prefix}/{path.relative_to(folder)}", path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
    ]


@pytest.fixture(scope="module")
def right(mlflow: Any) -> Logged:
    return _log(mlflow, RIGHT)


@pytest.fixture(scope="module")
def wrong(mlflow: Any) -> Logged:
    return _log(mlflow, WRONG)


def _request(url: str, logged: Logged, target: Path, **change: Any) -> dict[str, str]:
    record = {
        "trackingUri": url,
        "modelRoot": logged.model_root,
        "runRoot": logged.run_root,
        "target": str(target),
        "files": logged.files,
    }
    return {"MODELCYCLE_FETCH": json.dumps({**record, **change})}


def test_a_version_is_fetched_and_served(
    mlflow: Any, right: Logged, tmp_path: Path, run_module: Callable[..., Any], start: Callable[..., Any]
) -> None:
    ended = run_module("fetch", _request(mlflow.url, right, tmp_path / "model"))
    assert (ended.status, ended.message) == (0, {}), ended.log
    assert "files" in ended.log
    assert (tmp_path / "model/modelcycle/dataset.json").exists()
    with start(tmp_path / "model") as running:
        tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 1]}
        path = f"{running.url}/v2/models/hedge/infer"
        with urllib.request.urlopen(path, json.dumps({"inputs": [tensor]}).encode(), timeout=30) as answer:  # noqa: S310
            assert json.load(answer)["outputs"][0]["data"] == [-0.5]


def test_a_version_that_was_changed_after_its_registration_is_refused(
    mlflow: Any, right: Logged, tmp_path: Path, run_module: Callable[..., Any]
) -> None:
    files = [(path, size, "0" * 64 if path.endswith(".onnx") else digest) for path, size, digest in right.files]
    ended = run_module("fetch", _request(mlflow.url, right, tmp_path / "model", files=files))
    assert (ended.status, ended.message["class"]) == (66, "Digest")
    assert "changed after registration" in ended.message["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a disk that is full")
def test_a_disk_that_is_full_is_said_and_leaves_no_half_of_a_file(
    mlflow: Any, right: Logged, tmp_path: Path, run_module: Callable[..., Any]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], check=True)
    try:
        (disk / "other").write_bytes(bytes(4096))
        ended = run_module("fetch", _request(mlflow.url, right, disk / "model"))
        assert not [path for path in disk.rglob("*") if path.is_file() and not path.name.endswith((".part", "other"))]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert (ended.status, ended.message["class"]) == (69, "Unavailable")
    assert "No space left on device; give the pod more storage" in ended.message["message"]


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        pytest.param({"modelRoot": "mlflow-artifacts:/0/models/m-none/artifacts"}, 66, "Missing", id="deleted"),
        pytest.param({"modelRoot": "s3://bucket/models"}, 66, "Refused", id="another store"),
        pytest.param({"files": [["../x", 1, ""]]}, 66, "Refused", id="a path that leads out"),
    ],
)
def test_what_can_not_be_fetched_is_told(
    mlflow: Any,
    right: Logged,
    tmp_path: Path,
    run_module: Callable[..., Any],
    change: dict[str, Any],
    status: int,
    kind: str,
) -> None:
    ended = run_module("fetch", _request(mlflow.url, right, tmp_path / "model", **change))
    assert (ended.status, ended.message["class"]) == (status, kind)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(100, 2))
    labels = features @ RIGHT + 0.5 + rng.normal(scale=0.1, size=100)
    days = np.datetime64("2008-01-01") + np.arange(100)
    lines = [f"{d},{a},{b},{y}\n" for d, (a, b), y in zip(days, features, labels, strict=True)]
    (tmp_path / "table.csv").write_text("day,a,b,y\n" + "".join(lines))
    return tmp_path / "table.csv"


def _gate(mlflow: Any, challenger: Logged, folders: dict[str, Path], table: Path) -> dict[str, str]:
    record = {
        "trackingUri": mlflow.url,
        "challengerDir": str(folders["challenger"]),
        "championDir": str(folders["champion"]),
        "challenger": "2",
        "champion": "1",
        "runId": challenger.run_id,
        "evidencePath": "modelcycle/gate-1.json",
        "table": str(table),
        "timeColumn": "day",
        "labelColumn": "y",
        "knownColumn": None,
        "asOf": "2008-04-01T00:00:00Z",
        "holdout": {"rows": 60},
        "minRows": 40,
        "alpha": "0.1",
        "minImprovementPercent": 0,
        "maxLoss": None,
        "loss": "Squared",
        "pinballQuantile": 0.5,
    }
    return {"MODELCYCLE_GATE": json.dumps(record)}


@pytest.mark.parametrize(
    ("order", "said"),
    [
        pytest.param("right against wrong", ("Passed", "Better"), id="a better challenger passes"),
        pytest.param("wrong against right", ("Rejected", "NotBetter"), id="a seeded worse challenger is refused"),
    ],
)
def test_the_gate(
    mlflow: Any,
    right: Logged,
    wrong: Logged,
    tmp_path: Path,
    table: Path,
    run_module: Callable[..., Any],
    order: str,
    said: tuple[str, str],
) -> None:
    challenger, champion = (right, wrong) if order.startswith("right") else (wrong, right)
    folders = {"challenger": tmp_path / "challenger", "champion": tmp_path / "champion"}
    for logged, folder in zip((challenger, champion), folders.values(), strict=True):
        assert run_module("fetch", _request(mlflow.url, logged, folder)).status == 0
    ended = run_module("evaluate", _gate(mlflow, challenger, folders, table))
    assert ended.status == 0, ended.log
    words = ended.message
    assert (words["outcome"], words["reason"], words["rows"]) == (*said, 60)
    assert all(isinstance(words[name], str) for name in ("championLoss", "challengerLoss", "pValue", "message"))
    assert words["evidence"]["path"] == "modelcycle/gate-1.json"
    evidence = mlflow.artifacts / f"0/{challenger.run_id}/artifacts/modelcycle/gate-1.json"
    assert hashlib.sha256(evidence.read_bytes()).hexdigest() == words["evidence"]["sha256"]


def test_a_gate_that_can_not_leave_its_evidence_fails(
    mlflow: Any, right: Logged, tmp_path: Path, table: Path, run_module: Callable[..., Any]
) -> None:
    folders = dict.fromkeys(("challenger", "champion"), tmp_path / "model")
    assert run_module("fetch", _request(mlflow.url, right, tmp_path / "model")).status == 0
    gate = json.loads(_gate(mlflow, right, folders, table)["MODELCYCLE_GATE"])
    ended = run_module("evaluate", {"MODELCYCLE_GATE": json.dumps({**gate, "runId": "0" * 32})})
    assert (ended.status, ended.message["class"]) == (66, "Missing")

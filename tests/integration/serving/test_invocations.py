"""``/invocations`` answers what ``mlflow models serve`` does: MLflow's own scoring code is asked the same."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.models import linear_model
from tests.support.typed_models import mirror
from tests.support.versions import linear_baseline, write_version

JSON, CSV = "application/json", "text/csv"


@pytest.fixture(scope="module")
def served(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model of two features whose names are known."""
    folder = tmp_path_factory.mktemp("version")
    with start(write_version(folder, columns=["a", "b"], baseline=linear_baseline())) as running:
        yield running


@pytest.fixture(scope="module", params=["columns", "tensor"])
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """MLflow's server without the server: gives its status and answer to a body."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own deprecations
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import scoring_server
        from mlflow.types import ColSpec, Schema, TensorSpec

        import mlflow

        columns = Schema([ColSpec("float", "a"), ColSpec("float", "b")])
        tensor = Schema([TensorSpec(np.dtype("float32"), (-1, 2), "x")])
        signature = ModelSignature(columns if request.param == "columns" else tensor)
        path = tmp_path_factory.mktemp("mlflow") / "model"
        mlflow.onnx.save_model(linear_model(), str(path), signature=signature, pip_requirements=["onnxruntime"])
        model = mlflow.pyfunc.load_model(str(path))

    ask: Any = scoring_server.invocations

    def score(kind: str, body: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                answer = ask(body.encode(), kind, model, model.metadata.get_input_schema())
            except mlflow.MlflowException as error:
                refused: Any = error
                return refused.get_http_status_code(), None
        return answer.status, json.loads(answer.response) if answer.status == 200 else None

    score.__dict__["kind"] = request.param
    return score


def _invoke(url: str, kind: str, body: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"{url}/invocations", body.encode(), {"Content-Type": kind})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


FRAMES = [
    (JSON, '{"dataframe_split": {"columns": ["a", "b"], "index": [5, 6], "data": [[1, 1], [0.5, -3]]}}'),
    (JSON, '{"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2]]}}'),
    (JSON, '{"dataframe_records": [{"a": 1, "b": 1}, {"a": 0.5, "b": -3}]}'),
    (JSON, '{"dataframe_records": [{"b": 1, "a": 1, "unknown": 7}]}'),
    (CSV, "a,b\n1,1\n0.5,-3\n"),
    (CSV, "unknown,b,a\nx,1,2\n"),
]
TENSORS = [
    (JSON, '{"inputs": [[1, 1], [0.5, -3]]}'),
    (JSON, '{"inputs": {"x": [[1, 1], [0.5, -3]]}}'),
    (JSON, '{"instances": [[1, 1], [0.5, -3]]}'),
    (JSON, '{"instances": [{"x": [1, 1]}, {"x": [0.5, -3]}]}'),
]
WRONG = [
    (JSON, "{"),
    (JSON, "[1]"),
    (JSON, "{}"),
    (JSON, '{"data": [[1, 1]]}'),
    (JSON, '{"inputs": [[1, 1]], "instances": [[1, 1]]}'),
    (JSON, '{"dataframe_split": [[1, 1]]}'),
    (JSON, '{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}'),
    (JSON, '{"dataframe_records": {"a": 1, "b": 1}}'),
    (JSON, '{"dataframe_records": [{"a": 1}]}'),
    (JSON, '{"dataframe_records": [{"a": "one", "b": 1}]}'),
    (CSV, ""),
    (CSV, "a\n1\n"),
    (f"{JSON}; charset=latin-1", "{}"),
    ("text/plain", "1"),
]


@pytest.mark.parametrize(("kind", "body"), [*FRAMES, *TENSORS])
def test_the_answer_is_mlflows(served: Any, scored: Any, kind: str, body: str) -> None:
    if scored.kind == ("tensor" if (kind, body) in FRAMES else "columns"):
        pytest.skip("MLflow takes frames by names of columns, tensors by those of inputs")
    status, expected = scored(kind, body)
    assert status == 200
    answered, answer = _invoke(served.url, kind, body)
    tokens = answer.pop("parameters")["feedback_token"]
    assert (answered, answer) == (200, expected)
    predictions = expected["predictions"]
    assert len(tokens) == len(predictions["y"] if isinstance(predictions, dict) else predictions)


@pytest.mark.parametrize(("kind", "body"), WRONG)
def test_what_mlflow_refuses_is_refused_alike(served: Any, scored: Any, kind: str, body: str) -> None:
    status, _ = scored(kind, body)
    answered, answer = _invoke(served.url, kind, body)
    assert answered == status
    assert answer["error"]


def test_inputs_of_any_type_may_be_columns(start: Callable[..., Any], tmp_path: Path) -> None:
    with start(write_version(tmp_path, mirror(["FP32", "BYTES"]))) as running:
        status, answer = _invoke(running.url, CSV, 'in_bytes,in_fp32\n"a,b",1\nc,2.5\n')
    assert (status, answer) == (
        200,
        {"predictions": [{"out_fp32": 1.0, "out_bytes": "a,b"}, {"out_fp32": 2.5, "out_bytes": "c"}]},
    )


def test_its_rows_are_counted_and_can_be_told_their_labels(served: Any) -> None:
    _, answer = _invoke(served.url, CSV, "a,b\n1,1\n")
    token = answer["parameters"]["feedback_token"][0]
    body = json.dumps({"feedback": [{"token": token, "label": 1.0}]}).encode()
    with urllib.request.urlopen(f"{served.url}/v2/models/hedge/feedback", body, timeout=60) as told:  # noqa: S310
        assert json.load(told)["results"] == ["accepted"]


@pytest.mark.parametrize(("path", "said"), [("/ping", "\n"), ("/health", "\n"), ("/version", "0.1.0")])
def test_what_asks_for_its_health_finds_it(served: Any, path: str, said: str) -> None:
    with urllib.request.urlopen(f"{served.url}{path}", timeout=60) as answer:  # noqa: S310
        assert answer.read().decode() == said

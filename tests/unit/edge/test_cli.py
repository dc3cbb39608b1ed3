from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from modelcycle.cli import main, run_options
from modelcycle.errors import Unusable
from modelcycle.settings import Endpoints, load_endpoints

IMAGE = {"MODELCYCLE_SERVING_IMAGE": "localhost/serving:1"}


def test_defaults() -> None:
    options = run_options({}, IMAGE)
    assert options.namespaces == ()
    assert options.kubeconfig is None
    assert (options.requests_per_second, options.burst, options.port) == (200.0, 400, 8080)


def test_flags_go_before_the_environment() -> None:
    environment = IMAGE | {"MODELCYCLE_PORT": "1", "MODELCYCLE_WORKERS": "3", "MODELCYCLE_NAMESPACES": " shop, bank "}
    options = run_options({"port": "2", "command": "run"}, environment)
    assert (options.port, options.workers, options.namespaces) == (2, 3, ("shop", "bank"))


def test_port_zero_by_flag_is_meant() -> None:
    assert run_options({"port": "0"}, IMAGE).port == 0


@pytest.mark.parametrize(
    ("environment", "field"),
    [
        pytest.param({}, "serving_image", id="no image"),
        pytest.param(IMAGE | {"MODELCYCLE_PORT": "x"}, "port", id="no number"),
        pytest.param(IMAGE | {"MODELCYCLE_NAMESPACES": "Shop"}, "namespaces", id="no namespace"),
        pytest.param(IMAGE | {"MODELCYCLE_REQUESTS_PER_SECOND": "0"}, "requests_per_second", id="no rate"),
    ],
)
def test_what_is_wrong_is_named(environment: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        run_options({}, environment)


def test_an_operator_that_cannot_run_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["run", "--serving-image", "localhost/serving:1", "--port", "0", "--log-format", "text"]) == 1
    assert "the operator can't run: can't tell how to reach the API server" in capsys.readouterr().err


def test_the_crds_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    assert capsys.readouterr().out.count("kind: CustomResourceDefinition") == 3


# --- endpoints -------------------------------------------------------------------------------------------------------
GOOD = """
mlflow:
- {name: default, url: "http://mlflow:5000", namespaces: [shop]}
prometheus:
- {name: default, url: "http://prometheus:9090", scrape_seconds: 15}
"""


def test_endpoints(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text(GOOD)
    endpoints = load_endpoints(path)
    mlflow = endpoints.mlflow_named("default", "shop")
    assert mlflow is not None
    assert mlflow.url == "http://mlflow:5000"
    assert endpoints.mlflow_named("default", "bank") is None
    assert endpoints.prometheus[0].scrape_seconds == 15


def test_no_file_no_endpoints(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert load_endpoints(None) == load_endpoints(empty) == Endpoints()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="absent"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("mlflow: [{name: default}]", id="a field is missing"),
        pytest.param("grafana: []", id="an unknown field"),
        pytest.param("- 1", id="a list"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "endpoints.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unusable, match=r"endpoints\.yaml can't be used"):
        load_endpoints(path)

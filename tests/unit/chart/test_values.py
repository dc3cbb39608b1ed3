"""What the chart refuses, and that it says why; what its images are called."""

from __future__ import annotations

import pytest

from helm.render import ChartError
from tests.unit.chart.chart import Chart


def images(chart: Chart) -> dict[str, str]:
    return {name: str(chart.container(name)["image"]) for name in chart.names("Deployment")}


def test_images_are_local_ones_of_the_charts_version(default: Chart) -> None:
    assert images(default) == {
        "modelcycle": "localhost/modelcycle/operator:0.1.0",
        "modelcycle-mlflow": "localhost/modelcycle/mlflow:0.1.0",
        "modelcycle-prometheus": "localhost/modelcycle/prometheus:0.1.0",
    }
    assert "--serving-image=localhost/modelcycle/serving:0.1.0" in default.container("modelcycle")["args"]


def test_a_registry_and_tags_can_be_named() -> None:
    chart = Chart("--set=image.repository=registry.example.com/ml/", "--set=image.tags.serving=abc")
    assert images(chart)["modelcycle"] == "registry.example.com/ml/operator:0.1.0"
    assert "--serving-image=registry.example.com/ml/serving:abc" in chart.container("modelcycle")["args"]


def test_pull_secrets_reach_every_pod() -> None:
    chart = Chart("--set=image.pullSecrets={pull}")
    assert all(chart.pod(name)["imagePullSecrets"] == [{"name": "pull"}] for name in chart.names("Deployment"))


def test_crds_can_be_left_out() -> None:
    assert Chart("--set=crds.enabled=false").names("CustomResourceDefinition") == []


@pytest.mark.parametrize(
    ("keep", "annotations"),
    [
        pytest.param("true", {"helm.sh/resource-policy": "keep"}, id="kept when the chart goes"),
        pytest.param("false", None, id="gone with the chart"),
    ],
)
def test_crds_are_kept_unless_told_otherwise(keep: str, annotations: dict[str, str] | None) -> None:
    chart = Chart(f"--set=crds.keep={keep}")
    names = chart.names("CustomResourceDefinition")
    assert len(names) == 3
    assert all(
        chart.get("CustomResourceDefinition", name)["metadata"].get("annotations") == annotations for name in names
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param("image.repository=modelcycle", "names no registry: give its host too", id="a public image's name"),
        pytest.param("image.repository=acme/modelcycle", "names no registry", id="somebody's public images"),
        pytest.param("image.repository=", "/image/repository", id="no repository"),
        pytest.param("image.tag=1", "additional properties 'tag' not allowed", id="a value that does not exist"),
        pytest.param("operator.replicas=0", "/operator/replicas", id="no replica"),
        pytest.param("operator.replicas=two", "/operator/replicas", id="replicas in words"),
        pytest.param("operator.namespaces={Shop}", "/operator/namespaces/0", id="no namespace"),
        pytest.param("operator.namespaces={shop,shop}", "/operator/namespaces", id="a namespace twice"),
        pytest.param("operator.clusterId=a/b", "/operator/clusterId", id="a slash, which tags are divided by"),
        pytest.param("operator.qps=0", "/operator/qps", id="no request at all"),
        pytest.param("operator.workers=many", "/operator/workers", id="workers in words"),
        pytest.param("operator.log.level=LOUD", "/operator/log/level", id="unknown level"),
        pytest.param("image.pullPolicy=Sometimes", "/image/pullPolicy", id="unknown pull policy"),
        pytest.param("endpoints.mlflow[0].name=x", "missing property 'url'", id="endpoint without url"),
        pytest.param("endpoints.mlflow[0].url=mlflow:5000", "/endpoints/mlflow/0/url", id="url without scheme"),
        pytest.param("endpoints.prometheus[0].scrape_seconds=0", "scrape_seconds", id="never scraped"),
        pytest.param("prometheus.scrapeIntervalSeconds=0.5", "/prometheus/scrapeIntervalSeconds", id="half a second"),
        pytest.param("prometheus.retention=forever", "/prometheus/retention", id="retention in words"),
        pytest.param("mlflow.persistence.size=big", "/mlflow/persistence/size", id="size in words"),
        pytest.param("mlflow.enabled=false", "additional properties 'enabled'", id="switch that does not exist"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(given: str, says: str) -> None:
    with pytest.raises(ChartError) as refused:
        Chart(f"--set={given}")
    assert says in str(refused.value)

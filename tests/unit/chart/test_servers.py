"""The embedded MLflow and Prometheus, and the NetworkPolicies."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from modelcycle import constants
from tests.unit.chart.chart import Chart, Manifest


def argument(chart: Chart, deployment: str, name: str) -> str:
    (found,) = [text for text in chart.container(deployment)["args"] if text.startswith(f"--{name}=")]
    return str(found).partition("=")[2]


def jobs(chart: Chart) -> dict[str, Any]:
    text = chart.get("ConfigMap", "modelcycle-prometheus")["data"]["prometheus.yml"]
    return {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}


# --- MLflow ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "host",
    [
        pytest.param("localhost:*", id="port-forward and probes"),
        pytest.param("127.0.0.1:*", id="port-forward by address"),
        pytest.param("modelcycle-mlflow:*", id="a pod of the same namespace"),
        pytest.param("modelcycle-mlflow.modelcycle-system:*", id="a pod of another namespace"),
        pytest.param("modelcycle-mlflow.modelcycle-system.svc:*", id="the operator and its pods"),
        pytest.param("modelcycle-mlflow.modelcycle-system.svc.cluster.local:*", id="the full name"),
        pytest.param("modelcycle-mlflow.modelcycle-system.svc", id="without a port"),
    ],
)
def test_mlflow_lets_in_every_form_of_its_name(host: str, default: Chart) -> None:
    assert host in argument(default, "modelcycle-mlflow", "allowed-hosts").split(",")


def test_mlflow_lets_in_further_hosts() -> None:
    chart = Chart("--set=mlflow.allowedHosts={mlflow.example.com}")
    assert "mlflow.example.com" in argument(chart, "modelcycle-mlflow", "allowed-hosts").split(",")


def test_mlflow_is_asked_on_its_api_by_a_host_that_it_lets_in(default: Chart) -> None:
    for probe in ("startupProbe", "readinessProbe"):
        get = default.container("modelcycle-mlflow")[probe]["httpGet"]
        assert get["path"].startswith("/api/")
        assert get["httpHeaders"] == [{"name": "Host", "value": "localhost:5000"}]


def test_mlflow_has_one_writer_and_no_job_consumers(default: Chart) -> None:
    spec = default.get("Deployment", "modelcycle-mlflow")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert argument(default, "modelcycle-mlflow", "workers") == "1"
    environment = default.container("modelcycle-mlflow")["env"]
    assert {"name": "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "value": "false"} in environment


def test_mlflows_volume_outlives_the_chart(default: Chart) -> None:
    claim = default.get("PersistentVolumeClaim", "modelcycle-mlflow")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in default.get("PersistentVolumeClaim", "modelcycle-prometheus")["metadata"]


def test_without_persistence_there_are_no_claims() -> None:
    chart = Chart("--set=mlflow.persistence.enabled=false", "--set=prometheus.persistence.enabled=false")
    assert chart.names("PersistentVolumeClaim") == []
    for name in ("modelcycle-mlflow", "modelcycle-prometheus"):
        assert {"name": "data", "emptyDir": {}} in chart.pod(name)["volumes"]


# --- Prometheus ------------------------------------------------------------------------------------------------------
def test_serving_pods_are_found_by_the_labels_that_the_operator_gives(default: Chart) -> None:
    (discovery,) = jobs(default)["modelcycle-serving"]["kubernetes_sd_configs"]
    (selector,) = discovery["selectors"]
    wanted = {
        f"{constants.LABEL_MANAGED_BY}={constants.MANAGED_BY}",
        f"{constants.LABEL_COMPONENT}=serving",
    }
    assert set(selector["label"].split(",")) == wanted
    assert "namespaces" not in discovery


@pytest.mark.parametrize(
    ("named", "read"),
    [
        pytest.param("shop", ["shop", "modelcycle-system"], id="another namespace"),
        pytest.param("modelcycle-system", ["modelcycle-system"], id="that of the release"),
    ],
)
def test_pods_are_looked_for_where_the_operator_works(named: str, read: list[str]) -> None:
    (discovery,) = jobs(Chart(f"--set=operator.namespaces={{{named}}}"))["modelcycle-serving"]["kubernetes_sd_configs"]
    assert discovery["namespaces"] == {"names": read}


def test_series_are_told_apart_by_namespace_deployment_and_pod(default: Chart) -> None:
    relabelled = jobs(default)["modelcycle-serving"]["relabel_configs"]
    targets = {rule["target_label"]: rule["source_labels"][0] for rule in relabelled if "target_label" in rule}
    label = constants.LABEL_DEPLOYMENT.translate(str.maketrans("./-", "___"))
    assert targets == {
        "namespace": "__meta_kubernetes_namespace",
        "deployment": f"__meta_kubernetes_pod_label_{label}",
        "pod": "__meta_kubernetes_pod_name",
    }


def test_a_pod_is_read_until_it_is_gone(default: Chart) -> None:
    looked_at = {source for rule in jobs(default)["modelcycle-serving"]["relabel_configs"] for source in
                 rule["source_labels"]}  # fmt: skip
    assert "__meta_kubernetes_pod_ready" not in looked_at


def test_the_scrape_interval_reaches_prometheus_and_the_operator() -> None:
    chart = Chart("--set=prometheus.scrapeIntervalSeconds=15")
    config = yaml.safe_load(chart.get("ConfigMap", "modelcycle-prometheus")["data"]["prometheus.yml"])
    assert config["global"]["scrape_interval"] == "15s"
    assert config["global"]["scrape_timeout"] == "10s"
    assert "scrape_seconds: 15" in chart.get("ConfigMap", "modelcycle-endpoints")["data"]["endpoints.yaml"]


def test_prometheus_sees_pods_and_nothing_else(default: Chart) -> None:
    (rule,) = default.get("ClusterRole", "modelcycle-prometheus")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}


def test_retention_is_what_was_asked_for() -> None:
    assert argument(
        Chart("--set=prometheus.retention=30d"), "modelcycle-prometheus", "storage.tsdb.retention.time"
    ) == ("30d")


# --- networks --------------------------------------------------------------------------------------------------------
def test_network_policies_are_opt_in(default: Chart) -> None:
    assert default.names("NetworkPolicy") == []


def test_mlflow_is_reached_by_the_operator_and_its_pods_only(ha: Chart) -> None:
    (rule,) = ha.get("NetworkPolicy", "modelcycle-mlflow")["spec"]["ingress"]
    operator, pods = rule["from"]
    assert "namespaceSelector" not in operator
    assert pods == {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {constants.LABEL_MANAGED_BY: constants.MANAGED_BY}},
    }


def test_every_policy_names_pods_that_exist(ha: Chart) -> None:
    templates: list[Manifest] = [
        one["spec"]["template"] for one in ha.objects if one["kind"] in ("Deployment", "DaemonSet")
    ]
    for name in ha.names("NetworkPolicy"):
        wanted = ha.get("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"].items()
        assert [one for one in templates if wanted <= one["metadata"]["labels"].items()]

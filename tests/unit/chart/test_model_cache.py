"""The cache of each node: how it runs, who is told of it, what is left where it is not wanted."""

from __future__ import annotations

import json

import pytest
import yaml

from modelcycle.settings import Endpoints
from modelcycle_runtime.cache.settings import parse_settings
from tests.unit.chart.chart import REAL_MLFLOW, Chart, Manifest
from tests.unit.chart.test_servers import jobs

NAME = "modelcycle-model-cache"
URL = f"http://{NAME}.modelcycle-system.svc:8080"


def pod(chart: Chart) -> Manifest:
    spec: Manifest = chart.get("DaemonSet", NAME)["spec"]["template"]["spec"]
    return spec


def container(chart: Chart) -> Manifest:
    (found,) = pod(chart)["containers"]
    return dict(found)


def caches(chart: Chart) -> dict[str, str | None]:
    text = chart.get("ConfigMap", "modelcycle-endpoints")["data"]["endpoints.yaml"]
    return {one.name: one.pod_cache for one in Endpoints.model_validate(yaml.safe_load(text)).mlflow}


def test_it_runs_under_the_restricted_pod_security_standard(default: Chart) -> None:
    assert pod(default)["securityContext"]["runAsNonRoot"] is True
    assert pod(default)["automountServiceAccountToken"] is False
    assert container(default)["securityContext"]["readOnlyRootFilesystem"] is True
    assert [volume["name"] for volume in pod(default)["volumes"] if "emptyDir" not in volume] == []


def test_its_settings_are_the_contract() -> None:
    chart = Chart("--set=modelCache.size=500Mi")
    (variable,) = container(chart)["env"]
    settings = parse_settings(variable["value"])
    assert variable["name"] == "MODELCYCLE_CACHE"
    assert settings.size == 500 << 20
    mounts = {mount["mountPath"] for mount in container(chart)["volumeMounts"]}
    assert str(settings.folder) in mounts
    assert [port["containerPort"] for port in container(chart)["ports"]] == [settings.port, settings.metrics_port]


def test_a_pod_reaches_the_cache_of_its_own_node_only(default: Chart) -> None:
    service = default.get("Service", NAME)["spec"]
    assert service["internalTrafficPolicy"] == "Local"
    labels = default.get("DaemonSet", NAME)["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    (port,) = service["ports"]
    assert URL.endswith(f":{port['port']}")


def test_pods_are_told_of_it(default: Chart) -> None:
    assert caches(default) == {"default": URL}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param((), URL, id="that of the node"),
        pytest.param(("--set=endpoints.mlflow[0].pod_cache=http://own:80",), "http://own:80", id="one of their own"),
        pytest.param(("--set=modelCache.enabled=false",), None, id="none"),
    ],
)
def test_so_are_pods_that_use_another_mlflow(more: tuple[str, ...], told: str | None) -> None:
    assert caches(Chart(*REAL_MLFLOW, *more)) == {"default": told}


def test_without_it_nothing_of_it_is_there() -> None:
    chart = Chart("--set=modelCache.enabled=false", "--set=networkPolicies.enabled=true")
    assert [one for one in chart.objects if one["metadata"]["name"] == NAME] == []
    assert caches(chart) == {"default": None}


def test_it_can_be_where_serving_pods_are() -> None:
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    values = f"--set-json=modelCache={json.dumps({'nodeSelector': {'pool': 'gpu'}, 'tolerations': [taint]})}"
    chart = Chart(values)
    assert pod(chart)["nodeSelector"] == {"pool": "gpu"}
    assert pod(chart)["tolerations"] == [taint]


def test_it_is_read_by_pods_of_ours_and_asks_nobody(ha: Chart) -> None:
    policy = ha.get("NetworkPolicy", NAME)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    (files,) = [rule for rule in policy["ingress"] if rule["ports"] == [{"port": "http"}]]
    (reader,) = files["from"]
    assert reader["podSelector"]["matchLabels"] == {"app.kubernetes.io/managed-by": "modelcycle"}


def test_its_metrics_are_read(default: Chart) -> None:
    (discovery,) = jobs(default)[NAME]["kubernetes_sd_configs"]
    wanted = dict(label.split("=") for label in discovery["selectors"][0]["label"].split(","))
    labels = default.get("DaemonSet", NAME)["spec"]["template"]["metadata"]["labels"]
    assert wanted.items() <= labels.items()

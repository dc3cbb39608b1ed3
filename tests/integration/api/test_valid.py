"""What the API server makes of valid resources: defaults, columns, status, scale, and what `kubectl explain` says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.cluster import Cluster
from modelcycle.api.schema.kinds import KINDS
from tests.integration.api.client import ResourceClient
from tests.integration.api.samples import (
    DEPLOYMENT_SPEC,
    FULL_DEPLOYMENT_SPEC,
    FULL_POLICY_SPEC,
    FULL_TRAINING_SPEC,
    POLICY_SPEC,
    TRAINING_SPEC,
    manifest,
)

MODELS = {kind.name: kind.spec for kind in KINDS}
SAMPLES = [
    pytest.param("ModelTraining", TRAINING_SPEC, id="smallest training"),
    pytest.param("ModelTraining", FULL_TRAINING_SPEC, id="training with every field"),
    pytest.param("ModelDeployment", DEPLOYMENT_SPEC, id="smallest deployment"),
    pytest.param("ModelDeployment", FULL_DEPLOYMENT_SPEC, id="deployment with steps of its own"),
    pytest.param("RetrainPolicy", POLICY_SPEC, id="smallest policy"),
    pytest.param("RetrainPolicy", FULL_POLICY_SPEC, id="policy with every trigger"),
]


def without_empty(value: Any) -> Any:
    """``value`` without empty lists, which the API server leaves absent."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item != []}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("kind", "spec"), SAMPLES)
def test_the_api_server_fills_the_same_defaults_as_the_models(
    kind: str, spec: dict[str, Any], resources: ResourceClient
) -> None:
    stored = resources.try_out(manifest(kind, spec))["spec"]
    assert stored == without_empty(MODELS[kind].model_validate(spec).manifest())


def test_a_partial_object_gets_the_other_defaults(resources: ResourceClient) -> None:
    stored = resources.try_out(manifest("ModelTraining", TRAINING_SPEC | {"resources": {"gpu": 1}}))
    assert stored["spec"]["resources"] == {"cpu": "500m", "memory": "1Gi", "gpu": 1}


def test_null_means_absent(resources: ResourceClient) -> None:
    stored = resources.try_out(manifest("ModelTraining", TRAINING_SPEC | {"asOf": None, "resources": None}))
    assert "asOf" not in stored["spec"]
    assert stored["spec"]["resources"] == {"cpu": "500m", "memory": "1Gi", "gpu": 0}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("mt", "Train this once", id="what a training is"),
        pytest.param("mt.spec.asOf", "Nothing that became known later may be used", id="as-of of a training"),
        pytest.param("md.spec.rollout.steps.replicas", "A share of the replicas", id="a step of a rollout"),
        pytest.param("md.status.verdicts.message", "with the numbers that decided", id="message of a verdict"),
        pytest.param("rp.spec.gate.alpha", "one-sided paired test", id="level of the gate"),
        pytest.param("rp.spec.mode", "only say what would be done", id="mode of a policy"),
    ],
)
def test_kubectl_explain_teaches(path: str, says: str, api_server: Cluster) -> None:
    assert says in " ".join(api_server.kubectl("explain", path).split())


def test_the_columns_say_whether_it_is_well_and_why_not(resources: ResourceClient, api_server: Cluster) -> None:
    made = resources.create(manifest("ModelDeployment", DEPLOYMENT_SPEC, name="columns"))
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "ModelClaimed",
        "message": "owned by another",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    resources.replace_status(made | {"status": {"conditions": [condition], "stable": {"version": "3"}}})
    header, row = api_server.kubectl("get", "md", "columns").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "MODEL", "VERSION", "CANDIDATE", "STEP", "AGE"]
    assert row.split()[:5] == ["columns", "False", "ModelClaimed", "default.hedge", "3"]
    resources.delete(made)


def test_one_category_lists_all_kinds(resources: ResourceClient, api_server: Cluster) -> None:
    made = [
        resources.create(manifest("ModelTraining", TRAINING_SPEC, name="listed")),
        resources.create(manifest("ModelDeployment", DEPLOYMENT_SPEC, name="listed")),
        resources.create(manifest("RetrainPolicy", POLICY_SPEC, name="listed")),
    ]
    listed = api_server.kubectl("get", "ml", "-o", "name").split()
    for one in made:
        resources.delete(one)
    assert [line.split(".")[0] for line in sorted(listed)] == ["modeldeployment", "modeltraining", "retrainpolicy"]


def test_a_deployment_scales_by_the_scale_subresource(resources: ResourceClient, api_server: Cluster) -> None:
    made = resources.create(manifest("ModelDeployment", DEPLOYMENT_SPEC, name="scaled"))
    resources.replace_status(made | {"status": {"replicas": 2, "selector": "modelcycle.dev/deployment=scaled"}})
    api_server.kubectl("scale", "md/scaled", "--replicas=5")
    scale = json.loads(api_server.kubectl("get", "md", "scaled", "--subresource=scale", "-o", "json"))
    assert scale["spec"]["replicas"] == 5
    assert scale["status"] == {"replicas": 2, "selector": "modelcycle.dev/deployment=scaled"}
    resources.delete(made)


def test_the_status_has_no_defaults_of_the_api_server(resources: ResourceClient) -> None:
    made = resources.create(manifest("ModelTraining", TRAINING_SPEC, name="bare"))
    resources.replace_status(made | {"status": {"summary": "waits"}})
    assert resources.get(made)["status"] == {"summary": "waits"}
    resources.delete(made)

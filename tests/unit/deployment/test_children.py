"""What a deployment makes in the cluster, field by field, and a copy of the pods' template that guards live pods."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import Resources
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, DeploymentStatus, ServedVersion
from modelcycle.cluster.kinds import Kind
from modelcycle.cluster.port import Page
from modelcycle.core.observed import PodView, Resource
from modelcycle.core.plan import Manifest
from modelcycle.deployment import children, template
from modelcycle.deployment.domain import DOMAIN
from modelcycle.deployment.effects import ClusterEffects, EnsureFeedbackKey, as_json
from modelcycle.deployment.workload import slow_pod
from modelcycle.errors import AlreadyExists, NotFound, Unavailable
from modelcycle.settings import MlflowEndpoint
from tests.unit.deployment.outside import MODEL, START, UID, version_info
from tests.unit.deployment.world import World

GOLDEN = Path(__file__).parent / "golden_template.json"
ENDPOINT = MlflowEndpoint(
    name="default", url="http://mlflow:5000", pod_secret="mlflow-token", pod_cache="http://modelcycle-cache.system.svc"
)
READ = version_info("7")
SERVED = ServedVersion(
    version="7",
    image="serving:1",
    digest=READ.digest,
    run_id=READ.run_id,
    model_root=READ.model_root,
    run_root=READ.run_root,
    files=READ.files,
)


def deployment(**spec: Any) -> Resource[DeploymentSpec, DeploymentStatus]:
    document = {"model": {"name": MODEL}} | spec
    return Resource(
        namespace="quant",
        name="hedge",
        uid=UID,
        generation=1,
        resource_version="1",
        created=START,
        spec=DeploymentSpec.model_validate(document),
        status=DeploymentStatus(),
        raw_spec=document,
    )


def pod(**spec: Any) -> Manifest:
    manifest = children.workload(deployment(**spec), SERVED, ENDPOINT, 2)
    return dict(manifest["spec"]["template"]["spec"])


def test_the_template_of_live_pods_does_not_change_unawares() -> None:
    """If this fails, the change restarts every serving pod of every user when the operator is upgraded.

    Where that is wanted, say so in the CHANGELOG and write the new template to the file: ``python -m json.tool`` form.
    """
    manifest = children.workload(deployment(), SERVED, ENDPOINT, 2)
    assert manifest["spec"]["template"] == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_child_belongs_to_the_deployment() -> None:
    resource = deployment()
    made = [
        children.workload(resource, SERVED, ENDPOINT, 2),
        children.client_service(resource),
        children.peers_service(resource),
        children.budget(resource),
        children.feedback_secret(resource),
    ]
    for manifest in made:
        owner = manifest["metadata"]["ownerReferences"][0]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (UID, True, True)
        assert manifest["metadata"]["labels"][names.LABEL_OWNER_UID] == UID
        assert manifest["metadata"]["namespace"] == "quant"
    assert [manifest["metadata"]["name"] for manifest in made] == [
        "hedge-11111-v7-r1",
        "hedge",
        "hedge-11111-peers",
        "hedge-11111-pdb",
        "hedge-11111-feedback",
    ]


def test_selectors_meet_the_pods() -> None:
    resource = deployment()
    workload = children.workload(resource, SERVED, ENDPOINT, 2)
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        workload["spec"]["selector"]["matchLabels"],
        children.client_service(resource)["spec"]["selector"],
        children.peers_service(resource)["spec"]["selector"],
        children.budget(resource)["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels


def test_pods_meet_the_restricted_security_standard() -> None:
    spec = pod()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_has_the_time_to_drain() -> None:
    spec = pod(serving={"drainSeconds": 40})
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > sleep + 40


def test_the_fetch_order_is_the_contract() -> None:
    env = {variable["name"]: variable["value"] for variable in pod()["initContainers"][0]["env"]}
    assert json.loads(env[names.ENV_FETCH]) == {
        "trackingUri": "http://mlflow:5000",
        "cache": "http://modelcycle-cache.system.svc",
        "modelRoot": "mlflow-artifacts:/7/models/m-7/artifacts",
        "runRoot": "mlflow-artifacts:/7/run7/artifacts",
        "target": names.MODEL_DIR,
        "files": [["model/model.onnx", 10, "a" * 64]],
    }
    assert pod()["initContainers"][0]["envFrom"] == [{"secretRef": {"name": "mlflow-token"}}]


def test_the_serve_order_is_the_contract() -> None:
    order = template.orders(deployment(feedback={"loss": "Pinball", "pinballQuantilePercent": 90}), SERVED, "peers.svc")
    assert order == {
        "model": MODEL,
        "version": "7",
        "digest": "b" * 64,
        "modelDir": names.MODEL_DIR,
        "deployment": "quant/hedge",
        "feedbackKeyFile": names.FEEDBACK_KEY_FILE,
        "peers": "peers.svc",
        "loss": "Pinball",
        "pinballQuantile": 0.9,
        "duplicateWindowRows": 100_000,
        "maxRequestsPerConnection": 100,
        "maxBodyBytes": 16_777_216,
        "drainSeconds": 15,
        "smoke": {"absoluteTolerance": "0.0001", "relativeTolerance": "0.001"},
        "cpus": 1,
    }


def test_environment_comes_from_secrets_and_config_maps() -> None:
    variables = [
        {"name": "A", "value": "1"},
        {"name": "B", "secretKeyRef": {"name": "s", "key": "k"}},
        {"name": "C", "configMapKeyRef": {"name": "c", "key": "k"}},
    ]
    assert pod(env=variables)["containers"][0]["env"][-3:] == [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ]


@pytest.mark.parametrize(
    ("cpu", "limit", "expected"),
    [
        pytest.param("500m", None, 1, id="less than one"),
        pytest.param("2", None, 2, id="two"),
        pytest.param("1", "3500m", 3, id="the limit counts, rounded down"),
        pytest.param("1.9", None, 1, id="a fraction"),
    ],
)
def test_cpus(cpu: str, limit: str | None, expected: int) -> None:
    assert template.cpus(Resources(cpu=cpu, cpu_limit=limit)) == expected


def test_an_image_of_the_spec_wins_over_the_pinned_one() -> None:
    assert template.image(deployment(image="mine:2").spec, SERVED) == "mine:2"
    assert template.image(deployment().spec, SERVED) == "serving:1"


def test_the_gpu_is_for_the_server_alone() -> None:
    spec = pod(resources={"gpu": 1})
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in spec["initContainers"][0]["resources"]["limits"]


def test_a_single_replica_has_no_disruption_budget() -> None:
    world = World().serving()
    assert ("PodDisruptionBudget", "hedge-11111-pdb") in world.objects
    world.document["replicas"] = 1
    world.settle()
    assert [kind for kind, _ in world.objects] == ["Service", "Service"]


def test_the_service_of_the_clients_is_made_first() -> None:
    first = World().step().apply[0]
    assert (first["kind"], first["metadata"]["name"]) == ("Service", "hedge")


def test_no_pods_before_the_feedback_key_is_there() -> None:
    world = World()
    world.registry.aliases["champion"] = "1"
    while world.candidate is None:
        world.tick()
    plan = world.tick()
    assert "Deployment" not in [manifest["kind"] for manifest in plan.apply]
    assert any(isinstance(effect, EnsureFeedbackKey) for effect in plan.effects)
    assert "Deployment" in [manifest["kind"] for manifest in world.tick().apply]


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], None, id="no pods"),
        pytest.param([("a", 59, {})], None, id="still starting"),
        pytest.param([("a", 60, {}), ("b", 61, {})], "b", id="the oldest"),
        pytest.param([("a", 60, {"ready": True})], None, id="ready"),
        pytest.param([("a", 60, {"deleting": True})], None, id="ending"),
    ],
)
def test_a_pod_that_is_slow_may_lack_its_key(pods: list[tuple[str, int, dict[str, Any]]], expected: str | None) -> None:
    found = slow_pod(
        (
            PodView("quant", uid, uid, {}, START - timedelta(seconds=age), "Pending", **fields)
            for uid, age, fields in pods
        ),
        START,
    )
    assert (found.uid if found else None) == expected


def test_a_key_that_somebody_deleted_is_made_again() -> None:
    world = World().serving()
    (workload,) = world.workloads.values()
    workload.ready = 0
    world.now = START + timedelta(hours=1)
    asked = [effect for effect in world.step().effects if isinstance(effect, EnsureFeedbackKey)]
    assert [effect.again for effect in asked] == ["pod-1-0"]


# --- the effect -------------------------------------------------------------------------------------------------------
class FakeCluster:
    """Takes Secrets. ``error`` is raised by the next request."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made: list[Manifest] = []
        self.error = error

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        assert kind.name == "Secret"
        if self.error:
            raise self.error
        self.made.append(manifest)
        return manifest

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        raise NotFound("the operator never reads a Secret")

    def pages(self, kind: Kind, namespace: str | None = None, label_selector: str | None = None) -> AsyncIterator[Page]:
        raise NotFound("the operator never reads a Secret")

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotFound("a key is never changed")

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotFound("a key is never changed")

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotFound("a Secret has no status")

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Manifest | None:
        raise NotFound("a key goes with its owner")


EFFECT = EnsureFeedbackKey(as_json(children.feedback_secret(deployment())))


async def test_each_deployment_gets_a_key_of_its_own() -> None:
    cluster = FakeCluster()
    adapter = ClusterEffects(cluster)
    for _ in range(2):
        await adapter.effects[EnsureFeedbackKey](EFFECT)
    keys = [manifest["data"]["key"] for manifest in cluster.made]
    assert len(set(keys)) == 2
    assert {len(key) for key in keys} == {44}
    assert cluster.made[0]["metadata"]["name"] == "hedge-11111-feedback"


async def test_a_key_that_is_there_is_left_alone() -> None:
    await ClusterEffects(FakeCluster(AlreadyExists("it is there"))).ensure_feedback_key(EFFECT)


async def test_a_failure_is_the_runtimes_to_try_again() -> None:
    with pytest.raises(Unavailable):
        await ClusterEffects(FakeCluster(Unavailable("503"))).ensure_feedback_key(EFFECT)


def test_the_effect_knows_no_key() -> None:
    assert "data" not in json.loads(EFFECT.secret)


# --- the domain -------------------------------------------------------------------------------------------------------
def test_the_absence_of_a_deployment_of_the_status_must_be_certain() -> None:
    world = World().serving()
    assert [(ref.kind, ref.name) for ref in DOMAIN.expected(world.resource())] == [("Deployment", "hedge-11111-v1-r1")]

"""The sample policy: whoever names a Secret must be allowed to read it. Asked of a real API server, as a user of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import Cluster, ClusterError
from tests.integration.api.client import Manifest
from tests.integration.api.samples import DEPLOYMENT_SPEC, POLICY_SPEC, TRAINING_SPEC, manifest

SAMPLE = Path(__file__).parents[3] / "manifests" / "admission" / "secrets.yaml"
ENFORCED_SECONDS = 180
OPERATOR = "system:serviceaccount:modelcycle-system:modelcycle"
MINE = [f"mine-{i}" for i in range(20)]
RIGHTS = [
    "create clusterrole modeller --verb=create --resource=modeltrainings.modelcycle.dev"
    " --resource=modeldeployments.modelcycle.dev --resource=retrainpolicies.modelcycle.dev",
    "create role reader --verb=get --resource=secrets " + " ".join(f"--resource-name={name}" for name in MINE),
    "create role reader-of-all --verb=get --resource=secrets",
    "create rolebinding alice --role=reader --user=alice",
    "create rolebinding bob --role=reader-of-all --user=bob",
    f"create clusterrolebinding modeller --clusterrole=modeller --user=alice --user=bob --user={OPERATOR}",
]


def environment(*secrets: str) -> list[dict[str, Any]]:
    return [{"name": f"V{i}", "secretKeyRef": {"name": name, "key": "k"}} for i, name in enumerate(secrets)]


def training(*secrets: str, **spec: Any) -> Manifest:
    return manifest("ModelTraining", TRAINING_SPEC | {"env": environment(*secrets)} | spec)


def policy(*secrets: str) -> Manifest:
    made = manifest("RetrainPolicy", POLICY_SPEC)
    made["spec"]["template"]["env"] = environment(*secrets)
    return made


def try_out(cluster: Cluster, user: str, resource: Manifest) -> str:
    return cluster.kubectl("create", f"--as={user}", "--dry-run=server", "-f", "-", input=yaml.safe_dump(resource))


@pytest.fixture(scope="module")
def guarded(api_server: Cluster) -> Iterator[Cluster]:
    for right in RIGHTS:
        api_server.kubectl(*right.split())
    api_server.kubectl("apply", "-f", str(SAMPLE))
    wait_until_refused(api_server)
    yield api_server
    api_server.kubectl("delete", "-f", str(SAMPLE))


def wait_until_refused(cluster: Cluster) -> None:
    """A new policy is enforced a moment after it was applied."""
    deadline = time.monotonic() + ENFORCED_SECONDS
    while time.monotonic() < deadline:
        try:
            try_out(cluster, "alice", training("theirs"))
        except ClusterError as error:
            if "modelcycle-secrets" in str(error):
                return
        time.sleep(0.5)
    raise AssertionError(f"the policy is not enforced after {ENFORCED_SECONDS} s")


@pytest.mark.parametrize(
    ("user", "resource"),
    [
        pytest.param("alice", training(), id="no Secret at all"),
        pytest.param("alice", training("mine-0"), id="a Secret that may be read"),
        pytest.param("alice", training(*MINE[:16]), id="as many as the policy can ask about"),
        pytest.param("alice", training(*["mine-0"] * 40), id="one Secret many times"),
        pytest.param("alice", training(imagePullSecrets=["mine-1"]), id="a pull secret that may be read"),
        pytest.param("bob", training(*[f"any-{i}" for i in range(64)]), id="any number by one who may read all"),
        pytest.param(OPERATOR, training("theirs"), id="the operator itself"),
    ],
)
def test_what_may_be_read_may_be_named(user: str, resource: Manifest, guarded: Cluster) -> None:
    assert "created" in try_out(guarded, user, resource)


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        pytest.param(training("theirs"), "alice may not get every Secret", id="training"),
        pytest.param(training("mine-0", "mine-1", "theirs"), "theirs", id="one of several"),
        pytest.param(training(imagePullSecrets=["theirs"]), "theirs", id="to pull the image"),
        pytest.param(training(*MINE[:17]), "can name 16 at most", id="more than can be asked about"),
        pytest.param(
            manifest("ModelDeployment", DEPLOYMENT_SPEC | {"env": environment("theirs")}), "theirs", id="deployment"
        ),
        pytest.param(policy("theirs"), "theirs", id="template of a policy"),
    ],
)
def test_what_may_not_be_read_may_not_be_named(resource: Manifest, says: str, guarded: Cluster) -> None:
    with pytest.raises(ClusterError, match=r"modelcycle-secrets.* denied request") as refused:
        try_out(guarded, "alice", resource)
    assert says in str(refused.value)

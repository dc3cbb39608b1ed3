"""The generated install on a real API server: it is accepted, and the operator may do what it must and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster import Cluster, ClusterError

MANIFESTS = Path(__file__).parents[3] / "manifests"
OPERATOR = "system:serviceaccount:modelcycle-system:modelcycle"
PROMETHEUS = "system:serviceaccount:modelcycle-system:modelcycle-prometheus"


@pytest.fixture(scope="module")
def installed(api_server: Cluster) -> Cluster:
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(MANIFESTS / "install-default.yaml"))
    return api_server


def may(cluster: Cluster, user: str, question: str) -> bool:
    try:
        return cluster.kubectl("auth", "can-i", f"--as={user}", *question.split()).strip() == "yes"
    except ClusterError:
        return False  # kubectl says no with its exit status too


def test_the_install_with_a_standby_is_accepted_too(installed: Cluster) -> None:
    install = str(MANIFESTS / "install-ha.yaml")
    applied = installed.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", install)
    assert "poddisruptionbudget.policy/modelcycle serverside-applied (server dry run)" in applied


@pytest.mark.parametrize(
    ("user", "question"),
    [
        pytest.param(OPERATOR, "watch modeltrainings.modelcycle.dev -A", id="watches its kinds"),
        pytest.param(OPERATOR, "update retrainpolicies.modelcycle.dev/x --subresource=status", id="writes status"),
        pytest.param(OPERATOR, "create modeltrainings.modelcycle.dev -n shop", id="makes trainings for policies"),
        pytest.param(OPERATOR, "patch jobs.batch -n shop", id="applies Jobs"),
        pytest.param(OPERATOR, "create deployments.apps -n shop", id="makes Deployments"),
        pytest.param(OPERATOR, "delete services -n shop", id="removes Services"),
        pytest.param(OPERATOR, "watch pods -A", id="sees pods"),
        pytest.param(OPERATOR, "create secrets -n shop", id="makes a feedback key"),
        pytest.param(OPERATOR, "get configmaps -n shop", id="reads the code of a training"),
        pytest.param(OPERATOR, "create configmaps -n shop", id="keeps the code of a training"),
        pytest.param(OPERATOR, "create events.events.k8s.io -n shop", id="tells events"),
        pytest.param(OPERATOR, "get namespaces/kube-system", id="tells this cluster from others"),
        pytest.param(OPERATOR, "update leases.coordination.k8s.io/modelcycle -n modelcycle-system", id="leads"),
        pytest.param(PROMETHEUS, "watch pods -A", id="Prometheus finds pods"),
    ],
)
def test_what_must_be_done_may_be_done(user: str, question: str, installed: Cluster) -> None:
    assert may(installed, user, question)


@pytest.mark.parametrize(
    ("user", "question"),
    [
        pytest.param(OPERATOR, "get secrets -n shop", id="reads a Secret"),
        pytest.param(OPERATOR, "list secrets -n modelcycle-system", id="reads Secrets of its own namespace"),
        pytest.param(OPERATOR, "list configmaps -n shop", id="looks around among ConfigMaps"),
        pytest.param(OPERATOR, "patch configmaps -n shop", id="changes a ConfigMap"),
        pytest.param(OPERATOR, "patch modeldeployments.modelcycle.dev -n shop", id="writes a spec"),
        pytest.param(OPERATOR, "update modeltrainings.modelcycle.dev -n shop", id="changes a training"),
        pytest.param(OPERATOR, "delete modeldeployments.modelcycle.dev -n shop", id="removes people's resources"),
        pytest.param(OPERATOR, "create pods -n shop", id="makes pods by hand"),
        pytest.param(OPERATOR, "create pods --subresource=exec -n shop", id="enters pods"),
        pytest.param(OPERATOR, "update leases.coordination.k8s.io/other -n modelcycle-system", id="takes other leases"),
        pytest.param(OPERATOR, "create clusterroles.rbac.authorization.k8s.io", id="gives itself rights"),
        pytest.param(PROMETHEUS, "get secrets -n shop", id="Prometheus reads Secrets"),
    ],
)
def test_what_need_not_be_done_may_not_be_done(user: str, question: str, installed: Cluster) -> None:
    assert not may(installed, user, question)

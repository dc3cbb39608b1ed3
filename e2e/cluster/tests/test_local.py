"""A real local cluster: what it can do, what it survives, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster, bring_up, full, images, leftovers, node, record, tear_down
from e2e.cluster.binaries import program
from e2e.cluster.paths import cluster_paths
from e2e.demo.kube import Kube
from e2e.scenarios.system import request, until_equal

pytestmark = pytest.mark.skipif(bool(full.unavailable()), reason=full.unavailable())

IMAGE = "localhost/modelcycle/probe:1"
NAMES = ("selftest-a", "selftest-b")
# Cluster-wide defaults aside, this is what every other test in pods relies on.
PROBE = f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: claim}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: server}}
spec: {{selector: {{app: server}}, ports: [{{port: 80, targetPort: 8001}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: server, labels: {{app: server}}}}
spec:
  containers:
  - name: server
    image: {IMAGE}
    args: [proxy, --address=0.0.0.0, --port=8001, "--accept-hosts=.*"]
    resources: {{limits: {{nvidia.com/gpu: 3}}}}
    readinessProbe: {{httpGet: {{path: /version, port: 8001}}, periodSeconds: 1}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: client}}
spec:
  backoffLimit: 20
  template:
    spec:
      restartPolicy: OnFailure
      volumes: [{{name: claim, persistentVolumeClaim: {{claimName: claim}}}}]
      containers:
      - name: client
        image: {IMAGE}
        volumeMounts: [{{name: claim, mountPath: /claim}}]
        args: [--server=http://server.default.svc, --cache-dir=/claim, get, --raw, /version]
"""


@pytest.fixture
def names() -> Iterator[tuple[str, ...]]:
    before = sysctls()
    yield NAMES
    for name in NAMES:
        tear_down(name, provider="local")
        assert leftovers(name) == []
    after = sysctls()
    assert {name: after.get(name) for name in before} == before, "kernel modules may bring more of them"


def test_pods_volumes_names_and_gpus(names: tuple[str, ...]) -> None:
    cluster = prepared(names[0])
    cluster.kubectl("apply", "-f", "-", input=PROBE)
    cluster.kubectl("wait", "--for=condition=Complete", "job/client", "--timeout=600s")
    assert json.loads(cluster.kubectl("logs", "job/client"))["gitVersion"].startswith("v1.")
    assert "Client Version" in cluster.kubectl("exec", "server", "--", "/kubectl", "version", "--client")
    assert cluster.kubectl("get", "pvc", "claim", "-o", "jsonpath={.status.phase}") == "Bound"
    with Kube(cluster, "default").forward("server", 80) as url:
        assert request(url, "GET", "/version")["major"] == "1"
    assert any(event["verb"] == "create" and "auditID" in event for event in cluster.audited())


def test_two_side_by_side_and_one_killed(names: tuple[str, ...]) -> None:
    first, second = (prepared(name) for name in names)
    assert first.server != second.server
    supervisor = record.read(cluster_paths(names[0]))
    assert supervisor is not None
    os.kill(supervisor.supervisor.pid, signal.SIGKILL)
    until_equal("the first cluster running", lambda: first.provider.status().running, wanted=False, seconds=60)
    assert leftovers(names[0]), "a killed cluster leaves its network namespace and files, which `up` has to cope with"
    assert second.provider.status().running
    again = prepared(names[0])
    again.kubectl("run", "server", f"--image={IMAGE}", "--image-pull-policy=Never", "--", "version", "--client")
    assert second.kubectl("get", "nodes", "-o", "name") == f"node/{full.node_name(names[1])}\n"


def prepared(name: str) -> Cluster:
    cluster = bring_up(name, provider="local")
    archive = cluster_paths(name).root / "probe.tar"
    archive.write_bytes(images.archive_of(program("kubectl"), IMAGE))
    cluster.load_image(archive)
    return cluster


def sysctls() -> dict[str, str]:
    """The settings of the machine that a kubelet or a kube-proxy would change."""
    names = (*node.SYSCTLS, "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max")
    files = [Path("/proc/sys") / name for name in names]
    return {str(file): file.read_text() for file in files if file.exists()}

"""The flags of etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.paths import ClusterPaths
from e2e.cluster.pki import Pki
from e2e.cluster.plan import Process

SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"
CLUSTER_DOMAIN = "cluster.local"
ISSUER = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"

# The defaults (20 requests a second) would make these two, not the operator under test, what a load test measures.
_FAST_CLIENT = ("--kube-api-qps=500", "--kube-api-burst=1000")


@dataclass(frozen=True)
class Endpoints:
    """Where the control plane listens."""

    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def api(self) -> str:
        return f"{self.address}:{self.api_port}"

    @property
    def server(self) -> str:
        return f"https://{self.api}"

    @property
    def etcd(self) -> str:
        return f"127.0.0.1:{self.etcd_port}"


@dataclass(frozen=True)
class User:
    """A name that the API server knows by a token."""

    name: str
    groups: tuple[str, ...] = ()


ADMIN = User("admin", ("system:masters",))
CONTROLLER_MANAGER = User("system:kube-controller-manager")
SCHEDULER = User("system:kube-scheduler")


def etcd(paths: ClusterPaths, bin_: Path, at: Endpoints) -> Process:
    peers = f"http://127.0.0.1:{at.etcd_peer_port}"
    flags = (
        f"--data-dir={paths.etcd}",
        f"--listen-client-urls=http://{at.etcd}",
        f"--advertise-client-urls=http://{at.etcd}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",  # nothing here outlives the machine
        "--log-level=warn",
    )
    return Process("etcd", [str(bin_ / "etcd"), *flags])


def apiserver(paths: ClusterPaths, bin_: Path, at: Endpoints, *, alone: bool) -> Process:
    """The API server; `alone` means that no node and no ServiceAccount controller exist."""
    pki = Pki(paths.pki)
    flags = (
        f"--etcd-servers=http://{at.etcd}",
        f"--bind-address={at.address}",
        f"--advertise-address={at.address}",
        f"--secure-port={at.api_port}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.ca}",
        f"--token-auth-file={paths.config / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki.service_account_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        f"--kubelet-client-certificate={pki.certificate('kubelet-client')}",
        f"--kubelet-client-key={pki.key('kubelet-client')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={paths.config / 'audit-policy.json'}",
        f"--audit-log-path={paths.audit_log}",
        "--audit-log-maxsize=100000",  # MB: whoever reads along would lose its place by a rotation at the default, 100
        "--event-ttl=24h",  # the usual hour is shorter than a slow run, at whose end events of its beginning are read
        "--profiling=false",
    )
    # On loopback the `kubernetes` Service can have no endpoints, and pods would wait for a ServiceAccount for ever.
    without = ("--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount") if alone else ()
    return Process("kube-apiserver", [str(bin_ / "kube-apiserver"), *flags, *without], waits_for=[at.etcd])


def controller_manager(paths: ClusterPaths, bin_: Path, at: Endpoints, *, port: int) -> Process:
    pki = Pki(paths.pki)
    kubeconfig = paths.config / "kube-controller-manager.kubeconfig"
    flags = (
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={paths.config / 'kube-controller-manager'}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.service_account_key}",
        f"--root-ca-file={pki.ca}",
        "--enable-hostpath-provisioner=true",
        "--leader-elect=false",
        "--profiling=false",
        *_FAST_CLIENT,
    )
    return Process("kube-controller-manager", [str(bin_ / "kube-controller-manager"), *flags], waits_for=[at.api])


def scheduler(paths: ClusterPaths, bin_: Path, at: Endpoints) -> Process:
    flags = (
        f"--kubeconfig={paths.config / 'kube-scheduler.kubeconfig'}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={paths.config / 'kube-scheduler'}",
        "--leader-elect=false",
        "--profiling=false",
        *_FAST_CLIENT,
    )
    return Process("kube-scheduler", [str(bin_ / "kube-scheduler"), *flags], waits_for=[at.api])


def audit_policy() -> Mapping[str, object]:
    """Every request once, when its answer has been sent, without bodies."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }


def token_file(tokens: Mapping[User, str]) -> str:
    """The API server's CSV: token, user, uid and the quoted list of groups."""
    lines = [f'{token},{user.name},{user.name},"{",".join(user.groups)}"' for user, token in tokens.items()]
    return "\n".join(lines) + "\n"


def kubeconfig(cluster: str, server: str, ca_pem: bytes, token: str) -> str:
    """A kubeconfig in JSON, which is YAML too."""
    ca = base64.b64encode(ca_pem).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": "admin"}}],
        "current-context": cluster,
    }
    return json.dumps(content, indent=1) + "\n"

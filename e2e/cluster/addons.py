"""The objects that a full cluster has from the start."""

from __future__ import annotations

import json

from e2e.cluster.node import COREDNS, DNS_ADDRESS, KUBE_PROXY

Manifest = dict[str, object]

_DNS_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def manifest(node_address: str) -> str:
    """All of them, for kubectl apply."""
    items = [_storage_class(), *_dns(node_address), *_permissions()]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _storage_class() -> Manifest:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def _dns(node_address: str) -> list[Manifest]:
    """CoreDNS is a process of the node, so that its Service has no selector and its endpoints are given."""
    labels = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
    service: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "clusterIP": DNS_ADDRESS,
            "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in _DNS_PORTS],
        },
    }
    endpoints: Manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-node",
            "namespace": "kube-system",
            "labels": {
                "kubernetes.io/service-name": "kube-dns",
                "endpointslice.kubernetes.io/managed-by": "modelcycle.dev",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [node_address], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in _DNS_PORTS],
    }
    return [service, endpoints]


def _permissions() -> list[Manifest]:
    watch = ["list", "watch"]
    role: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": COREDNS.name},
        "rules": [
            {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": watch},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
        ],
    }
    # The API server comes with a role for kube-proxy, and with a binding to the user of the same name.
    assert KUBE_PROXY.name == "system:kube-proxy"
    return [role, _binding(COREDNS.name)]


def _binding(name: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    }

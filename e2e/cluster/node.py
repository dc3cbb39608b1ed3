"""The node of a full cluster: containerd, kubelet, kube-proxy and CoreDNS, their flags and their files.

All paths are those of the cluster's own mount namespace, in which /run, /tmp, /var/lib and /var/log are its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.control_plane import CLUSTER_DOMAIN, User
from e2e.cluster.network import POD_RANGE
from e2e.cluster.paths import ClusterPaths
from e2e.cluster.pki import Pki
from e2e.cluster.plan import Process

DNS_ADDRESS = "10.96.0.10"
PAUSE_IMAGE = "localhost/modelcycle/pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
VOLUMES = "/tmp/hostpath_pv"
"""Where controller-manager's hostpath provisioner keeps volumes; it has no flag for it."""

KUBE_PROXY = User("system:kube-proxy")
COREDNS = User("modelcycle:coredns")

# What kubelet would set on the whole machine. It finds these stand-ins instead, with the values that it wants.
SYSCTLS: Mapping[str, str] = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}


def node_user(node: str) -> User:
    return User(f"system:node:{node}", ("system:nodes",))


def containerd(paths: ClusterPaths) -> Process:
    return Process("containerd", ["/usr/bin/env", "containerd", f"--config={paths.config / 'containerd.toml'}"])


def kubelet(paths: ClusterPaths, bin_: Path, node: str, address: str, api: str) -> Process:
    flags = (
        f"--config={paths.config / 'kubelet.json'}",
        f"--kubeconfig={paths.config / 'kubelet.kubeconfig'}",
        f"--hostname-override={node}",
        f"--node-ip={address}",
    )
    return Process("kubelet", [str(bin_ / "kubelet"), *flags], waits_for=[api, CONTAINERD_SOCKET])


def kube_proxy(paths: ClusterPaths, bin_: Path, api: str) -> Process:
    return Process(
        "kube-proxy", [str(bin_ / "kube-proxy"), f"--config={paths.config / 'kube-proxy.json'}"], waits_for=[api]
    )


def coredns(paths: ClusterPaths, bin_: Path, api: str) -> Process:
    return Process("coredns", [str(bin_ / "coredns"), "-conf", str(paths.config / "Corefile")], waits_for=[api])


def files(paths: ClusterPaths, name: str, node: str, cgroup: str, cni: str) -> dict[str, str]:
    """The content of each file of the node's components, by its name in the cluster's config folder."""
    return {
        "containerd.toml": containerd_config(paths, cni),
        "cni/10-modelcycle.conflist": json.dumps(cni_config()),
        "kubelet.json": json.dumps(kubelet_config(paths, cgroup)),
        "kube-proxy.json": json.dumps(kube_proxy_config(paths, node)),
        "Corefile": corefile(paths),
        "resolv.conf": f"search {name}.invalid\n",
    }


def containerd_config(paths: ClusterPaths, cni: str) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc may not lower the score, and would not start anything.
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{paths.config / "cni"}"
"""


def cni_config() -> Mapping[str, object]:
    """A cable from each pod to the node. On a bridge, answers between pods would go past kube-proxy's rules."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {"cniVersion": "0.4.0", "name": "modelcycle", "plugins": [{"type": "ptp", "ipam": addresses}]}


def kubelet_config(paths: ClusterPaths, cgroup: str) -> Mapping[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(Pki(paths.pki).ca)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        # There is no registry to fetch an image from again, so that none is ever removed.
        "imageGCHighThresholdPercent": 100,
        "kubeAPIBurst": 200,
        "kubeAPIQPS": 100,
        "makeIPTablesUtilChains": False,
        "maxPods": 250,
        "oomScoreAdj": 0,
        "resolvConf": str(paths.config / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def kube_proxy_config(paths: ClusterPaths, node: str) -> Mapping[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(paths.config / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_RANGE,
        "conntrack": {"maxPerCore": 0, "min": 0},  # a limit of the whole machine
        "hostnameOverride": node,
        "mode": "nftables",
        "oomScoreAdj": 0,
    }


def corefile(paths: ClusterPaths) -> str:
    """Names of the cluster; every other name does not exist, said at once, since there is no way out."""
    return f"""\
{CLUSTER_DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {paths.config / "coredns.kubeconfig"}
        pods insecure
        ttl 5
    }}
    cache 5
}}
.:53 {{
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""

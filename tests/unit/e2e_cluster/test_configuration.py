"""What the components are told."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path

import pytest

from e2e.cluster import addons, control_plane, node, node_settings
from e2e.cluster.control_plane import ADMIN, SCHEDULER, Endpoints
from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import ClusterPaths, cluster_paths

AT = Endpoints("198.18.0.2", 6443, 2379, 2380)
PATHS = ClusterPaths(Path("/run/modelcycle/state"))
# What a cluster sees of its own in place of the machine's, or what is written through one of our stand-ins.
OWN = ("/run/", "/var/lib/", "/var/log/", "/tmp/")


@pytest.mark.parametrize("alone", [True, False])
def test_requests_are_audited_in_every_cluster(alone: bool) -> None:
    flags = control_plane.apiserver(PATHS, Path("/bin"), AT, alone=alone).argv
    assert f"--audit-log-path={PATHS.audit_log}" in flags
    assert control_plane.audit_policy()["rules"] == [{"level": "Metadata"}]
    assert ("--disable-admission-plugins=ServiceAccount" in flags) == alone


def test_controllers_may_be_as_fast_as_a_load_test() -> None:
    manager = control_plane.controller_manager(PATHS, Path("/bin"), AT, port=10257)
    scheduler = control_plane.scheduler(PATHS, Path("/bin"), AT)
    for process in (manager, scheduler):
        assert {"--kube-api-qps=500", "--kube-api-burst=1000"} <= set(process.argv)


def test_tokens_are_csv_with_quoted_groups() -> None:
    rows = list(csv.reader(control_plane.token_file({ADMIN: "a", SCHEDULER: "b"}).splitlines()))
    assert rows == [["a", "admin", "admin", "system:masters"], ["b", SCHEDULER.name, SCHEDULER.name, ""]]


def test_the_kubeconfig_stands_on_its_own() -> None:
    content = json.loads(control_plane.kubeconfig("modelcycle-x", AT.server, b"PEM", "secret"))
    cluster = content["clusters"][0]["cluster"]
    assert cluster["server"] == "https://198.18.0.2:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"PEM"
    assert content["users"][0]["user"] == {"token": "secret"}
    assert content["current-context"] == content["contexts"][0]["name"]


def test_a_node_writes_below_its_own_folders_only() -> None:
    files = node.files(PATHS, "x", "x-node", "modelcycle-x", "/usr/lib/cni")
    settings = json.loads(files["kubelet.json"])
    assert settings["volumePluginDir"].startswith(OWN)
    assert settings["resolvConf"].startswith(OWN)
    assert settings["cgroupRoot"] == "/modelcycle-x"
    for line in files["containerd.toml"].splitlines():
        key, _, value = line.strip().partition(" = ")
        if value.startswith('"/'):
            assert key == "bin_dir" or value.strip('"').startswith(OWN), line


def test_a_node_leaves_settings_of_the_machine_alone() -> None:
    proxy = node.kube_proxy_config(PATHS, "x-node")
    assert proxy["conntrack"] == {"maxPerCore": 0, "min": 0}
    assert {"vm/overcommit_memory", "kernel/panic"} <= set(node.SYSCTLS)


def test_no_image_is_ever_removed() -> None:
    assert node.kubelet_config(PATHS, "modelcycle-x")["imageGCHighThresholdPercent"] == 100


def test_names_have_one_default_storage_class_and_one_dns_address() -> None:
    items = {
        (item["kind"], item["metadata"]["name"]): item for item in json.loads(addons.manifest("198.18.0.2"))["items"]
    }
    assert items["Service", "kube-dns"]["spec"]["clusterIP"] == node.DNS_ADDRESS
    slice_ = items["EndpointSlice", "kube-dns-node"]
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == "kube-dns"
    assert slice_["endpoints"][0]["addresses"] == ["198.18.0.2"]
    annotations = items["StorageClass", "standard"]["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_gpus_are_both_there_and_free() -> None:
    status = json.loads(node_settings.gpu_patch(3))["status"]
    assert status == {"capacity": {"nvidia.com/gpu": "3"}, "allocatable": {"nvidia.com/gpu": "3"}}


@pytest.mark.parametrize("name", ["", "..", "A", "a/b", "-a", "a-", "a" * 33, "a b"])
def test_a_name_is_safe_in_paths_and_for_the_kernel(name: str) -> None:
    with pytest.raises(ClusterError, match="is not a cluster name"):
        cluster_paths(name)

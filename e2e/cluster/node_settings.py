"""What every node of ours gets: labels, and GPUs that it does not have, so that scheduling is real."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster import kubectl
from e2e.cluster.options import Options


def apply(kubeconfig: Path, program: Path, node: str, options: Options) -> None:
    """Label the node and give it its GPUs; the same again changes nothing."""
    kubectl.run(kubeconfig, "label", "node", node, "--overwrite", *labels(options.name), program=program)
    patch = ("patch", "node", node, "--subresource=status", "--type=strategic", f"--patch={gpu_patch(options.gpus)}")
    kubectl.run(kubeconfig, *patch, program=program)


def labels(cluster: str) -> list[str]:
    return [
        f"modelcycle.dev/cluster={cluster}",
        "node.kubernetes.io/instance-type=local",
        "topology.kubernetes.io/region=local",
        "topology.kubernetes.io/zone=local",
    ]


def gpu_patch(gpus: int) -> str:
    """For the node's status; a strategic merge leaves what kubelet reports."""
    amount = {"nvidia.com/gpu": str(gpus)}
    return json.dumps({"status": {"capacity": amount, "allocatable": amount}})

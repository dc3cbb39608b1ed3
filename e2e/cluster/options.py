"""What the user of a cluster asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_NAME = "modelcycle"
DEFAULT_GPUS = 8


@dataclass(frozen=True)
class Options:
    name: str = DEFAULT_NAME
    control_plane_only: bool = False
    """etcd and kube-apiserver on free ports of loopback: needs no root, and is there in a few seconds."""
    controllers: bool = False
    """Beside those two kube-controller-manager (a full cluster has it anyway)."""
    gpus: int = DEFAULT_GPUS
    kubeconfig: Path | None = None
    """Of a cluster that exists already."""
    ephemeral: bool = False
    """The cluster (control plane only) ends with the process that asked for it, however that ends."""

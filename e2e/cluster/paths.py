"""Where things are kept: caches in the cache folder, all that belongs to one cluster in one folder of its own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import ClusterError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def cache_home() -> Path:
    return _home("XDG_CACHE_HOME", ".cache")


def state_home() -> Path:
    return _home("XDG_STATE_HOME", ".local/state")


def _home(variable: str, default: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / default).absolute() / "modelcycle"


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster. Its processes may see the same folder under another root."""

    root: Path

    @property
    def record(self) -> Path:
        return self.root / "cluster.json"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def processes(self) -> Path:
        return self.root / "processes.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def disk(self) -> Path:
        return self.root / "disk"

    @property
    def network_namespace(self) -> Path:
        return self.root / "netns"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"


def cluster_paths(name: str) -> ClusterPaths:
    if not _NAME.fullmatch(name):
        raise ClusterError(f"{name!r} is not a cluster name: use at most 32 lower case letters, digits and dashes")
    return ClusterPaths(state_home() / name)

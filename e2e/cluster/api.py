"""Clusters for tests and for the demo: `bring_up` one, use it, `tear_down`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import kubectl
from e2e.cluster.options import DEFAULT_GPUS, DEFAULT_NAME, Options
from e2e.cluster.paths import cluster_paths
from e2e.cluster.providers.base import Provider
from e2e.cluster.providers.choice import choose


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    name: str
    provider: Provider
    kubeconfig: Path

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON object a line, level Metadata (clusters of the local provider only)."""
        return cluster_paths(self.name).audit_log

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Run kubectl as the cluster's admin; returns what it prints, raises ClusterError when it fails."""
        return kubectl.run(self.kubeconfig, *arguments, input_=input, program=self.provider.kubectl())

    def load_image(self, archive: Path | str) -> None:
        """Import an OCI or Docker archive, so that pods can use its images."""
        self.provider.load_image(Path(archive))

    def audited(self) -> list[dict[str, object]]:
        """The audit log's events so far; a line that is being written is left for the next call."""
        lines = self.audit_log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def down(self) -> None:
        self.provider.down()


def bring_up(
    name: str = DEFAULT_NAME,
    *,
    provider: str = "auto",
    kubeconfig: Path | None = None,
    control_plane_only: bool = False,
    controllers: bool = False,
    gpus: int = DEFAULT_GPUS,
    ephemeral: bool = False,
) -> Cluster:
    """A cluster of this name, made unless it runs already.

    With `ephemeral` (control plane only) it ends with this process, even when this process is killed.
    """
    options = Options(name, control_plane_only, controllers, gpus, kubeconfig, ephemeral)
    chosen = choose(provider, options)
    chosen.up(options)
    return Cluster(name, chosen, chosen.kubeconfig())


def tear_down(name: str = DEFAULT_NAME, *, provider: str = "auto") -> None:
    """Take a cluster away; fine when there is none."""
    choose(provider, Options(name)).down()

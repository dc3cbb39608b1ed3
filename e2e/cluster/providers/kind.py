"""kind, where a Docker or Podman engine answers. Thin: kind does the work."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster import binaries, kubectl, node_settings
from e2e.cluster.errors import ClusterError
from e2e.cluster.options import Options
from e2e.cluster.paths import cluster_paths
from e2e.cluster.providers.base import Status
from e2e.progress import step

ENGINES = ("docker", "podman")
_ENGINE_SECONDS = 10


def run(command: Sequence[str]) -> str:
    """What a program prints; ClusterError with what it complains about."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ClusterError(f"{' '.join(command)} failed with {answer.returncode}: {answer.stderr.strip()[-2000:]}")
    return answer.stdout


def engine() -> str:
    """The first engine that answers (a command alone is not enough); empty when none does."""
    for name in ENGINES:
        if shutil.which(name):
            try:
                answer = subprocess.run([name, "info"], capture_output=True, check=False, timeout=_ENGINE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            if answer.returncode == 0:
                return name
    return ""


@dataclass(frozen=True)
class Kind:
    cluster: str
    name: str = "kind"
    run: Callable[[Sequence[str]], str] = field(default=run)

    @property
    def file(self) -> Path:
        return cluster_paths(self.cluster).root / "kind.kubeconfig"

    def up(self, options: Options) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.status().running:
            self._kind("export", "kubeconfig", "--name", self.cluster, "--kubeconfig", str(self.file))
        else:
            with step(f"creating the kind cluster {self.cluster}"):
                flags = ("--name", self.cluster, "--kubeconfig", str(self.file), "--wait", "180s")
                self._kind("create", "cluster", *flags)
        node_settings.apply(self.file, self.kubectl(), f"{self.cluster}-control-plane", options)

    def down(self) -> None:
        self._kind("delete", "cluster", "--name", self.cluster, "--kubeconfig", str(self.file))
        shutil.rmtree(self.file.parent, ignore_errors=True)

    def status(self) -> Status:
        running = self.cluster in self._kind("get", "clusters").split()
        return Status(running, (f"kubeconfig {self.file}",) if running else ("not running",))

    def load_image(self, archive: Path) -> None:
        self._kind("load", "image-archive", str(archive), "--name", self.cluster)

    def kubeconfig(self) -> Path:
        if not self.file.is_file():
            raise ClusterError(f"no kind cluster {self.cluster} was made here", do="python -m e2e.cluster up")
        return self.file

    def kubectl(self) -> Path:
        return kubectl.at_hand()

    def _kind(self, *arguments: str) -> str:
        # kind has to be told about Podman; Docker is what it takes by itself.
        provider = os.environ.get("KIND_EXPERIMENTAL_PROVIDER") or engine()
        return self.run(
            [
                "env",
                f"KIND_EXPERIMENTAL_PROVIDER={provider}",
                shutil.which("kind") or str(binaries.program("kind")),
                *arguments,
            ]
        )

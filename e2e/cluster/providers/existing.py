"""A cluster that somebody else looks after: used, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import kubectl
from e2e.cluster.errors import ClusterError
from e2e.cluster.options import Options
from e2e.cluster.providers.base import Status
from e2e.progress import say


@dataclass(frozen=True)
class Existing:
    file: Path
    name: str = "existing"

    def up(self, options: Options) -> None:
        status = self.status()
        if not status.running:
            raise ClusterError("; ".join(status.lines), do="check --kubeconfig or MODELCYCLE_KUBECONFIG")
        say(f"using the existing cluster of {self.file}; its nodes are left as they are (no GPUs are added)")

    def down(self) -> None:
        say(f"the cluster of {self.file} is not ours: left as it is")

    def status(self) -> Status:
        try:
            kubectl.run(self.kubeconfig(), "get", "--raw", "/readyz", program=self.kubectl())
        except ClusterError as error:
            return Status(running=False, lines=(f"the cluster of {self.file} does not answer", str(error)))
        return Status(running=True, lines=(f"the cluster of {self.file} answers",))

    def load_image(self, archive: Path) -> None:
        raise ClusterError(
            f"{archive.name} can't be loaded into a cluster that is not ours",
            do="push images to a registry that it can reach (`make images REPOSITORY=...`) and name that in the chart",
        )

    def kubeconfig(self) -> Path:
        if not self.file.is_file():
            raise ClusterError(f"no kubeconfig at {self.file}")
        return self.file

    def kubectl(self) -> Path:
        return kubectl.at_hand()

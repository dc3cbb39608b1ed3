"""A real control plane whose nodes are KWOK's: nothing runs in their pods, which end by themselves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import Cluster, bring_up
from e2e.cluster.binaries import program

STAGES = Path(__file__).with_name("stages.yaml")
CRDS = Path(__file__).parents[2] / "crds"
NODES = 10


@dataclass(frozen=True)
class Plane:
    cluster: Cluster
    folder: Path
    """For logs."""

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig


@contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """Bring it up with our CRDs and ten nodes; it ends with the block, and with this process."""
    programs = {name: program(name) for name in ("kube-scheduler", "kwok")}
    cluster = bring_up(f"scale-{os.getpid()}", control_plane_only=True, controllers=True, ephemeral=True)
    with ExitStack() as stack:
        stack.callback(cluster.down)
        made = Plane(cluster, folder)
        scheduler = (
            f"--kubeconfig={cluster.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )
        kwok = (
            f"--kubeconfig={cluster.kubeconfig}",
            f"--config={STAGES}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40",
        )
        for name, flags in (("kube-scheduler", scheduler), ("kwok", kwok)):
            stack.enter_context(child([str(programs[name]), *flags], folder / f"{name}.log"))
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        cluster.kubectl("apply", "-f", "-", input="---\n".join(map(_node, range(NODES))))
        cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
        yield made


@contextmanager
def child(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and with this process."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/usr/bin/setpriv", "--pdeathsig", "KILL", *command], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _node(number: int) -> str:
    return f"apiVersion: v1\nkind: Node\nmetadata:\n  name: kwok-{number}\n  labels: {{type: kwok}}\n"

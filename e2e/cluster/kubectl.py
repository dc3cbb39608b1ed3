"""Running kubectl against one kubeconfig, whatever the user's own says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from e2e.cluster import binaries
from e2e.cluster.errors import ClusterError


def run(kubeconfig: Path, *arguments: str, input_: str | None = None, program: Path | None = None) -> str:
    """What kubectl prints; ClusterError with what it complains about."""
    command = [str(program or binaries.program("kubectl")), f"--kubeconfig={kubeconfig}", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    answer = subprocess.run(
        command, input=input_, stdin=None if input_ is not None else subprocess.DEVNULL,
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if answer.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)} failed with {answer.returncode}: {answer.stderr.strip()}")
    return answer.stdout


def at_hand() -> Path:
    """A kubectl for clusters that are not ours: the user's, since building one takes minutes."""
    found = shutil.which("kubectl")
    return Path(found) if found else binaries.program("kubectl")

"""Clusters for labs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import Cluster, bring_up

CRDS = Path(__file__).parents[3] / "crds"


@contextmanager
def control_plane_with_crds(name: str) -> Iterator[Cluster]:
    """A kube-apiserver with our CRDs; gone at the end, also when this process is killed."""
    cluster = bring_up(f"{name}-{os.getpid()}", control_plane_only=True, ephemeral=True)
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
    yield cluster
    cluster.down()

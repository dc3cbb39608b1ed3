"""Which provider a machine gets."""

from __future__ import annotations

import os
from pathlib import Path

from e2e.cluster.errors import ClusterError
from e2e.cluster.options import Options
from e2e.cluster.paths import cluster_paths
from e2e.cluster.providers import kind
from e2e.cluster.providers.base import Provider
from e2e.cluster.providers.existing import Existing
from e2e.cluster.providers.kind import Kind
from e2e.cluster.providers.local import Local

PROVIDERS = ("auto", "existing", "kind", "local")
KUBECONFIG_VARIABLE = "MODELCYCLE_KUBECONFIG"


def choose(wanted: str, options: Options) -> Provider:
    """The provider that was asked for, or else the first of existing, kind and local that fits.

    The user's current context is never taken: an existing cluster has to be named.
    """
    if options.kubeconfig and (wanted not in {"auto", "existing"} or options.control_plane_only):
        raise ClusterError("--kubeconfig names an existing cluster, and another kind of cluster was asked for")
    if wanted == "auto":
        wanted = _fitting(options)
    if wanted == "existing":
        return Existing(_named_kubeconfig(options))
    return Kind(options.name) if wanted == "kind" else Local(options.name)


def _fitting(options: Options) -> str:
    if options.control_plane_only:
        return "local"
    if options.kubeconfig or os.environ.get(KUBECONFIG_VARIABLE):
        return "existing"
    if Kind(options.name).file.exists():
        return "kind"
    if cluster_paths(options.name).root.exists():
        return "local"
    return "kind" if kind.engine() else "local"


def _named_kubeconfig(options: Options) -> Path:
    named = options.kubeconfig or os.environ.get(KUBECONFIG_VARIABLE)
    if not named:
        raise ClusterError("which existing cluster?", do=f"give --kubeconfig FILE or set {KUBECONFIG_VARIABLE}")
    return Path(named)

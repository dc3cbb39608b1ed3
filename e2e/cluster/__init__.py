"""A Kubernetes cluster for developers, tests and the demo (design section 4)."""

from e2e.cluster.api import Cluster, bring_up, tear_down
from e2e.cluster.errors import ClusterError
from e2e.cluster.leftovers import leftovers

__all__ = ["Cluster", "ClusterError", "bring_up", "leftovers", "tear_down"]

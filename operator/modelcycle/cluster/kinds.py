"""Every kind of object that the operator touches. A table instead of discovery: no request at start, least RBAC."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from modelcycle.api.v1alpha1.common import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """``name`` is the Kubernetes ``kind``; unique in this table. ``group`` is empty for the core API."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of a collection (no name), an object, or its subresource; all namespaces without ``namespace``."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        parts = [root + within, self.plural, *(part for part in (name, subresource) if part)]
        return "/".join(parts)


MODEL_TRAINING = Kind(GROUP, VERSION, "modeltrainings", "ModelTraining")
MODEL_DEPLOYMENT = Kind(GROUP, VERSION, "modeldeployments", "ModelDeployment")
RETRAIN_POLICY = Kind(GROUP, VERSION, "retrainpolicies", "RetrainPolicy")
JOB = Kind("batch", "v1", "jobs", "Job")
POD = Kind("", "v1", "pods", "Pod")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
SERVICE = Kind("", "v1", "services", "Service")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)

OURS = (MODEL_TRAINING, MODEL_DEPLOYMENT, RETRAIN_POLICY)
CHILDREN = (JOB, POD, DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET)  # watched, those with our label only
KINDS = MappingProxyType({kind.name: kind for kind in (*OURS, *CHILDREN, SECRET, CONFIG_MAP, LEASE, EVENT, NAMESPACE)})


def kind_of(api_version: str, name: str) -> Kind:
    """The table's row. Raises ``KeyError`` for a kind that the operator doesn't know: a bug, not a user's mistake."""
    kind = KINDS[name]
    if kind.api_version != api_version:
        raise KeyError(f"{name} is known in {kind.api_version}, not in {api_version}")
    return kind

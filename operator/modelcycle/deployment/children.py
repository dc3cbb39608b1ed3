"""Builders of what a deployment owns: Deployments, Services, a disruption budget, the Secret with the feedback key."""

from __future__ import annotations

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import API_VERSION
from modelcycle.api.v1alpha1.deployment import RetiringVersion, ServedVersion
from modelcycle.core.hashing import short_hash
from modelcycle.core.names import child_name, label_value
from modelcycle.core.plan import Manifest
from modelcycle.deployment import template
from modelcycle.deployment.scene import ModelDeployment
from modelcycle.settings import MlflowEndpoint

COMPONENT = "serving"
SERVICE_PORT = 80


def labels(deployment: ModelDeployment) -> dict[str, str]:
    return {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_COMPONENT: COMPONENT,
        names.LABEL_OWNER_KIND: "md",
        names.LABEL_OWNER_NAME: label_value(deployment.name),
        names.LABEL_OWNER_UID: deployment.uid,
    }


def version_labels(deployment: ModelDeployment, served: ServedVersion) -> dict[str, str]:
    return labels(deployment) | {
        names.LABEL_DEPLOYMENT: label_value(deployment.name),
        names.LABEL_MODEL_VERSION: served.version,
        names.LABEL_REVISION: str(served.revision),
    }


def pod_selector(deployment: ModelDeployment) -> dict[str, str]:
    """All serving pods, of whatever version."""
    return {names.LABEL_COMPONENT: COMPONENT, names.LABEL_OWNER_UID: deployment.uid}


def selector_text(deployment: ModelDeployment) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(pod_selector(deployment).items()))


def url(deployment: ModelDeployment) -> str:
    return f"http://{deployment.name}.{deployment.namespace}.svc"


def peers_name(deployment: ModelDeployment) -> str:
    return child_name(deployment.name, deployment.uid, "peers")


def secret_name(deployment: ModelDeployment) -> str:
    return child_name(deployment.name, deployment.uid, "feedback")


def budget_name(deployment: ModelDeployment) -> str:
    return child_name(deployment.name, deployment.uid, "pdb")


def workload_name(deployment: ModelDeployment, served: ServedVersion | RetiringVersion) -> str:
    return child_name(deployment.name, deployment.uid, f"v{served.version}-r{served.revision}")


def workload(deployment: ModelDeployment, served: ServedVersion, endpoint: MlflowEndpoint, replicas: int) -> Manifest:
    """The Deployment of one version. A changed spec rolls its pods one by one, none taken before one is ready."""
    own = version_labels(deployment, served)
    selector = pod_selector(deployment) | {
        names.LABEL_MODEL_VERSION: served.version,
        names.LABEL_REVISION: str(served.revision),
    }
    return _child(deployment, "apps/v1", "Deployment", workload_name(deployment, served), own) | {
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "selector": {"matchLabels": selector},
            "template": _template(deployment, served, endpoint, own, selector),
        }
    }


def _template(
    deployment: ModelDeployment,
    served: ServedVersion,
    endpoint: MlflowEndpoint,
    own: dict[str, str],
    selector: dict[str, str],
) -> Manifest:
    peers = f"{peers_name(deployment)}.{deployment.namespace}.svc"
    spec = template.pod(deployment, served, endpoint, secret_name(deployment), peers)
    spec["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
    scrape = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(names.PORT_METRICS),
        "prometheus.io/path": "/metrics",
    }
    return {"metadata": {"labels": own, "annotations": scrape}, "spec": spec}


def template_hash(deployment: ModelDeployment, served: ServedVersion, endpoint: MlflowEndpoint) -> str:
    return short_hash(workload(deployment, served, endpoint, 0)["spec"]["template"])


def client_service(deployment: ModelDeployment) -> Manifest:
    """What clients talk to, under the deployment's own name, over all versions: its URL never changes."""
    return _child(deployment, "v1", "Service", deployment.name, labels(deployment)) | {
        "spec": {
            "selector": pod_selector(deployment),
            "ports": [
                {"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}
            ],
        }
    }


def peers_service(deployment: ModelDeployment) -> Manifest:
    """Headless: the addresses of all ready replicas, by which they share out feedback."""
    return _child(deployment, "v1", "Service", peers_name(deployment), labels(deployment)) | {
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": False,
            "selector": pod_selector(deployment),
            "ports": [{"name": "http", "port": names.PORT_HTTP, "targetPort": "http", "protocol": "TCP"}],
        }
    }


def budget(deployment: ModelDeployment) -> Manifest:
    """One pod at a time may be evicted. Not made for a single pod: it would keep its node from ever being drained."""
    return _child(deployment, "policy/v1", "PodDisruptionBudget", budget_name(deployment), labels(deployment)) | {
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": pod_selector(deployment)}}
    }


def feedback_secret(deployment: ModelDeployment) -> Manifest:
    """Without its content, which is random and made by the effect that creates it."""
    body = _child(deployment, "v1", "Secret", secret_name(deployment), labels(deployment))
    return body | {"type": "Opaque", "immutable": True}


def _child(deployment: ModelDeployment, api_version: str, kind: str, name: str, own: dict[str, str]) -> Manifest:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": deployment.namespace,
            "labels": own,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "ModelDeployment",
                    "name": deployment.name,
                    "uid": deployment.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }

"""Builder of the serving pods' template: ``docs/reference/pods.md`` in Kubernetes' words.

A change to what this module builds restarts the pods of every deployment when the operator is upgraded. A test holds
its output against a committed copy, so that nobody does that unawares.
"""

from __future__ import annotations

import json
from decimal import Decimal

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import EnvVar, Resources
from modelcycle.api.v1alpha1.deployment import DeploymentSpec, ServedVersion, SmokeStep
from modelcycle.core.plan import Manifest
from modelcycle.core.pods import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    env_sources,
    placement,
    pull_secrets,
    resources,
)
from modelcycle.deployment.scene import ModelDeployment
from modelcycle.settings import MlflowEndpoint

CONTAINER = "serve"
FETCH = "fetch"
PRE_STOP_SECONDS = 5
"""Until the endpoints know that a pod ends, requests still reach it."""
SPARE_SECONDS = 15
START_SECONDS = 600


def pod(
    deployment: ModelDeployment, served: ServedVersion, endpoint: MlflowEndpoint, secret: str, peers: str
) -> Manifest:
    """Spec of a serving pod. ``secret`` holds the feedback key, ``peers`` is the DNS name of all replicas."""
    spec = deployment.spec
    tmp = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 (an emptyDir: the root file system is read only)
    body: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": RESTRICTED_POD,
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + spec.serving.drain_seconds + SPARE_SECONDS,
        "initContainers": [_fetch(spec, served, endpoint, tmp)],
        "containers": [_serve(deployment, served, peers, tmp)],
        "volumes": [
            {"name": "model", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "feedback", "secret": {"secretName": secret, "defaultMode": 0o440}},
        ],
    }
    return body | placement(spec.placement) | pull_secrets(spec.image_pull_secrets)


def _fetch(spec: DeploymentSpec, served: ServedVersion, endpoint: MlflowEndpoint, tmp: Manifest) -> Manifest:
    order: Manifest = {
        "trackingUri": endpoint.pod_url or endpoint.url,
        "modelRoot": served.model_root,
        "runRoot": served.run_root,
        "target": names.MODEL_DIR,
        "files": [[file.path, file.size, file.sha256] for file in served.files],
    }
    if endpoint.pod_cache:
        order["cache"] = endpoint.pod_cache
    container: Manifest = {
        "name": FETCH,
        "image": image(spec, served),
        "command": ["python", "-m", "modelcycle_runtime.fetch"],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": names.ENV_FETCH, "value": _json(order)}],  # noqa: S108
        "resources": resources(spec.resources.evolve(gpu=0)),
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "model", "mountPath": names.MODEL_DIR}, tmp],
    }
    credentials = env_sources(endpoint.pod_secret)
    return container | ({"envFrom": credentials} if credentials else {})


def _serve(deployment: ModelDeployment, served: ServedVersion, peers: str, tmp: Manifest) -> Manifest:
    spec = deployment.spec
    own = [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108
        {"name": names.ENV_SERVE, "value": _json(orders(deployment, served, peers))},
    ]
    return {
        "name": CONTAINER,
        "image": image(spec, served),
        "command": ["python", "-m", "modelcycle_runtime.serve"],
        "env": own + [_env(variable) for variable in spec.env],
        "ports": [
            {"name": "http", "containerPort": names.PORT_HTTP},
            {"name": "metrics", "containerPort": names.PORT_METRICS},
        ],
        "resources": resources(spec.resources),
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": _probe("/readyz", period=2, failures=START_SECONDS // 2),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        # Says only that the process lives, whatever the model does: a slow model must not be killed for it.
        "livenessProbe": _probe("/livez", period=10, failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "volumeMounts": [
            {"name": "model", "mountPath": names.MODEL_DIR, "readOnly": True},
            {"name": "feedback", "mountPath": names.FEEDBACK_KEY_FILE.rpartition("/")[0], "readOnly": True},
            tmp,
        ],
    }


def orders(deployment: ModelDeployment, served: ServedVersion, peers: str) -> Manifest:
    """``MODELCYCLE_SERVE``."""
    spec = deployment.spec
    smoke = next((step.smoke for step in spec.rollout.steps if step.smoke), SmokeStep())
    return {
        "model": spec.model.name,
        "version": served.version,
        "digest": served.digest or "",
        "modelDir": names.MODEL_DIR,
        "deployment": f"{deployment.namespace}/{deployment.name}",
        "feedbackKeyFile": names.FEEDBACK_KEY_FILE,
        "peers": peers,
        "loss": spec.feedback.loss.value,
        "pinballQuantile": spec.feedback.pinball_quantile_percent / 100,
        "duplicateWindowRows": spec.feedback.duplicate_window_rows,
        "maxRequestsPerConnection": spec.serving.max_requests_per_connection,
        "maxBodyBytes": spec.serving.max_body_bytes,
        "drainSeconds": spec.serving.drain_seconds,
        "smoke": {"absoluteTolerance": smoke.absolute_tolerance, "relativeTolerance": smoke.relative_tolerance},
        "cpus": cpus(spec.resources),
    }


def image(spec: DeploymentSpec, served: ServedVersion) -> str | None:
    """What the spec says; else what the version was started with, so that a new operator restarts nobody's pods."""
    return spec.image or served.image


def cpus(wanted: Resources) -> int:
    """Whole CPUs that the server may keep busy, at least one: ONNX Runtime does not look at cgroup limits itself."""
    quantity = wanted.cpu_limit or wanted.cpu
    number = Decimal(quantity[:-1]) / 1000 if quantity.endswith("m") else Decimal(quantity.rstrip("kMGTi"))
    return max(1, int(number))


def _probe(path: str, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": 5 if period > 2 else 2,
        "failureThreshold": failures,
    }


def _env(variable: EnvVar) -> Manifest:
    if variable.secret_key_ref:
        return {"name": variable.name, "valueFrom": {"secretKeyRef": variable.secret_key_ref.manifest()}}
    if variable.config_map_key_ref:
        return {"name": variable.name, "valueFrom": {"configMapKeyRef": variable.config_map_key_ref.manifest()}}
    return {"name": variable.name, "value": variable.value or ""}


def _json(value: Manifest) -> str:
    return json.dumps(value, sort_keys=True)

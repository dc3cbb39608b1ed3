"""Builders of what a policy makes: ModelTrainings, which outlive it, and the evaluation Job of the gate."""

from __future__ import annotations

import json
from dataclasses import dataclass

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import API_VERSION, ModelFile
from modelcycle.api.v1alpha1.retrain_status import Cycle
from modelcycle.core.extents import withheld
from modelcycle.core.names import child_name, label_value
from modelcycle.core.plan import Manifest
from modelcycle.core.pods import RESTRICTED_CONTAINER, RESTRICTED_POD, env_sources, placement, pull_secrets, resources
from modelcycle.retrain.observed import Deployment, Policy
from modelcycle.settings import MlflowEndpoint

GATE = "gate"


@dataclass(frozen=True, slots=True)
class Contender:
    """A version as the gate fetches it."""

    version: str
    run_id: str
    model_root: str
    run_root: str
    files: tuple[ModelFile, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a gate compares, for whom and with what. ``champion``: None when there is none; ``image``: serves both."""

    policy: Policy
    deployment: Deployment
    cycle: Cycle
    challenger: Contender
    champion: Contender | None
    endpoint: MlflowEndpoint
    image: str


def training_name(policy: Policy, number: int) -> str:
    return child_name(policy.name, policy.uid, number)


def gate_name(policy: Policy, number: int) -> str:
    return child_name(policy.name, policy.uid, f"gate-{number}")


def training(policy: Policy, deployment: Deployment, cycle: Cycle) -> Manifest:
    """The ModelTraining of a cycle. It has no owner reference: what was trained outlives the policy."""
    spec = policy.spec
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_POLICY: label_value(policy.name),
        names.LABEL_POLICY_UID: policy.uid,
        names.LABEL_CYCLE: str(cycle.number),
    }
    body = spec.template.manifest() | {"register": {"model": deployment.spec.model.name}}
    holdout: Manifest = {"extent": spec.gate.holdout.manifest()}
    if spec.gate.gap:
        holdout["gap"] = spec.gate.gap.manifest()
    body["holdout"] = holdout
    if cycle.as_of:
        body["asOf"] = cycle.manifest()["asOf"]
    metadata = {"name": cycle.training, "namespace": policy.namespace, "labels": labels}
    return {"apiVersion": API_VERSION, "kind": "ModelTraining", "metadata": metadata, "spec": body}


def gate_job(evaluation: Evaluation) -> Manifest:
    """The evaluation Job: fetches both versions, then judges them on the withheld rows."""
    policy, number = evaluation.policy, evaluation.cycle.number
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_COMPONENT: GATE,
        names.LABEL_OWNER_KIND: "rp",
        names.LABEL_OWNER_NAME: label_value(policy.name),
        names.LABEL_OWNER_UID: policy.uid,
        names.LABEL_CYCLE: str(number),
    }
    owner = {
        "apiVersion": API_VERSION,
        "kind": "RetrainPolicy",
        "name": policy.name,
        "uid": policy.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    champion = {names.LABEL_MODEL_VERSION: evaluation.champion.version} if evaluation.champion else {}
    metadata = {
        "name": gate_name(policy, number),
        "namespace": policy.namespace,
        "labels": labels | champion,
        "ownerReferences": [owner],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": policy.spec.gate.deadline_seconds,
            "template": {"metadata": {"labels": labels}, "spec": _pod(evaluation)},
        },
    }


def _pod(evaluation: Evaluation) -> Manifest:
    policy, deployment = evaluation.policy, evaluation.deployment
    fetches = [_fetch("fetch-challenger", names.CHALLENGER_DIR, evaluation.challenger, evaluation)]
    if evaluation.champion is not None:
        fetches.insert(0, _fetch("fetch-champion", names.CHAMPION_DIR, evaluation.champion, evaluation))
    source = next(entry for entry in policy.spec.template.data if entry.name == policy.spec.gate.data.source)
    claim = source.persistent_volume_claim
    mount: Manifest = {"name": "data", "mountPath": source.path, "readOnly": True}
    if claim.sub_path:
        mount["subPath"] = claim.sub_path
    judge = {
        **_container(GATE, "modelcycle_runtime.evaluate", evaluation),
        "env": [*_HOME, {"name": names.ENV_GATE, "value": json.dumps(_rules(evaluation), sort_keys=True)}],
        "resources": resources(deployment.spec.resources),
        "volumeMounts": [*_MOUNTS, mount],
    }
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": RESTRICTED_POD,
        "initContainers": fetches,
        "containers": [judge],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "models", "emptyDir": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": claim.claim_name, "readOnly": True}},
        ],
    }
    return pod | placement(policy.spec.template.placement) | pull_secrets(deployment.spec.image_pull_secrets)


_HOME: list[Manifest] = [{"name": "HOME", "value": "/tmp"}]  # noqa: S108 (an emptyDir)
_MOUNTS: list[Manifest] = [
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    {"name": "models", "mountPath": "/modelcycle"},
]


def _container(name: str, module: str, evaluation: Evaluation) -> Manifest:
    container: Manifest = {
        "name": name,
        "image": evaluation.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", module],
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    sources = env_sources(evaluation.endpoint.pod_secret)
    return container | ({"envFrom": sources} if sources else {})


def _fetch(name: str, target: str, contender: Contender, evaluation: Evaluation) -> Manifest:
    endpoint = evaluation.endpoint
    wanted: Manifest = {
        "trackingUri": endpoint.pod_url or endpoint.url,
        "modelRoot": contender.model_root,
        "runRoot": contender.run_root,
        "target": target,
        "files": [[file.path, file.size, file.sha256] for file in contender.files],
    }
    if endpoint.pod_cache:
        wanted["cache"] = endpoint.pod_cache
    return {
        **_container(name, "modelcycle_runtime.fetch", evaluation),
        "env": [*_HOME, {"name": names.ENV_FETCH, "value": json.dumps(wanted, sort_keys=True)}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": _MOUNTS,
    }


def _rules(evaluation: Evaluation) -> Manifest:
    policy, cycle, endpoint = evaluation.policy, evaluation.cycle, evaluation.endpoint
    challenger, champion = evaluation.challenger, evaluation.champion
    gate, feedback = policy.spec.gate, evaluation.deployment.spec.feedback
    table = next(d.path for d in policy.spec.template.data if d.name == gate.data.source)
    return {
        "trackingUri": endpoint.pod_url or endpoint.url,
        "challengerDir": names.CHALLENGER_DIR,
        "championDir": names.CHAMPION_DIR if champion else None,
        "challenger": challenger.version,
        "champion": champion.version if champion else None,
        "runId": challenger.run_id,
        "evidencePath": f"modelcycle/gate-{cycle.number}.json",
        "table": f"{table.rstrip('/')}/{gate.data.file}",
        "timeColumn": gate.data.time_column,
        "labelColumn": gate.data.label_column,
        "knownColumn": gate.data.known_column,
        "asOf": cycle.manifest().get("asOf"),
        "holdout": withheld(gate.holdout, gate.gap),
        "minRows": gate.min_rows,
        "alpha": gate.alpha,
        "minImprovementPercent": gate.min_improvement_percent,
        "maxLoss": gate.max_loss,
        "loss": feedback.loss.value,
        "pinballQuantile": feedback.pinball_quantile_percent / 100,
    }

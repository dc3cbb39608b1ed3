"""Builders of what a training owns: copies of its ConfigMaps, and one Job for each attempt."""

from __future__ import annotations

import json
from typing import Any

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import API_VERSION, EnvVar
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.core.extents import withheld
from modelcycle.core.hashing import canonical
from modelcycle.core.names import child_name, label_value
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Manifest
from modelcycle.core.pods import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    env_sources,
    placement,
    pull_secrets,
    resources,
)
from modelcycle.settings import MlflowEndpoint
from modelcycle.training.effects import KeepConfigMap, Pick
from modelcycle.training.failures import CONTAINER

FILES, VARIABLES = "files", "variables"  # fields of KeptCode, and ends of the copies' names
Training = Resource[TrainingSpec, TrainingStatus]


def owner_reference(training: Training) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelTraining",
        "name": training.name,
        "uid": training.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def labels(training: Training, attempt: int) -> dict[str, str]:
    return _owner_labels(training) | {names.LABEL_ATTEMPT: str(attempt)}


def _owner_labels(training: Training) -> dict[str, str]:
    return {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_COMPONENT: "training",
        names.LABEL_OWNER_KIND: "mt",
        names.LABEL_OWNER_NAME: label_value(training.name),
        names.LABEL_OWNER_UID: training.uid,
    }


def job_name(training: Training, attempt: int) -> str:
    return child_name(training.name, training.uid, attempt)


def copies(training: Training, attempt: int = 1) -> dict[str, KeepConfigMap]:
    """What of its ConfigMaps is to be there before ``attempt``, by the field of ``KeptCode``."""
    spec = training.spec
    picks: dict[str, tuple[Pick, ...]] = {
        FILES: (Pick(spec.config_map),) if spec.config_map else (),
        VARIABLES: tuple(
            Pick(ref.name, ref.key, variable.name) for variable in spec.env if (ref := variable.config_map_key_ref)
        ),
    }
    return {
        part: KeepConfigMap(canonical(_copy(training, part)).decode(), wanted, attempt)
        for part, wanted in picks.items()
        if wanted
    }


def _copy(training: Training, part: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": copy_name(training, part),
            "namespace": training.namespace,
            "labels": _owner_labels(training),
            "ownerReferences": [owner_reference(training)],
        },
    }


def copy_name(training: Training, part: str) -> str:
    return child_name(training.name, training.uid, part)


def job(
    training: Training, endpoint: MlflowEndpoint, run_id: str, attempt: int, remaining: int, told: int | None = None
) -> Manifest:
    """The Job of one attempt, which may take ``remaining`` seconds; equal arguments give equal manifests.

    ``told``: the deadline that the pods of a Job that exists were told, since that can't be changed any more.
    """
    metadata = {
        "name": job_name(training, attempt),
        "namespace": training.namespace,
        "labels": labels(training, attempt),
        "ownerReferences": [owner_reference(training)],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            # One pod and one try: attempts are ours, since only we know whose budget the next one is on.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": max(1, remaining),
            "suspend": training.spec.suspend,
            "template": {
                "metadata": {"labels": labels(training, attempt)},
                "spec": _pod(training, endpoint, run_id, attempt, told or remaining),
            },
        },
    }


def _pod(training: Training, endpoint: MlflowEndpoint, run_id: str, attempt: int, remaining: int) -> Manifest:
    spec = training.spec
    container: Manifest = {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy.value,
        "env": _environment(training, endpoint, run_id, attempt, remaining) + [_env(training, e) for e in spec.env],
        "resources": resources(spec.resources),
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(spec),
    }
    optional = {
        "command": list(spec.command),
        "args": list(spec.args),
        "envFrom": env_sources(endpoint.pod_secret),
        "workingDir": names.WORKSPACE_DIR if spec.config_map else None,
    }
    container |= {key: value for key, value in optional.items() if value}
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": RESTRICTED_POD,
        "containers": [container],
        "volumes": _volumes(training),
    }
    if spec.service_account_name:
        pod["serviceAccountName"] = spec.service_account_name
    return pod | placement(spec.placement) | pull_secrets(spec.image_pull_secrets)


def _env(training: Training, variable: EnvVar) -> Manifest:
    if variable.secret_key_ref:
        return {"name": variable.name, "valueFrom": {"secretKeyRef": variable.secret_key_ref.manifest()}}
    if variable.config_map_key_ref:
        reference = {"name": copy_name(training, VARIABLES), "key": variable.name}
        if _follows_the_original(training):
            reference = variable.config_map_key_ref.manifest()
        return {"name": variable.name, "valueFrom": {"configMapKeyRef": reference}}
    return {"name": variable.name, "value": variable.value or ""}


def _environment(
    training: Training, endpoint: MlflowEndpoint, run_id: str, attempt: int, remaining: int
) -> list[Manifest]:
    spec = training.spec
    values: dict[str, Any] = {
        "HOME": "/tmp",  # noqa: S108 (an emptyDir: the root file system is read only)
        names.ENV_TRACKING_URI: endpoint.pod_url or endpoint.url,
        names.ENV_RUN_ID: run_id,
        names.ENV_TRAINING: f"{training.namespace}/{training.name}",
        names.ENV_ATTEMPT: str(attempt),
        names.ENV_SEED: str(spec.seed),
        names.ENV_DEADLINE: str(max(1, remaining)),
        names.ENV_PARAMETERS: json.dumps({p.name: p.value for p in spec.parameters}, sort_keys=True),
        names.ENV_DATA: json.dumps({d.name: d.path for d in spec.data}, sort_keys=True),
    }
    if spec.as_of:
        values[names.ENV_AS_OF] = spec.manifest()["asOf"]
    if spec.holdout:
        values[names.ENV_HOLDOUT] = json.dumps(withheld(spec.holdout.extent, spec.holdout.gap), sort_keys=True)
    return [{"name": name, "value": value} for name, value in values.items()]


def _mounts(spec: TrainingSpec) -> list[Manifest]:
    mounts: list[Manifest] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if spec.config_map:
        mounts.append({"name": "workspace", "mountPath": names.WORKSPACE_DIR, "readOnly": True})
    for source in spec.data:
        mount = {"name": f"data-{source.name}", "mountPath": source.path, "readOnly": True}
        if source.persistent_volume_claim.sub_path:
            mount["subPath"] = source.persistent_volume_claim.sub_path
        mounts.append(mount)
    return mounts


def _follows_the_original(training: Training) -> bool:
    """Whether its attempt was started by an operator that kept no copies: the Job's template can't be changed."""
    return training.status.code is None


def _volumes(training: Training) -> list[Manifest]:
    spec = training.spec
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}]
    if spec.config_map:
        name = spec.config_map if _follows_the_original(training) else copy_name(training, FILES)
        volumes.append({"name": "workspace", "configMap": {"name": name}})
    for source in spec.data:
        claim = {"claimName": source.persistent_volume_claim.claim_name, "readOnly": True}
        volumes.append({"name": f"data-{source.name}", "persistentVolumeClaim": claim})
    return volumes

"""Who a training is, outside of the cluster: its key, and the tags by which MLflow's runs and versions name it."""

from __future__ import annotations

import json

from modelcycle import constants as names
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.core.hashing import sha256
from modelcycle.registry.port import Tags
from modelcycle.training.children import Training

# What may change after creation does not make it another training.
_CHANGEABLE = {"suspend", "ttl_seconds_after_finished", "deadline_seconds"}


def key(cluster_id: str, training: Training) -> str:
    """sha256 of cluster, namespace, name and spec: equal for the same resource restored from a backup or from Git.

    Fields at their default are left out, so that a new field in a later version changes no key.
    """
    spec = training.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_CHANGEABLE)
    return sha256([cluster_id, training.namespace, training.name, spec])


def run_tags(cluster_id: str, training: Training, key: str) -> Tags:
    """Tags of the MLflow run."""
    spec = training.spec
    tags = {
        names.TAG_KEY: key,
        names.TAG_UID: training.uid,
        names.TAG_TRAINING: f"{cluster_id}/{training.namespace}/{training.name}",
        names.TAG_PARAMETERS: parameters_digest(spec),
    }
    if spec.as_of:
        tags[names.TAG_AS_OF] = spec.manifest()["asOf"]
    for label, tag in ((names.LABEL_POLICY, names.TAG_POLICY), (names.LABEL_CYCLE, names.TAG_CYCLE)):
        if label in training.labels:
            tags[tag] = training.labels[label]
    return tuple(sorted(tags.items()))


def version_tags(cluster_id: str, training: Training, status: TrainingStatus) -> Tags:
    """Lineage of a model version: the run's tags, and what is known after the training."""
    tags = dict(run_tags(cluster_id, training, status.key or ""))
    if status.image_digest:
        tags[names.TAG_IMAGE] = status.image_digest
    tags[names.TAG_CODE] = code_digest(training.spec, status.image_digest)
    if status.data:
        tags[names.TAG_DATA] = status.data.digest
    return tuple(sorted(tags.items()))


def parameters_digest(spec: TrainingSpec) -> str:
    return sha256(sorted((p.name, p.value) for p in spec.parameters))


def code_digest(spec: TrainingSpec, image_digest: str | None) -> str:
    """Digest of what was run: the image and how it was called."""
    return sha256([image_digest or spec.image, json.loads(json.dumps([spec.command, spec.args])), spec.config_map])

"""Who a training is, outside of the cluster: its key, and the tags by which MLflow's runs and versions name it."""

from __future__ import annotations

from typing import Any

from modelcycle import constants as names
from modelcycle.api.v1alpha1.training import KeptCode, TrainingSpec, TrainingStatus
from modelcycle.core.hashing import sha256
from modelcycle.registry.port import Tags
from modelcycle.training import children
from modelcycle.training.children import Training

# What may change after creation does not make it another training, nor do the names of ConfigMaps.
_NOT_IN_THE_KEY: Any = {
    "suspend": True,
    "ttl_seconds_after_finished": True,
    "deadline_seconds": True,
    "config_map": True,
    "env": {"__all__": {"config_map_key_ref"}},
}


def key(cluster_id: str, training: Training, code: KeptCode) -> str:
    """sha256 of cluster, namespace, name, spec and what its ConfigMaps hold.

    It is equal for the same resource restored from a backup or from Git. ConfigMaps count by their content and not by
    their names. Fields at their default are left out, so that a new field in a later version changes no key.
    """
    spec = training.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_IN_THE_KEY)
    content = code.manifest()
    return sha256([cluster_id, training.namespace, training.name, spec, *([content] if content else [])])


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
    code = code_digest(training, status)
    if code:
        tags[names.TAG_CODE] = code
    if status.data:
        tags[names.TAG_DATA] = status.data.digest
    return tuple(sorted(tags.items()))


def parameters_digest(spec: TrainingSpec) -> str:
    return sha256(sorted((p.name, p.value) for p in spec.parameters))


def code_digest(training: Training, status: TrainingStatus) -> str | None:
    """Digest of what was run: image, command, arguments, files and environment, each by its content.

    It is the same whatever ConfigMaps and the image's registry are called. What is not code is not in it: parameters
    and data have digests of their own, and Secrets are never read. None where the content of a ConfigMap is not known:
    an operator that kept no copies started the attempt.
    """
    spec = training.spec
    if status.code is None and children.copies(training):
        return None
    kept = status.code or KeptCode()
    image = (status.image_digest or spec.image).rpartition("@")[2]
    literals = {e.name: e.value or "" for e in spec.env if not (e.secret_key_ref or e.config_map_key_ref)}
    return sha256([image, list(spec.command), list(spec.args), kept.files, literals, kept.variables])
